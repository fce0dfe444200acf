//! Both accounts of a task, side by side; and what must hold whatever happens.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::commands::{any_command, can_come, keys, setting, task, who};
use super::{Came, Made, Parked, Reference, Said, View, Woken};
use crate::model::approval::{ApprovalAsk, ApprovalDecision};
use crate::model::command::{Answer, Command};
use crate::model::details::{Routing, TaskDetails};
use crate::model::event::{Event, EventBody, WaitEnd};
use crate::model::ids::TaskId;
use crate::model::machine::{Refusal, step};
use crate::model::manifest::TaskKind;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::signal::{Party, Senders};
use crate::model::snapshot::{Phase, Usage};
use crate::model::state::{ParkPoint, TaskState};
use crate::model::time::Timestamp;

/// The decider's account: its state, and the log that it made.
pub(super) struct Decider {
    pub(super) state: TaskState,
    pub(super) log: Vec<Event>,
}

impl Decider {
    pub(super) fn new(made: &Made) -> Self {
        let details = TaskDetails {
            retry: made.retry,
            approvers: made.approvers,
            permission: made.permission.clone(),
            routing: made.foreground.then_some(Routing::Foreground),
            enforce_plan: made.enforced,
            kind: if made.daemon { TaskKind::Daemon } else { TaskKind::Task },
            planner: made.planner.then(|| "p".to_owned()),
            restartable: made.restartable,
            run_at: made.later.then_some(Timestamp(9)),
            ..TaskDetails::default()
        };
        let create = Command::Create {
            task: Arc::new(task("k")),
            input: Arc::new(made.input.clone()),
            limits: Arc::new(made.limits),
            details: Arc::new(details),
            approval: made.held.then(|| Box::new(ApprovalAsk::new(ApprovalAsk::START, "r", "s"))),
        };
        let mut new = Self { state: TaskState::default(), log: Vec::new() };
        assert_eq!(new.take(create), Came::only(Said::Done));
        new
    }

    pub(super) fn take(&mut self, command: Command) -> Came {
        let decision = step(&self.state, command);
        let mut came = Came::only(said(decision.answer));
        for event in self.state.numbered(Timestamp(self.log.len() as u64), decision.events) {
            if let Some(woken) = woken(&self.state, &event.body) {
                assert!(came.woken.replace(woken).is_none(), "it is woken once");
            }
            if let EventBody::BudgetLow { budget, .. } = event.body {
                came.warned.push(budget);
            }
            self.state.apply(&event);
            self.log.push(event);
        }
        came
    }

    pub(super) fn view(&self) -> View {
        let state = &self.state;
        let look = state.snapshot(TaskId::from_random(1), Usage::default(), Timestamp(0)).unwrap();
        assert_eq!(look.paused.as_ref(), state.paused.as_deref());
        let mut mailbox = state.mailbox.clone();
        let mut kept = Vec::new();
        while let Some((key, oldest)) =
            mailbox.clone().oldest(&keys(), &Senders::default()).map(|(key, oldest)| (key.clone(), oldest.clone()))
        {
            mailbox.take(&key, oldest.seq);
            kept.push((key, oldest.signal));
        }
        assert_eq!((mailbox.count(), mailbox.bytes()), (0, 0), "the books of the mailbox are right");
        let usage = look.usage;
        View {
            phase: look.phase,
            attempt: look.attempt,
            input: (*state.input).clone(),
            parked: state.parked.as_ref().map(parked),
            paused: look.paused.map(|pause| (pause.by, pause.reason)),
            progress: look.progress.map(|progress| (progress.message, progress.percent)),
            budget: look.fuel_budget,
            hour_used_up: look.hour_used_up,
            spent: (usage.tokens, usage.actions, usage.children_fuel),
            kept,
            said: state.instructions.iter().cloned().collect(),
            fuel_question: look.approvals.iter().find(|open| open.ask.kind == "fuel").map(|open| open.number),
            questions: look
                .approvals
                .into_iter()
                .filter(|open| open.ask.kind != "fuel")
                .map(|open| (open.number, open.ask.kind))
                .collect(),
            messages: (1..=state.agent_messages).filter(|number| state.open_messages.holds(*number)).collect(),
            children: look
                .children
                .into_iter()
                .map(|child| (child.id, child.fuel, child.detached, child.outcome))
                .collect(),
            artifacts: look.artifacts.len(),
            background: look.background,
            delivery: (look.details.delivery, look.details.continue_policy),
            revision: look.plan.as_ref().map_or(0, |plan| plan.revision),
            plan: look.plan.map(|plan| plan.steps.into_iter().map(|step| (step.name, step.status)).collect()),
            shown: (look.note, look.details.title, look.details.labels),
            changes: look.revision,
            cancel: look.cancel,
            outcome: look.outcome.map(plain),
        }
    }
}

fn parked(point: &ParkPoint) -> Parked {
    match point {
        ParkPoint::Wait(point) => {
            Parked::Wait { number: point.wait, keys: point.keys.clone(), senders: point.senders.clone() }
        }
        ParkPoint::Fuel(request) => Parked::Fuel(request.units),
        ParkPoint::Approval(number) => Parked::Approval(*number),
        ParkPoint::Instruction => Parked::Instruction,
        ParkPoint::Child(child) => Parked::Child(*child),
    }
}

/// An outcome without the sentences that the host makes up.
fn plain(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(failure) => {
            let own = matches!(failure.kind, FailureKind::Guest | FailureKind::Panic);
            let message = if own { failure.message } else { String::new() };
            let (error, retryable) = (failure.error, failure.retryable);
            Outcome::Failed(Failure { error, retryable, ..Failure::new(failure.kind, message) })
        }
        other @ (Outcome::Succeeded { .. } | Outcome::Cancelled { .. }) => other,
    }
}

fn said(answer: Answer) -> Said {
    match answer {
        Answer::Done => Said::Done,
        Answer::Parked => Said::Parked,
        Answer::Unchanged => Said::Unchanged,
        Answer::Signal(key, signal) => Said::Signal(key, signal),
        Answer::Instruction(said) => Said::Instruction(said),
        Answer::ChildOver => Said::ChildOver,
        Answer::NoSignal => Said::NoSignal,
        Answer::WaitOver(end) => Said::Over(end),
        Answer::Notified(answer) => Said::Notified(answer),
        Answer::Updated(revision) => Said::Updated(revision),
        Answer::Stale(revision) => Said::Stale(revision),
        Answer::AlreadyEnded => Said::AlreadyEnded,
        Answer::Refused(refusal) => Said::Refused(refusal.kind),
        Answer::PlanRefused(error) => Said::Refused(Refusal::from(error).kind),
    }
}

/// What a guest that is parked in this state is told by this event, as the actor tells it.
fn woken(state: &TaskState, body: &EventBody) -> Option<Woken> {
    if let EventBody::ApprovalRepeated { decision: Some(decision), .. } = body {
        return Some(Woken::Decision(decision.clone()));
    }
    Some(match (state.parked.as_ref()?, body) {
        (_, EventBody::Finished { .. } | EventBody::AttemptEnded { .. }) => Woken::Over(WaitEnd::Cancelled),
        (ParkPoint::Wait(_), EventBody::WaitEnded { reason, .. })
        | (ParkPoint::Fuel(_), EventBody::FuelRequestEnded { reason })
        | (ParkPoint::Instruction, EventBody::InstructionWaitEnded { reason })
        | (ParkPoint::Child(_), EventBody::ChildWaitEnded { reason }) => Woken::Over(*reason),
        (ParkPoint::Wait(_), EventBody::SignalTaken { key, signal }) => {
            Woken::Signal(key.clone(), state.mailbox.get(key, *signal).unwrap().clone())
        }
        (ParkPoint::Instruction, EventBody::InstructionTaken) => {
            Woken::Instruction(state.instructions.front().unwrap().clone())
        }
        (ParkPoint::Fuel(_), EventBody::FuelAdded { units, .. }) => Woken::Fuel(*units),
        (ParkPoint::Fuel(_), EventBody::FuelRefused { .. }) => Woken::NoFuel,
        (ParkPoint::Approval(asked), EventBody::ApprovalDecided { number, decision }) if asked == number => {
            Woken::Decision(decision.clone())
        }
        (ParkPoint::Child(awaited), EventBody::ChildEnded { child, .. }) if awaited == child => Woken::Child(*child),
        _ => return None,
    })
}

/// A case, told line by line.
fn story(made: &Made, commands: &[Command]) -> String {
    let mut reference = Reference::new(made.clone());
    let mut lines = String::new();
    for (command, number) in commands.iter().zip(1..) {
        let told = reference.take(command);
        let _ = writeln!(lines, "{number}. {}: {command:?}\n   expected {told:?}", who(command));
    }
    lines
}

/// Many more than usual, because a rule may need a rare meeting of several.
fn many() -> ProptestConfig {
    ProptestConfig { cases: 2000, max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn r30_two_accounts_of_a_task_agree(setting in setting(), commands in prop::collection::vec(any_command(), 0..80)) {
        let made = setting.made();
        let (mut decider, mut reference) = (Decider::new(&made), Reference::new(made.clone()));
        prop_assert_eq!(decider.view(), reference.view.clone());
        let mut done = Vec::new();
        for command in setting.first().into_iter().chain(commands) {
            if !can_come(&reference.view, &command) {
                continue;
            }
            done.push(command.clone());
            let expected = reference.take(&command);
            let came = decider.take(command);
            prop_assert_eq!(&came, &expected, "told differently in the last step of\n{}", story(&made, &done));
            let view = decider.view();
            let clocks = (decider.state.deadline_runs(), decider.state.idle_runs());
            prop_assert_eq!(clocks, super::clocks(&view), "a clock is wrong after\n{}", story(&made, &done));
            prop_assert_eq!(&view, &reference.view, "differs after\n{}", story(&made, &done));
        }
    }

    #[test]
    fn r31_every_log_is_whole(setting in setting(), commands in prop::collection::vec(any_command(), 0..80)) {
        let made = setting.made();
        let mut decider = Decider::new(&made);
        let mut done = Vec::new();
        for command in setting.first().into_iter().chain(commands) {
            let view = decider.view();
            if !can_come(&view, &command) {
                continue;
            }
            done.push(command.clone());
            let (before, length) = (decider.state.clone(), decider.log.len());
            let came = decider.take(command.clone());
            let new = &decider.log[length..];
            whole(&before, &decider.state, new, &command, &came)
                .map_err(|fault| TestCaseError::fail(format!("{fault}, after\n{}", story(&made, &done))))?;
        }
        for (event, number) in decider.log.iter().zip(1..) {
            prop_assert_eq!(event.seq.0, number, "there is no gap");
        }
        let is_end = |event: &&Event| matches!(event.body, EventBody::Finished { .. });
        let ends = decider.log.iter().filter(is_end).count();
        prop_assert_eq!(ends, usize::from(decider.state.outcome.is_some()), "one end");
        prop_assert!(ends == 0 || decider.log.last().is_some_and(|event| is_end(&event)), "the end is the last");
        // The log is all there is: written down, read again and folded, it gives the same state.
        let written = serde_json::to_string(&decider.log).unwrap();
        let read: Vec<Event> = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(&read, &decider.log);
        let folded = read.iter().fold(TaskState::default(), |mut state, event| { state.apply(event); state });
        prop_assert_eq!(folded, decider.state);
    }
}

/// What holds in each step, whatever it is.
fn whole(
    before: &TaskState,
    after: &TaskState,
    new: &[Event],
    command: &Command,
    came: &Came,
) -> Result<(), &'static str> {
    let check = |holds: bool, fault: &'static str| if holds { Ok(()) } else { Err(fault) };
    if before.outcome.is_some() {
        check(before == after && new.is_empty(), "something happened after the end")?;
    }
    check(before.limits == after.limits, "a limit changed")?;
    let mut details = (*before.details).clone();
    if matches!(command, Command::SetDelivery { .. }) {
        (details.delivery, details.continue_policy) = (after.details.delivery, after.details.continue_policy);
    }
    if matches!(command, Command::Update { .. }) {
        (details.title, details.labels) = (after.details.title.clone(), after.details.labels.clone());
    }
    check((before.task.as_ref(), &details) == (after.task.as_ref(), &*after.details), "the request changed")?;
    check(after.background || !before.background || before.phase.is_none(), "nobody comes back from the background")?;
    let given = new.iter().filter_map(|event| {
        if let EventBody::FuelAdded { units, by, .. } = &event.body { Some((*units, *by)) } else { None }
    });
    let (units, by): (Vec<u64>, Vec<Party>) = given.unzip();
    let renewals = new
        .iter()
        .filter_map(|event| if let EventBody::FuelRenewed { units } = &event.body { Some(*units) } else { None });
    let renewed: Vec<u64> = renewals.collect();
    let more = units.iter().chain(&renewed).sum::<u64>();
    check(after.fuel_budget == before.fuel_budget + more, "the budget grew by itself")?;
    match command {
        Command::NewHour { used } => {
            check(renewed.len() <= 1, "an hour is given once")?;
            let most = before.fuel_budget.max(used + before.limits.fuel);
            check(after.fuel_budget <= most, "an hour gives more than an hour's fuel")?;
        }
        Command::Cancel { .. } => check(renewed.is_empty() || before.hour_used_up, "it had fuel to end with")?,
        _ => check(renewed.is_empty(), "an hour that nobody counted")?,
    }
    check(renewed.is_empty() || after.details.kind == TaskKind::Daemon, "only daemons live by the hour")?;
    check(after.revision == before.revision || matches!(command, Command::Update { .. }), "changed by nobody")?;
    match command {
        Command::AddFuel { by: person, .. } => check(by.iter().all(|by| by == person), "given by somebody else")?,
        Command::RequestFuel { .. } => {
            check(
                after.fuel_on_request <= after.limits.fuel_on_request
                    && after.fuel_on_approval <= after.limits.fuel_on_approval,
                "more was given than nobody need be asked for",
            )?;
            check(by.iter().all(|by| *by == Party::Host), "the host gives it")?;
        }
        Command::DecideApproval { decision, .. } => {
            let yes =
                matches!(decision, ApprovalDecision::Approved { by: whoever, .. } if by.iter().all(|by| by == whoever));
            check(units.is_empty() || yes, "given by somebody else than who approved")?;
        }
        _ => check(units.is_empty(), "fuel from nowhere")?,
    }
    check((after.outcome.is_some()) == (after.phase == Some(Phase::Ended)), "the phase and the outcome differ")?;
    check(
        after.outcome.is_none() || (after.parked.is_none() && after.paused.is_none()),
        "something is open at the end",
    )?;
    // Whoever was parked and is not any more was told so, and nobody else was.
    let goes_on = before.parked.is_some() && after.parked.as_ref() != before.parked.as_ref();
    let at_once = before.parked.is_none() && came.said == Said::Parked && after.parked.is_none();
    check((goes_on || at_once) == came.woken.is_some(), "whoever is parked is told when it goes on")?;
    check(after.cancel.is_none() || after.parked.is_none() && after.paused.is_none(), "what shall stop can run")?;
    check(before.cancel.is_none() || after.cancel.is_some(), "a cancel is forgotten")?;
    let asker = |state: &TaskState| state.cancel.as_ref().map(|asked| (asked.by, asked.reason.clone()));
    check(before.cancel.is_none() || asker(before) == asker(after), "who asked first and why stay")?;
    let written = new.iter().any(|event| matches!(event.body, EventBody::CancelRequested(_)));
    check(written == (before.cancel != after.cancel), "a cancel that changes nothing is not written down")?;
    let grace = |state: &TaskState| state.cancel.as_ref().map(|asked| asked.grace);
    check(before.cancel.is_none() || grace(after) <= grace(before), "a grace never grows")?;
    if let (Command::SetOutcome { by, .. }, Some(Event { body: EventBody::Finished { set_by, .. }, .. })) =
        (command, new.last())
    {
        check(set_by.as_ref() == Some(by), "whoever set the outcome is named")?;
    }
    Ok(())
}
