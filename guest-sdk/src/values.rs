//! The values that cross the contract, as Rust types.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the running task is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The task's id, which nobody can guess.
    pub id: String,
    /// The plugin's name, as its manifest gives it.
    pub plugin: String,
    /// The task type's name.
    pub task_type: String,
    /// The key the task was started with; its id if it was started without one.
    pub key: String,
    /// The session that the task belongs to.
    #[serde(default)]
    pub session: Option<String>,
    /// Which attempt this is, counted from 1; 0 from a host that does not say.
    #[serde(default)]
    pub attempt: u32,
    /// The id of the task that started this one.
    #[serde(default)]
    pub parent: Option<String>,
    /// The names and values that it was given for finding it again.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When the task will be stopped, in milliseconds since 1970 in UTC.
    pub deadline_ms: Option<u64>,
    /// Units of fuel that the task was given.
    pub fuel_budget: u64,
    /// The task's own directory: empty at the start, removed after the end.
    pub scratch: PathBuf,
    /// The files that it got along.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
}

/// A file that the task got along. It can be read at its path, and not be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its media type, in the words of whoever started the task.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its content, as 64 lower-case hex digits.
    pub sha256: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Which task is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskRef {
    /// The plugin's name, as its manifest gives it.
    pub plugin: String,
    /// The task type's name.
    pub task_type: String,
    /// The key the task was started with; its id if it was started without one.
    pub key: String,
}

impl TaskRef {
    /// Names a task by its three parts.
    pub fn new(plugin: impl Into<String>, task_type: impl Into<String>, key: impl Into<String>) -> Self {
        Self { plugin: plugin.into(), task_type: task_type.into(), key: key.into() }
    }
}

/// Who sent a signal or asked for a cancel. The host says so, and no sender can pretend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sender {
    /// A person.
    Person,
    /// The agent or program that the task works for.
    Agent,
    /// The host itself.
    Host,
    /// Another task.
    Task,
    /// This task.
    Itself,
    /// Somebody that this version of the SDK does not know, in the contract's word.
    Other(String),
}

impl Sender {
    /// The contract's word: `person`, `agent`, `host`, `task`, `self`, or what [`Sender::Other`] holds.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Person => "person",
            Self::Agent => "agent",
            Self::Host => "host",
            Self::Task => "task",
            Self::Itself => "self",
            Self::Other(word) => word,
        }
    }

    pub(crate) fn from_wire(word: String) -> Self {
        match word.as_str() {
            "person" => Self::Person,
            "agent" => Self::Agent,
            "host" => Self::Host,
            "task" => Self::Task,
            "self" => Self::Itself,
            _ => Self::Other(word),
        }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A signal that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal<T> {
    /// What the sender sent along.
    pub payload: T,
    /// Who sent it.
    pub sender: Sender,
    /// Which task sent it, when one did: so that it can be answered.
    pub task: Option<TaskRef>,
}

/// Somebody asked for this task to be cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRequest {
    /// Who asked.
    pub by: Sender,
    /// Why, in the words of whoever asked; may be empty.
    pub reason: String,
    /// How much time is left to end in good order. When it is over, the task is stopped wherever it is.
    pub grace: Duration,
}

/// What became of a message to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The agent has it.
    Accepted,
    /// Nobody listens right now; it is kept.
    Queued,
    /// The agent wants no messages from this task.
    Blocked,
}

/// What became of a signal to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyResult {
    /// The task was waiting for it and has it.
    Delivered,
    /// It is kept until the task waits for it.
    Buffered,
    /// There is no such task, or it has ended.
    NoTask,
    /// Too many signals are kept for that task already; this one was not taken.
    Full,
}

/// A file that was attached to the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its number among the task's artifacts, counted from 1.
    pub number: u32,
    /// Its content's SHA-256, as 64 lower-case hex digits.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Something was not allowed. A task can go on without it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{capability} was denied: {reason}")]
#[non_exhaustive]
pub struct Denied {
    /// What would have been needed, by the name that a manifest asks for it with.
    pub capability: String,
    /// On what; empty when it is one thing only.
    pub scope: String,
    /// Why it is not there, in a sentence.
    pub reason: String,
    /// Whether the same may be allowed later in the task's life.
    pub retryable: bool,
}
