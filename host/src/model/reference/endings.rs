//! Whatever a guest is parked in, and whatever ends that: it is told.

use std::time::Duration;

use super::commands::key;
use super::judge::Decider;
use super::{Made, Said, Woken};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber, ApprovalRuling, Approvers};
use crate::model::children::ChildOutcome;
use crate::model::command::Command;
use crate::model::delivery::DeliveryMode;
use crate::model::event::WaitEnd;
use crate::model::ids::TaskId;
use crate::model::limits::Limits;
use crate::model::machine::RefusalKind;
use crate::model::outcome::{CellEnd, Failure, FailureKind, Outcome};
use crate::model::permission::Permission;
use crate::model::request::CancelRequest;
use crate::model::retry::RetryPolicy;
use crate::model::signal::{Instruction, Party, Senders, Signal};
use crate::model::snapshot::{Phase, Usage};

fn running(attempts: u32) -> Decider {
    let mut decider = Decider::new(&Made {
        input: serde_json::json!({}),
        limits: Limits::default(),
        held: false,
        later: false,
        foreground: true,
        retry: RetryPolicy::attempts(attempts).with_crashes(),
        approvers: Approvers::default(),
        permission: Permission::default(),
        enforced: false,
        daemon: false,
        planner: false,
        restartable: false,
    });
    decider.take(Command::Start);
    let (child, task) = (TaskId::from_random(1), super::commands::task("child"));
    decider.take(Command::StartChild { child, task, fuel: 1, detached: false });
    decider
}

/// Every call that parks a guest.
fn parking() -> [Command; 5] {
    [
        Command::Wait { keys: vec![key(0)], senders: Senders::default(), timeout: None },
        Command::NextInstruction { timeout: None },
        Command::RequestApproval(ApprovalAsk::new("deploy", "", "")),
        Command::RequestFuel { units: 1, reason: String::new(), timeout: None },
        Command::WaitChild { child: TaskId::from_random(1), timeout: None },
    ]
}

/// What answers each of them.
fn answers() -> [(Command, Woken); 5] {
    let (number, by) = (ApprovalNumber(1), Party::Person);
    let said = Instruction { text: "t".into(), by };
    let decision = ApprovalDecision::Approved { by, input: None };
    let child = TaskId::from_random(1);
    let signal = Signal::new(None, by);
    [
        (Command::Notify { key: key(0), signal: signal.clone() }, Woken::Signal(key(0), signal)),
        (Command::Instruct(said.clone()), Woken::Instruction(said)),
        (
            Command::DecideApproval { number, decision: decision.clone(), ruling: ApprovalRuling::AsTheTaskSays },
            Woken::Decision(decision),
        ),
        (Command::AddFuel { units: 3, by }, Woken::Fuel(3)),
        (Command::ChildEnded { child, outcome: ChildOutcome::Succeeded, fuel: 0 }, Woken::Child(child)),
    ]
}

/// Everything that ends a task, or its attempt, or says that it shall end.
fn endings() -> [Command; 8] {
    let usage = Usage::default();
    let cancel = |request| Command::Cancel { request, usage };
    let broken = |kind| CellEnd::Failed(Failure::new(kind, "it broke"));
    let outcome = Outcome::Succeeded { message: String::new(), data: None };
    [
        cancel(CancelRequest::new(Party::Person, "")),
        cancel(CancelRequest::force(Party::Host, "the host is shutting down")),
        Command::DeadlineReached { usage },
        Command::SetOutcome { outcome, by: Party::Host, usage },
        Command::CellEnded { end: broken(FailureKind::Host), usage, chance: 0.0 },
        Command::CellEnded { end: broken(FailureKind::OutOfFuel), usage, chance: 0.0 },
        Command::CellEnded { end: broken(FailureKind::Memory), usage, chance: 0.0 },
        Command::CancelWait { key: None },
    ]
}

#[test]
fn f01_whatever_ends_a_task_answers_whoever_is_parked() {
    for attempts in [1, 2] {
        for (parks, (_, answer)) in parking().into_iter().zip(answers()) {
            for ends in endings() {
                let mut decider = running(attempts);
                assert_eq!(decider.take(parks.clone()).said, Said::Parked);
                let came = decider.take(ends.clone());
                let story = format!("{parks:?}, {ends:?}");
                let expected = match (&ends, &answer) {
                    // The host ends waits for signals one by one, and nothing else.
                    (Command::CancelWait { .. }, Woken::Signal(..)) => Woken::Over(WaitEnd::WaitCancelled),
                    (Command::CancelWait { .. }, _) => {
                        assert_eq!(came.woken, None, "{story}");
                        continue;
                    }
                    (_, Woken::Decision(_)) => Woken::Decision(ApprovalDecision::Cancelled),
                    _ => Woken::Over(WaitEnd::Cancelled),
                };
                assert_eq!(came.woken, Some(expected), "{story}");
                assert_eq!(decider.state.approvals, [], "{story}");
                assert_eq!(decider.state.parked, None, "{story}");
            }
        }
    }
}

#[test]
fn f05_a_second_call_of_a_parked_guest_does_not_take_the_first_ones_answer() {
    for (first, (answer, expected)) in parking().into_iter().zip(answers()) {
        for second in parking() {
            let mut decider = running(1);
            decider.take(first.clone());
            let story = format!("{first:?}, {second:?}");
            assert_eq!(decider.take(second).said, Said::Refused(RefusalKind::Host), "{story}");
            assert_eq!(decider.take(answer.clone()).woken, Some(expected.clone()), "{story}");
        }
    }
}

#[test]
fn f24_each_end_keeps_its_own_words_and_its_own_kind() {
    use crate::model::outcome::GuestOutcome;
    let ends = [
        (
            GuestOutcome::Succeeded { message: "went well".into(), data: Some("s".into()) },
            Outcome::Succeeded { message: "went well".into(), data: Some("s".into()) },
        ),
        (
            GuestOutcome::Failed { message: "went badly".into(), error: Some("f".into()), retryable: true },
            Outcome::Failed(Failure {
                error: Some("f".into()),
                retryable: true,
                ..Failure::new(FailureKind::Guest, "went badly")
            }),
        ),
    ];
    for (returned, expected) in ends {
        for cancel in [false, true] {
            let mut decider = running(1);
            if cancel {
                let request = CancelRequest::new(Party::Person, "enough");
                decider.take(Command::Cancel { request, usage: Usage::default() });
            }
            let end = CellEnd::Returned(returned.clone());
            decider.take(Command::CellEnded { end, usage: Usage::default(), chance: 0.0 });
            assert_eq!(decider.state.outcome.as_deref(), Some(&expected));
        }
    }
}

/// Everything that anybody may still try with a task that is over.
#[test]
fn f27_nothing_that_comes_after_the_end_touches_the_result() {
    let usage = Usage { fuel: 99, ..Usage::default() };
    let (by, number) = (Party::Person, ApprovalNumber(1));
    let later = [
        Command::SetOutcome { outcome: Outcome::Failed(Failure::new(FailureKind::Host, "other")), by, usage },
        Command::Cancel { request: CancelRequest::force(by, "late"), usage },
        Command::GraceOver { usage },
        Command::DeadlineReached { usage },
        Command::Idle { usage },
        Command::CellEnded { end: CellEnd::Failed(Failure::new(FailureKind::Trap, "late")), usage, chance: 0.0 },
        Command::Panic { message: "late".into(), place: "p".into() },
        Command::Progress { message: "late".into(), percent: Some(1), restarted: true, merged: 0, last: true },
        Command::Pause { by, reason: "late".into() },
        Command::Resume { by },
        Command::Detach { by },
        Command::SetDelivery { delivery: Some(DeliveryMode::Manual), continue_policy: None, by },
        Command::AddFuel { units: 5, by },
        Command::RefuseFuel { by, reason: String::new() },
        Command::DecideApproval {
            number,
            decision: ApprovalDecision::Denied { by, reason: String::new() },
            ruling: ApprovalRuling::Allowed,
        },
        Command::ApprovalTimedOut { number, usage },
        Command::Start,
        Command::Due,
        Command::RecordUsage { tool: "t".into(), tokens: 1, actions: 1, usage },
        Command::Stalled { fuel: 1, quiet: Duration::from_secs(1) },
        Command::FuelLow { used: u64::MAX },
        Command::ChildEnded { child: TaskId::from_random(1), outcome: ChildOutcome::Failed, fuel: 9 },
    ];
    for before in [Phase::Running, Phase::Queued] {
        let mut decider = running(2);
        if before == Phase::Queued {
            decider = Decider::new(&Made {
                input: serde_json::json!({}),
                limits: Limits::default(),
                held: true,
                later: true,
                foreground: true,
                retry: RetryPolicy::attempts(2),
                approvers: Approvers::default(),
                permission: Permission::default(),
                enforced: false,
                daemon: false,
                planner: false,
                restartable: false,
            });
        }
        let outcome = Outcome::Succeeded { message: "done elsewhere".into(), data: Some(1.into()) };
        decider.take(Command::SetOutcome { outcome: outcome.clone(), by: Party::Host, usage: Usage::default() });
        let (state, events) = (decider.state.clone(), decider.log.len());
        assert_eq!(state.outcome.as_deref(), Some(&outcome));
        for command in later.clone().into_iter().chain(parking()) {
            let came = decider.take(command.clone());
            assert_eq!((&decider.state, decider.log.len()), (&state, events), "{command:?}");
            assert!(matches!(came.said, Said::AlreadyEnded | Said::Refused(RefusalKind::Ended) | Said::Over(_)));
        }
    }
}

#[test]
fn r27_a_fault_of_the_host_does_not_let_a_held_task_run_without_its_yes() {
    let mut decider = Decider::new(&Made {
        input: serde_json::json!({}),
        limits: Limits::default(),
        held: true,
        later: false,
        foreground: true,
        retry: RetryPolicy::attempts(3).with_crashes(),
        approvers: Approvers::default(),
        permission: Permission::default(),
        enforced: false,
        daemon: false,
        planner: false,
        restartable: false,
    });
    let end = CellEnd::Failed(Failure::new(FailureKind::Host, "the host panicked"));
    decider.take(Command::CellEnded { end, usage: Usage::default(), chance: 0.0 });
    assert_eq!(decider.state.phase, Some(Phase::Ended));
}
