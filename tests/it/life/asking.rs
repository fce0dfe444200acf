//! Approvals, and what is said to a running task: with a real guest.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{
    ApprovalAnswer, ApprovalDecision, ApprovalNumber, Approvers, EventBody, Host, NotifyAnswer, Party, SimulatedClock,
    StartRequest, TaskHandle,
};

use crate::support::task::{data, events, outcome, please_stop, result, seen, start, start_as};
use crate::support::{builder, fixture, request, with_fixture, within};

const FIRST: ApprovalNumber = ApprovalNumber(1);

fn question() -> Value {
    json!({"kind": "deploy", "summary": "version \u{1b}7", "reason": "tests pass", "metadata": {"version": 7}})
}

/// Waits until the task asks for this many-th time.
async fn asked(task: &TaskHandle, nth: u64) {
    seen(task, |body| matches!(body, EventBody::ApprovalRequested { number, .. } if number.0 == nth)).await;
}

async fn asking(host: &Host) -> TaskHandle {
    let task = start(host, "approve", question()).await;
    asked(&task, 1).await;
    task
}

#[tokio::test]
async fn r26_a_question_is_in_the_state_until_it_is_decided() {
    let (host, _) = fixture().await;
    let task = asking(&host).await;
    let pending = task.state().approvals.remove(0);
    assert_eq!(
        (pending.number, pending.ask.kind.as_str(), pending.ask.reason.as_str()),
        (FIRST, "deploy", "tests pass")
    );
    assert_eq!((pending.ask.summary.as_str(), pending.ask.metadata), ("version \u{1b}7", Some(json!({"version": 7}))));
    let summary = task.state().summary();
    assert!(summary.starts_with("asks for approval (version \\u{1b}7)"), "{summary}");
    assert_eq!(within(task.approve(FIRST, None, Party::Person)).await, ApprovalAnswer::Decided);
    assert_eq!(data(outcome(&task).await), json!([{"approved": "person"}]));
    assert_eq!(task.state().approvals, []);
}

#[tokio::test]
async fn r26_an_approval_may_say_what_to_do_instead() {
    let (host, _) = fixture().await;
    for input in [json!({"version": 6}), Value::Null] {
        let task = asking(&host).await;
        within(task.approve(FIRST, Some(input.clone()), Party::Host)).await;
        assert_eq!(data(outcome(&task).await), json!([{"approved": "host", "input": input}]));
    }
}

#[tokio::test]
async fn r26_a_no_has_a_reason_and_the_task_goes_on() {
    let (host, _) = fixture().await;
    let twice = json!({"kind": "deploy", "summary": "version 7", "times": 2});
    let task = start(&host, "approve", twice).await;
    asked(&task, 1).await;
    within(task.deny(FIRST, "it is Friday", Party::Person)).await;
    asked(&task, 2).await;
    assert_eq!(within(task.deny(FIRST, "again", Party::Person)).await, ApprovalAnswer::NotAsked);
    within(task.approve(ApprovalNumber(2), None, Party::Person)).await;
    let decisions = json!([{"denied": "person", "reason": "it is Friday"}, {"approved": "person"}]);
    assert_eq!(data(outcome(&task).await), decisions);
}

#[tokio::test]
async fn r26_the_agent_that_asked_does_not_decide_unless_it_may() {
    let (host, _) = fixture().await;
    let task = asking(&host).await;
    let refused = within(task.approve(FIRST, None, Party::Agent)).await;
    assert!(matches!(refused, ApprovalAnswer::NotAllowed(_)), "{refused:?}");
    assert_eq!(task.state().approvals.len(), 1);
    within(task.approve(FIRST, None, Party::Person)).await;

    let mut trusted: StartRequest = request("approve", question());
    trusted.details.approvers = Approvers::Anybody;
    let task = start_as(&host, trusted).await;
    asked(&task, 1).await;
    assert_eq!(within(task.approve(FIRST, None, Party::Agent)).await, ApprovalAnswer::Decided);
    assert_eq!(data(outcome(&task).await), json!([{"approved": "agent"}]));
}

#[tokio::test]
async fn r26_nobody_deciding_is_a_no_and_the_deadline_stands_still_meanwhile() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let day = json!({"kind": "deploy", "summary": "version 7", "timeout_ms": 86_400_000});
    let task = start_as(&host, request("approve", day).timeout(Duration::from_mins(1))).await;
    asked(&task, 1).await;
    // Six hours at a time: far beyond its deadline and its idle time.
    for _ in 0..4 {
        assert_eq!(task.state().approvals.len(), 1);
        clock.advance(Duration::from_hours(6));
    }
    assert_eq!(data(outcome(&task).await), json!(["timed-out"]));
}

#[tokio::test]
async fn r26_a_cancel_ends_the_question_and_f19_the_log_says_so() {
    let (host, _) = fixture().await;
    let task = asking(&host).await;
    within(task.cancel(please_stop().grace(Duration::from_mins(10)))).await;
    assert_eq!(data(outcome(&task).await), json!(["cancelled"]));
    assert!(matches!(within(task.approve(FIRST, None, Party::Person)).await, ApprovalAnswer::AlreadyEnded(_)));
}

#[tokio::test]
async fn f19_every_question_has_one_decision_in_the_log() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    for end in ["approve", "deny", "time", "cancel", "force", "shutdown"] {
        let day = json!({"kind": "deploy", "summary": "version 7", "timeout_ms": 86_400_000});
        let task = start(&host, "approve", day).await;
        asked(&task, 1).await;
        match end {
            "approve" => drop(within(task.approve(FIRST, None, Party::Person)).await),
            "deny" => drop(within(task.deny(FIRST, "", Party::Person)).await),
            "time" => clock.advance(Duration::from_hours(24)),
            "cancel" => drop(within(task.cancel(please_stop())).await),
            "force" => drop(within(task.cancel(please_stop().grace(Duration::ZERO))).await),
            _ => within(host.shutdown()).await,
        }
        outcome(&task).await;
        let decisions: Vec<ApprovalDecision> = events(&task)
            .await
            .into_iter()
            .filter_map(|event| match event.body {
                EventBody::ApprovalDecided { number: FIRST, decision, .. } => Some(decision),
                _ => None,
            })
            .collect();
        assert_eq!(decisions.len(), 1, "{end}: {decisions:?}");
    }
}

#[tokio::test]
async fn r26_a_question_that_is_none_is_refused_and_the_task_goes_on() {
    let (host, _) = fixture().await;
    for kind in ["", "start", "a\nb", &"k".repeat(65)] {
        let answer = result(&host, "approve", json!({"kind": kind, "summary": "s"})).await;
        assert_eq!(answer, json!([{"refused": "invalid-argument"}]), "{kind:?}");
    }
    let long = "s".repeat((64 << 10) + 1);
    for question in [json!({"kind": "k", "summary": long}), json!({"kind": "k", "summary": "s", "reason": long})] {
        assert_eq!(result(&host, "approve", question).await, json!([{"refused": "too-large"}]));
    }
    let at_once = json!({"kind": "k", "summary": "s", "timeout_ms": 0});
    assert_eq!(result(&host, "approve", at_once).await, json!(["timed-out"]));
}

#[tokio::test]
async fn r28_what_is_said_to_a_task_reaches_it_in_order_with_who_said_it() {
    let (host, _) = fixture().await;
    let task = start(&host, "listen", json!({"times": 3})).await;
    seen(&task, |body| matches!(body, EventBody::InstructionWaitStarted { .. })).await;
    assert!(task.state().awaits_instruction);
    assert_eq!(within(task.instruct("only chapter 1", Party::Person)).await, NotifyAnswer::Delivered);
    within(task.instruct("and 2", Party::Agent)).await;
    within(task.instruct("that is all", Party::Host)).await;
    let heard = data(outcome(&task).await);
    assert_eq!(
        heard,
        json!([
            {"text": "only chapter 1", "sender": "person"},
            {"text": "and 2", "sender": "agent"},
            {"text": "that is all", "sender": "host"},
        ])
    );
    assert_eq!(within(task.instruct("too late", Party::Person)).await, NotifyAnswer::NoTask);
}

#[tokio::test]
async fn r28_a_timeout_of_0_only_looks_and_a_timeout_ends_the_wait() {
    let none = json!({"text": "none", "sender": null});
    let (host, _) = fixture().await;
    let task = start(&host, "listen", json!({"times": 2, "timeout_ms": 0})).await;
    assert_eq!(data(outcome(&task).await), json!([none, none]));
    assert!(!events(&task).await.iter().any(|event| matches!(event.body, EventBody::InstructionWaitStarted { .. })));

    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let task = start(&host, "listen", json!({"times": 1, "timeout_ms": 5000})).await;
    seen(&task, |body| matches!(body, EventBody::InstructionWaitStarted { .. })).await;
    clock.advance(Duration::from_secs(5));
    assert_eq!(data(outcome(&task).await), json!([none]));
}

#[tokio::test]
async fn r28_a_cancel_ends_the_wait_for_a_word() {
    let (host, _) = fixture().await;
    let task = start(&host, "listen", json!({"times": 2})).await;
    seen(&task, |body| matches!(body, EventBody::InstructionWaitStarted { .. })).await;
    within(task.cancel(please_stop().grace(Duration::from_mins(10)))).await;
    let cancelled = json!({"text": "cancelled", "sender": null});
    assert_eq!(data(outcome(&task).await), json!([cancelled, cancelled]));
}
