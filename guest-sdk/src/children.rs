//! The values of starting other tasks.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::ctl::millis_rounded_up;
use crate::error::{RefusalKind, Refused};
use crate::json;
use crate::task_error::TaskError;
use crate::values::{Sender, TaskRef};

/// A task that this one started. See [`TaskCtl::start_task`](crate::TaskCtl::start_task).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Child {
    /// Its id, which nobody can guess.
    pub id: String,
    /// Its name, for signals.
    pub task: TaskRef,
}

/// What a child is to be beyond its type and its input. The default is a child of this task's plugin without a key, with
/// half of the fuel that is left, that is stopped when this task ends.
///
/// ```
/// use taskcell_guest::TaskOptions;
///
/// let options = TaskOptions::new().key("page-7").title("Page 7").label("site", "a").limit("fuel", 1_000_000);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskOptions {
    fields: Map<String, Value>,
}

impl TaskOptions {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a key: while a task of the same plugin and type has it, no other gets it.
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        self.with("key", key.into().into())
    }

    /// With a title for people.
    #[must_use]
    pub fn title(self, title: impl Into<String>) -> Self {
        self.with("title", title.into().into())
    }

    /// With a label, and those that were given before.
    #[must_use]
    pub fn label(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with_in("labels", name.into(), value.into().into())
    }

    /// With a limit of this name, as a manifest has it, such as `fuel` or `timeout_ms`; and with those that were given
    /// before.
    #[must_use]
    pub fn limit(self, name: impl Into<String>, value: u64) -> Self {
        self.with_in("limits", name.into(), value.into())
    }

    /// It goes on when this task ends, and when this task is asked to stop.
    #[must_use]
    pub fn detached(self) -> Self {
        self.with("detached", true.into())
    }

    /// It is tried again when it fails and says that this may help, so many times in all with the first. The time before
    /// the second attempt is a second unless [`backoff`](Self::backoff) says otherwise.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        self.with_in("retry", "attempts".to_owned(), attempts.into())
    }

    /// The time before its second attempt, which doubles with each one after that, up to `max`.
    #[must_use]
    pub fn backoff(self, first: Duration, max: Duration) -> Self {
        self.with_in("retry", "backoff_ms".to_owned(), millis_rounded_up(first).into()).with_in(
            "retry",
            "backoff_max_ms".to_owned(),
            millis_rounded_up(max).into(),
        )
    }

    /// It is tried again after a crash as well.
    #[must_use]
    pub fn retry_crashes(self) -> Self {
        self.with_in("retry", "crashes".to_owned(), true.into())
    }

    /// A task of another plugin. Needs the capability `tasks`.
    #[must_use]
    pub fn plugin(self, name: impl Into<String>) -> Self {
        self.with("plugin", name.into().into())
    }

    fn with(mut self, field: &str, value: Value) -> Self {
        self.fields.insert(field.to_owned(), value);
        self
    }

    fn with_in(mut self, field: &str, name: String, value: Value) -> Self {
        let entry = self.fields.entry(field).or_insert_with(|| json!({}));
        if let Value::Object(entries) = entry {
            entries.insert(name, value);
        }
        self
    }

    /// The contract's document.
    pub(crate) fn into_wire(self) -> Value {
        Value::Object(self.fields)
    }
}

/// How a child is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ChildState {
    /// Where it is in its life: `held`, `delayed`, `queued`, `running` or `ended`. More may come.
    pub phase: String,
    /// 0 to 100, when it has said so.
    pub percent: Option<u8>,
    /// What it reported last.
    pub message: Option<String>,
    /// Its note.
    pub note: Option<String>,
    /// What it is parked for: `signal`, `approval`, `fuel`, `message` or `task`. More may come.
    pub waits_for: Option<String>,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// Which attempt runs or ran last, counted from 1; 0 before the first.
    pub attempt: u32,
    /// Units of fuel it has used.
    pub fuel_used: u64,
}

impl ChildState {
    /// Whether it has its outcome: [`TaskCtl::wait_task`](crate::TaskCtl::wait_task) has that.
    pub fn is_ended(&self) -> bool {
        self.phase == "ended"
    }

    pub(crate) fn from_wire(text: &str) -> Result<Self, Refused> {
        json::read(text).map_err(|misfit| Refused {
            kind: RefusalKind::Host,
            message: format!("the child's state cannot be read: {}", misfit.sentence()),
        })
    }
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TaskEnd {
    /// It did what it was asked to do.
    Succeeded {
        /// Its sentence for a person.
        message: String,
        /// Its result.
        data: Option<Value>,
    },
    /// It could not.
    Failed {
        /// What went wrong.
        message: String,
        /// What kind of failure it is, in the host's word, such as `guest`, `out-of-fuel` or `timeout`.
        kind: String,
        /// Details for a program.
        error: Option<Value>,
        /// Whether the same task may succeed when it is tried again.
        retryable: bool,
    },
    /// It was stopped.
    Cancelled {
        /// Where it stopped; may be empty.
        message: String,
        /// Who asked for it.
        by: Sender,
        /// Why; may be empty.
        reason: String,
        /// Whether it did not stop by itself in time.
        forced: bool,
        /// What it returned all the same.
        data: Option<Value>,
    },
    /// Something that this version of the SDK does not know. It is no success.
    Other {
        /// The contract's word.
        outcome: String,
        /// A sentence for a person.
        message: String,
    },
}

/// The contract's document.
#[derive(Deserialize)]
struct Document {
    outcome: String,
    #[serde(default)]
    message: String,
    data: Option<Value>,
    #[serde(default)]
    kind: String,
    error: Option<Value>,
    #[serde(default)]
    retryable: bool,
    #[serde(default)]
    by: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    forced: bool,
}

impl TaskEnd {
    /// A success with this result, as a test wants it.
    #[cfg(not(target_family = "wasm"))]
    pub fn succeeded(data: impl Into<Value>) -> Self {
        Self::Succeeded { message: "done".to_owned(), data: Some(data.into()) }
    }

    /// A failure of the child's own making, as a test wants it.
    #[cfg(not(target_family = "wasm"))]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), kind: "task".to_owned(), error: None, retryable: false }
    }

    /// Its result, if it succeeded. Returned from a task with `?`, all else ends this task as failed.
    ///
    /// # Errors
    /// A failure that says how the child ended, or where its result does not fit `T`. A child that failed and may
    /// succeed the next time makes a failure that is retryable.
    pub fn data<T: DeserializeOwned>(self) -> Result<T, TaskError> {
        match self {
            Self::Succeeded { data, .. } => json::read(&data.unwrap_or_default().to_string())
                .map_err(|misfit| TaskError::new(format!("the child's result does not fit: {}", misfit.sentence()))),
            Self::Failed { message, kind, retryable, .. } => {
                let error = TaskError::new(format!("the child failed ({kind}): {message}"));
                Err(if retryable { error.retryable() } else { error })
            }
            Self::Cancelled { reason, .. } if reason.is_empty() => Err(TaskError::new("the child was stopped")),
            Self::Cancelled { reason, .. } => Err(TaskError::new(format!("the child was stopped: {reason}"))),
            Self::Other { outcome, message } => Err(TaskError::new(format!("the child ended ({outcome}): {message}"))),
        }
    }

    pub(crate) fn from_wire(text: &str) -> Result<Self, Refused> {
        let document: Document = json::read(text).map_err(|misfit| Refused {
            kind: RefusalKind::Host,
            message: format!("the child's outcome cannot be read: {}", misfit.sentence()),
        })?;
        let Document { outcome, message, data, kind, error, retryable, by, reason, forced } = document;
        Ok(match outcome.as_str() {
            "succeeded" => Self::Succeeded { message, data },
            "failed" => Self::Failed { message, kind, error, retryable },
            "cancelled" => Self::Cancelled { message, by: Sender::from_wire(by), reason, forced, data },
            _ => Self::Other { outcome, message },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &Value) -> TaskEnd {
        TaskEnd::from_wire(&document.to_string()).unwrap()
    }

    #[test]
    fn the_documents_of_the_contract_are_read() {
        let end = read(&json!({"version": 1, "outcome": "succeeded", "message": "done", "data": [1], "new": true}));
        assert_eq!(end.data::<Vec<u8>>(), Ok(vec![1]));
        let end = read(&json!({"version": 1, "outcome": "succeeded", "message": "done", "data": null}));
        assert_eq!(end.data::<()>(), Ok(()));
        let failed = json!({
            "version": 1, "outcome": "failed", "message": "no", "kind": "fuel", "error": null, "retryable": true,
        });
        let error = read(&failed).data::<()>().unwrap_err();
        assert_eq!((error.message(), error.is_retryable()), ("the child failed (fuel): no", true));
        let cancelled = json!({
            "version": 1, "outcome": "cancelled", "message": "", "by": "person", "reason": "late", "forced": true,
            "data": null,
        });
        let error = read(&cancelled).data::<()>().unwrap_err();
        assert_eq!((error.message(), error.is_cancelled()), ("the child was stopped: late", false));
    }

    #[test]
    fn r38_a_childs_retries_are_one_object() {
        let options = TaskOptions::new()
            .attempts(3)
            .backoff(Duration::from_secs(2), Duration::from_micros(60_000_001))
            .retry_crashes();
        let retry = json!({"attempts": 3, "backoff_ms": 2000, "backoff_max_ms": 60_001, "crashes": true});
        assert_eq!(options.into_wire(), json!({ "retry": retry }));
    }

    #[test]
    fn what_is_not_known_is_no_success() {
        let end = read(&json!({"version": 2, "outcome": "moved", "message": "elsewhere"}));
        assert_eq!(end, TaskEnd::Other { outcome: "moved".to_owned(), message: "elsewhere".to_owned() });
        assert_eq!(end.data::<()>().unwrap_err().message(), "the child ended (moved): elsewhere");
        assert_eq!(TaskEnd::from_wire("{}").unwrap_err().kind, RefusalKind::Host);
    }

    #[test]
    fn options_are_the_contracts_document() {
        let options = TaskOptions::new().key("k").label("a", "b").label("c", "d").limit("fuel", 7).detached();
        let document = json!({"key": "k", "labels": {"a": "b", "c": "d"}, "limits": {"fuel": 7}, "detached": true});
        assert_eq!(options.into_wire(), document);
        assert_eq!(TaskOptions::new().into_wire(), json!({}));
    }
}
