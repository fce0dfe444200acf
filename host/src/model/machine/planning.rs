//! What becomes of a task's plan: who may change it and how, and what its end makes of it.

use serde_json::json;

use super::ending::finish;
use super::{Refusal, RefusalKind};
use crate::model::command::{Answer, Decision, PlanCommand};
use crate::model::event::EventBody;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::plan::{ActionId, Plan, PlanError, PlanEvent, StepStatus, check_text, left_by};
use crate::model::signal::Party;
use crate::model::snapshot::{Phase, Usage};
use crate::model::state::TaskState;
use crate::model::text;

/// Bytes of other texts that a note or a failure quotes.
const QUOTE_BYTES_MAX: usize = 200;
/// Steps that a failure names.
const NAMED_MAX: usize = 16;

impl From<PlanError> for Refusal {
    fn from(error: PlanError) -> Self {
        let kind = match &error {
            PlanError::TooManySteps { .. } | PlanError::TooLarge { .. } | PlanError::LogFull => RefusalKind::TooLarge,
            PlanError::NotAPlan(_)
            | PlanError::NoSteps
            | PlanError::Name { .. }
            | PlanError::SameName { .. }
            | PlanError::TwoCurrent
            | PlanError::Text { .. }
            | PlanError::NotAnEnd(_) => RefusalKind::InvalidArgument,
            PlanError::Stale { .. } | PlanError::PlannerBusy => RefusalKind::Conflict,
            PlanError::NoPlan | PlanError::NoCurrent | PlanError::NotRunning | PlanError::NoPlanner => {
                RefusalKind::NotFound
            }
            PlanError::Planner(_) | PlanError::PlannerPanicked(_) => RefusalKind::Failed,
            PlanError::PlannerTimedOut => RefusalKind::TimedOut,
            PlanError::Cancelled => RefusalKind::Cancelled,
            PlanError::Ended => RefusalKind::Ended,
        };
        Self::new(kind, error.to_string())
    }
}

fn happened(change: PlanEvent) -> EventBody {
    EventBody::Plan { change }
}

fn refused(error: PlanError) -> Decision {
    Decision::only(Answer::PlanRefused(error))
}

pub(super) fn decide(state: &TaskState, command: PlanCommand) -> Decision {
    match command {
        PlanCommand::Set { plan, expected, by } => set(state, plan, expected, by),
        PlanCommand::Advance { note, by, usage } => advance(state, note, by, usage),
        PlanCommand::FinishStep { status, note, by } => finish_step(state, status, note, by),
        PlanCommand::AskPlanner { reason, by, first } => ask_planner(state, reason, by, first),
        PlanCommand::Planned { plan, since, by, first } => planned(state, plan, since, by, first),
    }
}

/// Whether the log holds too much of whoever wants this.
pub(super) fn is_full(state: &TaskState, command: &PlanCommand) -> bool {
    let by = match command {
        // A task that has not begun waits for the one; and whoever asked is told what came of it.
        PlanCommand::AskPlanner { first: true, .. } | PlanCommand::Planned { .. } => return false,
        PlanCommand::Set { by, .. }
        | PlanCommand::Advance { by, .. }
        | PlanCommand::FinishStep { by, .. }
        | PlanCommand::AskPlanner { by, .. } => *by,
    };
    if by == Party::Itself { state.is_full() } else { state.is_full_of_others(by) }
}

fn set(state: &TaskState, plan: Result<Box<Plan>, PlanError>, expected: Option<u64>, by: Party) -> Decision {
    let is = state.plan.as_ref().map_or(0, |plan| plan.revision);
    if let Some(expected) = expected.filter(|expected| *expected != is) {
        return refused(PlanError::Stale { expected, is });
    }
    match plan.and_then(|plan| plan.after(state.plan.as_deref())) {
        Ok(plan) => Decision { events: put(state, plan, by, None), answer: Answer::Done },
        Err(error) => {
            let why = text::shortened(&error.to_string(), QUOTE_BYTES_MAX * 4).into_owned();
            Decision { events: vec![happened(PlanEvent::Refused { by, why })], answer: Answer::PlanRefused(error) }
        }
    }
}

/// The task has this plan, which begins where the one before ended.
fn put(state: &TaskState, plan: Plan, by: Party, planner: Option<String>) -> Vec<EventBody> {
    let left = state.plan.as_deref().and_then(Plan::current_place).filter(|_| plan.current().is_none());
    let left = left.map(|(step, was)| {
        let now = plan.steps.iter().find(|step| step.name == was.name);
        let (status, note) = match now {
            Some(now) => (now.status, now.note.clone()),
            None => (StepStatus::Cancelled, Some("it is not in the next plan".to_owned())),
        };
        PlanEvent::StepFinished { step, name: was.name.clone(), status, note, by }
    });
    let begins =
        if state.phase == Some(Phase::Running) && plan.current().is_none() { next(state, &plan) } else { None };
    let set = PlanEvent::Set { plan: Box::new(plan), by, planner };
    left.into_iter().chain([set]).chain(begins).map(happened).collect()
}

/// The first step that has not begun becomes the current one.
fn next(state: &TaskState, plan: &Plan) -> Option<PlanEvent> {
    let (step, next) = plan.next_place()?;
    Some(PlanEvent::StepStarted { step, name: next.name.clone(), action: ActionId(state.plan_actions + 1) })
}

/// What follows from the start of an attempt: the first step that is not done begins.
pub(super) fn at_start(state: &TaskState) -> Option<EventBody> {
    next(state, state.plan.as_ref()?).map(happened)
}

fn running(state: &TaskState) -> Result<&Plan, PlanError> {
    let plan = state.plan.as_ref().ok_or(PlanError::NoPlan)?;
    if state.phase == Some(Phase::Running) { Ok(plan) } else { Err(PlanError::NotRunning) }
}

/// The current step ends so.
fn ends(plan: &Plan, status: StepStatus, note: Option<String>, by: Party) -> Option<PlanEvent> {
    let (step, current) = plan.current_place()?;
    Some(PlanEvent::StepFinished { step, name: current.name.clone(), status, note, by })
}

/// To the next step. When there is none, everything before must be done: whoever goes on although something is not
/// would never come to it again.
fn advance(state: &TaskState, note: Option<String>, by: Party, usage: Usage) -> Decision {
    let checked = check_text("note", note.as_deref().unwrap_or_default());
    let plan = match checked.and_then(|()| running(state)) {
        Ok(plan) => plan,
        Err(error) => return refused(error),
    };
    let ended = ends(plan, StepStatus::Completed, note, by);
    let mut after = plan.clone();
    if let Some(event) = &ended {
        after.apply(event);
    }
    let begins = next(state, &after);
    let is_stuck = begins.is_none() && !after.is_done();
    let mut events: Vec<EventBody> = ended.into_iter().chain(begins).map(happened).collect();
    if is_stuck {
        let message = format!("its plan has no next step, and is not done: {}", undone(&after));
        events.extend(finish(Outcome::Failed(failure(&after, message, false)), state.with_told(usage)).events);
    }
    let answer = if events.is_empty() { Answer::Unchanged } else { Answer::Done };
    Decision { events, answer }
}

fn finish_step(state: &TaskState, status: StepStatus, note: Option<String>, by: Party) -> Decision {
    if !status.is_over() {
        return refused(PlanError::NotAnEnd(status));
    }
    let checked = check_text("note", note.as_deref().unwrap_or_default());
    match checked.and_then(|()| running(state)).map(|plan| ends(plan, status, note, by)) {
        Ok(Some(event)) => Decision::done(happened(event)),
        Ok(None) => refused(PlanError::NoCurrent),
        Err(error) => refused(error),
    }
}

fn ask_planner(state: &TaskState, reason: String, by: Party, first: bool) -> Decision {
    let Some(planner) = state.details.planner.clone() else { return refused(PlanError::NoPlanner) };
    if state.cancel.is_some() {
        return refused(PlanError::Cancelled);
    }
    // Nothing of the task's own limits them before it begins.
    if !first && state.attempt == 0 && !state.planner_callers.is_empty() {
        return refused(PlanError::PlannerBusy);
    }
    match check_text("reason", &reason) {
        Ok(()) => Decision::done(happened(PlanEvent::PlannerCalled { planner, reason, by })),
        Err(error) => refused(error),
    }
}

/// What a planner made becomes the plan, if nobody has changed it meanwhile. A task that waits for its first plan has
/// nothing to begin with, if that was none.
fn planned(state: &TaskState, plan: Result<Box<Plan>, PlanError>, since: u64, by: Party, first: bool) -> Decision {
    let planner = state.details.planner.clone().unwrap_or_default();
    let is = state.plan.as_ref().map_or(0, |plan| plan.revision);
    let made = plan.and_then(|plan| {
        if since != is {
            return Err(PlanError::Stale { expected: since, is });
        }
        plan.after(state.plan.as_deref()).map_err(|error| PlanError::Planner(error.to_string()))
    });
    let error = match made {
        Ok(plan) => return Decision { events: put(state, plan, by, Some(planner)), answer: Answer::Done },
        Err(error) => error,
    };
    let why = text::shortened(&error.in_full(), QUOTE_BYTES_MAX * 4).into_owned();
    let mut events = vec![happened(PlanEvent::PlannerFailed { planner, why, by })];
    // Whatever others had made, the host's own ask goes on.
    if first && state.awaits_first_plan() {
        let failure = Failure::new(FailureKind::Plan, format!("it has no plan to begin with: {error}"));
        events.extend(finish(Outcome::Failed(failure), state.with_told(Usage::default())).events);
    }
    Decision { events, answer: Answer::PlanRefused(error) }
}

/// The steps that are not done, in words.
fn undone(plan: &Plan) -> String {
    let steps = plan.unfinished().count();
    let names = plan.unfinished().take(NAMED_MAX).map(|step| format!("{:?} ({})", step.name, step.status.word()));
    let names = text::shortened(&names.collect::<Vec<_>>().join(", "), QUOTE_BYTES_MAX * 4).into_owned();
    format!("{steps} of {} steps are not: {names}", plan.steps.len())
}

fn failure(plan: &Plan, message: String, retryable: bool) -> Failure {
    let names: Vec<&str> = plan.unfinished().map(|step| step.name.as_str()).collect();
    Failure { error: Some(json!({ "unfinished": names })), retryable, ..Failure::new(FailureKind::Plan, message) }
}

/// A task whose plan is enforced has not succeeded before its plan is done.
pub(super) fn enforced(state: &TaskState, outcome: Outcome) -> Outcome {
    let (Outcome::Succeeded { message, data }, Some(plan)) = (&outcome, &state.plan) else { return outcome };
    if !state.details.enforce_plan || plan.is_done() {
        return outcome;
    }
    if let Some(request) = &state.cancel {
        let (message, data) = (message.clone(), data.clone());
        let (by, reason) = (request.by, request.reason.clone());
        return Outcome::Cancelled { by, reason, forced: false, begun: true, message, data };
    }
    let said = text::shortened(message, QUOTE_BYTES_MAX);
    let message = format!("it says that it succeeded ({said}), and its plan is not done: {}", undone(plan));
    Outcome::Failed(failure(plan, message, true))
}

/// A plan ends with its task: no step of it stays open, and each that was is told why it is not any more.
pub(super) fn settle(state: &TaskState, decision: &mut Decision) {
    let Some(mut plan) = state.plan.clone() else { return };
    let end = decision.events.iter().zip(0..).find_map(|(body, place): (_, usize)| {
        if let EventBody::Finished { outcome, .. } = body { Some((place, &**outcome)) } else { None }
    });
    let Some((place, outcome)) = end else { return };
    for body in decision.events.iter().take(place) {
        if let EventBody::Plan { change } = body {
            plan.apply(change);
        }
    }
    let (current, pending) = left_by(outcome);
    let note = match outcome {
        Outcome::Succeeded { .. } => "the task succeeded without it".to_owned(),
        Outcome::Failed(failure) => {
            let why = text::shortened(&failure.message, QUOTE_BYTES_MAX);
            format!("the task failed ({}): {why}", failure.kind.word())
        }
        Outcome::Cancelled { by, reason, .. } => {
            let why = text::shortened(reason, QUOTE_BYTES_MAX);
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            format!("the task was cancelled by {by}{why}")
        }
    };
    let ended = ends(&plan, current, Some(note.clone()), Party::Host);
    let left = plan.next_place().is_some().then_some(PlanEvent::StepsLeft { status: pending, note });
    let settled = ended.into_iter().chain(left).map(happened).collect::<Vec<_>>();
    decision.events.splice(place..place, settled);
}
