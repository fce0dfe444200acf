//! The end of the host is the end of its tasks, and every one of them gets an outcome.

use std::sync::Arc;

use serde_json::json;
use taskcell::{Host, MemoryStore, Outcome, Party, Phase, TaskHandle};

use crate::support::files::names;
use crate::support::task::{data, events, outcome, parked, reported, run, start, started};
use crate::support::{builder, with_fixture, within};

/// A busy task, a polite one, one that waits, one that sleeps, and one that has not begun.
async fn all_sorts() -> (Host, Vec<TaskHandle>) {
    let (host, _) = with_fixture(builder().running_max(4)).await;
    let spin = start(&host, "spin", json!(null)).await;
    let polite = start(&host, "polite", json!(null)).await;
    let wait = start(&host, "wait", json!({"key": "go"})).await;
    let sleep = start(&host, "sleep", json!({"ms": 86_400_000})).await;
    started(&spin).await;
    reported(&polite).await;
    parked(&wait, 1).await;
    started(&sleep).await;
    let queued = start(&host, "echo", json!(1)).await;
    assert_eq!(queued.state().phase, Phase::Queued);
    (host, vec![spin, polite, wait, sleep, queued])
}

fn by_the_host(ended: &Outcome) -> bool {
    matches!(ended, Outcome::Cancelled { by: Party::Host, reason, .. } if reason.contains("shutting down"))
}

#[tokio::test]
async fn f22_dropping_the_host_ends_every_task_with_an_outcome() {
    let (host, tasks) = all_sorts().await;
    drop(host);
    for task in &tasks {
        let ended = outcome(task).await;
        assert!(by_the_host(&ended), "{ended:?}");
        assert!(!events(task).await.is_empty());
    }
}

#[tokio::test]
async fn f22_after_a_shutdown_every_task_has_its_outcome() {
    let (host, tasks) = all_sorts().await;
    within(host.shutdown()).await;
    for task in &tasks {
        let ended = task.state().outcome.expect("it has an outcome");
        assert!(by_the_host(&ended), "{ended:?}");
    }
}

#[tokio::test]
async fn r34_a_shutdown_leaves_the_outcomes_that_stand() {
    let (host, _) = with_fixture(builder()).await;
    let done = start(&host, "echo", json!("before")).await;
    outcome(&done).await;
    within(host.shutdown()).await;
    assert_eq!(data(done.wait().await), json!("before"));
}

#[tokio::test]
async fn f25_a_dropped_host_takes_its_directory_along() {
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().work_dir(work_dir.path())).await;
    run(&host, "echo", json!(1)).await;
    assert_eq!(names(work_dir.path()).len(), 1);
    within(host.shutdown()).await;
    drop(host);
    assert_eq!(names(work_dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn f22_the_log_of_a_task_outlives_its_host() {
    let store = Arc::new(MemoryStore::new());
    let (host, _) = with_fixture(builder().store(store)).await;
    let task = start(&host, "wait", json!({"key": "go"})).await;
    parked(&task, 1).await;
    within(host.shutdown()).await;
    drop(host);
    let log = events(&task).await;
    assert!(matches!(log.last().map(|event| &event.body), Some(taskcell::EventBody::Finished { .. })));
}
