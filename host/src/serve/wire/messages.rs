//! Messages of tasks to their agents, claimed and acknowledged.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::wire::millis;
use crate::{AgentMessage, ClaimedMessage, TaskId};

/// `GET /v1/messages`: how many nobody has taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenMessages {
    /// So many, claimed ones included.
    pub open: usize,
}

/// `POST /v1/messages/claim`: which messages, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Claim {
    /// Only those of this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Only those of this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// How many at most. Default 10.
    pub most: usize,
    /// How long the claim holds. Default one minute.
    #[serde(rename = "time_ms", with = "millis")]
    pub time: Duration,
}

impl Default for Claim {
    fn default() -> Self {
        Self { session: None, task: None, most: 10, time: Duration::from_mins(1) }
    }
}

/// A claimed message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// Says what became of it.
    pub token: String,
    /// The message.
    pub message: AgentMessage,
    /// How often it has been claimed, this time included.
    pub claims: u32,
}

impl From<ClaimedMessage> for Claimed {
    fn from(claimed: ClaimedMessage) -> Self {
        Self { token: claimed.token.to_string(), message: claimed.message, claims: claimed.claims }
    }
}

/// What was claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedList {
    /// Each of them, the oldest first.
    pub messages: Vec<Claimed>,
}

/// `POST /v1/messages/ack`: the agent has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// The token of the claim.
    pub token: String,
}

/// Whether it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Whether; if not, somebody has claimed the message since, or it was settled, or its task is forgotten.
    pub acknowledged: bool,
}

/// `POST /v1/messages/release`: somebody else may have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The token of the claim.
    pub token: String,
}

/// Whether it was claimed by this token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Whether.
    pub released: bool,
}
