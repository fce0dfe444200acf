//! What a task asks of people: approval, and fuel.

use std::time::Duration;

use super::ending::finish;
use super::waiting::parked_already;
use super::{Refusal, RefusalKind};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber};
use crate::model::command::{Answer, Decision};
use crate::model::event::{EventBody, WaitEnd};
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::signal::Party;
use crate::model::snapshot::{Phase, Usage};
use crate::model::state::TaskState;

/// Bytes of an approval's kind.
const KIND_BYTES_MAX: usize = 64;

pub(super) fn request_approval(state: &TaskState, ask: ApprovalAsk) -> Decision {
    if let Some(refused) = parked_already(state) {
        return refused;
    }
    let is_name = (1..=KIND_BYTES_MAX).contains(&ask.kind.len()) && !ask.kind.chars().any(char::is_control);
    if !is_name || ask.kind == ApprovalAsk::START {
        let message = format!(
            "an approval's kind has 1 to {KIND_BYTES_MAX} bytes and no control characters, and is not {:?}",
            ApprovalAsk::START
        );
        return Decision::refused(RefusalKind::InvalidArgument, message);
    }
    if state.cancel.is_some() {
        return Decision::only(Answer::WaitOver(WaitEnd::Cancelled));
    }
    if ask.timeout == Some(Duration::ZERO) {
        return Decision::only(Answer::WaitOver(WaitEnd::TimedOut));
    }
    let number = ApprovalNumber(state.asked + 1);
    Decision { events: vec![EventBody::ApprovalRequested { number, ask }], answer: Answer::Parked }
}

/// A decision from outside. The first one wins.
pub(super) fn decide_approval(state: &TaskState, number: ApprovalNumber, decision: ApprovalDecision) -> Decision {
    let (ApprovalDecision::Approved { by, .. } | ApprovalDecision::Denied { by, .. }) = &decision else {
        return Decision::refused(RefusalKind::Host, "a decision is a yes or a no");
    };
    if !state.approvals.iter().any(|pending| pending.number == number) {
        return Decision::only(Answer::Unchanged);
    }
    if !state.details.approvers.allow(*by) {
        return Decision::refused(RefusalKind::Denied, format!("{by} may not decide about this task's approvals"));
    }
    let denied = match &decision {
        ApprovalDecision::Denied { by, reason } if state.phase == Some(Phase::Held) => Some(not_begun(*by, reason)),
        ApprovalDecision::Denied { .. }
        | ApprovalDecision::Approved { .. }
        | ApprovalDecision::TimedOut
        | ApprovalDecision::Cancelled => None,
    };
    let mut events = vec![EventBody::ApprovalDecided { number, decision }];
    // A task that may not begin is over.
    let end = denied.map(|failure| finish(Outcome::Failed(failure), Usage::default()));
    events.extend(end.into_iter().flat_map(|end| end.events));
    Decision { events, answer: Answer::Done }
}

fn not_begun(by: Party, reason: &str) -> Failure {
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Failure::new(FailureKind::Denied, format!("it was not allowed to begin, {by} said no{why}"))
}

pub(super) fn approval_timed_out(state: &TaskState, number: ApprovalNumber, usage: Usage) -> Decision {
    if !state.approvals.iter().any(|pending| pending.number == number) {
        return Decision::only(Answer::Unchanged);
    }
    let mut events = vec![EventBody::ApprovalDecided { number, decision: ApprovalDecision::TimedOut }];
    if state.phase == Some(Phase::Held) {
        let failure = Failure::new(FailureKind::NotStarted, "nobody approved of it in time, so it did not begin");
        events.extend(finish(Outcome::Failed(failure), usage).events);
    }
    Decision { events, answer: Answer::Done }
}

pub(super) fn request_fuel(state: &TaskState, units: u64, reason: String, timeout: Option<Duration>) -> Decision {
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
