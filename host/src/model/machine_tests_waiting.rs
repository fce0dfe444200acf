//! The decider against random sequences of what parks a guest and what wakes it: signals from senders of every kind,
//! instructions, approvals, children, and what it spends elsewhere.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber, ApprovalRuling};
use super::children::ChildOutcome;
use super::command::{Answer, Command, Decision};
use super::event::{Budget, Event, EventBody};
use super::ids::{SignalKey, TaskId, TaskKey, TaskRef};
use super::limits::Limits;
use super::machine::step;
use super::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use super::request::CancelRequest;
use super::signal::{Instruction, NotifyAnswer, Party, SenderClass, Senders, Signal};
use super::snapshot::{Phase, Usage};
use super::state::{ParkPoint, TaskState};
use super::time::Timestamp;

const TOKENS: u64 = 100;
const ACTIONS: u64 = 10;

fn task(name: &str) -> TaskRef {
    TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::new(name).unwrap() }
}

fn create() -> Command {
    let limits = Limits { tokens: TOKENS, actions: ACTIONS, children: 2, children_in_all: 4, ..Limits::default() };
    Command::Create {
        task: Arc::new(task("k")),
        input: Arc::new(json!({})),
        limits: Arc::new(limits),
        details: Arc::default(),
        approval: None,
    }
}

fn key(number: u8) -> SignalKey {
    SignalKey::new(format!("key{number}")).unwrap()
}

fn child(number: u8) -> TaskId {
    TaskId::from_random(u128::from(number) + 1)
}

fn party() -> impl Strategy<Value = Party> {
    let itself = Just(Party::Itself);
    prop_oneof![Just(Party::Person), Just(Party::Agent), Just(Party::Host), Just(Party::Task(child(9))), itself]
}

fn timeout() -> impl Strategy<Value = Option<Duration>> {
    any::<Option<bool>>().prop_map(|zero| zero.map(|zero| Duration::from_secs(u64::from(!zero))))
}

fn decision() -> impl Strategy<Value = ApprovalDecision> {
    prop_oneof![
        (party(), any::<bool>())
            .prop_map(|(by, changed)| ApprovalDecision::Approved { by, input: changed.then(|| json!(1)) }),
        party().prop_map(|by| ApprovalDecision::Denied { by, reason: "r".into() }),
        Just(ApprovalDecision::TimedOut),
    ]
}

fn ruling() -> impl Strategy<Value = ApprovalRuling> {
    prop_oneof![
        3 => Just(ApprovalRuling::AsTheTaskSays),
        1 => Just(ApprovalRuling::Allowed),
        1 => Just(ApprovalRuling::Forbidden("no".into())),
    ]
}

/// What a guest asks for, which may park it.
fn asking() -> impl Strategy<Value = Command> {
    let senders = prop_oneof![
        Just(Senders::default()),
        Just(Senders::only([SenderClass::Person])),
        Just(Senders::only([SenderClass::Task, SenderClass::Agent])),
    ];
    prop_oneof![
        (0..3u8, senders, timeout()).prop_map(|(number, senders, timeout)| Command::Wait {
            keys: (0..=number).map(key).collect(),
            senders,
            timeout
        }),
        timeout().prop_map(|timeout| Command::NextInstruction { timeout }),
        (prop_oneof![Just("deploy"), Just("start"), Just("")], timeout()).prop_map(|(kind, timeout)| {
            Command::RequestApproval(ApprovalAsk { timeout, ..ApprovalAsk::new(kind, "r", "s") })
        }),
        (0..3u64, timeout()).prop_map(|(units, timeout)| Command::RequestFuel { units, reason: "r".into(), timeout }),
        (0..3u8, timeout()).prop_map(|(number, timeout)| Command::WaitChild { child: child(number), timeout }),
        (0..3u8, any::<bool>()).prop_map(|(number, detached)| Command::StartChild {
            child: child(number),
            task: task("child"),
            fuel: 5,
            detached
        }),
        (0..40u64, 0..4u64).prop_map(|(tokens, actions)| Command::RecordUsage {
            tool: "search".into(),
            tokens,
            actions,
            usage: Usage::default()
        }),
        (0..2u8).prop_map(|number| Command::MessageAgent {
            message: "m".into(),
            trigger: true,
            once: Some(key(number)),
            room: true,
        }),
    ]
}

/// What others do, which may wake it.
fn answering() -> impl Strategy<Value = Command> {
    let usage = Usage::default();
    let number = || (0..4u64).prop_map(ApprovalNumber);
    prop_oneof![
        (0..3u8, party()).prop_map(|(number, sender)| Command::Notify {
            key: key(number),
            signal: Signal::new(Some(json!(number)), sender)
        }),
        party().prop_map(|by| Command::Instruct(Instruction { text: "t".into(), by })),
        (number(), decision(), ruling()).prop_map(|(number, decision, ruling)| Command::DecideApproval {
            number,
            decision,
            ruling
        }),
        number().prop_map(move |number| Command::ApprovalTimedOut { number, usage }),
        (0..3u8).prop_map(|number| Command::ChildEnded {
            child: child(number),
            outcome: ChildOutcome::Succeeded,
            fuel: 3
        }),
        (0..4u64).prop_map(|wait| Command::WaitTimedOut { wait }),
        (0..4u8).prop_map(|number| Command::CancelWait { key: (number > 0).then(|| key(number - 1)) }),
        Just(Command::InstructionTimedOut),
        Just(Command::ChildTimedOut),
    ]
}

/// What ends the task, or begins its end.
fn ending() -> impl Strategy<Value = Command> {
    let usage = Usage::default();
    let grace = prop_oneof![Just(Duration::ZERO), Just(Duration::from_secs(5))];
    let fault = Failure::new(FailureKind::Host, "over elsewhere");
    prop_oneof![
        3 => grace.prop_map(move |grace| Command::Cancel {
            request: CancelRequest::new(Party::Person, "r").grace(grace),
            usage
        }),
        1 => Just(Command::GraceOver { usage }),
        1 => Just(Command::DeadlineReached { usage }),
        1 => Just(Command::SetOutcome { outcome: Outcome::Failed(fault), by: Party::Host, usage }),
        1 => Just(Command::CellEnded {
            end: CellEnd::Returned(GuestOutcome::Succeeded { message: String::new(), data: None }),
            usage,
            chance: 0.5
        }),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![10 => asking(), 10 => answering(), 1 => ending()]
}

/// Only a guest that is not parked calls, or ends.
fn is_by_guest(command: &Command) -> bool {
    matches!(
        command,
        Command::Wait { .. }
            | Command::NextInstruction { .. }
            | Command::RequestApproval(_)
            | Command::RequestFuel { .. }
            | Command::WaitChild { .. }
            | Command::StartChild { .. }
            | Command::RecordUsage { .. }
            | Command::MessageAgent { .. }
            | Command::CellEnded { .. }
    )
}

/// Folds a decision in.
fn fold(state: &mut TaskState, decision: &Decision) {
    for body in decision.events.clone() {
        let event = Event::new(state.seq.next(), Timestamp(0), body);
        state.apply(&event);
    }
}

/// Whether these events tell whoever is parked there that it goes on, or that all is over.
fn wakes(parked: &ParkPoint, events: &[EventBody]) -> bool {
    events.iter().any(|event| match (parked, event) {
        (_, EventBody::Finished { .. })
        | (ParkPoint::Instruction, EventBody::InstructionTaken | EventBody::InstructionWaitEnded { .. })
        | (ParkPoint::Approval(_), EventBody::ApprovalDecided { .. })
        | (
            ParkPoint::Fuel(_),
            EventBody::FuelAdded { .. } | EventBody::FuelRefused { .. } | EventBody::FuelRequestEnded { .. },
        )
        | (ParkPoint::Child(_), EventBody::ChildWaitEnded { .. }) => true,
        (ParkPoint::Wait(point), EventBody::SignalTaken { key, .. }) => point.keys.contains(key),
        (ParkPoint::Wait(point), EventBody::WaitEnded { wait, .. }) => point.wait == *wait,
        (ParkPoint::Child(awaited), EventBody::ChildEnded { child, .. }) => awaited == child,
        _ => false,
    })
}

proptest! {
    #[test]
    fn r20_every_ending_wakes_whoever_is_parked(commands in prop::collection::vec(any_command(), 0..80)) {
        let mut state = TaskState::default();
        for command in [create(), Command::Start].into_iter().chain(commands) {
            if state.parked.is_some() && is_by_guest(&command) {
                continue;
            }
            let before = state.clone();
            let asked_to_stop = matches!(command, Command::Cancel { .. });
            let said = matches!(command, Command::Instruct(_) | Command::Notify { .. });
            let decision = step(&state, command);
            fold(&mut state, &decision);

            if let Some(parked) = &before.parked {
                let goes_on = state.parked.as_ref() != Some(parked);
                prop_assert_eq!(goes_on, wakes(parked, &decision.events), "{:?} {:?}", parked, decision);
                prop_assert!(goes_on || !asked_to_stop || before.cancel.is_some(), "a cancel wakes it: {:?}", parked);
            }
            prop_assert!(state.outcome.is_none() || state.parked.is_none());
            prop_assert!(state.cancel.is_none() || state.parked.is_none(), "what shall stop is not parked again");
            prop_assert!((decision.answer == Answer::Parked) == (before.parked.is_none() && state.parked.is_some()));

            // A question is open exactly as long as the guest waits for it, and is decided once.
            prop_assert_eq!(matches!(state.parked, Some(ParkPoint::Approval(_))), state.approvals.len() == 1);
            prop_assert!(state.approvals.len() <= 1);
            // Whoever is parked has nothing to take.
            prop_assert!(state.parked != Some(ParkPoint::Instruction) || state.instructions.is_empty());
            let is_for = |point: &super::snapshot::WaitPoint| state.mailbox.oldest(&point.keys, &point.senders).is_some();
            prop_assert!(!state.waiting().is_some_and(is_for));
            if let Some(awaited) = state.awaited_child() {
                prop_assert!(state.children.iter().any(|child| child.id == awaited && child.outcome.is_none()));
            }
            if let Answer::Notified(answer) = decision.answer {
                let dropped = matches!(answer, NotifyAnswer::NoTask | NotifyAnswer::Full);
                prop_assert!(said && dropped == (before == state), "it is taken or refused, and that is said");
            }
        }
    }

    #[test]
    fn r26_only_who_may_decides_and_the_first_decision_stands(commands in prop::collection::vec(any_command(), 0..80)) {
        let mut state = TaskState::default();
        let (mut asked, mut decided) = (0, Vec::new());
        for command in [create(), Command::Start].into_iter().chain(commands) {
            if state.parked.is_some() && is_by_guest(&command) {
                continue;
            }
            let allowed = matches!(command, Command::DecideApproval { ruling: ApprovalRuling::Allowed, .. });
            let decision = step(&state, command);
            for event in &decision.events {
                asked += usize::from(matches!(event, EventBody::ApprovalRequested { .. }));
                if let EventBody::ApprovalDecided { number, decision } = event {
                    prop_assert!(!decided.contains(number), "decided twice");
                    decided.push(*number);
                    if let ApprovalDecision::Approved { by, .. } | ApprovalDecision::Denied { by, .. } = decision {
                        let may = matches!(by, Party::Person | Party::Host) || (allowed && *by == Party::Agent);
                        prop_assert!(may, "{:?} may not decide", by);
                    }
                }
            }
            fold(&mut state, &decision);
        }
        if state.outcome.is_some() {
            prop_assert_eq!(decided.len(), asked, "what is open at the end is decided by it");
        }
    }

    #[test]
    fn r2a_a_budget_warns_once_and_then_stops(commands in prop::collection::vec(any_command(), 0..80)) {
        let mut state = TaskState::default();
        let mut lows = Vec::new();
        for command in [create(), Command::Start].into_iter().chain(commands) {
            if state.parked.is_some() && is_by_guest(&command) {
                continue;
            }
            let decision = step(&state, command);
            for event in &decision.events {
                if let EventBody::BudgetLow { budget, .. } = event {
                    prop_assert!(!lows.contains(budget), "warned twice");
                    lows.push(*budget);
                }
            }
            fold(&mut state, &decision);
            let over = state.tokens >= TOKENS || state.actions >= ACTIONS;
            let low = |used: u64, limit: u64| used >= limit / 5 * 4;
            prop_assert_eq!(low(state.tokens, TOKENS), lows.contains(&Budget::Tokens));
            prop_assert_eq!(low(state.actions, ACTIONS), lows.contains(&Budget::Actions));
            prop_assert!(!over || state.phase == Some(Phase::Ended), "it is used up, and the task goes on");
            let live = state.children.iter().filter(|child| child.outcome.is_none()).count();
            prop_assert!(live <= 2 && state.children.len() <= 4);
        }
    }

    #[test]
    fn events_of_waiting_survive_being_written_down(commands in prop::collection::vec(any_command(), 0..40)) {
        let mut state = TaskState::default();
        let mut log = Vec::new();
        for command in [create(), Command::Start].into_iter().chain(commands) {
            if state.parked.is_some() && is_by_guest(&command) {
                continue;
            }
            for body in step(&state, command).events {
                let event = Event::new(state.seq.next(), Timestamp(0), body);
                let text = serde_json::to_string(&event).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Event>(&text).unwrap(), &event, "{}", text);
                state.apply(&event);
                log.push(event);
            }
        }
        let folded = log.iter().fold(TaskState::default(), |mut state, event| { state.apply(event); state });
        prop_assert_eq!(folded, state, "the log alone gives the state");
    }
}
