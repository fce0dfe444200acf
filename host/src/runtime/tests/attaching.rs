//! Files that a task gets along: there for each attempt, and gone with the task.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::bench::{Bench, request, script, settle, success};
use crate::model::attachment::{Attachment, AttachmentError};
use crate::model::outcome::{CellEnd, GuestOutcome};
use crate::model::request::{KeyPolicy, StartRequest};
use crate::model::retry::RetryPolicy;
use crate::model::signal::Party;
use crate::runtime::start_error::StartError;

fn with_file() -> StartRequest {
    request().attachment(Attachment::bytes("in.txt", *b"hello"))
}

/// Where the bench's host keeps them.
fn places(bench: &Bench) -> Vec<PathBuf> {
    let dirs = &bench.inner.around.dirs;
    (0..9).map(|place| dirs.attachments_path(place)).filter(|place| Path::exists(place)).collect()
}

#[tokio::test]
async fn r47_the_files_are_there_for_every_attempt_and_go_with_the_task() {
    let bench = Bench::new(script(|_| async {
        let message = "once more".to_owned();
        CellEnd::Returned(GuestOutcome::Failed { message, error: None, retryable: true })
    }));
    let twice = RetryPolicy { attempts: 2, ..RetryPolicy::default() };
    let task = bench.inner.start(with_file().retry(twice)).await.unwrap();
    settle().await;
    assert_eq!(places(&bench).len(), 1, "between its attempts");
    assert_eq!(task.state().details.attachments[0].path, "/attachments/in.txt");
    while task.state().outcome.is_none() {
        bench.advance(std::time::Duration::from_mins(1)).await;
    }
    task.gone().await;
    assert_eq!((task.state().attempt, places(&bench).len()), (2, 0));
}

#[tokio::test]
async fn r47_a_refused_start_leaves_nothing_and_cancels_nobody() {
    let bench = Bench::new(script(|_| async { std::future::pending().await }));
    let key = || crate::model::ids::TaskKey::new("k").unwrap();
    let first = bench.inner.start(with_file().key(key())).await.unwrap();
    let there = places(&bench);
    let taken = bench.inner.start(with_file().key(key())).await.unwrap_err();
    assert!(matches!(taken, StartError::KeyInUse { .. }));
    assert_eq!(places(&bench), there);
    let wrong = request().attachment(Attachment::bytes("in.txt", *b"hello").size(4)).key(key());
    let replaces = wrong.on_key_in_use(KeyPolicy::replace(Party::Person));
    let refused = bench.inner.start(replaces).await.unwrap_err();
    assert!(matches!(refused, StartError::Attachment(AttachmentError::Size { .. })));
    assert!(first.state().cancel.is_none() && places(&bench) == there);
}

#[tokio::test]
async fn r47_what_a_request_says_of_its_details_does_not_count() {
    let bench = Bench::new(script(|_| async { success(json!("done")) }));
    let mut pretends = with_file();
    pretends.details.attachments = serde_json::from_value(
        json!([{"name": "x", "media_type": "", "size": 1, "sha256": "", "path": "/etc/passwd"}]),
    )
    .unwrap();
    let task = bench.inner.start(pretends).await.unwrap();
    let names: Vec<_> = task.state().details.attachments.into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["in.txt"]);
}
