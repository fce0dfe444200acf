//! What an agent's loop is told of its session's tasks: an update says what happened, and the book which lies ready where.

pub(crate) mod book;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approval::OpenApproval;
use super::ids::{TaskId, TaskRef};
use super::outcome::Outcome;
use super::signal::present;

/// Where the updates of a task go that is in the background.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeliveryMode {
    /// Into the queue that wakes the session's loop, and that it drains.
    #[default]
    ToLoop,
    /// To whoever asks for them; nobody is woken.
    Manual,
}

/// Whether the result of a task in the background asks the agent to take another turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ContinuePolicy {
    /// The loop is told, and no more.
    #[default]
    NotifyOnly,
    /// The loop is told, and asked to let the agent go on. Only what goes to the loop asks.
    RequestContinue,
}

/// Something that an agent's loop wants to know about one of its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoopUpdate {
    /// The task.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// The turn that it was started in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// The tool call that started it, as the agent's model numbered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// What the caller said about that call.
    #[serde(default, with = "present", skip_serializing_if = "Option::is_none")]
    pub call_metadata: Option<Value>,
    /// What happened.
    pub body: UpdateBody,
}

/// What an agent's loop is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "update", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UpdateBody {
    /// The task has its outcome: told once for each task.
    #[non_exhaustive]
    Result {
        /// How it ended.
        outcome: Outcome,
        /// Whether this is the answer of its call. A call of a task in the background has been answered before.
        answers_call: bool,
    },
    /// The task was detached: this is the answer of its call, and the result comes later, as a notification.
    Detached,
    /// The task asks for approval, or for fuel, and waits. Deciding goes through [`Host::decide`](crate::Host::decide).
    Question(Box<OpenApproval>),
}

impl LoopUpdate {
    /// Whether this is what the model is told about its call. Each call is answered exactly once: by this, or by the start that
    /// left its task in the background, or by the interruption of its turn.
    pub fn answers_call(&self) -> bool {
        match &self.body {
            UpdateBody::Result { answers_call, .. } => *answers_call,
            UpdateBody::Detached => true,
            UpdateBody::Question(_) => false,
        }
    }

    /// The outcome, if the task has ended.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.body {
            UpdateBody::Result { outcome, .. } => Some(outcome),
            UpdateBody::Detached | UpdateBody::Question(_) => None,
        }
    }
}
