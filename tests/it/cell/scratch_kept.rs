//! Scratch directories that are kept, because somebody asked for it.

use std::path::Path;

use serde_json::json;
use taskcell::{Host, ScratchPolicy, TaskHandle};

use crate::support::files::{names, scratch_dirs};
use crate::support::task::{outcome, reported, result, start, start_as};
use crate::support::{builder, fixture, request, with_fixture, within};

/// A task that leaves a file behind and then ends so.
async fn ended(host: &Host, then: &str, policy: Option<ScratchPolicy>) -> TaskHandle {
    let mut asked = request("leave-file", json!({"then": then}));
    asked.details.scratch = policy;
    let task = start_as(host, asked).await;
    reported(&task).await;
    outcome(&task).await;
    within(task.gone()).await;
    task
}

#[tokio::test]
async fn r39_a_directory_is_kept_as_the_request_or_the_host_says() {
    use ScratchPolicy::{Keep, KeepOnFailure, Remove};
    for (of_host, of_request, after_success, after_failure) in [
        (Remove, None, false, false),
        (Remove, Some(KeepOnFailure), false, true),
        (KeepOnFailure, None, false, true),
        (Keep, None, true, true),
        (Keep, Some(Remove), false, false),
    ] {
        let work_dir = tempfile::tempdir().unwrap();
        let (host, _) = with_fixture(builder().work_dir(work_dir.path()).scratch_policy(of_host)).await;
        for (then, kept) in [("return", after_success), ("fail", after_failure), ("trap", after_failure)] {
            let task = ended(&host, then, of_request).await;
            let dir = task.scratch_dir();
            assert_eq!(dir.is_some(), kept, "{of_host:?} {of_request:?} {then}");
            if let Some(dir) = dir {
                assert_eq!(
                    (names(&dir), dir.file_name()),
                    (vec!["left".to_owned()], Some(task.id().to_string().as_ref()))
                );
            }
        }
        assert_eq!(scratch_dirs(work_dir.path()), Vec::<String>::new());
        within(host.shutdown()).await;
        drop(host);
    }
}

#[tokio::test]
async fn r39_a_kept_directory_goes_when_its_task_is_forgotten_and_with_the_host() {
    let work_dir = tempfile::tempdir().unwrap();
    let keeping = builder().work_dir(work_dir.path()).scratch_policy(ScratchPolicy::Keep).ended_max(1);
    let (host, _) = with_fixture(keeping).await;
    let first = ended(&host, "return", None).await;
    let (id, dir) = (first.id(), first.scratch_dir().unwrap());
    drop(first);
    // Forgotten for one that ends later.
    while host.task(id).is_some() || dir.exists() {
        ended(&host, "return", None).await;
    }
    let last = ended(&host, "return", None).await;
    let kept = last.scratch_dir().unwrap();
    assert!(kept.exists());
    within(host.shutdown()).await;
    drop((host, last));
    assert!(!kept.exists() && names(work_dir.path()).is_empty());
}

#[tokio::test]
async fn r39_without_a_directory_there_is_none_to_keep() {
    let (host, _) = fixture().await;
    let plain = start(&host, "echo", json!(1)).await;
    within(plain.gone()).await;
    assert_eq!(plain.scratch_dir(), None);
}

#[tokio::test]
async fn r39_a_kept_directory_counts_once_against_what_is_remembered() {
    let work_dir = tempfile::tempdir().unwrap();
    let keeping = builder().work_dir(work_dir.path()).scratch_policy(ScratchPolicy::Keep).ended_bytes(4 << 20);
    let (host, _) = with_fixture(keeping).await;
    for _ in 0..40 {
        let text = "x".repeat(1 << 20);
        let written = result(&host, "write", json!({"path": "/scratch/big", "text": text})).await;
        assert_eq!(written, json!({"bytes": 1 << 20}));
    }
    let host_dir = &names(work_dir.path())[0];
    // What is to be forgotten is, when it is over. The directory is there as long as the host.
    within(host.shutdown()).await;
    let kept = names(work_dir.path().join(Path::new(host_dir)).join("kept")).len();
    // Each weighs 1 MiB of directory and as much as its input in log and state.
    assert!((1..=4).contains(&kept), "{kept}");
}
