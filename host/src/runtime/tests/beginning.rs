//! When a task's code begins: in its turn, at its moment, after a yes, and once more when an attempt failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use crate::model::admission::Concurrency;
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber};
use crate::model::details::DetailsError;
use crate::model::event::EventBody;
use crate::model::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::retry::RetryPolicy;
use crate::model::scratch::ScratchPolicy;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::runtime::desk::Desk;
use crate::runtime::handle::{ApprovalAnswer, TaskHandle};
use crate::runtime::start_error::StartError;

const SECOND: Duration = Duration::from_secs(1);
const FIRST: ApprovalNumber = ApprovalNumber(1);

fn held(timeout: Option<Duration>) -> StartRequest {
    let ask = ApprovalAsk { timeout, ..ApprovalAsk::new(ApprovalAsk::START, "it deletes", "delete the folder") };
    StartRequest { approval: Some(ask), ..request() }
}

fn bench() -> Bench {
    Bench::new(script(|_| async { success(json!("ran")) }))
}

fn failed(outcome: Outcome) -> Failure {
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    failure
}

#[tokio::test]
async fn r27_a_start_that_needs_approval_runs_after_a_yes_and_not_before() {
    let bench = bench();
    let task = bench.inner.start(held(None)).await.unwrap();
    bench.advance(SECOND * 3600).await;
    assert_eq!((task.state().phase, task.state().started_at), (Phase::Held, None), "no time runs for it");
    assert_eq!(task.state().approvals[0].ask.summary, "delete the folder");
    let (id, no) = (task.id(), task.approve(FIRST, None, Party::Agent).await);
    assert!(matches!(no, ApprovalAnswer::NotAllowed(_)), "the one who asked does not decide: {no:?}");
    assert_eq!(task.approve(FIRST, None, Party::Person).await, ApprovalAnswer::Decided);
    assert_eq!(task.wait().await, Outcome::Succeeded { message: "done".into(), data: Some(json!("ran")) });
    assert_eq!(task.id(), id);
    let order: Vec<bool> =
        log(&task).await.iter().map(|event| matches!(event.body, EventBody::Started { .. })).collect();
    assert_eq!(order, [false, false, false, true, false], "created, asked, decided, started, finished");
}

#[tokio::test]
async fn r27_a_no_and_nobody_at_all_are_outcomes_of_a_task_that_never_ran() {
    let bench = bench();
    let denied = bench.inner.start(held(None)).await.unwrap();
    assert_eq!(denied.deny(FIRST, "not on a Friday", Party::Person).await, ApprovalAnswer::Decided);
    let failure = failed(denied.wait().await);
    assert_eq!(failure.kind, FailureKind::Denied);
    assert!(failure.message.contains("not on a Friday"), "{}", failure.message);
    let alone = bench.inner.start(held(Some(SECOND))).await.unwrap();
    bench.advance(SECOND).await;
    assert_eq!(failed(alone.wait().await).kind, FailureKind::NotStarted);
    let cancelled = bench.inner.start(held(None)).await.unwrap();
    cancelled.cancel(CancelRequest::new(Party::Person, "never mind")).await;
    assert!(matches!(cancelled.wait().await, Outcome::Cancelled { begun: false, forced: false, .. }));
    for task in [denied, alone, cancelled] {
        let decided = |body: &EventBody| matches!(body, EventBody::ApprovalDecided { .. });
        let log = log(&task).await;
        assert_eq!(log.iter().filter(|event| decided(&event.body)).count(), 1);
        assert!(!log.iter().any(|event| matches!(event.body, EventBody::Started { .. })));
    }
}

#[tokio::test]
async fn r27_an_approver_may_change_the_input_into_another_that_fits() {
    let bench = bench();
    let task = bench.inner.start(StartRequest { input: json!({"n": 1}), ..held(None) }).await.unwrap();
    let unfit = task.approve(FIRST, Some(json!(7)), Party::Person).await;
    assert!(matches!(unfit, ApprovalAnswer::NotAllowed(_)), "the schema wants an object: {unfit:?}");
    assert_eq!(task.state().phase, Phase::Held);
    task.approve(FIRST, Some(json!({"n": 2})), Party::Person).await;
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
    assert_eq!(*bench.inputs.lock().unwrap(), [json!({"n": 2})]);
    let decision = |body: &EventBody| {
        matches!(body, EventBody::ApprovalDecided { decision, .. }
        if matches!(decision, ApprovalDecision::Approved { input: Some(_), .. }))
    };
    assert!(log(&task).await.iter().any(|event| decision(&event.body)));
}

#[tokio::test]
async fn r10_a_task_with_a_moment_to_begin_at_waits_for_it() {
    let bench = bench();
    let mut later = request();
    later.details.run_at = Some(Timestamp(bench.clock.date().0 + 60_000));
    let task = bench.inner.start(later).await.unwrap();
    bench.advance(SECOND * 59).await;
    assert_eq!(task.state().phase, Phase::Delayed);
    bench.advance(SECOND).await;
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
    let mut past = request();
    past.details.run_at = Some(Timestamp(1));
    let task = bench.inner.start(past).await.unwrap();
    bench.advance(Duration::ZERO).await;
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }), "a moment that is over has come");
}

/// A guest that fails so many times before it succeeds.
fn failing(times: u32) -> Bench {
    let attempts = Arc::new(AtomicU32::new(0));
    Bench::new(script(move |link| {
        let attempts = Arc::clone(&attempts);
        async move {
            link.gauges.set_fuel_used(link.gauges.fuel_used() + 10);
            if attempts.fetch_add(1, Ordering::Relaxed) < times {
                let (message, error) = ("busy".to_owned(), None);
                return CellEnd::Returned(GuestOutcome::Failed { message, error, retryable: true });
            }
            success(json!(wait_for(&link, "kept", Some(Duration::ZERO)).await))
        }
    }))
}

fn retried(attempts: u32) -> StartRequest {
    let mut request = request().signal(key("kept"), Some(json!(1)), Party::Person);
    request.details.retry = RetryPolicy::attempts(attempts).backoff(SECOND * 10, SECOND * 60);
    request
}

#[tokio::test]
async fn r38_a_failure_that_may_help_is_tried_again_after_its_time() {
    let bench = failing(2);
    let task = bench.inner.start(retried(3)).await.unwrap();
    bench.advance(SECOND * 7).await;
    assert_eq!((task.state().phase, task.state().attempt), (Phase::Delayed, 1), "8 to 10 seconds at first");
    bench.advance(SECOND * 3).await;
    assert_eq!(task.state().attempt, 2);
    bench.advance(SECOND * 20).await;
    // What was kept for it is still there.
    let data = Some(json!("Some(Number(1)) from person"));
    assert_eq!(task.wait().await, Outcome::Succeeded { message: "done".into(), data });
    let state = task.state();
    assert_eq!((state.attempt, state.usage.fuel), (3, 30), "the attempts' fuel is summed");
    let ended = |body: &EventBody| matches!(body, EventBody::AttemptEnded { .. });
    assert_eq!(log(&task).await.iter().filter(|event| ended(&event.body)).count(), 2);
}

#[tokio::test]
async fn r38_the_attempts_have_an_end_and_a_cancel_between_two_ends_them() {
    let bench = failing(9);
    let task = bench.inner.start(retried(2)).await.unwrap();
    bench.advance(SECOND * 10).await;
    settle().await;
    assert_eq!(failed(task.wait().await).message, "busy");
    assert_eq!(task.state().attempt, 2);
    let task = bench.inner.start(retried(5)).await.unwrap();
    settle().await;
    assert_eq!(task.state().phase, Phase::Delayed);
    task.cancel(CancelRequest::new(Party::Agent, "enough")).await;
    assert!(matches!(task.wait().await, Outcome::Cancelled { begun: true, forced: false, .. }));
    task.gone().await;
}

/// A task that has failed once, left a file, and waits for its next attempt.
async fn between_attempts(bench: &Bench, policy: Option<ScratchPolicy>) -> TaskHandle {
    bench.cells.lock().unwrap().write = true;
    let mut asked = retried(3);
    asked.details.scratch = policy;
    let task = bench.inner.start(asked).await.unwrap();
    settle().await;
    assert_eq!((task.state().phase, task.state().attempt), (Phase::Delayed, 1));
    task
}

fn left_in(bench: &Bench, task: &TaskHandle) -> Option<String> {
    let dirs = &bench.inner.around.dirs;
    let root = dirs.kept_path(task.id()).ancestors().nth(2).unwrap().join("scratch");
    let all = cap_std::fs::Dir::open_ambient_dir(root, cap_std::ambient_authority()).unwrap();
    all.read_to_string(format!("{}/attempt", dirs.scratch(task.id()).name())).ok()
}

#[tokio::test]
async fn f25_a_task_that_ends_between_two_attempts_leaves_no_directory() {
    for queued in [false, true] {
        let bench = failing(9);
        let task = between_attempts(&bench, None).await;
        assert_eq!(left_in(&bench, &task).as_deref(), Some("1"));
        let places = queued.then(|| Arc::clone(&bench.places).try_acquire_many_owned(16).unwrap());
        if queued {
            bench.advance(SECOND * 10).await;
            assert_eq!(task.state().phase, Phase::Queued);
        }
        task.cancel(CancelRequest::new(Party::Agent, "enough")).await;
        task.gone().await;
        assert_eq!((left_in(&bench, &task), task.scratch_dir()), (None, None), "{queued}");
        drop(places);
    }
}

#[tokio::test]
async fn r39_a_task_that_ends_between_two_attempts_keeps_the_last_ones_directory() {
    for (policy, queued) in
        [(ScratchPolicy::Keep, false), (ScratchPolicy::KeepOnFailure, false), (ScratchPolicy::KeepOnFailure, true)]
    {
        let bench = failing(9);
        let task = between_attempts(&bench, Some(policy)).await;
        let places = queued.then(|| Arc::clone(&bench.places).try_acquire_many_owned(16).unwrap());
        if queued {
            bench.advance(SECOND * 10).await;
        }
        task.cancel(CancelRequest::force(Party::Host, "")).await;
        task.gone().await;
        assert_eq!(left_in(&bench, &task), None);
        let kept = cap_std::fs::Dir::open_ambient_dir(task.scratch_dir().unwrap(), cap_std::ambient_authority());
        assert_eq!(kept.unwrap().read_to_string("attempt").unwrap(), "1", "{policy:?} {queued}");
        drop(places);
    }
}

#[tokio::test]
async fn r38_an_attempt_begins_and_a_task_is_gone_only_after_the_last_attempts_cell() {
    for cancels in [false, true] {
        let bench = failing(1);
        bench.cells.lock().unwrap().linger = true;
        let task = between_attempts(&bench, None).await;
        bench.cells.lock().unwrap().linger = false;
        if cancels {
            task.cancel(CancelRequest::force(Party::Host, "")).await;
            settle().await;
            assert!(task.state().phase == Phase::Ended && task.shared().head.get().gone.is_none());
        } else {
            bench.advance(SECOND * 10).await;
            assert_eq!((task.state().phase, task.state().attempt), (Phase::Queued, 1), "its directory is still in use");
        }
        assert_eq!(left_in(&bench, &task).as_deref(), Some("1"));
        bench.cells.lock().unwrap().left.clear();
        task.gone().await;
        assert_eq!((left_in(&bench, &task), task.state().attempt), (None, if cancels { 1 } else { 2 }));
    }
}

#[tokio::test]
async fn r17_a_session_with_many_tasks_does_not_keep_another_from_its_first() {
    let mut bench = Bench::new(script(|link| async move {
        wait_for(&link, "go", None).await;
        success(None)
    }));
    bench.inner_mut().desk = Arc::new(Desk::new(Concurrency::of(1)));
    let of = |session: &str| {
        let mut request = request();
        request.details.session = Some(session.to_owned());
        request
    };
    let mut busy = Vec::new();
    for _ in 0..3 {
        busy.push(bench.inner.start(of("busy")).await.unwrap());
    }
    let first = bench.inner.start(of("new")).await.unwrap();
    settle().await;
    assert_eq!(busy[0].state().phase, Phase::Running);
    for task in &busy[..2] {
        task.notify(key("go"), None, Party::Person).await;
        settle().await;
    }
    assert_eq!((first.state().phase, busy[2].state().phase), (Phase::Running, Phase::Queued), "its turn came first");
    for task in busy.iter().skip(2).chain([&first]) {
        task.cancel(CancelRequest::force(Party::Host, "over")).await;
    }
}

#[tokio::test]
async fn r13_details_that_are_not_fit_to_be_kept_start_nothing() {
    let bench = bench();
    let mut bad = request();
    bad.details.labels = BTreeMap::from([("two\nlines".to_owned(), String::new())]);
    let refused = bench.inner.start(bad).await.unwrap_err();
    assert!(matches!(refused, StartError::Details(DetailsError::Text { what: "label's name" })), "{refused}");
    let mut foreign = request();
    foreign.details.parent = Some(crate::model::ids::TaskId::from_random(1));
    assert!(matches!(bench.inner.start(foreign).await.unwrap_err(), StartError::ParentGone { .. }));
}
