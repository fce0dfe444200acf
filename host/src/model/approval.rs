//! Approvals: a question to somebody outside, and the decision. They are state: they lie in the log until decided.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{TaskId, TaskRef};
use super::signal::{Party, present};
use super::time::Timestamp;
use super::wire::maybe_millis;

/// Bytes of an approval's kind.
pub(crate) const KIND_BYTES_MAX: usize = 64;

/// An approval's number within its task, counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApprovalNumber(pub u64);

/// What is asked. The texts come from whoever asks: escape them before showing them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApprovalAsk {
    /// A short name for programs, such as `deploy`. [`ApprovalAsk::START`] is the start of the task itself,
    /// [`ApprovalAsk::FUEL`] a request for fuel, and [`ApprovalAsk::GRANT`] something that the policy says to ask about.
    pub kind: String,
    /// Why it is needed.
    pub reason: String,
    /// What will be done.
    pub summary: String,
    /// For whatever shows the question.
    #[serde(default, with = "present", skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// How long there is to decide. Nobody deciding is a no.
    #[serde(default, rename = "timeout_ms", with = "maybe_millis", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

impl ApprovalAsk {
    /// The kind of the approval that a task's start needs.
    pub const START: &'static str = "start";
    /// The kind of a request for fuel. What is approved of instead is a number of units, or `{"units": …}`.
    pub const FUEL: &'static str = "fuel";

    /// The kind of a question about something that the policy says to ask about, which the host asks and no guest. Approved of
    /// for [`AnswerFor`](crate::AnswerFor): `"once"`, `"task"` or `"always"`.
    pub const GRANT: &'static str = "grant";

    /// A question of this kind.
    pub fn new(kind: impl Into<String>, reason: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { kind: kind.into(), reason: reason.into(), summary: summary.into(), metadata: None, timeout: None }
    }

    /// With this much time to decide.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// A question that nobody has decided yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingApproval {
    /// Its number within its task.
    pub number: ApprovalNumber,
    /// What is asked.
    pub ask: ApprovalAsk,
    /// Since when.
    pub since: Timestamp,
}

/// A question that nobody has decided yet, with the task that asks it: what a list of all of them shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OpenApproval {
    /// The task that asks, or that may not begin before.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// The session that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What people call the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The question's number within its task.
    pub number: ApprovalNumber,
    /// What is asked.
    pub ask: ApprovalAsk,
    /// Since when.
    pub since: Timestamp,
    /// Until when there is time to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who may decide, as far as the task is concerned. The host's own policy may say otherwise.
    pub approvers: Approvers,
}

/// What the host's own policy says about a party that wants to decide a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApprovalRuling {
    /// What the task's [`Approvers`] say.
    #[default]
    AsTheTaskSays,
    /// It may, whatever they say. A task never may.
    Allowed,
    /// It may not, and why.
    Forbidden(String),
}

/// A decision about a question, without who decides.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ApprovalVerdict {
    /// Yes, perhaps with something else than what was asked for.
    Approve(Option<Value>),
    /// No, and why; may be empty.
    Deny(String),
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ApprovalDecision {
    /// It may be done.
    Approved {
        /// Who said so.
        by: Party,
        /// What is to be done instead of what was asked, if the approver changed it. For the start of a task this is
        /// its input.
        #[serde(default, with = "present", skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
    },
    /// It may not.
    Denied {
        /// Who said so.
        by: Party,
        /// Why; may be empty.
        reason: String,
    },
    /// Nobody decided in time, which is a no.
    TimedOut,
    /// The task was asked to stop meanwhile, or ended.
    Cancelled,
}

/// Who may decide a task's approvals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Approvers {
    /// A person, and the program that embeds the host. Not the agent: it is the one that asked.
    #[default]
    PersonOrHost,
    /// A person and nobody else.
    Person,
    /// The agent as well.
    Anybody,
}

impl Approvers {
    /// Whether this party may decide. A task never decides about itself or another.
    pub fn allow(self, by: Party) -> bool {
        match (self, by) {
            (Self::Anybody | Self::PersonOrHost | Self::Person, Party::Person)
            | (Self::Anybody | Self::PersonOrHost, Party::Host)
            | (Self::Anybody, Party::Agent) => true,
            (_, Party::Task(_) | Party::Itself)
            | (Self::PersonOrHost | Self::Person, Party::Agent)
            | (Self::Person, Party::Host) => false,
        }
    }
}
