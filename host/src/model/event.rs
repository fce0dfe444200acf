//! What happened to a task: an event, numbered and dated.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{SignalKey, TaskRef};
use super::limits::Limits;
use super::outcome::Outcome;
use super::request::CancelRequest;
use super::signal::{Party, Signal};
use super::state::{Artifact, Usage};
use super::time::Timestamp;
use super::wire::{maybe_millis, millis};

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
#[non_exhaustive]
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
#[non_exhaustive]
pub enum EventBody {
    /// The task exists and waits for its turn.
    #[non_exhaustive]
    Created {
        /// Which task it is.
        task: TaskRef,
        /// Its input.
        input: Value,
        /// The limits it runs under.
        limits: Box<Limits>,
    },
    /// Its cell runs.
    Started,
    /// It said how far it is.
    #[non_exhaustive]
    Progress {
        /// In its words.
        message: String,
        /// 0 to 100, when it knows. Never lower than in the report before, unless the progress begins anew.
        percent: Option<u8>,
        /// Whether the progress begins anew here.
        #[serde(default, skip_serializing_if = "is_false")]
        restarted: bool,
        /// How many earlier reports this one stands for, beside its own.
        #[serde(default, skip_serializing_if = "is_zero")]
        merged: u64,
    },
    /// It is parked until a signal comes.
    #[non_exhaustive]
    WaitStarted {
        /// Which of its waits this is, counted from 1.
        wait: u64,
        /// What it waits for.
        key: SignalKey,
        /// How long at most.
        #[serde(rename = "timeout_ms", with = "maybe_millis")]
        timeout: Option<Duration>,
    },
    /// A wait ended without a signal.
    #[non_exhaustive]
    WaitEnded {
        /// Which wait.
        wait: u64,
        /// Why.
        reason: WaitEnd,
    },
    /// A signal came and is kept.
    #[non_exhaustive]
    SignalReceived {
        /// For which key.
        key: SignalKey,
        /// What and from whom.
        signal: Signal,
    },
    /// The task took the oldest signal of a key. If it was parked, it goes on.
    #[non_exhaustive]
    SignalTaken {
        /// Which key.
        key: SignalKey,
    },
    /// It sent a message to its agent.
    #[non_exhaustive]
    AgentMessage {
        /// The message.
        message: String,
        /// Whether the agent is asked to act on it.
        trigger: bool,
    },
    /// It sends a signal to another task. Written before the signal goes out; what became of it only the task knows.
    #[non_exhaustive]
    SignalSent {
        /// To which task.
        target: TaskRef,
        /// For which key.
        key: SignalKey,
    },
    /// It attached a file.
    ArtifactAttached(Artifact),
    /// It stands still from now on, and its clocks with it.
    #[non_exhaustive]
    Paused {
        /// Who wanted that.
        by: Party,
        /// Why; may be empty.
        reason: String,
    },
    /// It goes on.
    #[non_exhaustive]
    Resumed {
        /// Who let it. Whoever cancels a paused task lets it go on, so that it can end by itself.
        by: Party,
    },
    /// It asks for more fuel, and is parked until there is an answer.
    #[non_exhaustive]
    FuelRequested {
        /// How many units.
        units: u64,
        /// What for, in its words.
        reason: String,
        /// How long it waits at most.
        #[serde(rename = "timeout_ms", with = "maybe_millis")]
        timeout: Option<Duration>,
    },
    /// It has more fuel. If it had asked for some, this is the answer.
    #[non_exhaustive]
    FuelAdded {
        /// How many units more.
        units: u64,
        /// Who gave them. The host does so by itself up to `fuel_on_request`.
        by: Party,
    },
    /// Its request for fuel was turned down.
    #[non_exhaustive]
    FuelRefused {
        /// By whom.
        by: Party,
        /// Why; may be empty.
        reason: String,
    },
    /// Its request for fuel ended without an answer.
    #[non_exhaustive]
    FuelRequestEnded {
        /// Why.
        reason: WaitEnd,
    },
    /// Four fifths of a budget are used up. Told once for each size of the budget.
    #[non_exhaustive]
    BudgetLow {
        /// Which budget.
        budget: Budget,
        /// What is used.
        used: u64,
        /// What there is in all.
        limit: u64,
    },
    /// It burns fuel and calls nothing: it may be in an endless loop. Told once for each such time.
    #[non_exhaustive]
    Stalled {
        /// Units of fuel that it burnt in that time.
        fuel: u64,
        /// How long, at least.
        #[serde(rename = "quiet_ms", with = "millis")]
        quiet: Duration,
    },
    /// It panicked and said so before it trapped.
    #[non_exhaustive]
    Panicked {
        /// The panic's message.
        message: String,
        /// Where in its source.
        place: String,
    },
    /// Somebody asked it to stop.
    CancelRequested(CancelRequest),
    /// It has its outcome. Nothing that comes later changes it.
    #[non_exhaustive]
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// What it used.
        usage: Usage,
    },
}

impl EventBody {
    /// Whether the guest made this event by a call of its own, so that it counts against `events_per_second`.
    pub(crate) fn is_by_guest(&self) -> bool {
        match self {
            Self::WaitStarted { .. }
            | Self::SignalTaken { .. }
            | Self::AgentMessage { .. }
            | Self::SignalSent { .. }
            | Self::ArtifactAttached(_)
            | Self::FuelRequested { .. }
            | Self::Panicked { .. } => true,
            Self::SignalReceived { signal, .. } => signal.sender == Party::Itself,
            // Progress has a limit of its own.
            Self::Progress { .. }
            | Self::Created { .. }
            | Self::Started
            | Self::WaitEnded { .. }
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::FuelAdded { .. }
            | Self::FuelRefused { .. }
            | Self::FuelRequestEnded { .. }
            | Self::BudgetLow { .. }
            | Self::Stalled { .. }
            | Self::CancelRequested(_)
            | Self::Finished { .. } => false,
        }
    }
}

/// What can run low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Budget {
    /// The fuel.
    Fuel,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why a wait ended without a signal, or a request for fuel without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WaitEnd {
    /// Its time was over; the task goes on.
    TimedOut,
    /// The task shall stop.
    Cancelled,
    /// The host ended this wait; the task goes on. Requests for fuel do not end so: they are refused.
    WaitCancelled,
}
