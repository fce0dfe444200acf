//! Stopping many tasks at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use crate::model::ids::TaskId;
use crate::model::limits::Limits;
use crate::model::outcome::{CellEnd, GuestOutcome, Outcome};
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::ports::clock::Clock;
use crate::runtime::handle::TaskHandle;
use crate::runtime::start::{Birthright, new_id, start_as};
use crate::runtime::stopping::{StopReport, StopScope};
use crate::store::memory::MemoryStore;

const DEADLINE: Duration = Duration::from_secs(10);

fn enough() -> CancelRequest {
    CancelRequest::new(Party::Person, "enough")
}

fn bench() -> Bench {
    Bench::new(script(|link| async move {
        wait_for(&link, "never", None).await;
        CellEnd::Returned(GuestOutcome::Cancelled { message: "tidied up".to_owned(), data: None })
    }))
}

fn ids(report: &StopReport) -> Vec<TaskId> {
    report.tasks.iter().map(|task| task.id).collect()
}

fn in_background<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinSet<T> {
    let mut running = JoinSet::new();
    running.spawn(future);
    running
}

fn lives(task: &TaskHandle) -> bool {
    task.state().outcome.is_none()
}

#[tokio::test]
async fn r34_a_thousand_tasks_half_of_them_deaf_are_stopped_by_the_deadline() {
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, gone) = (Arc::clone(&begun), Arc::clone(&ended));
    let scripts = script(move |link| {
        let deaf = count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let gone = Arc::clone(&gone);
        async move {
            if deaf {
                std::future::pending::<()>().await;
            }
            wait_for(&link, "never", None).await;
            gone.fetch_add(1, Ordering::Relaxed);
            CellEnd::Returned(GuestOutcome::Cancelled { message: "tidied up".to_owned(), data: None })
        }
    });
    let bench = Arc::new(Bench::with(scripts, 1000, Arc::new(MemoryStore::new())));
    let mut tasks = Vec::new();
    for _ in 0..1000 {
        tasks.push(bench.start().await);
        // A semaphore lets nobody take this many of it in one turn.
        tokio::task::yield_now().await;
    }
    while begun.load(Ordering::Relaxed) < 1000 {
        settle().await;
    }
    let before = bench.clock.steady();
    let mut stopping = in_background({
        let bench = Arc::clone(&bench);
        let request = enough().grace(Duration::from_hours(1));
        async move { bench.inner.stop_all(&StopScope::All, request, DEADLINE).await }
    });
    while ended.load(Ordering::Relaxed) < 500 {
        settle().await;
    }
    bench.advance(DEADLINE.checked_sub(Duration::from_millis(1)).unwrap()).await;
    assert!(stopping.try_join_next().is_none(), "the deaf ones have their time");
    bench.advance(Duration::from_millis(1)).await;
    let report = stopping.join_all().await.remove(0);
    assert_eq!(bench.clock.steady(), before + DEADLINE);
    assert!(report.is_complete());
    assert_eq!((report.tasks.len(), report.forced()), (1000, 500));
    assert_eq!(ids(&report), tasks.iter().map(TaskHandle::id).collect::<Vec<_>>(), "oldest first");
    for (task, stopped) in tasks.iter().zip(&report.tasks) {
        assert_eq!(task.state().outcome, stopped.outcome);
        assert_eq!(*task.task_ref(), stopped.task);
        let Some(Outcome::Cancelled { by: Party::Person, reason, forced, message, .. }) = &stopped.outcome else {
            panic!("{stopped:?}")
        };
        let expected = if *forced { "" } else { "tidied up" };
        assert_eq!((reason.as_str(), message.as_str()), ("enough", expected));
        assert_eq!(*forced, stopped.forced);
    }
}

#[tokio::test]
async fn r34_a_task_that_ends_by_itself_meanwhile_is_told_as_it_ended() {
    let bench = Bench::new(script(|link| async move {
        wait_for(&link, "never", None).await;
        success(json!("done all the same"))
    }));
    let task = bench.start().await;
    settle().await;
    let report = bench.inner.stop_all(&StopScope::All, enough(), DEADLINE).await;
    assert_eq!(ids(&report), [task.id()]);
    assert!(matches!(report.tasks[0].outcome, Some(Outcome::Succeeded { .. })), "{report:?}");
    assert!(!report.tasks[0].forced);
}

#[tokio::test]
async fn f15_stopping_all_of_one_plugin_leaves_the_other_alone() {
    let bench = bench();
    let (ours, other) = (bench.start().await, bench.inner.start(StartRequest::new("other", "script")).await.unwrap());
    settle().await;
    let report = bench.inner.stop_all(&StopScope::Plugin("scripted".to_owned()), enough(), DEADLINE).await;
    assert_eq!(ids(&report), [ours.id()]);
    settle().await;
    assert!(lives(&other) && other.state().cancel.is_none());
    // A name that begins alike is another one.
    let none = bench.inner.stop_all(&StopScope::Plugin("othe".to_owned()), enough(), DEADLINE).await;
    assert_eq!(none.tasks, []);
}

#[tokio::test]
async fn r34_sessions_and_turns_are_stopped_and_others_are_not() {
    let bench = bench();
    let start = async |session: Option<&str>, turn: Option<&str>| {
        let mut request = request();
        request.details.session = session.map(str::to_owned);
        request.details.turn = turn.map(str::to_owned);
        bench.inner.start(request).await.unwrap()
    };
    let tasks = [
        start(Some("a"), Some("1")).await,
        start(Some("a"), Some("2")).await,
        start(Some("b"), Some("1")).await,
        start(None, Some("1")).await,
        start(None, None).await,
    ];
    settle().await;
    let stop = async |scope| ids(&bench.inner.stop_all(&scope, enough(), DEADLINE).await);
    assert_eq!(stop(StopScope::turn(None, "1")).await, [tasks[3].id()]);
    assert_eq!(stop(StopScope::turn(Some("a".to_owned()), "1")).await, [tasks[0].id()]);
    assert_eq!(stop(StopScope::Session("a".to_owned())).await, [tasks[1].id()]);
    assert_eq!(stop(StopScope::Session("c".to_owned())).await, []);
    assert!(lives(&tasks[2]) && lives(&tasks[4]));
}

#[tokio::test]
async fn r34_everything_below_a_task_is_stopped_also_below_one_that_has_ended() {
    let bench = bench();
    let child = async |parent: Option<TaskId>| {
        let mut request = request();
        if parent.is_none() {
            return bench.inner.start(request).await.unwrap();
        }
        (request.details.parent, request.details.detached) = (parent, true);
        let right = Birthright { version: None, id: new_id(), limits: Limits::default(), tree: None };
        Box::pin(start_as(&bench.inner, request, right)).await.unwrap()
    };
    let root = child(None).await;
    let middle = child(Some(root.id())).await;
    let leaf = child(Some(middle.id())).await;
    let beside = child(None).await;
    settle().await;
    middle.cancel(CancelRequest::force(Party::Host, "")).await;
    let report = bench.inner.stop_all(&StopScope::Parent(root.id()), enough(), DEADLINE).await;
    assert_eq!(ids(&report), [leaf.id()]);
    assert!(lives(&root) && lives(&beside));
}

#[tokio::test]
async fn t45_stop_all_against_start_touches_what_was_started_before_and_nothing_else() {
    let bench = Arc::new(bench());
    // In the queue and not yet running is started too.
    let first = bench.start().await;
    let stopping = in_background({
        let bench = Arc::clone(&bench);
        async move { bench.inner.stop_all(&StopScope::All, enough(), DEADLINE).await }
    });
    while first.state().cancel.is_none() {
        tokio::task::yield_now().await;
    }
    let second = bench.start().await;
    let report = stopping.join_all().await.remove(0);
    assert_eq!(ids(&report), [first.id()]);
    settle().await;
    assert!(lives(&second) && second.state().cancel.is_none());
    second.notify(key("never"), None, Party::Host).await;
    second.wait().await;
    for task in [first, second] {
        log(&task).await;
    }
}

#[tokio::test]
async fn r34_a_task_is_told_of_no_more_time_than_it_has() {
    let bench = Arc::new(Bench::new(script(|_| std::future::pending())));
    let task = bench.start().await;
    settle().await;
    let stopping = in_background({
        let bench = Arc::clone(&bench);
        let request = enough().grace(Duration::from_hours(1));
        async move { bench.inner.stop_all(&StopScope::All, request, DEADLINE).await }
    });
    settle().await;
    assert_eq!(task.state().cancel.map(|request| request.grace), Some(DEADLINE));
    bench.advance(DEADLINE).await;
    assert_eq!(stopping.join_all().await.remove(0).forced(), 1);
}
