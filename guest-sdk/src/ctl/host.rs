//! The functions of the program around the host, the plugin's configuration, and its store.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TaskCtl;
use crate::error::{HostError, Refused};
use crate::json;

impl TaskCtl {
    /// Calls a function of the program around the host, and parks the task until it has answered. Needs the capability
    /// `host:` and the function's name.
    ///
    /// ```
    /// use serde_json::json;
    /// use taskcell_guest::testing::FakeHost;
    /// use taskcell_guest::{HostError, TaskCtl, TaskError};
    ///
    /// fn price(ctl: &TaskCtl, item: String) -> Result<Option<u64>, TaskError> {
    ///     match ctl.call_host("price", &json!({ "item": item })) {
    ///         Ok(price) => Ok(Some(price)),
    ///         Err(HostError::Failed { .. }) => Ok(None),
    ///         Err(other) => Err(other.into()),
    ///     }
    /// }
    ///
    /// let host = FakeHost::new();
    /// host.answer_host("price", Ok(json!(250)));
    /// assert_eq!(host.run(price, "lamp".to_owned()), Ok(Some(250)));
    /// host.answer_host("price", Err(HostError::failed("there is no such thing")));
    /// assert_eq!(host.run(price, "moon".to_owned()), Ok(None));
    /// ```
    ///
    /// # Errors
    /// [`HostError`].
    pub fn call_host<T: DeserializeOwned>(&self, name: &str, input: &impl Serialize) -> Result<T, HostError> {
        let input = serde_json::to_string(input)
            .map_err(|error| Refused::invalid(format!("the function's input is not JSON: {error}")))?;
        let answer = self.backend.call_host(name, &input)?;
        json::read(&answer).map_err(|misfit| HostError::BadAnswer(misfit.sentence()))
    }

    /// What the operator configured for this plugin; an empty object when that is nothing.
    ///
    /// ```
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// #[derive(serde::Deserialize)]
    /// #[serde(default)]
    /// struct Config {
    ///     language: String,
    /// }
    ///
    /// impl Default for Config {
    ///     fn default() -> Self {
    ///         Self { language: "en".to_owned() }
    ///     }
    /// }
    ///
    /// assert_eq!(ctl.config::<Config>()?.language, "en");
    /// host.set_config(serde_json::json!({ "language": "fr" }));
    /// assert_eq!(ctl.config::<Config>()?.language, "fr");
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`] with `invalid-argument` when the configuration does not fit `T`; the message says where.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        json::read(&self.backend.config()).map_err(|misfit| {
            Refused::invalid(format!("the plugin's configuration does not fit: {}", misfit.sentence()))
        })
    }

    /// The value of a key in the plugin's own store, which its tasks share. The store needs the capability `kv`. A key
    /// has 1 to 256 bytes and no control characters.
    ///
    /// ```
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// // Counts, also when other tasks count at the same time.
    /// loop {
    ///     let before = ctl.kv_get("count")?;
    ///     let number = before.as_deref().and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
    ///     if ctl.kv_compare_and_set("count", before.as_deref(), (number + 1).to_le_bytes())? {
    ///         break;
    ///     }
    /// }
    /// assert_eq!(host.stored("count"), Some(1_u64.to_le_bytes().to_vec()));
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`]: `denied` without the capability, `invalid-argument` for a bad key.
    pub fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, Refused> {
        self.backend.kv_get(key)
    }

    /// Sets a key's value.
    ///
    /// # Errors
    /// As [`kv_get`](Self::kv_get), and `too-large` when it does not fit into the plugin's store.
    pub fn kv_set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), Refused> {
        self.backend.kv_set(key, value.as_ref())
    }

    /// Sets a key's value if its value still is `current`, `None` meaning that there is none. Says whether it did.
    ///
    /// # Errors
    /// As [`kv_set`](Self::kv_set).
    pub fn kv_compare_and_set(
        &self,
        key: &str,
        current: Option<&[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<bool, Refused> {
        self.backend.kv_compare_and_set(key, current, value.as_ref())
    }

    /// Removes a key. Says whether it was there.
    ///
    /// # Errors
    /// As [`kv_get`](Self::kv_get).
    pub fn kv_delete(&self, key: &str) -> Result<bool, Refused> {
        self.backend.kv_delete(key)
    }

    /// The keys that begin with `prefix` and come after `after`, in order, at most 1 000 at once. For more, ask again
    /// with the last one as `after`.
    ///
    /// # Errors
    /// [`Refused`] with `denied`.
    pub fn kv_keys(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Refused> {
        self.backend.kv_keys(prefix, after)
    }
}
