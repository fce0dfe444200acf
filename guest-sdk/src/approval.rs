//! What a task asks to be allowed, and what was decided.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Cancelled, RefusalKind, Refused};
use crate::json;
use crate::values::Sender;

/// What a task asks approval for. See [`TaskCtl::request_approval`](crate::TaskCtl::request_approval).
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    pub(crate) kind: String,
    pub(crate) summary: String,
    pub(crate) reason: String,
    pub(crate) metadata: Option<Value>,
    pub(crate) timeout: Option<Duration>,
}

impl Approval {
    /// A question. `kind` is a short name for programs, 1 to 64 bytes, such as `publish`; `summary` says what will be
    /// done, for the person who decides.
    pub fn new(kind: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { kind: kind.into(), summary: summary.into(), reason: String::new(), metadata: None, timeout: None }
    }

    /// Says why it is needed.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Adds something for whatever shows the question. What cannot be written as JSON is replaced by a sentence that
    /// says so.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        let value = serde_json::to_value(metadata)
            .unwrap_or_else(|error| Value::String(format!("the metadata is not JSON: {error}")));
        self.metadata = Some(value);
        self
    }

    /// Gives no more than this much time to decide. Nobody deciding is a no.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// What was decided. Whatever is not [`Decision::Approved`] is a no.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Decision {
    /// It may be done.
    Approved {
        /// Who said so.
        by: Sender,
        /// What is to be done instead of what was asked for, if the approver changed it.
        input: Option<Value>,
    },
    /// It may not.
    Denied {
        /// Who said so.
        by: Sender,
        /// Why; may be empty.
        reason: String,
    },
    /// Nobody decided in time.
    TimedOut,
    /// The task shall stop.
    Cancelled,
    /// Something that this version of the SDK does not know, in the contract's word. It is a no.
    Other(String),
}

/// The contract's document.
#[derive(Deserialize)]
struct Document {
    decision: String,
    by: Option<String>,
    reason: Option<String>,
    /// An input of `null` is one.
    #[serde(default, deserialize_with = "given")]
    input: Option<Value>,
}

fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Decision {
    pub(crate) fn from_wire(text: &str) -> Result<Self, Refused> {
        let document: Document = json::read(text).map_err(|misfit| Refused {
            kind: RefusalKind::Host,
            message: format!("the host's decision cannot be read: {}", misfit.sentence()),
        })?;
        let by = Sender::from_wire(document.by.unwrap_or_default());
        Ok(match document.decision.as_str() {
            "approved" => Self::Approved { by, input: document.input },
            "denied" => Self::Denied { by, reason: document.reason.unwrap_or_default() },
            "timed-out" => Self::TimedOut,
            "cancelled" => Self::Cancelled,
            _ => Self::Other(document.decision),
        })
    }

    /// Goes on only with a yes: what is to be done instead, if the approver changed it.
    ///
    /// ```
    /// # use taskcell_guest::testing::FakeHost;
    /// use taskcell_guest::{Approval, TaskCtl, TaskError};
    ///
    /// fn publish(ctl: &TaskCtl, text: String) -> Result<String, TaskError> {
    ///     let changed = ctl.request_approval(Approval::new("publish", &text))?.granted()?;
    ///     Ok(changed.and_then(|text| Some(text.as_str()?.to_owned())).unwrap_or(text))
    /// }
    ///
    /// let host = FakeHost::new();
    /// host.deny("not today");
    /// let error = host.run(publish, "News".to_owned()).unwrap_err();
    /// assert_eq!(error.message(), "it was not approved: not today");
    /// ```
    ///
    /// # Errors
    /// [`NotApproved`]. Returned from a task with `?`, it ends the task as failed, or as cancelled if it shall stop.
    pub fn granted(self) -> Result<Option<Value>, NotApproved> {
        match self {
            Self::Approved { by: _, input } => Ok(input),
            Self::Denied { by, reason } => Err(NotApproved::Denied { by, reason }),
            Self::TimedOut => Err(NotApproved::TimedOut),
            Self::Cancelled => Err(NotApproved::Cancelled(Cancelled::at("stopped while waiting for approval"))),
            Self::Other(word) => Err(NotApproved::Other(word)),
        }
    }
}

/// Why something may not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotApproved {
    /// Somebody said no.
    #[error("it was not approved{}", because(reason))]
    Denied {
        /// Who.
        by: Sender,
        /// Why; may be empty.
        reason: String,
    },
    /// Nobody decided in time.
    #[error("nobody approved of it in time")]
    TimedOut,
    /// The task shall stop. Returned from a task with `?`, it ends the task as cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A decision that this version of the SDK does not know.
    #[error("it was not approved ({0})")]
    Other(String),
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: &Value) -> Decision {
        Decision::from_wire(&document.to_string()).unwrap()
    }

    #[test]
    fn an_input_of_null_is_one() {
        let by = Sender::Person;
        let yes = json!({"version": 1, "decision": "approved", "by": "person", "new": 1});
        assert_eq!(read(&yes), Decision::Approved { by: by.clone(), input: None });
        let changed = json!({"version": 1, "decision": "approved", "by": "person", "input": null});
        assert_eq!(read(&changed), Decision::Approved { by, input: Some(Value::Null) });
    }

    #[test]
    fn what_is_not_known_is_a_no() {
        let later = read(&json!({"version": 2, "decision": "postponed", "by": "person"}));
        assert_eq!(later, Decision::Other("postponed".to_owned()));
        assert_eq!(later.granted().unwrap_err().to_string(), "it was not approved (postponed)");
        assert_eq!(Decision::from_wire("{}").unwrap_err().kind, RefusalKind::Host);
    }
}
