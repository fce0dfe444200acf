//! Waiting for one of several signals.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{TaskCtl, millis_rounded_up, raw, typed};
use crate::backend::WireSignal;
use crate::error::{Cancelled, WaitError};
use crate::waiting::{Taken, WaitFor};

impl TaskCtl {
    /// Parks the task until a signal with one of these keys is there, and takes the oldest of them. About the timeout
    /// and the payload see [`wait`](Self::wait).
    ///
    /// ```
    /// # use std::time::Duration;
    /// use serde_json::json;
    /// use taskcell_guest::{Sender, WaitFor};
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    ///
    /// host.signal("later", json!("tomorrow"));
    /// let taken = ctl.wait_any::<String>(["now", "later"], Duration::from_secs(60))?;
    /// assert_eq!((taken.key.as_str(), taken.signal.payload.as_str()), ("later", "tomorrow"));
    ///
    /// // What other tasks and the agent send stays where it is.
    /// host.signal_from(Sender::Task, "now", json!("a task says so"));
    /// host.signal("now", json!("a person says so"));
    /// let from_a_person = WaitFor::any_of(["now", "later"]).from_sender(Sender::Person);
    /// assert_eq!(ctl.wait_any::<String>(from_a_person, None)?.signal.payload, "a person says so");
    /// # Ok::<(), taskcell_guest::WaitError>(())
    /// ```
    ///
    /// # Errors
    /// [`WaitError`]: refused with `invalid-argument` without a key or with more than 64. A signal that does not fit `T`
    /// is taken all the same; waiting again waits for the next one.
    pub fn wait_any<T: DeserializeOwned>(
        &self,
        wait: impl Into<WaitFor>,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Taken<T>, WaitError> {
        let (key, signal) = self.wait_any_wire(&wait.into(), timeout.into())?;
        match typed(signal) {
            Ok(signal) => Ok(Taken { key, signal }),
            Err(WaitError::BadPayload(text)) => Err(WaitError::BadPayload(format!("signal \"{key}\": {text}"))),
            Err(other) => Err(other),
        }
    }

    /// Like [`wait_any`](Self::wait_any), but keeps the payload as it came: `None` is a signal without a payload.
    ///
    /// # Errors
    /// [`WaitError`].
    pub fn wait_any_raw(
        &self,
        wait: impl Into<WaitFor>,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Taken<Option<Value>>, WaitError> {
        let (key, signal) = self.wait_any_wire(&wait.into(), timeout.into())?;
        Ok(Taken { key, signal: raw(signal)? })
    }

    fn wait_any_wire(&self, wait: &WaitFor, timeout: Option<Duration>) -> Result<(String, WireSignal), WaitError> {
        let place = || Cancelled::at(format!("stopped while waiting for one of the signals {}", named(wait.keys())));
        self.backend.wait_any(wait, timeout.map(millis_rounded_up)).map_err(|end| end.into_error(place))
    }
}

fn named(keys: &[String]) -> String {
    keys.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", ")
}
