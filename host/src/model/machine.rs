//! The one place that decides: state and command in, events and an answer out. No clock, no I/O, no surprise.

use std::time::Duration;

use super::command::{Answer, Command, Decision};
use super::event::{Budget, EventBody, WaitEnd};
use super::ids::SignalKey;
use super::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use super::request::CancelRequest;
use super::signal::{NotifyAnswer, Party, Signal};
use super::state::{Phase, TaskState, Usage, payload_bytes};
use super::text;

/// Bytes of the task's own words that a sentence about it quotes.
const QUOTE_BYTES_MAX: usize = 200;

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

/// Decides one command. The caller appends the events, folds them into the state, and only then passes the answer on.
pub(crate) fn step(state: &TaskState, command: Command) -> Decision {
    match (state.phase, command) {
        (None, Command::Create { task, input, limits }) => {
            Decision::done(EventBody::Created { task, input, limits: Box::new(limits) })
        }
        (None, _) | (Some(_), Command::Create { .. }) => {
            Decision::refused(RefusalKind::Host, "a task is created once, and first")
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
#[expect(clippy::wildcard_enum_match_arm, reason = "progress is counted apart, and whatever else there is together")]
fn over_budget(state: &TaskState, command: &Command) -> Option<Decision> {
    let (events_max, bytes_max) = (state.limits.log_events, state.limits.log_bytes);
    // Progress has a budget of its own, so that a task which reports a lot can still wait.
    let is_full = match command {
        Command::Progress { last, .. } => !last && state.is_full_of_progress(),
        _ => state.is_full(),
    };
    if !is_full {
        return None;
    }
    let full = || {
        let size = text::bytes(bytes_max);
        format!("this task has written {events_max} events or {size} into its log, and may not write more")
    };
    match command {
        Command::Progress { .. }
        | Command::MessageAgent { .. }
        | Command::Attach(_)
        | Command::Wait { .. }
        | Command::SendSignal { .. }
        | Command::RequestFuel { .. } => Some(Decision::refused(RefusalKind::TooLarge, full())),
        Command::Stalled { .. } => Some(Decision::only(Answer::Unchanged)),
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
        | Command::Pause { .. }
        | Command::Resume { .. }
        | Command::AddFuel { .. }
        | Command::RefuseFuel { .. }
        | Command::FuelRequestTimedOut
        | Command::FuelLow { .. }
        | Command::Idle { .. }
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
        Command::Poll { .. }
        | Command::Progress { .. }
        | Command::MessageAgent { .. }
        | Command::Attach(_)
        | Command::SendSignal { .. }
        | Command::RequestFuel { .. } => {
            Answer::Refused(Refusal::new(RefusalKind::Ended, "the task has its outcome already"))
        }
        Command::Create { .. }
        | Command::Start
        | Command::WaitTimedOut { .. }
        | Command::CancelWait { .. }
        | Command::Panic { .. }
        | Command::Pause { .. }
        | Command::Resume { .. }
        | Command::AddFuel { .. }
        | Command::RefuseFuel { .. }
        | Command::FuelRequestTimedOut
        | Command::FuelLow { .. }
        | Command::Stalled { .. }
        | Command::Idle { .. }
        | Command::Cancel { .. }
        | Command::GraceOver { .. }
        | Command::DeadlineReached { .. }
        | Command::CellEnded { .. } => Answer::AlreadyEnded,
    })
}

fn live(state: &TaskState, command: Command) -> Decision {
    match command {
        Command::Create { .. } | Command::Start => Decision::only(Answer::Done),
        Command::Progress { message, percent, restarted, merged, last: _ } => {
            progress(state, message, percent, restarted, merged)
        }
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
        Command::SendSignal { target, key } => Decision::done(EventBody::SignalSent { target, key }),
        Command::Pause { by, reason } => pause(state, by, reason),
        Command::Resume { by } => match state.paused {
            Some(_) => Decision::done(EventBody::Resumed { by }),
            None => Decision::only(Answer::Unchanged),
        },
        Command::RequestFuel { units, reason, timeout } => request_fuel(state, units, reason, timeout),
        Command::AddFuel { units: 0, .. } => Decision::only(Answer::Unchanged),
        Command::AddFuel { units, by } => Decision::done(EventBody::FuelAdded { units, by }),
        Command::RefuseFuel { by, reason } => match state.fuel_request {
            Some(_) => Decision::done(EventBody::FuelRefused { by, reason }),
            None => Decision::only(Answer::Unchanged),
        },
        Command::FuelRequestTimedOut => match state.fuel_request {
            Some(_) => Decision::done(EventBody::FuelRequestEnded { reason: WaitEnd::TimedOut }),
            None => Decision::only(Answer::Unchanged),
        },
        Command::FuelLow { used } => fuel_low(state, used),
        // Whoever looked at the task may have done so just before it was parked.
        Command::Stalled { .. } | Command::Idle { .. } if !state.idle_runs() => Decision::only(Answer::Unchanged),
        Command::Stalled { fuel, quiet } => Decision::done(EventBody::Stalled { fuel, quiet }),
        Command::Idle { usage } => {
            finish(Outcome::Failed(Failure::at_limit(FailureKind::Idle, "idle_ms", idle(state))), usage)
        }
        Command::Cancel { request, usage } => cancel(state, request, usage),
        Command::GraceOver { usage } => match &state.cancel {
            Some(request) => finish(cancelled(request, true, true), usage),
            None => Decision::only(Answer::Done),
        },
        Command::DeadlineReached { usage } => {
            let message = format!("the task did not end within its {}", text::duration(state.limits.timeout));
            finish(Outcome::Failed(Failure::at_limit(FailureKind::Timeout, "timeout_ms", message)), usage)
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

fn progress(state: &TaskState, message: String, percent: Option<u8>, restarted: bool, merged: u64) -> Decision {
    if let Err(refusal) = check_percent(percent) {
        return Decision::only(Answer::Refused(refusal));
    }
    // Progress does not go back unless it begins anew, and a report without a percent says nothing about it.
    let before = state.progress.as_ref().filter(|_| !restarted).and_then(|progress| progress.percent);
    Decision::done(EventBody::Progress { message, percent: percent.max(before), restarted, merged })
}

fn pause(state: &TaskState, by: Party, reason: String) -> Decision {
    // A task that shall stop needs its grace to do so.
    if state.paused.is_some() || state.cancel.is_some() {
        return Decision::only(Answer::Unchanged);
    }
    Decision::done(EventBody::Paused { by, reason })
}

fn request_fuel(state: &TaskState, units: u64, reason: String, timeout: Option<Duration>) -> Decision {
    if units == 0 {
        return Decision::refused(RefusalKind::InvalidArgument, "a request for fuel asks for at least one unit");
    }
    if let Some(refused) = parked_already(state) {
        return refused;
    }
    if state.cancel.is_some() {
        return Decision::only(Answer::Refused(no_fuel(WaitEnd::Cancelled)));
    }
    let on_request = state.has_on_request(units);
    if !on_request && timeout == Some(Duration::ZERO) {
        return Decision::only(Answer::Refused(no_fuel(WaitEnd::TimedOut)));
    }
    let mut events = vec![EventBody::FuelRequested { units, reason, timeout }];
    if on_request {
        events.push(EventBody::FuelAdded { units, by: Party::Host });
    }
    Decision { events, answer: Answer::Parked }
}

/// What a guest is told whose request for fuel ended without an answer.
pub(crate) fn no_fuel(reason: WaitEnd) -> Refusal {
    match reason {
        WaitEnd::TimedOut => Refusal::new(RefusalKind::TimedOut, "nobody answered the request for fuel in time"),
        WaitEnd::Cancelled | WaitEnd::WaitCancelled => {
            Refusal::new(RefusalKind::Cancelled, "the task was asked to stop")
        }
    }
}

/// A guest that is parked cannot call; if it could, the first call would never be answered.
fn parked_already(state: &TaskState) -> Option<Decision> {
    let parked = state.waiting.is_some() || state.fuel_request.is_some();
    parked.then(|| Decision::refused(RefusalKind::Host, "the task is parked in another call already"))
}

fn fuel_low(state: &TaskState, used: u64) -> Decision {
    let limit = state.fuel_budget;
    // Told already of this budget; or fuel was added since the cell looked.
    if state.warned_of == Some(limit) || used < limit / 5 * 4 {
        return Decision::only(Answer::Unchanged);
    }
    Decision::done(EventBody::BudgetLow { budget: Budget::Fuel, used, limit })
}

fn idle(state: &TaskState) -> String {
    let last = match &state.progress {
        Some(progress) => {
            let percent = progress.percent.map(|percent| format!(" at {percent} %")).unwrap_or_default();
            format!("its last report{percent} was: {}", text::shortened(&progress.message, QUOTE_BYTES_MAX))
        }
        None => "it has never reported anything".to_owned(),
    };
    format!("the task called nothing for its idle time of {}; {last}", text::duration(state.limits.idle))
}

fn wait(state: &TaskState, key: SignalKey, timeout: Option<Duration>) -> Decision {
    if let Some(refused) = parked_already(state) {
        return refused;
    }
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
    Decision { events: vec![EventBody::WaitStarted { wait, key, timeout }], answer: Answer::Parked }
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
            || state.kept_bytes + payload_bytes(signal.payload.as_ref()) > state.limits.signal_bytes;
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
    let forced = state.phase == Some(Phase::Running);
    let outcome = at_once.then(|| cancelled(&request, forced, state.phase != Some(Phase::Queued)));
    let by = request.by;
    // The request comes first, so that a guest that is woken by it can read who asked.
    let mut events = vec![EventBody::CancelRequested(request)];
    if let Some(point) = &state.waiting {
        events.push(EventBody::WaitEnded { wait: point.wait, reason: WaitEnd::Cancelled });
    }
    if state.fuel_request.is_some() {
        events.push(EventBody::FuelRequestEnded { reason: WaitEnd::Cancelled });
    }
    // It needs to run to end by itself.
    if state.paused.is_some() && outcome.is_none() {
        events.push(EventBody::Resumed { by });
    }
    events.extend(outcome.map(|outcome| EventBody::Finished { outcome, usage }));
    Decision { events, answer: Answer::Done }
}

fn cancelled(request: &CancelRequest, forced: bool, begun: bool) -> Outcome {
    let (by, reason) = (request.by, request.reason.clone());
    Outcome::Cancelled { by, reason, forced, begun, message: String::new(), data: None }
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
            Outcome::Cancelled { by, reason, forced: false, begun: true, message, data }
        }
        CellEnd::Failed(failure) => Outcome::Failed(match (&state.panic, failure.kind) {
            // A Rust guest panics by saying so and then trapping; the trap is only the end of it. A lack of memory
            // does not panic: if one was refused before, the guest had coped with that.
            (Some((message, place)), FailureKind::Trap | FailureKind::Memory) => {
                let message = format!("panicked at {place}: {message}");
                Failure { kind: FailureKind::Panic, message, limit: None, ..failure }
            }
            (Some(_) | None, _) => failure,
        }),
    }
}
