//! How a task ends. The first of all ends wins, because nothing is decided after `finished`.

use super::hours;
use super::planning;
use super::waiting::unpark;
use crate::model::approval::ApprovalDecision;
use crate::model::command::{Answer, Decision};
use crate::model::event::{EventBody, WaitEnd};
use crate::model::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::model::snapshot::{Phase, Usage};
use crate::model::state::TaskState;

pub(super) fn cancel(state: &TaskState, request: CancelRequest, usage: Usage) -> Decision {
    // A later request may only shorten the grace: who asked first, and why, stays.
    let request = match state.cancel.as_deref() {
        Some(first) if first.grace <= request.grace => return Decision::only(Answer::Done),
        Some(first) => CancelRequest { grace: request.grace, ..first.clone() },
        None => request,
    };
    let running = state.phase == Some(Phase::Running);
    // A task that does not run has nothing to tidy up.
    let at_once = request.grace.is_zero() || !running;
    let outcome = at_once.then(|| cancelled(&request, running, state.attempt > 0));
    let by = request.by;
    // The request comes first, so that a guest that is woken by it can read who asked.
    let mut events = vec![EventBody::CancelRequested(request)];
    events.extend(unpark(state, WaitEnd::Cancelled));
    let asked = state.approvals.iter().map(|pending| pending.number);
    events.extend(asked.map(|number| EventBody::ApprovalDecided { number, decision: ApprovalDecision::Cancelled }));
    if outcome.is_none() {
        events.extend(hours::to_end_with(state, usage.fuel));
    }
    // It needs to run to end by itself.
    if state.paused.is_some() && outcome.is_none() {
        events.push(EventBody::Resumed { by });
    }
    events.extend(outcome.map(|outcome| EventBody::Finished {
        outcome: outcome.into(),
        usage: state.with_told(usage),
        set_by: None,
    }));
    Decision { events, answer: Answer::Done }
}

pub(super) fn cancelled(request: &CancelRequest, forced: bool, begun: bool) -> Outcome {
    let (by, reason) = (request.by, request.reason.clone());
    Outcome::Cancelled { by, reason, forced, begun, message: String::new(), data: None }
}

pub(super) fn finish(outcome: Outcome, usage: Usage) -> Decision {
    Decision::done(EventBody::Finished { outcome: outcome.into(), usage, set_by: None })
}

/// Somebody who knows that the task is over elsewhere says how it ended.
pub(super) fn set_outcome(outcome: Outcome, by: Party, usage: Usage) -> Decision {
    Decision::done(EventBody::Finished { outcome: outcome.into(), usage, set_by: Some(by) })
}

/// An attempt is over: the task too, or another follows.
pub(super) fn cell_ended(state: &TaskState, end: CellEnd, usage: Usage, chance: f64) -> Decision {
    let outcome = planning::enforced(state, outcome_of(state, end));
    let retry = state.details.retry;
    // Only what has begun is tried again: a task that waits for a yes must not come to run without it.
    let begun = state.phase == Some(Phase::Running);
    match outcome {
        Outcome::Failed(failure) if begun && state.cancel.is_none() && retry.tries_again(&failure, state.tries()) => {
            let pause = retry.pause(state.tries(), chance);
            let cancelled = |number| EventBody::ApprovalDecided { number, decision: ApprovalDecision::Cancelled };
            let open = state.approvals.iter().map(|pending| cancelled(pending.number));
            let ended = EventBody::AttemptEnded { attempt: state.attempt, failure: Box::new(failure), usage, pause };
            Decision { events: open.chain(std::iter::once(ended)).collect(), answer: Answer::Done }
        }
        Outcome::Failed(_) | Outcome::Succeeded { .. } | Outcome::Cancelled { .. } => finish(outcome, usage),
    }
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
        CellEnd::Failed(failure) => Outcome::Failed(match (state.panic.as_deref(), failure.kind) {
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
