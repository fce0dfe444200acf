//! What an event says to a person, in a sentence: beside the event itself, which is for programs.

use std::borrow::Cow;

use super::{Budget, Event, EventBody, WaitEnd};
use crate::model::approval::ApprovalDecision;
use crate::model::children::ChildOutcome;
use crate::model::ids::SignalKey;
use crate::model::outbox::Settlement;
use crate::model::outcome::Outcome;
use crate::model::patch::Change;
use crate::model::plan::PlanEvent;
use crate::model::policy::mandate::AnswerFor;
use crate::model::schedule::ScheduleEvent;
use crate::model::signal::Party;
use crate::model::text::{bytes, duration, fuel, shortened};

/// Bytes of others' words that a sentence quotes. The event has all of them.
const QUOTE_BYTES_MAX: usize = 200;

impl Event {
    /// What happened, in a short sentence for a person, without a full stop. It quotes the task and others word for word:
    /// escape it ([`escape`](crate::escape)) before showing it.
    ///
    /// ```no_run
    /// # async fn example(task: taskcell::TaskHandle) -> Result<(), taskcell::StoreError> {
    /// let mut events = task.events(Default::default());
    /// while let Some(event) = events.next().await? {
    ///     println!("{}", taskcell::escape(&event.display_message()));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn display_message(&self) -> String {
        self.body.display_message()
    }
}

impl EventBody {
    /// The same as [`Event::display_message`].
    pub fn display_message(&self) -> String {
        match self {
            Self::Created { task, .. } => format!("{task} was created"),
            Self::Due => "its moment has come".to_owned(),
            Self::Started { attempt: 1 } => "it begins".to_owned(),
            Self::Started { attempt } => format!("attempt {attempt} begins"),
            Self::AttemptEnded { attempt, failure, pause, .. } => {
                let (kind, why, pause) = (failure.kind.word(), cut(&failure.message), duration(*pause));
                format!("attempt {attempt} failed ({kind}): {why}; the next one comes in {pause}")
            }
            Self::Progress { message, percent: Some(percent), .. } => format!("{percent} %: {}", cut(message)),
            Self::Progress { message, percent: None, .. } => cut(message).into_owned(),
            Self::WaitStarted { keys, .. } => {
                let keys: Vec<&str> = keys.iter().map(SignalKey::as_str).collect();
                format!("it waits for a signal: {}", cut(&keys.join(", ")))
            }
            Self::WaitEnded { reason, .. } => format!("it waits no more: {}", why_over(*reason)),
            Self::SignalReceived { key, signal } => format!("the signal {key} came from {}", signal.sender),
            Self::SignalTaken { key, .. } => format!("it took the signal {key}"),
            Self::AgentMessage { message, .. } => format!("it tells the agent: {}", cut(message)),
            Self::MessageSettled { number, how } => match how {
                Settlement::Accepted => format!("the agent took its message {number}"),
                Settlement::Blocked => format!("nobody wants its message {number}"),
                Settlement::Acknowledged => format!("the agent has its message {number}"),
            },
            Self::Instructed(said) => format!("{} tells it: {}", said.by, cut(&said.text)),
            Self::InstructionTaken => "it took what was said to it".to_owned(),
            Self::InstructionWaitStarted { .. } => "it waits to be told something".to_owned(),
            Self::InstructionWaitEnded { reason } => format!("nobody told it anything: {}", why_over(*reason)),
            Self::ApprovalRequested { ask, .. } => format!("it asks for approval: {}", cut(&ask.summary)),
            Self::ApprovalRepeated { decision: None, .. } => "it asks for the same approval again".to_owned(),
            Self::ApprovalRepeated { decision: Some(decision), .. } => format!("asked again: {}", decided(decision)),
            Self::ApprovalDecided { decision, .. } => decided(decision),
            Self::UsageRecorded { tool, tokens, actions } => {
                format!("it spent {tokens} tokens and {actions} actions on {}", cut(tool))
            }
            Self::ChildStarted { task, .. } => format!("it starts {task}"),
            Self::ChildEnded { child, outcome, .. } => format!("its child {child} {}", child_ended(*outcome)),
            Self::ChildWaitStarted { child, .. } => format!("it waits for its child {child}"),
            Self::ChildWaitEnded { reason } => format!("it waits for its child no more: {}", why_over(*reason)),
            Self::SignalSent { target, key } => format!("it sends the signal {key} to {target}"),
            Self::HostCalled { name } => format!("it calls the host's function {}", cut(name)),
            Self::ArtifactAttached(artifact) => {
                format!("it attached {} ({})", cut(&artifact.name), bytes(artifact.size))
            }
            Self::Paused { by, reason } => because(format!("paused by {by}"), reason),
            Self::Resumed { by } => format!("resumed by {by}"),
            Self::FuelRequested { units, reason, .. } => {
                because(format!("it asks for {} units of fuel", fuel(*units)), reason)
            }
            Self::FuelAdded { units, by, .. } => format!("{by} gives it {} units of fuel", fuel(*units)),
            Self::FuelRefused { by, reason } => because(format!("{by} gives it no more fuel"), reason),
            Self::FuelRequestEnded { reason } => format!("nobody gave it fuel: {}", why_over(*reason)),
            Self::BudgetLow { budget, used, limit } => match budget {
                Budget::Fuel => format!("its fuel runs low: {} of {} units are used", fuel(*used), fuel(*limit)),
                Budget::Tokens => format!("its tokens run low: {used} of {limit} are used"),
                Budget::Actions => format!("its actions run low: {used} of {limit} are used"),
            },
            Self::HourUsedUp { .. } => "its fuel for this hour is used up, and it stands still".to_owned(),
            Self::FuelRenewed { units } => format!("it has {} units of fuel for another hour", fuel(*units)),
            Self::Stalled { fuel: burnt, quiet } => {
                format!("it has called nothing for {} and burnt {} units of fuel", duration(*quiet), fuel(*burnt))
            }
            Self::Panicked { message, place } => format!("it panicked at {}: {}", cut(place), cut(message)),
            Self::CancelRequested(request) => because(format!("{} asks it to stop", request.by), &request.reason),
            Self::Finished { outcome, .. } => ended(outcome),
            Self::OnTerminalDone { name, error } => {
                let name = name.as_deref().map_or(Cow::Borrowed("a function"), cut);
                failed_or("was called at its end", &name, error.as_deref())
            }
            Self::HookDone { hook, error } => {
                let error = error.as_ref().map(|failure| failure.message.as_str());
                failed_or("was called", &format!("its plugin's hook {hook}"), error)
            }
            Self::DaemonGivenUp { lives } => format!("it ended {lives} times too soon, and is not started again"),
            Self::LateSignal { key, sender } => format!("the signal {key} came from {sender}, too late"),
            Self::Updated { patch, by, .. } => match &patch.note {
                Change::Set(note) => format!("{by} notes: {}", cut(note)),
                Change::Clear => format!("{by} takes its note away"),
                Change::Nothing => format!("{by} changes its title or labels"),
            },
            Self::Detached { by } => format!("{by} lets it go on in the background"),
            Self::DeliverySet { by, .. } => format!("{by} changes where its updates go"),
            Self::Denied { capability, scope, reason, .. } => {
                let on = if scope.is_empty() { String::new() } else { format!(" ({})", cut(scope)) };
                format!("it was denied {capability}{on}: {}", cut(reason))
            }
            Self::Revoked { capability, by } => format!("{by} takes {capability} away from it"),
            Self::FolderRoomTaken { folder, bytes: size, inodes } => {
                format!("it takes room in {}: {} and {inodes} files so far", cut(folder), bytes(*size))
            }
            Self::Plan { change } => change.display_message(),
            Self::Schedule { change } => scheduled(change),
            Self::Schedules { list } => format!("there are {} schedules", list.len()),
        }
    }
}

impl PlanEvent {
    /// What happened, in a short sentence for a person. Escape it before showing it.
    pub fn display_message(&self) -> String {
        match self {
            Self::Set { plan, by, planner } => {
                let by = planner
                    .as_deref()
                    .map_or_else(|| by.to_string(), |planner| format!("the planner {}", cut(planner)));
                let steps = plan.steps.len();
                because(
                    format!("{by} gives it a plan of {steps} {}", if steps == 1 { "step" } else { "steps" }),
                    &plan.goal,
                )
            }
            Self::Refused { by, why } => format!("{by} gives it a plan that cannot be one: {}", cut(why)),
            Self::StepStarted { step, name, .. } => format!("step {step} begins: {}", cut(name)),
            Self::StepFinished { step, name, status, note, .. } => {
                let note = note.as_deref().unwrap_or_default();
                because(format!("step {step} is over ({}), {}", status.word(), cut(name)), note)
            }
            Self::StepsLeft { status, note } => because(format!("the steps that are left are {}", status.word()), note),
            Self::PlannerCalled { planner, reason, .. } => {
                because(format!("the planner {} is asked", cut(planner)), reason)
            }
            Self::PlannerFailed { planner, why, .. } => {
                format!("the planner {} made no plan: {}", cut(planner), cut(why))
            }
        }
    }
}

fn cut(text: &str) -> Cow<'_, str> {
    shortened(text, QUOTE_BYTES_MAX)
}

/// `what`, and why if somebody said why.
fn because(what: String, reason: &str) -> String {
    if reason.is_empty() { what } else { format!("{what}: {}", cut(reason)) }
}

fn failed_or(done: &str, what: &str, error: Option<&str>) -> String {
    match error {
        Some(error) => format!("{what} failed: {}", cut(error)),
        None => format!("{what} {done}"),
    }
}

fn why_over(reason: WaitEnd) -> &'static str {
    match reason {
        WaitEnd::TimedOut => "its time is over",
        WaitEnd::Cancelled => "the task shall stop",
        WaitEnd::WaitCancelled => "the wait was ended",
    }
}

fn decided(decision: &ApprovalDecision) -> String {
    match decision {
        ApprovalDecision::Approved { by, input: None } => format!("approved by {by}"),
        // How long a yes to the policy's question holds.
        ApprovalDecision::Approved { by, input: Some(input) } if AnswerFor::of(Some(input)).is_some() => {
            format!("approved by {by}: {}", input.as_str().unwrap_or_default())
        }
        ApprovalDecision::Approved { by, input: Some(_) } => format!("approved by {by}, with a change"),
        ApprovalDecision::Denied { by, reason } => because(format!("denied by {by}"), reason),
        ApprovalDecision::TimedOut => "nobody decided in time, which is a no".to_owned(),
        ApprovalDecision::Cancelled => "no decision is needed any more".to_owned(),
    }
}

fn child_ended(outcome: ChildOutcome) -> &'static str {
    match outcome {
        ChildOutcome::Succeeded => "succeeded",
        ChildOutcome::Failed => "failed",
        ChildOutcome::Cancelled => "was cancelled",
        ChildOutcome::NotStarted => "could not be started",
    }
}

fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded { message, .. } => because("it succeeded".to_owned(), message),
        Outcome::Failed(failure) => because(format!("it failed ({})", failure.kind.word()), &failure.message),
        Outcome::Cancelled { by, reason, .. } => because(format!("it was cancelled by {by}"), reason),
    }
}

fn scheduled(change: &ScheduleEvent) -> String {
    let by = |by: &Party| by.to_string();
    match change {
        ScheduleEvent::Created { .. } => "the schedule was added".to_owned(),
        ScheduleEvent::Firing { firing, .. } => format!("it fires for the {}. time", firing.number),
        ScheduleEvent::Started { number } => format!("the task of firing {number} was started"),
        ScheduleEvent::Failed { number, reason } => {
            because(format!("the task of firing {number} could not be started"), reason)
        }
        ScheduleEvent::Skipped { running, .. } => format!("it does not fire, because task {running} still runs"),
        ScheduleEvent::Paused { by: who } => format!("{} paused it", by(who)),
        ScheduleEvent::Resumed { by: who, .. } => format!("{} resumed it", by(who)),
        ScheduleEvent::Moved { .. } => "the date went back, and its next moment with it".to_owned(),
        ScheduleEvent::Removed { by: who } => format!("{} removed it", by(who)),
        ScheduleEvent::Summary { .. } => "this is what it has come to".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::EventSeq;
    use crate::model::outcome::{Failure, FailureKind};
    use crate::model::plan::{ActionId, Plan, PlanStep, StepStatus};
    use crate::model::request::CancelRequest;
    use crate::model::snapshot::Usage;
    use crate::model::time::Timestamp;

    #[test]
    fn r64_every_event_has_a_short_sentence_for_a_person() {
        let name = || "build".to_owned();
        let finished = |outcome| EventBody::Finished {
            outcome: std::sync::Arc::new(outcome),
            usage: Usage::default(),
            set_by: None,
        };
        let plan = |change| EventBody::Plan { change };
        let step = PlanStep::new("build");
        for (body, said) in [
            (EventBody::Started { attempt: 1 }, "it begins"),
            (
                EventBody::CancelRequested(CancelRequest::new(Party::Person, "enough")),
                "a person asks it to stop: enough",
            ),
            (
                finished(Outcome::Failed(Failure::new(FailureKind::Plan, "its plan is not done"))),
                "it failed (plan): its plan is not done",
            ),
            (
                plan(PlanEvent::Set {
                    plan: Box::new(Plan::new("a release").step(step)),
                    by: Party::Agent,
                    planner: None,
                }),
                "the agent gives it a plan of 1 step: a release",
            ),
            (plan(PlanEvent::StepStarted { step: 1, name: name(), action: ActionId(1) }), "step 1 begins: build"),
            (
                plan(PlanEvent::StepFinished {
                    step: 1,
                    name: name(),
                    status: StepStatus::Failed,
                    note: Some("no disk".into()),
                    by: Party::Itself,
                }),
                "step 1 is over (failed), build: no disk",
            ),
        ] {
            assert_eq!(Event::new(EventSeq(1), Timestamp(0), body).display_message(), said);
        }
        let message = "x".repeat(64 << 10);
        let long = EventBody::Progress { message, percent: Some(3), restarted: false, merged: 0 };
        assert!(long.display_message().len() < 300, "the event has the rest");
    }
}
