//! Whose events fill a task's log, and when a budget is low.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::approval::{ApprovalAsk, ApprovalDecision};
use super::command::{Answer, Command};
use super::event::{Event, EventBody};
use super::ids::{SignalKey, TaskId, TaskKey, TaskRef};
use super::limits::Limits;
use super::machine::step;
use super::outcome::{CellEnd, Failure, FailureKind};
use super::retry::RetryPolicy;
use super::signal::{NotifyAnswer, Party, Senders, Signal};
use super::snapshot::Usage;
use super::state::TaskState;
use super::time::Timestamp;

fn decide(state: &mut TaskState, command: Command) -> (Answer, Vec<EventBody>) {
    let decision = step(state, command);
    for body in &decision.events {
        state.apply(&Event::new(state.seq.next(), Timestamp(0), body.clone()));
    }
    (decision.answer, decision.events)
}

fn started(limits: &Limits, retry: RetryPolicy) -> TaskState {
    let mut state = TaskState::default();
    let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::new("k").unwrap() };
    let details = Arc::new(super::details::TaskDetails { retry, ..Default::default() });
    let limits = Arc::new(*limits);
    decide(
        &mut state,
        Command::Create { task: Arc::new(task), input: Arc::new(json!({})), limits, details, approval: None },
    );
    decide(&mut state, Command::Start);
    state
}

fn notify(state: &mut TaskState, sender: Party) -> Answer {
    let key = SignalKey::new("go").unwrap();
    decide(state, Command::Notify { key, signal: Signal::new(None, sender) }).0
}

#[test]
fn t10_others_fill_their_own_part_of_a_log_and_the_task_can_still_wait() {
    let mut state = started(&Limits { log_events: 8, ..Limits::default() }, RetryPolicy::default());
    let stranger = Party::Task(TaskId::from_random(7));
    for _ in 0..4 {
        assert_eq!(notify(&mut state, stranger), Answer::Notified(NotifyAnswer::Buffered));
    }
    assert_eq!(notify(&mut state, stranger), Answer::Notified(NotifyAnswer::Full));
    assert_eq!(notify(&mut state, Party::Person), Answer::Notified(NotifyAnswer::Buffered));
    let pause = || Command::Pause { by: Party::Person, reason: String::new() };
    for _ in 0..2 {
        assert_eq!(decide(&mut state, pause()).0, Answer::Done);
        decide(&mut state, Command::Resume { by: Party::Person });
    }
    assert_eq!(state.paused, None, "whoever is paused is let go on");
    assert_eq!(decide(&mut state, pause()).0, Answer::Unchanged);
    assert_eq!(notify(&mut state, Party::Person), Answer::Notified(NotifyAnswer::Full));
    let keys = vec![SignalKey::new("other").unwrap()];
    let wait = Command::Wait { keys, senders: Senders::default(), timeout: None };
    assert_eq!(decide(&mut state, wait).0, Answer::Parked);
}

#[test]
fn r26_a_question_that_is_open_when_an_attempt_ends_is_decided() {
    let retry = RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO).with_crashes();
    let mut state = started(&Limits::default(), retry);
    let ask =
        ApprovalAsk { kind: "k".into(), reason: String::new(), summary: String::new(), metadata: None, timeout: None };
    decide(&mut state, Command::RequestApproval(ask));
    let end = CellEnd::Failed(Failure::new(FailureKind::Trap, "it broke"));
    let (_, events) = decide(&mut state, Command::CellEnded { end, usage: Usage::default(), chance: 0.0 });
    let cancelled = EventBody::ApprovalDecided { number: state_number(), decision: ApprovalDecision::Cancelled };
    assert_eq!(events.first(), Some(&cancelled));
    assert!(matches!(events.last(), Some(EventBody::AttemptEnded { .. })));
    assert_eq!(state.approvals, []);
}

fn state_number() -> super::approval::ApprovalNumber {
    super::approval::ApprovalNumber(1)
}

#[test]
fn r2a_a_small_budget_is_not_low_before_anything_is_used() {
    let mut state = started(&Limits { tokens: 4, ..Limits::default() }, RetryPolicy::default());
    let record = |tokens| Command::RecordUsage { tool: "t".into(), tokens, actions: 0, usage: Usage::default() };
    let low = |events: &[EventBody]| events.iter().any(|body| matches!(body, EventBody::BudgetLow { .. }));
    assert!(!low(&decide(&mut state, record(0)).1));
    assert!(!low(&decide(&mut state, record(3)).1), "three of four are less than four fifths");
    assert!(low(&decide(&mut state, record(1)).1));
}
