//! Waiting: what ends a wait, and what does not.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{EventBody, NotifyAnswer, Party, Phase, SimulatedClock, TaskHandle};

use crate::support::task::{data, events, key, outcome, parked, reported, start};
use crate::support::{builder, fixture, with_fixture, within};

async fn tell(task: &TaskHandle, to: &str, payload: Option<Value>) -> NotifyAnswer {
    within(task.notify(key(to), payload, Party::Person)).await
}

fn signal(payload: &Value) -> Value {
    json!({"result": "signal", "payload": payload, "absent": false, "sender": "person"})
}

fn over(why: &str) -> Value {
    json!({"result": why})
}

#[tokio::test]
async fn r20_a_signal_ends_the_wait_and_brings_its_payload() {
    let (host, _) = fixture().await;
    let task = start(&host, "wait", json!({"key": "go"})).await;
    parked(&task, 1).await;
    assert_eq!(tell(&task, "go", Some(json!([1]))).await, NotifyAnswer::Delivered);
    assert_eq!(data(outcome(&task).await), signal(&json!([1])));
}

#[tokio::test]
async fn r22_a_signal_for_another_key_is_kept_and_ends_no_wait() {
    let (host, _) = fixture().await;
    let task = start(&host, "wait", json!({"key": "go"})).await;
    parked(&task, 1).await;
    assert_eq!(tell(&task, "come", Some(json!(1))).await, NotifyAnswer::Buffered);
    assert_eq!(task.state().waiting.map(|point| point.keys), Some(vec![key("go")]));
    tell(&task, "go", Some(json!(2))).await;
    assert_eq!(data(outcome(&task).await), signal(&json!(2)));
}

#[tokio::test]
async fn r22_signals_of_a_key_are_taken_in_the_order_they_came() {
    let (host, _) = fixture().await;
    let task = start(&host, "wait-twice", json!({"key": "go"})).await;
    parked(&task, 1).await;
    assert_eq!(tell(&task, "go", Some(json!("first"))).await, NotifyAnswer::Delivered);
    // Kept or handed over, as it happens; never lost and never before the first.
    tell(&task, "go", Some(json!("second"))).await;
    assert_eq!(data(outcome(&task).await), json!([signal(&json!("first")), signal(&json!("second"))]));
}

#[tokio::test]
async fn r22_a_signal_that_comes_before_the_wait_is_kept() {
    let (host, _) = with_fixture(builder().running_max(1)).await;
    let first = start(&host, "wait", json!({"key": "go"})).await;
    parked(&first, 1).await;
    // There is no room for this one, so it cannot wait yet.
    let second = start(&host, "wait-twice", json!({"key": "go"})).await;
    assert_eq!(tell(&second, "go", Some(json!(1))).await, NotifyAnswer::Buffered);
    assert_eq!(tell(&second, "go", Some(json!(2))).await, NotifyAnswer::Buffered);
    tell(&first, "go", None).await;
    assert_eq!(data(outcome(&second).await), json!([signal(&json!(1)), signal(&json!(2))]));
}

#[tokio::test]
async fn r22_nothing_null_and_false_are_three_payloads() {
    let (host, _) = fixture().await;
    for (payload, expected) in [
        (None, json!({"result": "signal", "absent": true, "sender": "person"})),
        (Some(Value::Null), signal(&Value::Null)),
        (Some(json!(false)), signal(&json!(false))),
    ] {
        let task = start(&host, "wait", json!({"key": "go"})).await;
        tell(&task, "go", payload).await;
        assert_eq!(data(outcome(&task).await), expected);
    }
}

#[tokio::test]
async fn f03_a_wait_with_timeout_0_looks_and_does_not_wait() {
    let (host, _) = fixture().await;
    let task = start(&host, "wait", json!({"key": "go", "timeout_ms": 0})).await;
    assert_eq!(data(outcome(&task).await), over("timed-out"));
    let parkings = events(&task).await;
    assert!(!parkings.iter().any(|event| matches!(event.body, EventBody::WaitStarted { .. })), "{parkings:?}");
}

#[tokio::test]
async fn r20_a_wait_with_timeout_0_takes_what_is_there() {
    let (host, _) = with_fixture(builder().running_max(1)).await;
    let first = start(&host, "wait", json!({"key": "go"})).await;
    parked(&first, 1).await;
    let second = start(&host, "wait", json!({"key": "go", "timeout_ms": 0})).await;
    tell(&second, "go", Some(json!(1))).await;
    tell(&first, "go", None).await;
    assert_eq!(data(outcome(&second).await), signal(&json!(1)));
}

#[tokio::test]
async fn f04_a_timeout_ends_the_wait_and_not_the_task() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let task = start(&host, "wait-twice", json!({"key": "go", "timeout_ms": 5000})).await;
    parked(&task, 1).await;
    clock.advance(Duration::from_millis(4999));
    assert_eq!(task.state().waiting.map(|point| point.wait), Some(1));
    clock.advance(Duration::from_millis(1));
    parked(&task, 2).await;
    tell(&task, "go", Some(json!("late"))).await;
    assert_eq!(data(outcome(&task).await), json!([over("timed-out"), signal(&json!("late"))]));
}

#[tokio::test]
async fn f06_cancelling_a_wait_ends_that_wait_and_the_task_goes_on() {
    let (host, _) = fixture().await;
    let task = start(&host, "wait-twice", json!({"key": "go"})).await;
    parked(&task, 1).await;
    assert!(within(task.cancel_wait(key("go"))).await);
    parked(&task, 2).await;
    tell(&task, "go", Some(json!(7))).await;
    assert_eq!(data(outcome(&task).await), json!([over("wait-cancelled"), signal(&json!(7))]));
}

#[tokio::test]
async fn r24_cancelling_a_wait_for_another_key_does_nothing_and_says_so() {
    let (host, _) = fixture().await;
    let task = start(&host, "wait", json!({"key": "go"})).await;
    parked(&task, 1).await;
    assert!(!within(task.cancel_wait(key("come"))).await);
    assert_eq!(task.state().phase, Phase::Running);
    tell(&task, "go", Some(json!(1))).await;
    assert_eq!(data(outcome(&task).await), signal(&json!(1)));
    assert!(!within(task.cancel_wait(key("go"))).await, "it has ended");
}

#[tokio::test]
async fn r21_a_poll_takes_a_signal_or_says_that_there_is_none() {
    let (host, _) = fixture().await;
    let empty = start(&host, "poll", json!({"key": "go"})).await;
    assert_eq!(data(outcome(&empty).await), over("none"));
    let request =
        crate::support::request("poll", json!({"key": "go"})).signal(key("go"), Some(json!(1)), Party::Person);
    let full = crate::support::task::start_as(&host, request).await;
    assert_eq!(data(outcome(&full).await), signal(&json!(1)));
}

#[tokio::test]
async fn r20_a_bad_key_is_refused_and_the_task_goes_on() {
    let (host, _) = fixture().await;
    for (task_type, bad) in [("wait", ""), ("wait", "a\nb"), ("poll", "\u{1b}"), ("poll", "")] {
        let task = start(&host, task_type, json!({"key": bad})).await;
        assert_eq!(data(outcome(&task).await), over("invalid-argument"), "{task_type} {bad:?}");
    }
    let long = "k".repeat(257);
    let task = start(&host, "poll", json!({"key": long})).await;
    assert_eq!(data(outcome(&task).await), over("invalid-argument"));
}

#[tokio::test]
async fn r20_a_wait_without_a_timeout_outlasts_any_time_up_to_the_deadline() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let task = start(&host, "wait", json!({"key": "go"})).await;
    parked(&task, 1).await;
    clock.advance(Duration::from_secs(3599));
    tell(&task, "go", Some(json!("just in time"))).await;
    assert_eq!(data(outcome(&task).await), signal(&json!("just in time")));
}

#[tokio::test]
async fn r20_a_parked_task_burns_no_fuel() {
    let (host, _) = fixture().await;
    let task = start(&host, "wait", json!({"key": "go"})).await;
    parked(&task, 1).await;
    let before = task.state().usage.fuel;
    // Something else runs meanwhile, so that there would be time for it.
    let neighbour = start(&host, "steps", json!({"n": 200})).await;
    reported(&neighbour).await;
    outcome(&neighbour).await;
    assert_eq!(task.state().usage.fuel, before);
}

#[tokio::test]
async fn t45_of_a_signal_and_a_timeout_at_once_exactly_one_ends_the_wait() {
    for _ in 0..20 {
        let clock = Arc::new(SimulatedClock::new());
        let (host, _) = with_fixture(builder().clock(clock.clone())).await;
        let task = start(&host, "wait-twice", json!({"key": "go", "timeout_ms": 1000})).await;
        parked(&task, 1).await;
        clock.advance(Duration::from_secs(1));
        tell(&task, "go", Some(json!(1))).await;
        // Whichever was first: the signal is not lost, and the other wait ends by its time.
        let ended = async {
            loop {
                tokio::select! {
                    outcome = task.wait() => return outcome,
                    // While the guest runs there is no hurry.
                    () = tokio::task::yield_now() => if task.state().waiting.is_some() {
                        clock.advance(Duration::from_millis(10));
                    },
                }
            }
        };
        let both = data(within(ended).await);
        let results: Vec<&str> = both.as_array().unwrap().iter().map(|one| one["result"].as_str().unwrap()).collect();
        let signals = results.iter().filter(|result| **result == "signal").count();
        assert_eq!(signals, 1, "{both}");
    }
}
