//! The decider at its edges: what a random case seldom reaches.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::command::{Answer, Command};
use super::event::{Event, EventBody};
use super::ids::{SignalKey, TaskId, TaskKey, TaskRef};
use super::limits::Limits;
use super::machine::{RefusalKind, step};
use super::outcome::{CellEnd, Failure, FailureKind, Outcome};
use super::retry::RetryPolicy;
use super::signal::{Instruction, NotifyAnswer, Party, Senders};
use super::snapshot::{Phase, Usage};
use super::state::TaskState;
use super::time::Timestamp;

fn decide(state: &mut TaskState, at: u64, command: Command) -> Answer {
    let decision = step(state, command);
    for body in decision.events {
        state.apply(&Event::new(state.seq.next(), Timestamp(at), body));
    }
    decision.answer
}

fn started(limits: &Limits, attempts: u32) -> TaskState {
    let mut state = TaskState::default();
    let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::new("k").unwrap() };
    let retry = RetryPolicy::attempts(attempts).with_crashes();
    let details = Arc::new(super::details::TaskDetails { retry, ..Default::default() });
    let limits = Arc::new(*limits);
    decide(
        &mut state,
        0,
        Command::Create { task: Arc::new(task), input: Arc::new(json!({})), limits, details, approval: None },
    );
    decide(&mut state, 1, Command::Start);
    state
}

fn wait(keys: usize) -> Command {
    let keys = (0..keys).map(|number| SignalKey::new(format!("key{number}")).unwrap()).collect();
    Command::Wait { keys, senders: Senders::default(), timeout: Some(Duration::ZERO) }
}

fn broken(kind: FailureKind) -> Command {
    let failure = Failure::at_limit(kind, "memory_bytes", "it broke");
    Command::CellEnded { end: CellEnd::Failed(failure), usage: Usage::default(), chance: 0.0 }
}

fn is_refused(answer: &Answer, kind: RefusalKind) -> bool {
    matches!(answer, Answer::Refused(refusal) if refusal.kind == kind)
}

#[test]
fn r21_a_wait_has_64_keys_at_most() {
    let mut state = started(&Limits::default(), 1);
    assert!(!is_refused(&decide(&mut state, 2, wait(64)), RefusalKind::InvalidArgument));
    assert!(is_refused(&decide(&mut state, 2, wait(65)), RefusalKind::InvalidArgument));
}

#[test]
fn r28_what_is_said_is_kept_1024_times() {
    let mut state = started(&Limits::default(), 1);
    let say = || Command::Instruct(Instruction { text: "t".into(), by: Party::Person });
    for _ in 0..1024 {
        assert_eq!(decide(&mut state, 2, say()), Answer::Notified(NotifyAnswer::Buffered));
    }
    assert_eq!(decide(&mut state, 2, say()), Answer::Notified(NotifyAnswer::Full));
}

#[test]
fn r38_each_attempt_has_its_own_panic_and_the_task_one_beginning() {
    let mut state = started(&Limits::default(), 3);
    let panic = Command::Panic { message: "first".into(), place: "p".into() };
    decide(&mut state, 2, panic);
    decide(&mut state, 3, broken(FailureKind::Trap));
    assert_eq!(state.phase, Some(Phase::Delayed));
    decide(&mut state, 4, Command::Due);
    decide(&mut state, 5, Command::Start);
    assert_eq!((state.attempt, state.started_at), (2, Some(Timestamp(1))));
    decide(&mut state, 6, broken(FailureKind::Memory));
    let Some(Outcome::Failed(failure)) = state.outcome.as_deref() else { panic!("{state:?}") };
    assert_eq!((failure.kind, failure.limit.as_deref()), (FailureKind::Memory, Some("memory_bytes")));
}

#[test]
fn r37_a_panic_is_no_limit() {
    let mut state = started(&Limits::default(), 1);
    decide(&mut state, 2, Command::Panic { message: "m".into(), place: "p".into() });
    decide(&mut state, 3, broken(FailureKind::Memory));
    let Some(Outcome::Failed(failure)) = state.outcome.as_deref() else { panic!("{state:?}") };
    assert_eq!((failure.kind, failure.is_limit()), (FailureKind::Panic, false));
}

#[test]
fn t10_each_part_of_a_log_is_full_by_its_bytes_too() {
    let mut state = started(&Limits { log_bytes: 100, ..Limits::default() }, 1);
    let text = |bytes| "t".repeat(bytes);
    let say = |by| Command::Instruct(Instruction { text: text(50), by });
    let (task, person) = (Party::Task(TaskId::from_random(7)), Party::Person);
    let full = Answer::Notified(NotifyAnswer::Full);
    assert_ne!(decide(&mut state, 2, say(task)), full);
    assert_eq!(decide(&mut state, 2, say(task)), full, "tasks have half of it");
    assert_ne!(decide(&mut state, 2, say(person)), full);
    assert_eq!(decide(&mut state, 2, say(person)), full);
    let message = |bytes| Command::MessageAgent { message: text(bytes), trigger: false, once: None, room: true };
    assert_eq!(decide(&mut state, 2, message(100)), Answer::Done, "the guest has its own part");
    assert!(is_refused(&decide(&mut state, 2, message(1)), RefusalKind::TooLarge));
    let report = |last| Command::Progress { message: text(100), percent: None, restarted: false, merged: 0, last };
    assert_eq!(decide(&mut state, 2, report(false)), Answer::Done, "and its reports theirs");
    assert!(is_refused(&decide(&mut state, 2, report(false)), RefusalKind::TooLarge));
    assert_eq!(decide(&mut state, 2, report(true)), Answer::Done, "the last one is told all the same");
}

#[test]
fn r3_a_pause_does_not_count_for_the_time_that_is_left() {
    let mut state = started(&Limits::default(), 1);
    let report = |percent| Command::Progress {
        message: String::new(),
        percent: Some(percent),
        restarted: false,
        merged: 0,
        last: false,
    };
    decide(&mut state, 1_000, report(0));
    decide(&mut state, 2_000, Command::Pause { by: Party::Person, reason: String::new() });
    decide(&mut state, 60_000, Command::Resume { by: Party::Person });
    decide(&mut state, 61_000, report(50));
    let look = state.snapshot(TaskId::from_random(1), Usage::default(), Timestamp(61_000)).unwrap();
    assert_eq!(look.progress.and_then(|progress| progress.eta), Some(Duration::from_secs(2)));
}

#[test]
fn f18_asking_again_for_no_less_time_writes_nothing() {
    let mut state = started(&Limits::default(), 1);
    let cancel = || Command::Cancel {
        request: super::request::CancelRequest::new(Party::Person, "enough"),
        usage: Usage::default(),
    };
    assert_eq!(step(&state, cancel()).events.len(), 1);
    decide(&mut state, 2, cancel());
    assert_eq!(step(&state, cancel()).events, [] as [EventBody; 0]);
}

#[test]
fn r3a_whoever_sets_an_outcome_is_named() {
    let state = started(&Limits::default(), 1);
    let outcome = Outcome::Succeeded { message: String::new(), data: None };
    let set = Command::SetOutcome { outcome, by: Party::Agent, usage: Usage::default() };
    let events = step(&state, set).events;
    assert!(matches!(&events[..], [EventBody::Finished { set_by: Some(Party::Agent), .. }]), "{events:?}");
}
