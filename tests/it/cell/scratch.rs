//! The scratch directory: a task's own, empty at the start, gone after every kind of end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{Host, SimulatedClock, StartRequest};

use crate::support::files::{names, scratch_dirs};
use crate::support::task::{outcome, parked, please_stop, result, start, start_as, started};
use crate::support::{builder, fixture, request, with_fixture, within};

#[tokio::test]
async fn r39_the_scratch_directory_is_empty_at_the_start() {
    let (host, _) = fixture().await;
    // More than one, so that a leftover would be seen.
    for _ in 0..3 {
        let empty = result(&host, "list", json!({"path": "/scratch"})).await;
        assert_eq!(empty, json!({"names": []}));
        let written = result(&host, "write", json!({"path": "/scratch/note", "text": "mine"})).await;
        assert_eq!(written, json!({"bytes": 4}));
    }
}

#[tokio::test]
async fn r39_two_tasks_do_not_see_each_others_scratch() {
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().work_dir(work_dir.path())).await;
    let first = start(&host, "wait", json!({"key": "go"})).await;
    parked(&first, 1).await;
    let id = first.id().to_string();
    for path in [format!("/scratch/../{id}"), format!("../{id}"), format!("/scratch/../../scratch/{id}")] {
        let told = result(&host, "list", json!({"path": path})).await;
        assert!(told["error"].is_object(), "{path}: {told}");
    }
    let told = result(&host, "write", json!({"path": format!("/scratch/../{id}/x"), "text": "x"})).await;
    assert!(told["error"].is_object(), "{told}");
    let host_dir = work_dir.path().join(&names(work_dir.path())[0]);
    assert_eq!(names(host_dir.join("scratch").join(&id)), Vec::<String>::new());
}

/// Runs a task to its end, and sees that its directory was there and is gone with it.
async fn leaves_nothing(host: Host, work_dir: &Path, request: StartRequest) {
    let task = start_as(&host, request).await;
    outcome(&task).await;
    // Whoever has the outcome need not wait for the tidying up; a shutdown does.
    within(host.shutdown()).await;
    assert_eq!(scratch_dirs(work_dir), Vec::<String>::new(), "{:?}", task.state());
}

async fn gone_after(task_type: &str, input: Value) {
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().work_dir(work_dir.path())).await;
    let request = request(task_type, input).fuel(100_000_000).memory_bytes(32 << 20);
    leaves_nothing(host, work_dir.path(), request).await;
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_success() {
    gone_after("write", json!({"path": "/scratch/left", "text": "behind"})).await;
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_failure() {
    gone_after("fail", json!({"message": "m", "retryable": false, "details": null})).await;
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_panic_and_a_trap() {
    gone_after("panic", json!({"message": "m"})).await;
    gone_after("trap", json!(null)).await;
}

#[tokio::test]
async fn f25_scratch_is_gone_after_an_exit() {
    gone_after("exit", json!({"code": 1})).await;
}

#[tokio::test]
async fn f25_scratch_is_gone_when_the_fuel_is() {
    gone_after("spin", json!(null)).await;
}

#[tokio::test]
async fn f25_scratch_is_gone_when_memory_was_short() {
    gone_after("allocate", json!({"mib": 100})).await;
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_timeout() {
    let clock = Arc::new(SimulatedClock::new());
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().work_dir(work_dir.path()).clock(clock.clone())).await;
    let task = start(&host, "sleep", json!({"ms": 86_400_000})).await;
    started(&task).await;
    assert_eq!(scratch_dirs(work_dir.path()), [task.id().to_string()]);
    clock.advance(Duration::from_hours(1));
    outcome(&task).await;
    within(host.shutdown()).await;
    assert_eq!(scratch_dirs(work_dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_forced_cancel() {
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().work_dir(work_dir.path())).await;
    let task = start(&host, "spin", json!(null)).await;
    started(&task).await;
    assert_eq!(scratch_dirs(work_dir.path()), [task.id().to_string()]);
    within(task.cancel(please_stop().grace(Duration::ZERO))).await;
    outcome(&task).await;
    within(host.shutdown()).await;
    assert_eq!(scratch_dirs(work_dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_cancel_in_the_queue() {
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().running_max(1).work_dir(work_dir.path())).await;
    let first = start(&host, "wait", json!({"key": "go"})).await;
    parked(&first, 1).await;
    let queued = start(&host, "echo", json!(1)).await;
    within(queued.cancel(please_stop())).await;
    outcome(&queued).await;
    within(host.shutdown()).await;
    assert_eq!(scratch_dirs(work_dir.path()), Vec::<String>::new());
}
