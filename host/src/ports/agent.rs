//! Where messages to the agent go.

use serde::{Deserialize, Serialize};

use crate::model::ids::{TaskId, TaskRef};

/// A message from a task to the agent that it works for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentMessage {
    /// The task that sent it.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// The message, as the guest wrote it: escape it before showing it.
    pub message: String,
    /// Whether the agent is asked to act on it now.
    pub trigger: bool,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Delivery {
    /// The agent has it.
    Accepted,
    /// Nobody listens right now; it is in the task's event log.
    Queued,
    /// The agent wants no messages from this task.
    Blocked,
}

/// Takes messages for the agent.
///
/// Without a sink, messages are kept in the event log and the task is told `queued`. A closure
/// `Fn(&AgentMessage) -> Delivery` is a sink.
pub trait AgentSink: Send + Sync {
    /// Takes one message. Must not block: the task's own events wait meanwhile.
    fn deliver(&self, message: &AgentMessage) -> Delivery;
}

impl<F: Fn(&AgentMessage) -> Delivery + Send + Sync> AgentSink for F {
    fn deliver(&self, message: &AgentMessage) -> Delivery {
        self(message)
    }
}
