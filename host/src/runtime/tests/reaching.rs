//! Signals to several tasks, and what a guest's reaching out costs it.

use std::sync::Arc;

use serde_json::json;

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use crate::model::event::EventBody;
use crate::model::grants::Grants;
use crate::model::ids::SignalKey;
use crate::model::limits::LimitsRequest;
use crate::model::machine::Refusal;
use crate::model::receipt::Effect;
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::{NotifyAnswer, Party, Signal};
use crate::ports::runner::{CellLink, GuestCall};
use crate::runtime::handle::TaskHandle;
use crate::runtime::reach::notify_tasks;

fn in_session() -> StartRequest {
    let mut request = request().grants(Grants::default().signal());
    request.details.session = Some("s".to_owned());
    request
}

/// Waits for `begin`, tells its session `go`, and then waits for ever.
async fn tell_session(link: &CellLink, all: bool) -> Result<u32, Refusal> {
    wait_for(link, "begin", None).await;
    link.request(|reply| GuestCall::NotifyScope { session: true, key: key("go"), payload: None, all, reply }).await
}

fn sent(events: &[crate::model::event::Event]) -> Vec<SignalKey> {
    let key = |event: &crate::model::event::Event| {
        if let EventBody::SignalSent { key, .. } = &event.body { Some(key.clone()) } else { None }
    };
    events.iter().filter_map(key).collect()
}

#[tokio::test]
async fn r23_two_signals_at_the_same_time_wake_two_of_those_that_wait() {
    let bench = Bench::new(script(|link| async move { success(json!(wait_for(&link, "go", None).await)) }));
    let tasks = [bench.start().await, bench.start().await, bench.start().await];
    settle().await;
    let live = || tasks.iter().map(|task| Arc::clone(&task.shared)).collect();
    let send = || notify_tasks(live(), key("go"), Signal::new(None, Party::Host), false);
    assert_eq!(tokio::join!(send(), send()), (1, 1));
    settle().await;
    let ended: Vec<bool> = tasks.iter().map(|task| task.state().outcome.is_some()).collect();
    assert_eq!(ended, [true, true, false], "none of them sleeps on over a signal that another one has");
    assert_eq!(send().await, 1);
    // Nobody is left.
    tasks[2].wait().await;
    assert_eq!(send().await, 0);
}

/// A task that tells, after some that wait, in the same session.
async fn teller(all: bool, limits: &LimitsRequest) -> (Bench, TaskHandle, Vec<TaskHandle>) {
    let first = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let bench = Bench::new(script(move |link| {
        let tells = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        async move {
            if !tells {
                return success(json!(wait_for(&link, "go", None).await));
            }
            let told = tell_session(&link, all).await.map_err(|refusal| refusal.kind);
            link.news.report(format!("{told:?}"), None, false);
            std::future::pending().await
        }
    }));
    let teller = bench.inner.start(in_session().limits(*limits)).await.unwrap();
    settle().await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(bench.inner.start(in_session()).await.unwrap());
        settle().await;
    }
    assert_eq!(teller.notify(key("begin"), None, Party::Host).await, NotifyAnswer::Delivered);
    settle().await;
    (bench, teller, others)
}

fn told(task: &TaskHandle) -> String {
    task.state().progress.expect("it has told").message
}

#[tokio::test]
async fn r33_signals_to_a_session_are_in_the_log_and_in_the_receipt() {
    for (all, count) in [(true, 3), (false, 1)] {
        let (_bench, task, others) = teller(all, &LimitsRequest::default()).await;
        assert_eq!(told(&task), format!("Ok({count})"));
        assert_eq!(others.iter().filter(|other| other.state().outcome.is_some()).count(), count);
        task.cancel(CancelRequest::force(Party::Person, "enough")).await;
        let receipt = task.receipt().await.unwrap();
        let targets = receipt.effects.iter().map(|effect| {
            let Effect::SignalSent { target, .. } = effect else { panic!("{effect:?}") };
            target.clone()
        });
        let expected: Vec<_> = others.iter().take(count).map(|other| other.task_ref().clone()).collect();
        assert_eq!(targets.collect::<Vec<_>>(), expected);
        assert_eq!(sent(&log(&task).await), vec![key("go"); count]);
    }
}

#[tokio::test]
async fn r33_a_task_whose_log_is_full_signals_nobody() {
    // Its wait for the beginning is all that it may write.
    let limits = LimitsRequest { log_events: Some(2), ..LimitsRequest::default() };
    let (_bench, task, others) = teller(true, &limits).await;
    assert_eq!(told(&task), "Err(TooLarge)");
    assert!(others.iter().all(|other| other.state().outcome.is_none()));
}

#[tokio::test]
async fn r33_calls_that_are_refused_are_paced_as_well() {
    let bench = Bench::new(script(|link| async move {
        for number in 0..3_u8 {
            let target = crate::model::ids::TaskRef {
                plugin: "p".to_owned(),
                task_type: "t".to_owned(),
                key: crate::model::ids::TaskKey::new("k").unwrap(),
            };
            let refused = match number {
                0 => link.request(|reply| GuestCall::CancelWait { target, key: None, reply }).await.is_err(),
                1 => {
                    let key = key("go");
                    link.request(|reply| GuestCall::Notify { target, key, payload: None, reply }).await.is_err()
                }
                _ => {
                    let (key, all) = (key("go"), true);
                    let ask = |reply| GuestCall::NotifyScope { session: true, key, payload: None, all, reply };
                    link.request(ask).await.is_err()
                }
            };
            link.news.report(format!("{number} {refused}"), None, false);
        }
        std::future::pending().await
    }));
    let limits = LimitsRequest { events_per_second: Some(1), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    settle().await;
    for number in 0..3 {
        assert_eq!(told(&task), format!("{number} true"));
        bench.advance(std::time::Duration::from_secs(1)).await;
    }
}
