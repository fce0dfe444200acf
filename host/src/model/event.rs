//! What happened to a task: an event, numbered and dated.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{SignalKey, TaskRef};
use super::limits::Limits;
use super::outcome::Outcome;
use super::request::CancelRequest;
use super::signal::Signal;
use super::state::{Artifact, Usage};
use super::time::Timestamp;

/// An event's place in its task's log: 1, 2, 3, … without gaps. 0 is before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventSeq(pub u64);

impl EventSeq {
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One thing that happened to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the log.
    pub seq: EventSeq,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    pub body: EventBody,
}

/// What can happen to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventBody {
    /// The task exists and waits for its turn.
    Created {
        /// Which task it is.
        task: TaskRef,
        /// Its input.
        input: Value,
        /// The limits it runs under.
        limits: Limits,
    },
    /// Its cell runs.
    Started,
    /// It said how far it is.
    Progress {
        /// In its words.
        message: String,
        /// 0 to 100, when it knows.
        percent: Option<u8>,
    },
    /// It is parked until a signal comes.
    WaitStarted {
        /// Which of its waits this is, counted from 1.
        wait: u64,
        /// What it waits for.
        key: SignalKey,
        /// How long at most.
        timeout: Option<Duration>,
    },
    /// A wait ended without a signal.
    WaitEnded {
        /// Which wait.
        wait: u64,
        /// Why.
        reason: WaitEnd,
    },
    /// A signal came and is kept.
    SignalReceived {
        /// For which key.
        key: SignalKey,
        /// What and from whom.
        signal: Signal,
    },
    /// The task took the oldest signal of a key. If it was parked, it goes on.
    SignalTaken {
        /// Which key.
        key: SignalKey,
    },
    /// It sent a message to its agent.
    AgentMessage {
        /// The message.
        message: String,
        /// Whether the agent is asked to act on it.
        trigger: bool,
    },
    /// It attached a file.
    ArtifactAttached(Artifact),
    /// It panicked and said so before it trapped.
    Panicked {
        /// The panic's message.
        message: String,
        /// Where in its source.
        place: String,
    },
    /// Somebody asked it to stop.
    CancelRequested(CancelRequest),
    /// It has its outcome. Nothing that comes later changes it.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// What it used.
        usage: Usage,
    },
}

/// Why a wait ended without a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitEnd {
    /// Its time was over; the task goes on.
    TimedOut,
    /// The task shall stop.
    Cancelled,
    /// The host ended this wait; the task goes on.
    WaitCancelled,
}
