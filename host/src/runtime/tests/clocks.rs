//! Idle, stalled, late: the clocks, in the test's hand.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use crate::model::event::EventBody;
use crate::model::limits::LimitsRequest;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::ports::runner::GuestCall;

const SECOND: Duration = Duration::from_secs(1);

fn idle_after(idle: Duration) -> StartRequest {
    request().limits(LimitsRequest { idle: Some(idle), ..LimitsRequest::default() })
}

#[tokio::test]
async fn r29_a_task_that_does_nothing_fails_after_its_idle_time_and_says_what_it_did_last() {
    let bench = Bench::new(script(|link| async move {
        link.news.report("reading\nthe files".to_owned(), Some(40), false);
        std::future::pending().await
    }));
    let task = bench.inner.start(idle_after(SECOND * 60)).await.unwrap();
    bench.advance(SECOND * 59).await;
    assert_eq!(task.state().phase, Phase::Running);
    bench.advance(SECOND * 16).await;
    let outcome = task.wait().await;
    let Outcome::Failed(Failure { kind, message, .. }) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(*kind, FailureKind::Idle);
    let said = "the task called nothing for its idle time of 1 min; its last report at 40 % was: reading\nthe files";
    assert_eq!(message, said);
    assert!(!outcome.to_string().contains('\n'), "{outcome}");
    log(&task).await;
}

#[tokio::test]
async fn r29_a_wait_may_be_silent_and_what_follows_may_not() {
    let bench = Bench::new(script(|link| async move {
        for _ in 0..3 {
            wait_for(&link, "tick", None).await;
        }
        std::future::pending().await
    }));
    let task = bench.inner.start(idle_after(SECOND * 10)).await.unwrap();
    for _ in 0..3 {
        bench.advance(SECOND * 100).await;
        assert_eq!(task.state().phase, Phase::Running, "parked in a wait, it may be silent");
        task.notify(key("tick"), None, Party::Host).await;
    }
    bench.advance(SECOND * 9).await;
    assert_eq!(task.state().phase, Phase::Running);
    bench.advance(SECOND * 4).await;
    assert_eq!(task.state().phase, Phase::Ended);
}

#[tokio::test]
async fn r29_a_call_of_the_contract_keeps_a_task_alive() {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel::<()>();
    let told = Arc::new(tokio::sync::Mutex::new(told));
    let bench = Bench::new(script(move |link| {
        let told = Arc::clone(&told);
        async move {
            // When the test says so, and without a wait, which would stand for itself.
            while told.lock().await.recv().await.is_some() {
                let _ = link.request(|reply| GuestCall::Poll { key: key("none"), reply }).await;
            }
            std::future::pending().await
        }
    }));
    let task = bench.inner.start(idle_after(SECOND * 10)).await.unwrap();
    for _ in 0..5 {
        bench.advance(SECOND * 9).await;
        assert_eq!(task.state().phase, Phase::Running);
        tell.send(()).unwrap();
        settle().await;
    }
    bench.advance(SECOND * 13).await;
    assert_eq!(task.state().phase, Phase::Ended);
}

#[tokio::test]
async fn r29_a_call_of_any_kind_counts_by_its_gauge() {
    let bench = Bench::new(script(|link| async move {
        // Somebody else's hand on the gauge: the test's, through the cancel notice.
        link.cancel.until(Option::is_some).await;
        success(None)
    }));
    let task = bench.inner.start(idle_after(SECOND * 8)).await.unwrap();
    settle().await;
    let shared = bench.inner.registry.by_id(task.id()).unwrap();
    for calls in 1..20 {
        shared.gauges.set_activity(calls);
        bench.advance(SECOND * 7).await;
        assert_eq!(task.state().phase, Phase::Running, "{calls}");
    }
    bench.advance(SECOND * 8).await;
    assert_eq!(task.state().phase, Phase::Ended);
}

#[tokio::test]
async fn t03_sleeping_for_ever_is_ended_by_the_idle_time_or_by_the_deadline() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let hangs = bench.start().await;
    let patient = bench.inner.start(idle_after(Duration::MAX)).await.unwrap();
    assert_eq!(patient.state().phase, Phase::Queued);
    bench.advance(Duration::from_mins(15)).await;
    assert!(matches!(hangs.wait().await, Outcome::Failed(Failure { kind: FailureKind::Idle, .. })));
    bench.advance(Duration::from_mins(45)).await;
    assert_eq!(patient.state().phase, Phase::Ended, "a request never lifts the operator's idle time");
}

#[tokio::test]
async fn t03_without_an_idle_time_the_deadline_ends_it_and_without_both_nothing_does() {
    let mut bench = Bench::new(script(|_| std::future::pending()));
    bench.inner_mut().limits.idle = Duration::MAX;
    bench.inner_mut().limits.stall = Duration::MAX;
    bench.inner_mut().limits.timeout = Duration::MAX;
    let late = bench.inner.start(request().timeout(Duration::from_hours(1))).await.unwrap();
    let daemon = bench.start().await;
    bench.advance(Duration::from_hours(1)).await;
    assert!(matches!(late.wait().await, Outcome::Failed(Failure { kind: FailureKind::Timeout, .. })));
    bench.advance(Duration::from_hours(100_000)).await;
    assert_eq!(daemon.state().phase, Phase::Running);
    daemon.cancel(CancelRequest::force(Party::Host, "")).await;
}

#[tokio::test]
async fn t03_waiting_for_ever_is_ended_by_the_deadline() {
    let bench = Bench::new(script(|link| async move { success(json!(wait_for(&link, "never", None).await)) }));
    let task = bench.inner.start(request().timeout(SECOND * 50)).await.unwrap();
    bench.advance(SECOND * 49).await;
    assert_eq!(task.state().phase, Phase::Running);
    bench.advance(SECOND).await;
    assert!(matches!(task.wait().await, Outcome::Failed(Failure { kind: FailureKind::Timeout, .. })));
}

#[tokio::test]
async fn a_task_that_spins_is_told_of_once_for_each_silence() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let limits = LimitsRequest { stall: Some(SECOND * 4), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    settle().await;
    let shared = bench.inner.registry.by_id(task.id()).unwrap();
    for second in 0..30 {
        shared.gauges.set_fuel_used(second * 10);
        if second == 12 {
            shared.gauges.set_activity(1);
        }
        bench.advance(SECOND).await;
    }
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    let stalls: Vec<_> = log(&task).await.into_iter().filter(|e| matches!(e.body, EventBody::Stalled { .. })).collect();
    let [first, second] = stalls.as_slice() else { panic!("{stalls:?}") };
    let EventBody::Stalled { fuel, quiet } = first.body else { panic!() };
    assert_eq!((fuel, quiet, first.at.0), (30, SECOND * 4, 4000));
    assert_eq!(second.at.0, 17_000);
}

#[tokio::test]
async fn a_task_that_sleeps_is_no_stall_and_neither_is_one_that_is_parked() {
    let bench = Bench::new(script(|link| async move {
        link.gauges.set_fuel_used(10);
        if link.cancel.read(Option::is_none) {
            wait_for(&link, "go", None).await;
        }
        link.gauges.set_fuel_used(20);
        let asked = |reply| GuestCall::Poll { key: key("none"), reply };
        let _ = link.request(asked).await;
        std::future::pending().await
    }));
    let limits = LimitsRequest { stall: Some(SECOND), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    bench.advance(SECOND * 10).await;
    task.notify(key("go"), None, Party::Host).await;
    bench.advance(SECOND * 10).await;
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    assert!(!log(&task).await.iter().any(|event| matches!(event.body, EventBody::Stalled { .. })));
}

#[tokio::test]
async fn r4_the_first_instruction_finds_the_deadline_set() {
    let bench = Bench::new(script(|link| {
        let seen = link.gauges.deadline_ms();
        async move { success(json!(format!("{seen:?}"))) }
    }));
    let task = bench.inner.start(request().timeout(SECOND * 5)).await.unwrap();
    let outcome = task.wait().await;
    assert!(matches!(&outcome, Outcome::Succeeded { data: Some(data), .. } if data == "Some(5000)"), "{outcome}");
}
