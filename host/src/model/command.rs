//! What is asked of the decider, and what it answers.

use std::time::Duration;

use serde_json::Value;

use super::event::{EventBody, WaitEnd};
use super::ids::{SignalKey, TaskRef};
use super::limits::Limits;
use super::machine::{Refusal, RefusalKind};
use super::outcome::CellEnd;
use super::request::CancelRequest;
use super::signal::{NotifyAnswer, Party, Signal};
use super::state::{Artifact, Usage};

/// Something that somebody wants of a task, or that happened to it outside.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// The caller wants the task to exist.
    Create { task: TaskRef, input: Value, limits: Limits },
    /// A cell is free for it.
    Start,
    /// The guest says how far it is.
    ///
    /// `last`: before the task's end, so that it is told even when the log is full.
    Progress { message: String, percent: Option<u8>, restarted: bool, merged: u64, last: bool },
    /// The guest waits.
    Wait { key: SignalKey, timeout: Option<Duration> },
    /// The guest looks for a signal.
    Poll { key: SignalKey },
    /// The time of a wait is over.
    WaitTimedOut { wait: u64 },
    /// The host ends the wait for a key.
    CancelWait { key: SignalKey },
    /// Somebody sends a signal.
    Notify { key: SignalKey, signal: Signal },
    /// The guest sends a message to its agent.
    MessageAgent { message: String, trigger: bool },
    /// The guest attached a file, and it is stored.
    Attach(Artifact),
    /// The guest's panic hook speaks.
    Panic { message: String, place: String },
    /// The guest sends a signal to another task.
    SendSignal { target: TaskRef, key: SignalKey },
    /// Somebody wants the task to stand still.
    Pause { by: Party, reason: String },
    /// Somebody wants it to go on.
    Resume { by: Party },
    /// The guest asks for more fuel.
    RequestFuel { units: u64, reason: String, timeout: Option<Duration> },
    /// Somebody gives fuel, asked for or not.
    AddFuel { units: u64, by: Party },
    /// Somebody turns a request for fuel down.
    RefuseFuel { by: Party, reason: String },
    /// The time of a request for fuel is over.
    FuelRequestTimedOut,
    /// Most of the fuel is used.
    FuelLow { used: u64 },
    /// The guest burns fuel and calls nothing.
    Stalled { fuel: u64, quiet: Duration },
    /// The guest does nothing at all, or nothing that anybody sees.
    Idle { usage: Usage },
    /// Somebody wants the task to stop.
    Cancel { request: CancelRequest, usage: Usage },
    /// The grace of a cancel request is over.
    GraceOver { usage: Usage },
    /// The deadline is there.
    DeadlineReached { usage: Usage },
    /// The cell ended.
    CellEnded { end: CellEnd, usage: Usage },
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    /// What happened, in order. May be empty.
    pub(crate) events: Vec<EventBody>,
    /// What whoever asked is told.
    pub(crate) answer: Answer,
}

/// What whoever sent a command is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// It is done.
    Done,
    /// The guest is parked; a later event answers it.
    Parked,
    /// It was so already, or there was nothing to change.
    Unchanged,
    /// Here is the signal.
    Signal(Signal),
    /// There is no signal now.
    NoSignal,
    /// The wait is over without a signal.
    WaitOver(WaitEnd),
    /// What became of the signal.
    Notified(NotifyAnswer),
    /// The task has its outcome already, and it stays.
    AlreadyEnded,
    /// The command does not fit the state; nothing happened.
    Refused(Refusal),
}

impl Decision {
    pub(super) fn only(answer: Answer) -> Self {
        Self { events: Vec::new(), answer }
    }

    pub(super) fn done(event: EventBody) -> Self {
        Self { events: vec![event], answer: Answer::Done }
    }

    pub(super) fn refused(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self::only(Answer::Refused(Refusal::new(kind, message)))
    }
}
