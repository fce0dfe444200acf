//! Signals against the waits that they are for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use super::steps::{keyed, narrow, nothing_is_left, orders, race, settle};
use crate::model::event::EventBody;
use crate::model::signal::{NotifyAnswer, Party};
use crate::runtime::tests::bench::{key, log, script, success, wait_for};

const SECOND: Duration = Duration::from_secs(1);

/// Told to the guest, in order.
type Heard = Arc<Mutex<Vec<String>>>;

#[tokio::test]
async fn t45_of_a_signal_and_a_timeout_one_ends_the_wait_and_the_signal_is_not_lost() {
    let mut seen = [0; 2];
    for order in orders(6) {
        let heard = Heard::default();
        let ear = Arc::clone(&heard);
        let bench = narrow(script(move |link| {
            let heard = Arc::clone(&ear);
            async move {
                let first = wait_for(&link, "go", Some(SECOND)).await;
                let timed_out = first == "TimedOut";
                heard.lock().unwrap().push(first);
                if timed_out {
                    let second = wait_for(&link, "go", None).await;
                    heard.lock().unwrap().push(second);
                }
                success(json!("done"))
            }
        }));
        let task = bench.inner.start(keyed()).await.unwrap();
        settle().await;
        let time = async { bench.clock.advance(SECOND) };
        let (answer, ()) = race(&order, task.notify(key("go"), Some(json!(7)), Party::Person), time).await;
        settle().await;
        task.wait().await;
        let signal = r"Some(Number(7)) from person".to_owned();
        let heard = heard.lock().unwrap().clone();
        let timed_out = heard.len() == 2;
        assert_eq!(heard, if timed_out { vec!["TimedOut".to_owned(), signal] } else { vec![signal] }, "{order:?}");
        assert!(matches!(answer, NotifyAnswer::Delivered | NotifyAnswer::Buffered), "{order:?}");
        assert!(timed_out || answer == NotifyAnswer::Delivered, "{answer:?}: {order:?}");
        seen[usize::from(timed_out)] += 1;
        let events = log(&task).await;
        let taken = events.iter().filter(|event| matches!(event.body, EventBody::SignalTaken { .. })).count();
        assert_eq!(taken, 1, "{order:?}");
        nothing_is_left(&bench, &order).await;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "both come first in some order: {seen:?}");
}

#[tokio::test]
async fn t45_a_signal_finds_its_task_before_and_after_it_waits() {
    let mut seen = [0; 2];
    for order in orders(5) {
        let gate = Arc::new(Notify::new());
        let opens = Arc::clone(&gate);
        let bench = narrow(script(move |link| {
            let gate = Arc::clone(&opens);
            async move {
                gate.notified().await;
                success(json!(wait_for(&link, "go", None).await))
            }
        }));
        let task = bench.inner.start(keyed()).await.unwrap();
        settle().await;
        let waits = async { gate.notify_one() };
        let (answer, ()) = race(&order, task.notify(key("go"), Some(json!(7)), Party::Agent), waits).await;
        settle().await;
        let data = json!(r"Some(Number(7)) from agent");
        let outcome = task.wait().await;
        let crate::model::outcome::Outcome::Succeeded { data: Some(told), .. } = outcome else { panic!("{order:?}") };
        assert_eq!(told, data, "{order:?}");
        assert!(matches!(answer, NotifyAnswer::Delivered | NotifyAnswer::Buffered), "{order:?}");
        seen[usize::from(answer == NotifyAnswer::Delivered)] += 1;
        gate.notify_one();
        nothing_is_left(&bench, &order).await;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "it is there before the wait, and after it: {seen:?}");
}

#[tokio::test]
async fn t45_of_two_signals_at_once_each_is_taken_once() {
    for order in orders(5) {
        let bench = narrow(script(|link| async move {
            let one = wait_for(&link, "go", None).await;
            let other = wait_for(&link, "go", None).await;
            let mut both = [one, other];
            both.sort();
            success(json!(both.join(", ")))
        }));
        let task = bench.inner.start(keyed()).await.unwrap();
        let send = |number: u8| task.notify(key("go"), Some(json!(number)), Party::Host);
        race(&order, send(1), send(2)).await;
        settle().await;
        let outcome = task.wait().await.to_string();
        assert!(outcome.starts_with("succeeded"), "{outcome}: {order:?}");
        let state = task.state().outcome;
        let crate::model::outcome::Outcome::Succeeded { data, .. } = state.unwrap() else { panic!("{order:?}") };
        assert_eq!(data, Some(json!("Some(Number(1)) from host, Some(Number(2)) from host")), "{order:?}");
    }
}

/// Nothing in the contract lets a guest call twice at once; if one could, the first call keeps its answer.
#[tokio::test]
async fn f05_a_second_wait_does_not_make_the_first_unreachable() {
    let bench = narrow(script(|link| async move {
        let first = wait_for(&link, "one", None);
        let second = wait_for(&link, "two", None);
        let (first, second) = tokio::join!(first, second);
        success(json!(format!("{first}; {second}")))
    }));
    let task = bench.inner.start(keyed()).await.unwrap();
    settle().await;
    assert_eq!(task.notify(key("one"), None, Party::Host).await, NotifyAnswer::Delivered);
    let crate::model::outcome::Outcome::Succeeded { data, .. } = task.wait().await else { panic!("it succeeds") };
    assert_eq!(data, Some(json!("None from host; the task is parked in another call already")));
}
