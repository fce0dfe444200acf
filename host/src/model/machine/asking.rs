//! What a task asks of people: approval, and fuel.

use std::time::Duration;

use super::ending::finish;
use super::waiting::parked_already;
use super::{Refusal, RefusalKind, granting};
use serde_json::Value;

use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber, ApprovalRuling, KIND_BYTES_MAX};
use crate::model::command::{Answer, Decision};
use crate::model::event::{EventBody, WaitEnd};
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::permission::{NOBODY, is_kind};
use crate::model::signal::Party;
use crate::model::snapshot::{FuelRequest, Phase, Usage};
use crate::model::state::TaskState;

/// The kinds that are the host's to ask about.
const OURS: [&str; 3] = [ApprovalAsk::START, ApprovalAsk::FUEL, ApprovalAsk::GRANT];

pub(super) fn request_approval(state: &TaskState, ask: ApprovalAsk) -> Decision {
    if let Some(refused) = parked_already(state) {
        return refused;
    }
    if !is_kind(&ask.kind) || OURS.contains(&ask.kind.as_str()) {
        let message = format!(
            "an approval's kind has 1 to {KIND_BYTES_MAX} bytes and no control characters, and is none of {OURS:?}"
        );
        return Decision::refused(RefusalKind::InvalidArgument, message);
    }
    if state.cancel.is_some() {
        return Decision::only(Answer::WaitOver(WaitEnd::Cancelled));
    }
    if let Some(before) = state.traces.repeated(&ask) {
        if before.decision.is_none() && ask.timeout == Some(Duration::ZERO) {
            return Decision::only(Answer::WaitOver(WaitEnd::TimedOut));
        }
        let (number, decision) = (before.number, before.decision.clone());
        return Decision { events: vec![EventBody::ApprovalRepeated { number, decision }], answer: Answer::Parked };
    }
    let decided = state.details.permission.decision(&ask);
    if decided.is_none() && ask.timeout == Some(Duration::ZERO) {
        return Decision::only(Answer::WaitOver(WaitEnd::TimedOut));
    }
    let number = ApprovalNumber(state.asked + 1);
    let mut events = vec![EventBody::ApprovalRequested { number, ask }];
    events.extend(decided.map(|decision| EventBody::ApprovalDecided { number, decision }));
    Decision { events, answer: Answer::Parked }
}

/// A decision from outside. The first one wins.
pub(super) fn decide_approval(
    state: &TaskState,
    number: ApprovalNumber,
    decision: ApprovalDecision,
    ruling: &ApprovalRuling,
) -> Decision {
    let (ApprovalDecision::Approved { by, .. } | ApprovalDecision::Denied { by, .. }) = &decision else {
        return Decision::refused(RefusalKind::Host, "a decision is a yes or a no");
    };
    let fuel = state.fuel_request().filter(|request| request.number == number);
    if fuel.is_none() && !state.approvals.iter().any(|pending| pending.number == number) {
        return Decision::only(Answer::Unchanged);
    }
    if let Err(why) = may_decide(state, *by, ruling) {
        return Decision::refused(RefusalKind::Denied, why);
    }
    if let Some(refused) = granting::unfit(state, number, &decision) {
        return refused;
    }
    if let Some(request) = fuel {
        return decide_fuel(state, request, decision);
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

/// Whether this party may decide this task's questions: as the host's policy says, and then as the task's own does.
fn may_decide(state: &TaskState, by: Party, ruling: &ApprovalRuling) -> Result<(), String> {
    let may = match (by, ruling) {
        // Nobody may let a task decide.
        (Party::Task(_) | Party::Itself, _) => false,
        (_, ApprovalRuling::Forbidden(why)) => return Err(format!("{by} may not decide about it: {why}")),
        (_, ApprovalRuling::Allowed) => true,
        (_, ApprovalRuling::AsTheTaskSays) => state.details.approvers.allow(by),
    };
    if may { Ok(()) } else { Err(format!("{by} may not decide about this task's approvals")) }
}

/// A request for fuel that is decided like a question for approval: what was asked for or another amount, or a no.
fn decide_fuel(state: &TaskState, request: &FuelRequest, decision: ApprovalDecision) -> Decision {
    match decision {
        ApprovalDecision::Approved { by, input } => {
            let units = match &input {
                None => Some(request.units),
                Some(input) => input.as_u64().or_else(|| input.get("units").and_then(Value::as_u64)),
            };
            let Some(units) = units.filter(|units| *units > 0) else {
                let message = "what is approved of instead is a number of units of fuel, at least one";
                return Decision::refused(RefusalKind::InvalidArgument, message);
            };
            if !state.has_on_approval(units) {
                return Decision::refused(RefusalKind::TooLarge, over_the_limit(state, units));
            }
            Decision::done(EventBody::FuelAdded { units, by, approval: Some(request.number) })
        }
        ApprovalDecision::Denied { by, reason } => Decision::done(EventBody::FuelRefused { by, reason }),
        ApprovalDecision::TimedOut | ApprovalDecision::Cancelled => Decision::only(Answer::Unchanged),
    }
}

fn over_the_limit(state: &TaskState, units: u64) -> String {
    let left = state.limits.fuel_on_approval.saturating_sub(state.fuel_on_approval);
    format!("{units} units are more than the {left} that are left of the limit fuel_on_approval")
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
    let number = ApprovalNumber(state.asked + 1);
    let by = Party::Host;
    let answer = if state.has_on_request(units) {
        Some(EventBody::FuelAdded { units, by, approval: None })
    } else {
        state.details.permission.verdict(ApprovalAsk::FUEL).map(|yes| match yes {
            true if state.has_on_approval(units) => EventBody::FuelAdded { units, by, approval: Some(number) },
            // Nobody would say yes to less either, because nobody is asked.
            true => EventBody::FuelRefused { by, reason: over_the_limit(state, units) },
            false => EventBody::FuelRefused { by, reason: NOBODY.to_owned() },
        })
    };
    if answer.is_none() && timeout == Some(Duration::ZERO) {
        return Decision::only(Answer::Refused(no_fuel(WaitEnd::TimedOut)));
    }
    let mut events = vec![EventBody::FuelRequested { number, units, reason, timeout }];
    events.extend(answer);
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
