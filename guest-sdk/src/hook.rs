//! Hooks: what a plugin does around its own life, and about its tasks' ends.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::backend::BelongingsPage;
use crate::children::TaskEnd;
use crate::error::Refused;
use crate::json;
use crate::task_error::TaskError;
use crate::values::{Sender, TaskRef};

/// A running hook's way to its host: the plugin's configuration and its store.
///
/// A hook is a function that [`plugin!`](macro@crate::plugin) lists in `hooks`. It runs in an instance of its own, beside
/// the tasks, with little fuel and a few seconds of time, and belongs to none of them: it does not wait, and has no
/// files. What it says with `log::info!` and its siblings, and what it prints, is noted by the host.
///
/// ```
/// use taskcell_guest::testing::FakeHost;
/// use taskcell_guest::{HookCtx, TaskError};
///
/// fn prepare(ctx: &HookCtx) -> Result<(), TaskError> {
///     let config: serde_json::Value = ctx.config()?;
///     if config.get("url").is_none() {
///         return Err(TaskError::new("say with `url` where the service is"));
///     }
///     ctx.kv_set("loads", b"1")?;
///     Ok(())
/// }
///
/// let host = FakeHost::new();
/// assert_eq!(prepare(&host.hook_ctx()).unwrap_err().message(), "say with `url` where the service is");
/// host.set_config(serde_json::json!({"url": "http://localhost"}));
/// assert!(prepare(&host.hook_ctx()).is_ok());
/// assert_eq!(host.stored("loads"), Some(b"1".to_vec()));
/// ```
pub struct HookCtx {
    backend: Box<dyn BelongingsPage>,
}

impl HookCtx {
    pub(crate) fn new(backend: impl BelongingsPage + 'static) -> Self {
        Self { backend: Box::new(backend) }
    }

    /// The plugin's configuration, as the operator gave it; an empty object without one.
    ///
    /// # Errors
    /// [`Refused`] with `invalid-argument` when it does not fit `T`; the message says where.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        json::read(&self.backend.config()).map_err(|misfit| {
            Refused::invalid(format!("the plugin's configuration does not fit: {}", misfit.sentence()))
        })
    }

    /// The value of a key in the plugin's own store. A hook about a task may use it when its task may; the others when
    /// the operator says so.
    ///
    /// # Errors
    /// As [`TaskCtl::kv_get`](crate::TaskCtl::kv_get).
    pub fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, Refused> {
        self.backend.kv_get(key)
    }

    /// Sets a key's value.
    ///
    /// # Errors
    /// As [`TaskCtl::kv_set`](crate::TaskCtl::kv_set).
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

    /// The keys that begin with `prefix` and come after `after`, in order, at most 1 000 at once.
    ///
    /// # Errors
    /// [`Refused`] with `denied`.
    pub fn kv_keys(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Refused> {
        self.backend.kv_keys(prefix, after)
    }
}

impl fmt::Debug for HookCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookCtx").finish_non_exhaustive()
    }
}

/// A task of this plugin that somebody asked to stop.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CancelledTask {
    /// Which task.
    pub task: TaskRef,
    /// Its id.
    pub id: String,
    /// Who asked.
    pub by: Sender,
    /// Why, in the words of whoever asked; may be empty.
    pub reason: String,
    /// How long the task may still take, and its hook.
    pub grace: Duration,
}

/// A task of this plugin that has its outcome.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EndedTask {
    /// Which task.
    pub task: TaskRef,
    /// Its id.
    pub id: String,
    /// How it ended. A result or an error's details of more than 256 KiB are left out.
    pub end: TaskEnd,
    /// What it has used.
    pub usage: TaskUsage,
}

/// What a task has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TaskUsage {
    /// Units of fuel.
    pub fuel: u64,
    /// The most bytes of memory at once.
    pub memory_peak_bytes: u64,
    /// Tokens that it said it spent elsewhere.
    pub tokens: u64,
    /// Actions that it said it did elsewhere.
    pub actions: u64,
    /// Milliseconds from its start to its end.
    pub wall_ms: u64,
}

#[cfg(not(target_family = "wasm"))]
impl CancelledTask {
    /// A task that a person asked to stop within five seconds, as a test wants it.
    pub fn new(task: TaskRef) -> Self {
        Self { id: String::new(), by: Sender::Person, reason: String::new(), grace: Duration::from_secs(5), task }
    }
}

#[cfg(not(target_family = "wasm"))]
impl EndedTask {
    /// A task that has ended so, as a test wants it.
    pub fn new(task: TaskRef, end: TaskEnd) -> Self {
        Self { id: String::new(), usage: TaskUsage::default(), task, end }
    }
}

/// A task's reference, in a document of the host's.
#[derive(Deserialize)]
#[cfg(any(target_family = "wasm", test))]
struct Reference {
    plugin: String,
    task_type: String,
    key: String,
}

#[cfg(any(target_family = "wasm", test))]
impl From<Reference> for TaskRef {
    fn from(Reference { plugin, task_type, key }: Reference) -> Self {
        Self { plugin, task_type, key }
    }
}

#[cfg(any(target_family = "wasm", test))]
impl CancelledTask {
    pub(crate) fn from_wire(text: &str) -> Result<Self, String> {
        /// The contract's document.
        #[derive(Deserialize)]
        struct Document {
            task: Reference,
            id: String,
            by: String,
            reason: String,
            grace_ms: u64,
        }
        let Document { task, id, by, reason, grace_ms } = read(text)?;
        Ok(Self { task: task.into(), id, by: Sender::from_wire(by), reason, grace: Duration::from_millis(grace_ms) })
    }
}

#[cfg(any(target_family = "wasm", test))]
impl EndedTask {
    pub(crate) fn from_wire(text: &str) -> Result<Self, String> {
        /// The contract's document.
        #[derive(Deserialize)]
        struct Document {
            task: Reference,
            id: String,
            outcome: serde_json::Value,
            #[serde(default)]
            usage: TaskUsage,
        }
        let Document { task, id, outcome, usage } = read(text)?;
        let end = TaskEnd::from_wire(&outcome.to_string()).map_err(|refused| refused.message)?;
        Ok(Self { task: task.into(), id, end, usage })
    }
}

#[cfg(any(target_family = "wasm", test))]
fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    json::read(text).map_err(|misfit| format!("what the host told the hook cannot be read: {}", misfit.sentence()))
}

/// What a hook returns.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a hook returns `Result<(), TaskError>` or `Result<(), String>`, not `{Self}`",
    label = "this hook"
)]
pub trait HookResult {
    fn into_result(self) -> Result<(), String>;
}

impl HookResult for Result<(), TaskError> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.message().to_owned())
    }
}

impl HookResult for Result<(), String> {
    fn into_result(self) -> Self {
        self
    }
}

/// A hook around the plugin's life.
#[doc(hidden)]
pub type PluginHook = fn(&HookCtx) -> Result<(), String>;

/// A hook about the end of one of its tasks, which is told of it.
#[doc(hidden)]
pub type HookAbout<T> = fn(&HookCtx, &T) -> Result<(), String>;

/// The hooks of a plugin; those that are not written do nothing.
#[doc(hidden)]
#[derive(Debug)]
pub struct HookTable {
    pub init: Option<PluginHook>,
    pub on_enabled: Option<PluginHook>,
    pub on_disabled: Option<PluginHook>,
    pub shutdown: Option<PluginHook>,
    pub on_cancel: Option<HookAbout<CancelledTask>>,
    pub on_terminal: Option<HookAbout<EndedTask>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_documents_of_the_contract_are_read() {
        let task = json!({"plugin": "p", "task_type": "t", "key": "k"});
        let asked = json!({
            "version": 1, "task": task, "id": "1", "by": "agent", "reason": "late", "grace_ms": 1500, "more": 1,
        });
        let asked = CancelledTask::from_wire(&asked.to_string()).unwrap();
        assert_eq!((asked.task, asked.by), (TaskRef::new("p", "t", "k"), Sender::Agent));
        assert_eq!((asked.reason.as_str(), asked.grace), ("late", Duration::from_millis(1500)));
        let outcome = json!({"version": 1, "outcome": "succeeded", "message": "done", "data": 7});
        let ended = json!({"version": 1, "task": task, "id": "1", "outcome": outcome, "usage": {"fuel": 12, "new": 1}});
        let ended = EndedTask::from_wire(&ended.to_string()).unwrap();
        assert_eq!((ended.end.data::<u8>(), ended.usage.fuel), (Ok(7), 12));
        assert!(EndedTask::from_wire("{}").unwrap_err().contains("cannot be read"));
    }
}
