//! Ends: each task has one, and the first that is decided stays.

use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use crate::model::event::EventBody;
use crate::model::ids::TaskKey;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::{NotifyAnswer, Party};
use crate::model::snapshot::Phase;
use crate::ports::runner::GuestCall;
use crate::runtime::handle::{CancelAnswer, ControlAnswer};
use crate::runtime::start_error::StartError;
use crate::store::faulty::FaultyStore;
use crate::store::memory::MemoryStore;

fn kind(outcome: &Outcome) -> FailureKind {
    let Outcome::Failed(Failure { kind, .. }) = outcome else { panic!("{outcome:?}") };
    *kind
}

fn forced(outcome: &Outcome) -> bool {
    let Outcome::Cancelled { forced, .. } = outcome else { panic!("{outcome:?}") };
    *forced
}

#[tokio::test]
async fn r31_a_success_has_one_finished_event_which_the_state_repeats() {
    let bench = Bench::new(script(|_| async { success(json!("data")) }));
    let task = bench.start().await;
    let outcome = task.wait().await;
    let log = log(&task).await;
    let Some(EventBody::Finished { outcome: told, .. }) = log.last().map(|event| &event.body) else {
        panic!("{log:?}")
    };
    assert_eq!(**told, outcome);
    assert_eq!(task.state().outcome, Some(outcome));
    assert_eq!(task.state().phase, Phase::Ended);
}

#[tokio::test]
async fn r2_a_result_that_breaks_its_own_schema_is_a_failure() {
    let bench = Bench::new(script(|_| async { success(json!(42)) }));
    let outcome = bench.start().await.wait().await;
    assert_eq!(kind(&outcome), FailureKind::Guest);
}

#[tokio::test]
async fn f01_a_task_that_never_ends_meets_its_deadline() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let task = bench.inner.start(request().timeout(Duration::from_mins(1))).await.unwrap();
    bench.advance(Duration::from_secs(59)).await;
    assert_eq!(task.state().phase, Phase::Running);
    bench.advance(Duration::from_secs(1)).await;
    let outcome = task.wait().await;
    assert_eq!(kind(&outcome), FailureKind::Timeout);
    assert_eq!(task.state().usage.wall, Duration::from_mins(1));
    log(&task).await;
}

#[tokio::test]
async fn f02_a_task_that_never_ran_can_be_cancelled_and_has_its_outcome() {
    let bench = Bench::with(script(|_| std::future::pending()), 0, std::sync::Arc::new(MemoryStore::new()));
    let task = bench.start().await;
    settle().await;
    assert_eq!(task.state().phase, Phase::Queued);
    assert_eq!(task.cancel(CancelRequest::new(Party::Agent, "not needed")).await, CancelAnswer::Requested);
    assert!(!forced(&task.wait().await), "there was nothing to force");
    let log = log(&task).await;
    assert!(!log.iter().any(|event| matches!(event.body, EventBody::Started { .. })));
}

#[tokio::test]
async fn f07_a_task_that_ignores_its_cancel_is_stopped_when_the_grace_is_over() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let task = bench.start().await;
    settle().await;
    task.cancel(CancelRequest::new(Party::Person, "enough").grace(Duration::from_secs(5))).await;
    bench.advance(Duration::from_secs(4)).await;
    assert_eq!(task.state().phase, Phase::Running);
    bench.advance(Duration::from_secs(1)).await;
    let outcome = task.wait().await;
    assert!(forced(&outcome));
    assert!(outcome.to_string().contains("by a person (enough)"), "{outcome}");
}

#[tokio::test]
async fn r33_a_success_inside_the_grace_is_a_success() {
    let bench = Bench::new(script(|link| async move {
        let woken = wait_for(&link, "never", None).await;
        success(json!(woken))
    }));
    let task = bench.start().await;
    settle().await;
    task.cancel(CancelRequest::new(Party::Host, "")).await;
    let outcome = task.wait().await;
    assert!(matches!(&outcome, Outcome::Succeeded { data: Some(data), .. } if data == "Cancelled"), "{outcome:?}");
}

#[tokio::test]
async fn f23_a_second_cancel_shortens_the_grace_and_keeps_who_asked_first_and_why() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let task = bench.start().await;
    settle().await;
    task.cancel(CancelRequest::new(Party::Person, "first")).await;
    task.cancel(CancelRequest::new(Party::Agent, "longer").grace(Duration::from_secs(999))).await;
    task.cancel(CancelRequest::force(Party::Agent, "second")).await;
    let outcome = task.wait().await;
    let Outcome::Cancelled { by, reason, forced, .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!((*by, reason.as_str(), *forced), (Party::Person, "first", true));
}

#[tokio::test]
async fn f18_cancelling_an_ended_task_changes_nothing() {
    let bench = Bench::new(script(|_| async { success(None) }));
    let task = bench.start().await;
    let outcome = task.wait().await;
    let before = log(&task).await;
    let answer = task.cancel(CancelRequest::force(Party::Host, "late")).await;
    assert_eq!(answer, CancelAnswer::AlreadyEnded(outcome));
    assert_eq!(log(&task).await, before);
}

#[tokio::test]
async fn r12_a_key_belongs_to_one_live_task_and_is_free_after_its_end() {
    let bench = Bench::new(script(|link| async move { success(json!(wait_for(&link, "go", None).await)) }));
    let keyed = || request().key(TaskKey::new("k").unwrap());
    let first = bench.inner.start(keyed()).await.unwrap();
    assert!(matches!(bench.inner.start(keyed()).await, Err(StartError::KeyInUse { .. })));
    settle().await;
    first.notify(key("go"), None, Party::Host).await;
    first.wait().await;
    let second = bench.inner.start(keyed()).await.unwrap();
    assert_ne!(first.id(), second.id());
    assert!(second.state().outcome.is_none(), "f09: the new run has a state of its own");
}

#[tokio::test]
async fn f16_a_panic_has_its_message_and_place() {
    let bench = Bench::new(script(|link| async move {
        let told = |reply| GuestCall::Panic { message: "boom".into(), place: "src/lib.rs:7:1".into(), reply };
        link.ask(told).await;
        crate::model::outcome::CellEnd::Failed(Failure::new(FailureKind::Trap, "unreachable"))
    }));
    let outcome = bench.start().await.wait().await;
    assert_eq!(kind(&outcome), FailureKind::Panic);
    assert_eq!(outcome.to_string(), "failed (panic): panicked at src/lib.rs:7:1: boom");
}

#[tokio::test]
async fn f22_a_host_that_shuts_down_leaves_no_task_behind() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let tasks = [bench.start().await, bench.start().await];
    settle().await;
    bench.inner.stop_everything();
    for task in tasks {
        let outcome = task.wait().await;
        assert!(outcome.to_string().contains("the host is shutting down"), "{outcome}");
        log(&task).await;
    }
    assert!(matches!(bench.inner.start(request()).await, Err(StartError::ShuttingDown)));
}

#[tokio::test]
async fn f14_ended_tasks_that_nobody_holds_are_forgotten() {
    let bench = Bench::new(script(|_| async { success(None) }));
    let held = bench.start().await;
    held.wait().await;
    for _ in 0..600 {
        bench.start().await.gone().await;
    }
    settle().await;
    assert!(bench.inner.registry.known() <= 300, "{}", bench.inner.registry.known());
    assert_eq!(log(&held).await.len(), 3, "one that is held keeps its log");
}

#[tokio::test]
async fn f23_asking_again_never_lengthens_the_grace() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let task = bench.start().await;
    settle().await;
    task.cancel(CancelRequest::new(Party::Person, "").grace(Duration::from_secs(5))).await;
    bench.advance(Duration::from_millis(4900)).await;
    task.cancel(CancelRequest::new(Party::Person, "").grace(Duration::from_millis(4800))).await;
    bench.advance(Duration::from_millis(100)).await;
    assert!(forced(&task.wait().await));
}

#[tokio::test]
async fn a_guest_that_is_woken_by_a_cancel_can_read_who_asked() {
    let bench = Bench::new(script(|link| async move {
        let _ = wait_for(&link, "never", None).await;
        let seen = link.cancel.read(|notice| notice.as_ref().map(|notice| notice.request.reason.clone()));
        success(json!(seen))
    }));
    let task = bench.start().await;
    settle().await;
    task.cancel(CancelRequest::new(Party::Agent, "enough")).await;
    assert!(matches!(task.wait().await, Outcome::Succeeded { data: Some(data), .. } if data == "enough"));
    let log = log(&task).await;
    let place = |wanted: fn(&EventBody) -> bool| log.iter().position(|event| wanted(&event.body)).unwrap();
    let asked = place(|body| matches!(body, EventBody::CancelRequested(_)));
    assert!(asked < place(|body| matches!(body, EventBody::WaitEnded { .. })));
}

#[tokio::test]
async fn f14_a_guest_that_never_stops_talking_is_refused_and_goes_on() {
    let mut bench = Bench::new(script(|link| async move {
        let message = "x".repeat(60_000);
        for told in 0..1000 {
            let message = message.clone();
            let tell = |reply| GuestCall::MessageAgent { message, trigger: false, once: None, reply };
            if link.request(tell).await.is_err() {
                return success(json!(format!("refused after {told}")));
            }
        }
        success(None)
    }));
    bench.inner_mut().limits.agent_message_bytes = u64::MAX;
    let outcome = bench.start().await.wait().await;
    let Outcome::Succeeded { data: Some(data), .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(data, "refused after 280", "16 MiB of 60 000 bytes each");
}

fn elsewhere() -> Outcome {
    Outcome::Succeeded { message: "done elsewhere".to_owned(), data: Some(json!({"by": "hand"})) }
}

#[tokio::test]
async fn r3a_an_outcome_that_is_set_ends_the_task_and_says_who_set_it() {
    let (dropped, mut seen) = tokio::sync::watch::channel(());
    let dropped = std::sync::Mutex::new(Some(dropped));
    let bench = Bench::new(script(move |_| {
        let held = dropped.lock().unwrap().take();
        async move {
            let _held = held;
            std::future::pending().await
        }
    }));
    let task = bench.start().await;
    bench.advance(Duration::from_secs(3)).await;
    assert_eq!(task.set_outcome(elsewhere(), Party::Agent).await, ControlAnswer::Done);
    assert_eq!(task.state().outcome, Some(elsewhere()), "it is visible with the answer");
    assert_eq!(task.wait().await, elsewhere());
    task.gone().await;
    assert!(seen.changed().await.is_err(), "the guest's code is gone");
    let log = log(&task).await;
    let Some(EventBody::Finished { set_by, usage, .. }) = log.last().map(|event| &event.body) else {
        panic!("{log:?}")
    };
    assert_eq!((*set_by, usage.wall), (Some(Party::Agent), Duration::from_secs(3)));
}

#[tokio::test]
async fn r3a_a_task_that_has_not_begun_ends_so_and_never_begins() {
    let bench = Bench::with(script(|_| async { success(None) }), 0, std::sync::Arc::new(MemoryStore::new()));
    let task = bench.start().await;
    assert_eq!(task.set_outcome(elsewhere(), Party::Host).await, ControlAnswer::Done);
    let log = log(&task).await;
    assert!(!log.iter().any(|event| matches!(event.body, EventBody::Started { .. })));
}

#[tokio::test]
async fn r3a_the_first_end_wins_against_the_guest_in_both_orders() {
    let bench = Bench::new(script(|link| async move {
        wait_for(&link, "go", None).await;
        success(json!("by itself"))
    }));
    let (own, set) = (bench.start().await, bench.start().await);
    settle().await;
    own.notify(key("go"), None, Party::Host).await;
    let own_end = own.wait().await;
    assert_eq!(own.set_outcome(elsewhere(), Party::Host).await, ControlAnswer::AlreadyEnded(own_end.clone()));
    assert_eq!(own.state().outcome, Some(own_end));
    assert_eq!(set.set_outcome(elsewhere(), Party::Host).await, ControlAnswer::Done);
    assert_eq!(set.notify(key("go"), None, Party::Host).await, NotifyAnswer::NoTask);
    for task in [own, set] {
        log(&task).await;
    }
}

#[tokio::test]
async fn r3a_a_guest_that_has_ended_is_not_overruled_although_nobody_looked_yet() {
    let (end, ended) = tokio::sync::watch::channel(false);
    let bench = Bench::new(script(move |_| {
        let mut ended = ended.clone();
        async move {
            let _ = ended.wait_for(|ended| *ended).await;
            success(json!("by itself"))
        }
    }));
    let task = bench.start().await;
    settle().await;
    end.send_replace(true);
    // The actor looks at what others want of it first.
    let answer = task.set_outcome(elsewhere(), Party::Host).await;
    assert!(matches!(&answer, ControlAnswer::AlreadyEnded(Outcome::Succeeded { message, .. }) if message == "done"));
}

#[tokio::test]
async fn r3a_the_first_end_wins_against_a_cancel_in_both_orders() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let force = || CancelRequest::force(Party::Person, "enough");
    let (cancelled, set, asked) = (bench.start().await, bench.start().await, bench.start().await);
    settle().await;
    cancelled.cancel(force()).await;
    let end = cancelled.wait().await;
    assert_eq!(cancelled.set_outcome(elsewhere(), Party::Host).await, ControlAnswer::AlreadyEnded(end));
    set.set_outcome(elsewhere(), Party::Host).await;
    assert_eq!(set.cancel(force()).await, CancelAnswer::AlreadyEnded(elsewhere()));
    // A grace is not an end.
    asked.cancel(CancelRequest::new(Party::Person, "soon")).await;
    assert_eq!(asked.set_outcome(elsewhere(), Party::Host).await, ControlAnswer::Done);
    assert_eq!(asked.wait().await, elsewhere());
}

#[tokio::test]
async fn r3a_an_outcome_that_cannot_be_stored_is_not_said_to_be_set() {
    let store = std::sync::Arc::new(FaultyStore::new(std::sync::Arc::new(MemoryStore::new())));
    let bench = Bench::with(script(|_| std::future::pending()), 1, store.clone());
    let task = bench.start().await;
    settle().await;
    store.fail(true);
    let answer = task.set_outcome(elsewhere(), Party::Host).await;
    let ControlAnswer::AlreadyEnded(outcome) = answer else { panic!("{answer:?}") };
    assert_eq!(kind(&outcome), FailureKind::Host);
}
