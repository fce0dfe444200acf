//! Pause and resume: the gate, the clocks, and what may happen meanwhile.

use std::future::poll_fn;
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, Script, key, log, request, script, settle, success, wait_for};
use crate::model::event::EventBody;
use crate::model::limits::LimitsRequest;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::{NotifyAnswer, Party};
use crate::model::snapshot::Phase;
use crate::runtime::handle::ControlAnswer;
use crate::store::memory::MemoryStore;

/// Burns fuel for ever, and honours its gate after each slice as a cell does.
fn spinner() -> Script {
    script(|link| async move {
        loop {
            poll_fn(|cx| link.gate.poll_open(cx)).await;
            link.gauges.set_fuel_used(link.gauges.fuel_used() + 1);
            link.gauges.set_activity(link.gauges.activity() + 1);
            tokio::task::yield_now().await;
            if link.cancel.read(Option::is_some) {
                return success(None);
            }
        }
    })
}

#[tokio::test]
async fn r35_a_paused_task_burns_nothing_until_it_is_resumed() {
    let bench = Bench::new(spinner());
    let task = bench.start().await;
    settle().await;
    assert_eq!(task.pause(Party::Person, "let me look").await, ControlAnswer::Done);
    settle().await;
    let state = task.state();
    let paused = state.paused.unwrap();
    assert_eq!((paused.by, paused.reason.as_str()), (Party::Person, "let me look"));
    assert!(state.usage.fuel > 0);
    settle().await;
    assert_eq!(task.state().usage.fuel, state.usage.fuel);
    assert_eq!(task.resume(Party::Agent).await, ControlAnswer::Done);
    settle().await;
    assert!(task.state().usage.fuel > state.usage.fuel);
    assert_eq!(task.state().paused, None);
    task.cancel(CancelRequest::new(Party::Host, "")).await;
    let log = log(&task).await;
    assert!(log.iter().any(|event| event.body == EventBody::Resumed { by: Party::Agent }), "{log:?}");
}

#[tokio::test]
async fn r35_pausing_twice_or_resuming_what_runs_changes_nothing() {
    let bench = Bench::new(spinner());
    let task = bench.start().await;
    settle().await;
    assert_eq!(task.resume(Party::Host).await, ControlAnswer::Unchanged);
    task.pause(Party::Person, "first").await;
    assert_eq!(task.pause(Party::Host, "second").await, ControlAnswer::Unchanged);
    assert_eq!(task.state().paused.unwrap().reason, "first");
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    let outcome = task.wait().await;
    assert_eq!(task.pause(Party::Host, "").await, ControlAnswer::AlreadyEnded(outcome.clone()));
    assert_eq!(task.add_fuel(1, Party::Host).await, ControlAnswer::AlreadyEnded(outcome));
    assert_eq!(task.state().paused, None, "what has ended is not paused");
}

#[tokio::test]
async fn r35_a_task_that_waits_for_its_turn_starts_paused() {
    let mut bench = Bench::with(spinner(), 1, std::sync::Arc::new(MemoryStore::new()));
    bench.inner_mut().limits.idle = Duration::from_secs(1);
    let first = bench.start().await;
    settle().await;
    let second = bench.start().await;
    assert_eq!(second.pause(Party::Host, "").await, ControlAnswer::Done);
    first.cancel(CancelRequest::force(Party::Host, "")).await;
    bench.advance(Duration::from_hours(2)).await;
    let state = second.state();
    assert_eq!((state.phase, state.usage.fuel), (Phase::Running, 0));
    second.resume(Party::Host).await;
    settle().await;
    assert!(second.state().usage.fuel > 0);
    second.cancel(CancelRequest::force(Party::Host, "")).await;
}

#[tokio::test]
async fn r35_the_deadline_and_the_idle_time_stand_during_a_pause() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let limits = LimitsRequest {
        timeout: Some(Duration::from_secs(100)),
        idle: Some(Duration::from_secs(80)),
        ..LimitsRequest::default()
    };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    bench.advance(Duration::from_secs(30)).await;
    task.pause(Party::Person, "").await;
    bench.advance(Duration::from_hours(5)).await;
    assert_eq!(task.state().phase, Phase::Running);
    task.resume(Party::Person).await;
    bench.advance(Duration::from_secs(69)).await;
    assert_eq!(task.state().phase, Phase::Running);
    bench.advance(Duration::from_secs(1)).await;
    let Outcome::Failed(failure) = task.wait().await else { panic!("{:?}", task.state()) };
    assert_eq!(failure.kind, FailureKind::Timeout, "the idle time began anew with the resume");
    assert!(failure.message.contains("1 min 40 s"), "{}", failure.message);
}

#[tokio::test]
async fn r35_the_guest_sees_a_deadline_only_while_it_comes_nearer() {
    let bench = Bench::new(script(|link| async move {
        let mut seen = vec![link.gauges.deadline_ms()];
        for _ in 0..2 {
            wait_for(&link, "look", None).await;
            seen.push(link.gauges.deadline_ms());
        }
        success(json!(format!("{seen:?}")))
    }));
    let task = bench.inner.start(request().timeout(Duration::from_secs(100))).await.unwrap();
    bench.advance(Duration::from_secs(10)).await;
    task.pause(Party::Host, "").await;
    task.notify(key("look"), None, Party::Host).await;
    bench.advance(Duration::from_secs(40)).await;
    task.resume(Party::Host).await;
    task.notify(key("look"), None, Party::Host).await;
    let outcome = task.wait().await;
    let Outcome::Succeeded { data: Some(data), .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(data, "[Some(100000), None, Some(140000)]");
}

#[tokio::test]
async fn r35_cancelling_a_paused_task_lets_it_end_by_itself() {
    let bench = Bench::new(spinner());
    let task = bench.start().await;
    settle().await;
    task.pause(Party::Person, "").await;
    task.cancel(CancelRequest::new(Party::Agent, "enough")).await;
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
    let log = log(&task).await;
    let tail: Vec<_> = log.iter().rev().take(3).map(|event| &event.body).collect();
    assert!(matches!(tail[2], EventBody::CancelRequested(_)), "{tail:?}");
    assert_eq!(*tail[1], EventBody::Resumed { by: Party::Agent });
}

#[tokio::test]
async fn r35_a_task_that_shall_stop_is_not_paused() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let task = bench.start().await;
    settle().await;
    task.cancel(CancelRequest::new(Party::Agent, "")).await;
    assert_eq!(task.pause(Party::Person, "").await, ControlAnswer::Unchanged);
    bench.advance(Duration::from_secs(5)).await;
    assert!(matches!(task.wait().await, Outcome::Cancelled { forced: true, .. }));
}

#[tokio::test]
async fn r35_a_signal_reaches_a_paused_task_and_it_sees_it_when_it_goes_on() {
    let bench = Bench::new(script(|link| async move {
        let told = wait_for(&link, "yes", None).await;
        // A guest gives way after its call, and is held there.
        poll_fn(|cx| link.gate.poll_open(cx)).await;
        success(json!(told))
    }));
    let task = bench.start().await;
    settle().await;
    task.pause(Party::Person, "").await;
    assert!(task.state().waiting.is_some() && task.state().paused.is_some());
    assert_eq!(task.notify(key("yes"), None, Party::Person).await, NotifyAnswer::Delivered);
    settle().await;
    assert_eq!(task.state().phase, Phase::Running, "it is held");
    task.resume(Party::Person).await;
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
}
