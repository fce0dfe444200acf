//! Waits and signals, with time in the test's hand.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, key, log, script, settle, success, wait_for};
use crate::model::event::EventBody;
use crate::model::outcome::Outcome;
use crate::model::signal::{NotifyAnswer, Party};

fn answer(outcome: Outcome) -> String {
    let Outcome::Succeeded { data: Some(Value::String(text)), .. } = outcome else { panic!("{outcome:?}") };
    text
}

fn waiter(timeout: Option<Duration>) -> Bench {
    Bench::new(script(move |link| async move { success(json!(wait_for(&link, "yes", timeout).await)) }))
}

#[tokio::test]
async fn r20_a_parked_task_goes_on_when_its_signal_comes() {
    let bench = waiter(None);
    let task = bench.start().await;
    settle().await;
    assert_eq!(task.state().waiting.map(|point| point.keys), Some(vec![key("yes")]));
    let told = task.notify(key("yes"), Some(json!({"ok": true})), Party::Person).await;
    assert_eq!(told, NotifyAnswer::Delivered);
    assert_eq!(answer(task.wait().await), r#"Some(Object {"ok": Bool(true)}) from person"#);
    log(&task).await;
}

#[tokio::test]
async fn r20_a_wait_of_an_hour_ends_after_an_hour_and_the_task_goes_on() {
    let bench = waiter(Some(Duration::from_mins(50)));
    let task = bench.start().await;
    bench.advance(Duration::from_secs(2999)).await;
    assert!(task.state().waiting.is_some());
    bench.advance(Duration::from_secs(1)).await;
    assert_eq!(answer(task.wait().await), "TimedOut");
}

#[tokio::test]
async fn f03_a_timeout_of_zero_does_not_wait() {
    let bench = waiter(Some(Duration::ZERO));
    let task = bench.start().await;
    assert_eq!(answer(task.wait().await), "TimedOut");
    let log = log(&task).await;
    assert!(!log.iter().any(|event| matches!(event.body, EventBody::WaitStarted { .. })));
}

#[tokio::test]
async fn r22_a_signal_that_comes_early_is_kept_in_order() {
    let bench = Bench::new(script(|link| async move {
        let _ = wait_for(&link, "go", None).await;
        let first = wait_for(&link, "yes", None).await;
        let second = wait_for(&link, "yes", None).await;
        success(json!(format!("{first}; {second}")))
    }));
    let task = bench.start().await;
    assert_eq!(task.notify(key("yes"), None, Party::Agent).await, NotifyAnswer::Buffered);
    assert_eq!(task.notify(key("yes"), Some(Value::Null), Party::Host).await, NotifyAnswer::Buffered);
    task.notify(key("go"), None, Party::Host).await;
    assert_eq!(answer(task.wait().await), "None from agent; Some(Null) from host");
    assert_eq!(task.notify(key("yes"), None, Party::Host).await, NotifyAnswer::NoTask);
}

#[tokio::test]
async fn f06_ending_one_wait_leaves_the_task_alive() {
    let bench = Bench::new(script(|link| async move {
        let first = wait_for(&link, "a", None).await;
        let second = wait_for(&link, "b", None).await;
        success(json!(format!("{first}; {second}")))
    }));
    let task = bench.start().await;
    settle().await;
    assert!(!task.cancel_wait(key("b")).await, "it does not wait for b yet");
    assert!(task.cancel_wait(key("a")).await);
    settle().await;
    task.notify(key("b"), None, Party::Host).await;
    assert_eq!(answer(task.wait().await), "WaitCancelled; None from host");
}

#[tokio::test]
async fn r22_a_full_mailbox_says_so() {
    let bench = waiter(None);
    let busy = Bench::new(script(|_| std::future::pending()));
    let task = busy.start().await;
    for _ in 0..64 {
        assert_eq!(task.notify(key("k"), None, Party::Host).await, NotifyAnswer::Buffered);
    }
    assert_eq!(task.notify(key("k"), None, Party::Host).await, NotifyAnswer::Full);
    assert_eq!(task.notify(key("other"), None, Party::Host).await, NotifyAnswer::Buffered);
    let large = json!("x".repeat(1 << 20));
    assert_eq!(task.notify(key("large"), Some(large.clone()), Party::Host).await, NotifyAnswer::Full);
    // A task that is parked takes it at once, so nothing needs to be kept.
    let parked = bench.start().await;
    settle().await;
    assert_eq!(parked.notify(key("yes"), Some(large), Party::Host).await, NotifyAnswer::Delivered);
}

#[tokio::test]
async fn a_turn_is_wanted_by_whoever_is_outside_and_by_no_task() {
    let keys = ["a", "b", "c", "d", "e"];
    let bench = Bench::new(script(move |link| async move {
        let mut wanted = Vec::new();
        for key in keys {
            wait_for(&link, key, None).await;
            wanted.push(link.news.take_wanted());
        }
        success(json!(format!("{wanted:?}")))
    }));
    let task = bench.start().await;
    settle().await;
    let senders = [Party::Person, Party::Task(task.id()), Party::Agent, Party::Itself, Party::Host];
    for (name, sender) in keys.into_iter().zip(senders) {
        assert_eq!(task.notify(key(name), None, sender).await, NotifyAnswer::Delivered);
        settle().await;
    }
    assert_eq!(answer(task.wait().await), "[1, 0, 1, 0, 1]");
}
