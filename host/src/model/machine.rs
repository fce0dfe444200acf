//! The one place that decides: state and command in, events and an answer out. No clock, no I/O, no surprise.

use std::time::Duration;

use serde_json::Value;

use super::event::{EventBody, WaitEnd};
use super::ids::{SignalKey, TaskRef};
use super::limits::Limits;
use super::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use super::request::CancelRequest;
use super::signal::{NotifyAnswer, Party, Signal};
use super::state::{Artifact, Phase, TaskState, Usage, payload_bytes};

/// Bytes of payload kept for one task in all. Protects the host from whoever sends signals.
const KEPT_BYTES_MAX: u64 = 1 << 20;

/// Events of one task, after which it may not write more. Protects the host's memory from a guest that never stops
/// reporting, sending or waiting.
const GUEST_EVENTS_MAX: u64 = 100_000;
/// Bytes of texts and payloads in one task's log, after which it may not write more.
const GUEST_BYTES_MAX: u64 = 16 << 20;

/// Something that somebody wants of a task, or that happened to it outside.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// The caller wants the task to exist.
    Create { task: TaskRef, input: Value, limits: Limits },
    /// A cell is free for it.
    Start,
    /// The guest says how far it is.
    Progress { message: String, percent: Option<u8> },
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
    /// The guest is parked in this wait.
    Parked { wait: u64 },
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

/// Why a guest's call was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    pub(crate) message: String,
}

/// The contract's list of reasons to refuse a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    InvalidArgument,
    Denied,
    TooLarge,
    NotFound,
    Ended,
    TimedOut,
    Cancelled,
    Host,
}

impl RefusalKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid-argument",
            Self::Denied => "denied",
            Self::TooLarge => "too-large",
            Self::NotFound => "not-found",
            Self::Ended => "ended",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Host => "host",
        }
    }
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl Decision {
    fn only(answer: Answer) -> Self {
        Self { events: Vec::new(), answer }
    }

    fn done(event: EventBody) -> Self {
        Self { events: vec![event], answer: Answer::Done }
    }
}

/// Decides one command. The caller appends the events, folds them into the state, and only then passes the answer on.
pub(crate) fn step(state: &TaskState, command: Command) -> Decision {
    match (state.phase, command) {
        (None, Command::Create { task, input, limits }) => Decision::done(EventBody::Created { task, input, limits }),
        (None, _) | (Some(_), Command::Create { .. }) => {
            Decision::only(Answer::Refused(Refusal::new(RefusalKind::Host, "a task is created once, and first")))
        }
        (Some(Phase::Ended), command) => after_the_end(&command),
        (Some(Phase::Queued), Command::Start) => Decision::done(EventBody::Started),
        (Some(Phase::Queued | Phase::Running), command) => match over_budget(state, &command) {
            Some(decision) => decision,
            None => live(state, command),
        },
    }
}

/// Keeps a guest from filling the host's memory with its own log. What it may still do then ends or shrinks it.
fn over_budget(state: &TaskState, command: &Command) -> Option<Decision> {
    if state.seq.0 < GUEST_EVENTS_MAX && state.written_bytes < GUEST_BYTES_MAX {
        return None;
    }
    let full = || {
        let message = format!(
            "this task has written {GUEST_EVENTS_MAX} events or {} MiB into its log, and may not write more",
            GUEST_BYTES_MAX >> 20
        );
        Refusal::new(RefusalKind::TooLarge, message)
    };
    match command {
        Command::Progress { .. } | Command::MessageAgent { .. } | Command::Attach(_) | Command::Wait { .. } => {
            Some(Decision::only(Answer::Refused(full())))
        }
        // A person's yes still comes through.
        Command::Notify { signal: Signal { sender: Party::Itself | Party::Task(_), .. }, .. } => {
            Some(Decision::only(Answer::Notified(NotifyAnswer::Full)))
        }
        Command::Notify { .. }
        | Command::Create { .. }
        | Command::Start
        | Command::Poll { .. }
        | Command::WaitTimedOut { .. }
        | Command::CancelWait { .. }
        | Command::Panic { .. }
        | Command::Cancel { .. }
        | Command::GraceOver { .. }
        | Command::DeadlineReached { .. }
        | Command::CellEnded { .. } => None,
    }
}

fn after_the_end(command: &Command) -> Decision {
    Decision::only(match command {
        Command::Notify { .. } => Answer::Notified(NotifyAnswer::NoTask),
        Command::Wait { .. } => Answer::WaitOver(WaitEnd::Cancelled),
        Command::Poll { .. } | Command::Progress { .. } | Command::MessageAgent { .. } | Command::Attach(_) => {
            Answer::Refused(Refusal::new(RefusalKind::Ended, "the task has its outcome already"))
        }
        Command::Create { .. }
        | Command::Start
        | Command::WaitTimedOut { .. }
        | Command::CancelWait { .. }
        | Command::Panic { .. }
        | Command::Cancel { .. }
        | Command::GraceOver { .. }
        | Command::DeadlineReached { .. }
        | Command::CellEnded { .. } => Answer::AlreadyEnded,
    })
}

fn live(state: &TaskState, command: Command) -> Decision {
    match command {
        Command::Create { .. } | Command::Start => Decision::only(Answer::Done),
        Command::Progress { message, percent } => progress(message, percent),
        Command::Wait { key, timeout } => wait(state, key, timeout),
        Command::Poll { key } => match state.oldest(&key).cloned() {
            Some(signal) => Decision { events: vec![EventBody::SignalTaken { key }], answer: Answer::Signal(signal) },
            None => Decision::only(Answer::NoSignal),
        },
        Command::WaitTimedOut { wait } => end_wait(state, |point| point.wait == wait, WaitEnd::TimedOut),
        Command::CancelWait { key } => end_wait(state, |point| point.key == key, WaitEnd::WaitCancelled),
        Command::Notify { key, signal } => notify(state, key, signal),
        Command::MessageAgent { message, trigger } => Decision::done(EventBody::AgentMessage { message, trigger }),
        Command::Attach(artifact) => Decision::done(EventBody::ArtifactAttached(artifact)),
        Command::Panic { message, place } => match state.panic {
            // The first panic is the cause; one inside a panic hook is its consequence.
            Some(_) => Decision::only(Answer::Done),
            None => Decision::done(EventBody::Panicked { message, place }),
        },
        Command::Cancel { request, usage } => cancel(state, request, usage),
        Command::GraceOver { usage } => match &state.cancel {
            Some(request) => finish(cancelled(request, true, String::new()), usage),
            None => Decision::only(Answer::Done),
        },
        Command::DeadlineReached { usage } => {
            let message = format!("the task did not end within its {}", seconds(state.limits.timeout));
            finish(Outcome::Failed(Failure::new(FailureKind::Timeout, message)), usage)
        }
        Command::CellEnded { end, usage } => finish(outcome_of(state, end), usage),
    }
}

/// Whether a percent is one.
pub(crate) fn check_percent(percent: Option<u8>) -> Result<(), Refusal> {
    match percent {
        Some(percent @ 101..) => {
            Err(Refusal::new(RefusalKind::InvalidArgument, format!("percent is 0 to 100, not {percent}")))
        }
        Some(0..=100) | None => Ok(()),
    }
}

fn progress(message: String, percent: Option<u8>) -> Decision {
    match check_percent(percent) {
        Ok(()) => Decision::done(EventBody::Progress { message, percent }),
        Err(refusal) => Decision::only(Answer::Refused(refusal)),
    }
}

fn wait(state: &TaskState, key: SignalKey, timeout: Option<Duration>) -> Decision {
    if state.cancel.is_some() {
        return Decision::only(Answer::WaitOver(WaitEnd::Cancelled));
    }
    if let Some(signal) = state.oldest(&key).cloned() {
        return Decision { events: vec![EventBody::SignalTaken { key }], answer: Answer::Signal(signal) };
    }
    if timeout == Some(Duration::ZERO) {
        return Decision::only(Answer::WaitOver(WaitEnd::TimedOut));
    }
    let wait = state.waits + 1;
    Decision { events: vec![EventBody::WaitStarted { wait, key, timeout }], answer: Answer::Parked { wait } }
}

fn end_wait(state: &TaskState, is_meant: impl Fn(&super::state::WaitPoint) -> bool, reason: WaitEnd) -> Decision {
    match &state.waiting {
        Some(point) if is_meant(point) => {
            Decision { events: vec![EventBody::WaitEnded { wait: point.wait, reason }], answer: Answer::Done }
        }
        Some(_) | None => Decision::only(Answer::NoSignal),
    }
}

fn notify(state: &TaskState, key: SignalKey, signal: Signal) -> Decision {
    let parked = state.waiting.as_ref().is_some_and(|point| point.key == key);
    if !parked {
        let of_key = state.mailbox.get(&key).map_or(0, std::collections::VecDeque::len);
        let full = of_key >= state.limits.signals_per_key as usize
            || state.kept_signals >= state.limits.signals_in_all
            || state.kept_bytes + payload_bytes(signal.payload.as_ref()) > KEPT_BYTES_MAX;
        if full {
            return Decision::only(Answer::Notified(NotifyAnswer::Full));
        }
    }
    let mut events = vec![EventBody::SignalReceived { key: key.clone(), signal }];
    if parked {
        events.push(EventBody::SignalTaken { key });
    }
    let answer = if parked { NotifyAnswer::Delivered } else { NotifyAnswer::Buffered };
    Decision { events, answer: Answer::Notified(answer) }
}

fn cancel(state: &TaskState, request: CancelRequest, usage: Usage) -> Decision {
    // A later request may only shorten the grace: who asked first, and why, stays.
    let request = match &state.cancel {
        Some(first) if first.grace <= request.grace => return Decision::only(Answer::Done),
        Some(first) => CancelRequest { grace: request.grace, ..first.clone() },
        None => request,
    };
    // A task that never ran has nothing to tidy up.
    let at_once = request.grace.is_zero() || state.phase == Some(Phase::Queued);
    let outcome = at_once.then(|| cancelled(&request, state.phase == Some(Phase::Running), String::new()));
    // The request comes first, so that a guest that is woken by it can read who asked.
    let mut events = vec![EventBody::CancelRequested(request)];
    if let Some(point) = &state.waiting {
        events.push(EventBody::WaitEnded { wait: point.wait, reason: WaitEnd::Cancelled });
    }
    events.extend(outcome.map(|outcome| EventBody::Finished { outcome, usage }));
    Decision { events, answer: Answer::Done }
}

fn cancelled(request: &CancelRequest, forced: bool, message: String) -> Outcome {
    Outcome::Cancelled { by: request.by, reason: request.reason.clone(), forced, message, data: None }
}

fn finish(outcome: Outcome, usage: Usage) -> Decision {
    Decision::done(EventBody::Finished { outcome, usage })
}

fn outcome_of(state: &TaskState, end: CellEnd) -> Outcome {
    match end {
        CellEnd::Returned(GuestOutcome::Succeeded { message, data }) => Outcome::Succeeded { message, data },
        CellEnd::Returned(GuestOutcome::Failed { message, error, retryable }) => {
            Outcome::Failed(Failure { error, retryable, ..Failure::new(FailureKind::Guest, message) })
        }
        CellEnd::Returned(GuestOutcome::Cancelled { message, data }) => {
            let (by, reason) = match &state.cancel {
                Some(request) => (request.by, request.reason.clone()),
                None => (Party::Itself, String::new()),
            };
            Outcome::Cancelled { by, reason, forced: false, message, data }
        }
        CellEnd::Failed(failure) => Outcome::Failed(match (&state.panic, failure.kind) {
            // A Rust guest panics by saying so and then trapping; the trap is only the end of it. A lack of memory
            // does not panic: if one was refused before, the guest had coped with that.
            (Some((message, place)), FailureKind::Trap | FailureKind::Memory) => {
                Failure { kind: FailureKind::Panic, message: format!("panicked at {place}: {message}"), ..failure }
            }
            (Some(_) | None, _) => failure,
        }),
    }
}

/// A duration as a person says it.
fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}
