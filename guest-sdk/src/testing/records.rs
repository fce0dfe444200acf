//! What the fake host remembers of a task.

use std::time::Duration;

use serde_json::Value;

use crate::approval::Decision;
use crate::children::Child;
use crate::error::Refused;
use crate::values::TaskRef;
use crate::waiting::{Reach, Scope};

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

/// One signal that the task sent to a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeNotified {
    /// To which tasks.
    pub scope: Scope,
    /// To the first of them, or to all.
    pub reach: Reach,
    /// The signal's key.
    pub key: String,
    /// The payload; `None` is none at all.
    pub payload: Option<Value>,
}

/// One wish to end another task's wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedWait {
    /// Whose wait.
    pub target: TaskRef,
    /// For which key; `None` is for all.
    pub key: Option<String>,
}

/// One request for approval.
#[derive(Clone, Debug, PartialEq)]
pub struct ApprovalRequest {
    /// A short name for programs.
    pub kind: String,
    /// What will be done.
    pub summary: String,
    /// Why it is needed.
    pub reason: String,
    /// For whatever shows the question.
    pub metadata: Option<Value>,
    /// How much time there was to decide.
    pub timeout: Option<Duration>,
    /// What was decided.
    pub decision: Decision,
}

/// Something that the task spent elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// In the name of which tool.
    pub tool: String,
    /// Tokens of a model.
    pub tokens: u64,
    /// Actions of a tool.
    pub actions: u64,
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

/// One task that the task started.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedTask {
    /// Its id, and its name.
    pub child: Child,
    /// Its input.
    pub input: Value,
    /// The options, as the contract's document.
    pub options: Value,
}

/// One call of a host's function.
#[derive(Clone, Debug, PartialEq)]
pub struct HostCalled {
    /// The function's name.
    pub name: String,
    /// What the task gave.
    pub input: Value,
}
