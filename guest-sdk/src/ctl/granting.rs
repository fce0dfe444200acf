//! What the task may touch, and asking for it.

use serde_json::Value;

use super::TaskCtl;
use crate::values::Denied;

impl TaskCtl {
    /// Asks for something before it is needed. Where the operator's policy says to ask about it, the task is parked until
    /// somebody has answered; else the answer is there at once. A yes for one time is left for the next call that needs it.
    ///
    /// `scope` says what of the capability: for `fs` the folder (`guest`) and the `access`, for `http` the `host` and perhaps
    /// `method`, `port` and `plain`, for `env`, `secrets` and `host` the `name`, for `tasks` the `plugin`; for others `{}`.
    ///
    /// ```
    /// use serde_json::json;
    /// use taskcell_guest::testing::FakeHost;
    /// use taskcell_guest::{TaskCtl, TaskError};
    ///
    /// fn price(ctl: &TaskCtl, (): ()) -> Result<String, TaskError> {
    ///     let scope = json!({ "host": "api.example.com" });
    ///     match ctl.request_grant("http", &scope, "the price of today") {
    ///         Ok(()) => Ok("asks the shop".to_owned()),
    ///         Err(denied) => Ok(format!("guesses: {}", denied.reason)),
    ///     }
    /// }
    ///
    /// let host = FakeHost::new();
    /// assert_eq!(host.run(price, ()).unwrap(), "asks the shop");
    /// host.deny_grant("http", "not today");
    /// assert_eq!(host.run(price, ()).unwrap(), "guesses: not today");
    /// ```
    ///
    /// # Errors
    /// [`Denied`], also for a capability that does not exist and a scope that says nothing. Without an answer in time, and
    /// where there is nobody to ask, it is a no.
    pub fn request_grant(&self, capability: &str, scope: &Value, reason: &str) -> Result<(), Denied> {
        self.backend.request_grant(capability, &scope.to_string(), reason)
    }

    /// What the task was denied last, also where the call that was denied could not say so: a file that may not be read is
    /// to the language no more than an error of the disk.
    pub fn last_denied(&self) -> Option<Denied> {
        self.backend.last_denied()
    }

    /// What the task may touch at this moment, some of it after somebody was asked: a JSON object, described in the contract.
    pub fn grants(&self) -> Value {
        serde_json::from_str(&self.backend.grants()).unwrap_or_default()
    }
}
