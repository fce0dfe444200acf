//! What is said to one task, and what became of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::signal::present;
use crate::model::wire::maybe_millis;
use crate::{CancelReceipt, Capability, NotifyAnswer, Outcome, SignalKey};

use super::query::{BadQuery, Pairs, Query, Said};

/// `POST …/cancel`: a wish that the task stop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CancelBody {
    /// Why; may be empty.
    pub reason: String,
    /// How long the task may take to end by itself; zero stops it where it is.
    #[serde(rename = "grace_ms", with = "maybe_millis", skip_serializing_if = "Option::is_none")]
    pub grace: Option<Duration>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum CancelAnswered {
    /// The task knows.
    Requested {
        /// What it came to, when it was waited for and came in time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<Box<CancelReceipt>>,
    },
    /// It had its outcome already, and that stays.
    AlreadyEnded {
        /// How it ended.
        outcome: Outcome,
        /// What somebody's wish before this one came to, when that was waited for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<Box<CancelReceipt>>,
    },
}

/// `POST …/pause`: why the task shall stand still.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PauseBody {
    /// Why; may be empty.
    pub reason: String,
}

/// Whether something was changed, or was so already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Whether it was changed.
    pub changed: bool,
}

/// `POST …/signals`: a signal for the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalBody {
    /// For which key.
    pub key: SignalKey,
    /// What comes along; left out it is none at all, which the task can tell from `null`.
    #[serde(default, with = "present", skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

/// `POST …/instructions`: something that is said to the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstructBody {
    /// What.
    pub text: String,
}

/// What became of a signal or an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// That.
    pub answer: NotifyAnswer,
}

/// `POST …/fuel`: more of it, or a no to the task's request for some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fuel {
    /// So many units more.
    Grant(u64),
    /// None, and why.
    Refuse(String),
}

/// `POST …/revoke`, of a task or a plugin: a capability that is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// Which one.
    pub capability: Capability,
    /// Whether the tasks that have it are stopped where they are.
    #[serde(default)]
    pub now: bool,
}

/// `DELETE …/waits`: which of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitQuery {
    /// Only one for this key.
    pub key: Option<SignalKey>,
}

impl Query for WaitQuery {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        Said::default().with("key", self.key.as_ref()).0
    }

    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery> {
        let read =
            |text: String| SignalKey::new(text).map_err(|error| BadQuery::new("key", format!("is no key: {error}")));
        Ok(Self { key: pairs.one("key")?.map(read).transpose()? })
    }
}

/// How many waits were ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsEnded {
    /// So many: a task waits for one thing at a time.
    pub ended: u32,
}

/// What a task's revision is after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revised {
    /// That.
    pub revision: u64,
}

/// `POST …/approvals/{number}`: a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verdict {
    /// Yes.
    Approve {
        /// What is to be done instead of what was asked for.
        #[serde(default, with = "present", skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
    },
    /// No.
    Deny {
        /// Why; may be empty.
        #[serde(default)]
        reason: String,
    },
}
