//! What a cancel came to.

use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use crate::model::event::{EventBody, EventSeq};
use crate::model::grants::Grants;
use crate::model::ids::{TaskKey, TaskRef};
use crate::model::outcome::Outcome;
use crate::model::receipt::{CancelReceipt, Effect};
use crate::model::request::CancelRequest;
use crate::model::signal::{NotifyAnswer, Party};
use crate::model::time::Timestamp;
use crate::ports::runner::GuestCall;
use crate::store::memory::MemoryStore;

#[tokio::test]
async fn r33_a_receipt_says_when_and_what_was_done_before() {
    let bench = Bench::new(script(|link| async move {
        let tell = |reply| GuestCall::MessageAgent { message: "begun".into(), trigger: false, once: None, reply };
        link.request(tell).await.unwrap();
        std::future::pending().await
    }));
    let task = bench.start().await;
    bench.advance(Duration::from_secs(10)).await;
    task.cancel(CancelRequest::new(Party::Person, "enough").grace(Duration::from_secs(9))).await;
    bench.advance(Duration::from_secs(1)).await;
    task.cancel(CancelRequest::new(Party::Agent, "sooner").grace(Duration::from_secs(2))).await;
    bench.advance(Duration::from_secs(2)).await;
    let receipt = task.receipt().await.unwrap();
    assert_eq!((receipt.request.by, receipt.request.reason.as_str()), (Party::Person, "enough"));
    assert_eq!(receipt.request.grace, Duration::from_secs(2));
    assert_eq!((receipt.asked_at, receipt.outcome_at), (Timestamp(10_000), Timestamp(13_000)));
    assert_eq!((receipt.to_outcome, receipt.to_gone), (Duration::from_secs(3), Duration::from_secs(3)));
    assert_eq!(receipt.outcome, task.wait().await);
    assert_eq!(receipt.effects, [Effect::AgentMessage { seq: EventSeq(3), message: "begun".into() }]);
    assert!(receipt.effects_complete);
    let text = serde_json::to_string(&receipt).unwrap();
    assert_eq!(serde_json::from_str::<CancelReceipt>(&text).unwrap(), receipt, "{text}");
}

#[tokio::test]
async fn r33_nobody_asked_so_there_is_no_receipt() {
    let bench = Bench::new(script(|_| async { success(None) }));
    let task = bench.start().await;
    assert_eq!(task.receipt().await, None);
}

#[tokio::test]
async fn r33_a_task_that_never_ran_has_a_receipt_too() {
    let bench = Bench::with(script(|_| std::future::pending()), 0, std::sync::Arc::new(MemoryStore::new()));
    let task = bench.start().await;
    task.cancel(CancelRequest::new(Party::Agent, "")).await;
    let receipt = task.receipt().await.unwrap();
    assert!(matches!(receipt.outcome, Outcome::Cancelled { forced: false, .. }));
    assert_eq!(receipt.effects, []);
}

/// Sends a signal to the task of a key, and succeeds with what became of it.
fn sender(target: &'static str) -> super::bench::Script {
    script(move |link| async move {
        if wait_for(&link, "go", None).await.starts_with("Some") {
            return success(json!(wait_for(&link, "word", None).await));
        }
        let target =
            TaskRef { plugin: "scripted".into(), task_type: "script".into(), key: TaskKey::new(target).unwrap() };
        let sent = |reply| GuestCall::Notify { target, key: key("word"), payload: None, reply };
        success(json!(format!("{:?}", link.request(sent).await.unwrap())))
    })
}

#[tokio::test]
async fn r33_a_signal_to_another_task_is_written_down_before_it_is_sent() {
    let bench = Bench::new(sender("other"));
    let grants = Grants { signal: true, ..Grants::default() };
    let other = bench.inner.start(request().key(TaskKey::new("other").unwrap())).await.unwrap();
    let task = bench.inner.start(request().grants(grants)).await.unwrap();
    settle().await;
    other.notify(key("go"), Some(json!("listen")), Party::Host).await;
    settle().await;
    assert_eq!(task.notify(key("go"), None, Party::Host).await, NotifyAnswer::Delivered);
    let outcome = task.wait().await;
    assert!(matches!(&outcome, Outcome::Succeeded { data: Some(data), .. } if data == "Delivered"), "{outcome}");
    let log = log(&task).await;
    let sent = |body: &EventBody| matches!(body, EventBody::SignalSent { key: sent, .. } if *sent == key("word"));
    assert!(log.iter().any(|event| sent(&event.body)), "{log:?}");
    other.wait().await;
}

#[tokio::test]
async fn r33_a_signal_to_nobody_is_no_effect() {
    let bench = Bench::new(sender("nobody"));
    let grants = Grants { signal: true, ..Grants::default() };
    let task = bench.inner.start(request().grants(grants)).await.unwrap();
    settle().await;
    task.notify(key("go"), None, Party::Host).await;
    let outcome = task.wait().await;
    assert!(matches!(&outcome, Outcome::Succeeded { data: Some(data), .. } if data == "NoTask"), "{outcome}");
    assert!(!log(&task).await.iter().any(|event| matches!(event.body, EventBody::SignalSent { .. })));
}
