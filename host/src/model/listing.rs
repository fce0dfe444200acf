//! Lists of tasks: a line for each, in pages.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::event::EventSeq;
use super::ids::{PluginDigest, TaskId, TaskRef};
use super::outcome::{FailureKind, Outcome};
use super::snapshot::{Phase, Progress};
use super::time::Timestamp;

/// Tasks on one page. Protects whoever asks from a list that nobody reads to its end.
pub(crate) const PAGE_MAX: usize = 1000;

/// A place in a list of tasks, where the next page begins. Its text is for keeping and giving back, not for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskCursor(pub(crate) u64);

/// A text that is no place in a list of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no place in a list of tasks: take it from the page before, as it is")]
pub struct InvalidCursor;

impl fmt::Display for TaskCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{:x}", self.0)
    }
}

impl FromStr for TaskCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let digits = text.strip_prefix('t').filter(|digits| digits.len() <= 16).ok_or(InvalidCursor)?;
        // One way to write each.
        let cursor = u64::from_str_radix(digits, 16).map(Self).map_err(|_| InvalidCursor)?;
        if cursor.to_string() == text { Ok(cursor) } else { Err(InvalidCursor) }
    }
}

impl TryFrom<String> for TaskCursor {
    type Error = InvalidCursor;

    fn try_from(text: String) -> Result<Self, InvalidCursor> {
        text.parse()
    }
}

impl From<TaskCursor> for String {
    fn from(cursor: TaskCursor) -> Self {
        cursor.to_string()
    }
}

/// A part of a list of tasks, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskPage<T> {
    /// The tasks.
    pub tasks: Vec<T>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<TaskCursor>,
}

/// What a list says about a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskSummary {
    /// Its id.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// Where it is in its life.
    pub phase: Phase,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The task that it is a child of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The digest of its plugin, when it waits for that to be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits_plugin: Option<PluginDigest>,
    /// How many of its questions nobody has decided.
    #[serde(default)]
    pub open_approvals: usize,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<OutcomeKind>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When it got its outcome.
    pub ended_at: Option<Timestamp>,
    /// The number of its last event.
    #[serde(default)]
    pub seq: EventSeq,
    /// The number of the last event after its end.
    #[serde(default)]
    pub after_seq: EventSeq,
}

/// How a task ended, without what it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OutcomeKind {
    /// It did what it was asked to do.
    Succeeded,
    /// It could not.
    #[non_exhaustive]
    Failed {
        /// Why.
        kind: FailureKind,
    },
    /// It was stopped.
    #[non_exhaustive]
    Cancelled {
        /// Whether by force.
        forced: bool,
    },
}

impl From<&Outcome> for OutcomeKind {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded { .. } => Self::Succeeded,
            Outcome::Failed(failure) => Self::Failed { kind: failure.kind },
            Outcome::Cancelled { forced, .. } => Self::Cancelled { forced: *forced },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t33_a_cursor_is_what_a_page_gave_and_nothing_else() {
        for number in [0, 1, 0xabc, u64::MAX] {
            let text = TaskCursor(number).to_string();
            assert_eq!(text.parse(), Ok(TaskCursor(number)));
        }
        for bad in ["", "t", "0", "t-1", "t+1", "t01", "tABC", "t10000000000000000", "t 1", "\u{0}", "tü"] {
            assert_eq!(bad.parse::<TaskCursor>(), Err(InvalidCursor), "{bad:?}");
        }
    }
}
