//! What the fake host remembers of a task.

use std::time::Duration;

use serde_json::Value;

use crate::error::Refused;
use crate::values::TaskRef;

/// One report of progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The sentence.
    pub message: String,
    /// 0 to 100, as the host shows it: the highest since the progress began, also where the task said none or less.
    pub percent: Option<u8>,
    /// Whether the progress begins anew here, by [`TaskCtl::restart_progress`](crate::TaskCtl::restart_progress).
    pub restarted: bool,
}

/// One request for fuel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuelRequest {
    /// How many units the task asked for.
    pub units: u64,
    /// What for.
    pub reason: String,
    /// How long it was ready to wait.
    pub timeout: Option<Duration>,
    /// How many units were added, or why none were.
    pub answer: Result<u64, Refused>,
}

/// One message to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentMessage {
    /// The message.
    pub message: String,
    /// Whether the agent was asked to act on it now.
    pub trigger: bool,
}

/// One log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: log::Level,
    /// Which part of the plugin spoke.
    pub target: String,
    /// The line.
    pub message: String,
}

/// One signal that the task sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// To which task.
    pub target: TaskRef,
    /// The signal's key.
    pub key: String,
    /// The payload; `None` is none at all.
    pub payload: Option<Value>,
}

/// One file that the task attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// What people see.
    pub name: String,
    /// Such as `text/markdown`.
    pub media_type: String,
    /// What the file held when it was attached.
    pub content: Vec<u8>,
}
