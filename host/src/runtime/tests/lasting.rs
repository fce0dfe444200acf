//! A host's files when they are kept: there for the next host on the same directory.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use tokio::runtime::Handle;

use super::bench::{Bench, key, request, script, settle, success, wait_for};
use crate::model::attachment::Attachment;
use crate::model::ids::TaskId;
use crate::model::limits::Limits;
use crate::model::signal::Party;
use crate::ports::clock::Clock;
use crate::ports::output::{OutputCursor, OutputLog};
use crate::ports::store::CommitError;
use crate::runtime::attachments::Attached;
use crate::runtime::dirs::HostDirs;
use crate::runtime::spill::OutputFile;
use crate::runtime::start_error::StartError;
use crate::runtime::suspending::Suspended;
use crate::store::faulty::FaultyStore;
use crate::store::memory::MemoryStore;

fn dirs(data: &Path) -> Arc<HostDirs> {
    Arc::new(HostDirs::in_data(data).unwrap())
}

/// What the next host has of a task's output.
fn next(data: &Path, id: TaskId) -> Arc<OutputLog> {
    OutputFile::log(&dirs(data), id, &Limits::default())
}

fn text(output: &OutputLog) -> String {
    output.read(OutputCursor::default()).chunks.into_iter().map(|chunk| chunk.text).collect()
}

fn places(dirs: &HostDirs) -> usize {
    (0..9).filter(|place| dirs.attachments_path(*place).exists()).count()
}

#[tokio::test]
async fn r44_output_is_in_its_file_when_its_end_is_told_and_a_moment_after_it_was_printed() {
    let data = tempfile::tempdir().unwrap();
    let talks = script(|link| async move {
        link.output.stdout("begins, ");
        wait_for(&link, "go", None).await;
        link.output.stdout("ends");
        success(None)
    });
    let bench = Bench::within(dirs(data.path()), talks, 4, Arc::new(MemoryStore::new()));
    bench.inner.around.dirs.write_behind(Arc::clone(&bench.clock) as Arc<dyn Clock>, &Handle::current());
    let task = bench.start().await;
    while !task.shared().output.is_behind() {
        settle().await;
    }
    assert_eq!(text(&next(data.path(), task.id())), "");
    for _ in 0..10 {
        settle().await;
        bench.advance(Duration::from_millis(100)).await;
    }
    while task.shared().output.is_behind() {
        settle().await;
    }
    assert_eq!(text(&next(data.path(), task.id())), "begins, ");
    task.notify(key("go"), None, Party::Host).await;
    task.wait().await;
    // By no timer: the clock stands still.
    assert_eq!(text(&next(data.path(), task.id())), "begins, ends");
}

#[tokio::test]
async fn r44_somebody_can_ask_that_output_outlives_the_machine() {
    let data = tempfile::tempdir().unwrap();
    let talks = script(|link| async move {
        link.output.stdout("begins");
        wait_for(&link, "go", None).await;
        success(None)
    });
    let bench = Bench::within(dirs(data.path()), talks, 4, Arc::new(MemoryStore::new()));
    let task = bench.start().await;
    while !task.shared().output.is_behind() {
        settle().await;
    }
    task.flush_output().await.unwrap();
    assert_eq!(text(&next(data.path(), task.id())), "begins");
    // Something that is no file of the host's is not written to, and the one who asks is told.
    let other = bench.start().await;
    let place = data.path().join("files/output").join(other.id().to_string());
    std::os::unix::fs::symlink(data.path().join("elsewhere"), place).unwrap();
    while !other.shared().output.is_behind() {
        settle().await;
    }
    other.flush_output().await.unwrap_err();
    assert!(!data.path().join("elsewhere").exists());
}

#[tokio::test]
async fn r44_an_ended_tasks_output_is_read_on_by_the_next_host_and_goes_with_the_task() {
    let data = tempfile::tempdir().unwrap();
    let talks = script(|link| async move {
        link.output.stdout("said");
        success(None)
    });
    let first = Bench::within(dirs(data.path()), talks, 4, Arc::new(MemoryStore::new()));
    let task = first.start().await;
    task.gone().await;
    let again = dirs(data.path());
    again.keep_only(&HashSet::from([task.id()]), &HashSet::new());
    let output = OutputFile::log(&again, task.id(), &Limits::default());
    assert_eq!((text(&output).as_str(), output.end()), ("said", task.shared().output.end()));
    assert!(again.has_files(task.id()) && !output.is_behind());
    again.remove_files(task.id());
    assert_eq!(text(&OutputFile::log(&dirs(data.path()), task.id(), &Limits::default())), "");
}

#[tokio::test]
async fn r47_attachments_stay_when_the_host_ends_and_go_when_the_task_does() {
    let data = tempfile::tempdir().unwrap();
    let waits = script(|link| async move {
        wait_for(&link, "go", None).await;
        success(None)
    });
    let with_file = || request().attachment(Attachment::bytes("in.txt", *b"hello"));
    let bench = Bench::within(dirs(data.path()), waits, 4, Arc::new(MemoryStore::new()));
    let ends = bench.inner.start(with_file()).await.unwrap();
    let stays = bench.inner.start(with_file()).await.unwrap();
    ends.notify(key("go"), None, Party::Host).await;
    ends.gone().await;
    let first = Arc::clone(&bench.inner.around.dirs);
    assert_eq!(places(&first), 1);
    // The process ends, and drops what it holds.
    let mut actors = std::mem::take(&mut *bench.inner.actors.lock().unwrap());
    actors.shutdown().await;
    assert!(stays.state().outcome.is_none());
    assert_eq!(places(&first), 1);
    let again = dirs(data.path());
    again.keep_only(&HashSet::from([stays.id()]), &HashSet::from([1]));
    let attached = Attached::reopen(&again, 1).unwrap();
    let copies = Dir::open_ambient_dir(attached.path(), cap_std::ambient_authority()).unwrap();
    assert_eq!(copies.read("in.txt").unwrap(), b"hello");
}

#[tokio::test]
async fn r47_a_task_that_cannot_be_stored_leaves_no_attachments() {
    let data = tempfile::tempdir().unwrap();
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let nothing = script(|_| async { success(None) });
    let bench = Bench::within(dirs(data.path()), nothing, 4, Arc::clone(&store) as _);
    store.fail(true);
    let refused = bench.inner.start(request().attachment(Attachment::bytes("in.txt", *b"hello"))).await.unwrap_err();
    assert!(matches!(refused, StartError::Store(CommitError::Unavailable)), "{refused}");
    assert_eq!(places(&bench.inner.around.dirs), 0);
}

#[tokio::test]
async fn r47_a_task_whose_store_fails_leaves_its_attachments_to_the_next_host() {
    let data = tempfile::tempdir().unwrap();
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let waits = script(|link| async move { success(serde_json::json!(wait_for(&link, "go", None).await)) });
    let mut bench = Bench::within(dirs(data.path()), waits, 4, Arc::clone(&store) as _);
    bench.around_mut().suspended = Arc::new(Suspended::new(true));
    let task = bench.inner.start(request().attachment(Attachment::bytes("in.txt", *b"hello"))).await.unwrap();
    settle().await;
    store.fail(true);
    task.notify(key("go"), None, Party::Host).await;
    task.gone().await;
    assert_eq!(places(&bench.inner.around.dirs), 1);
}

#[tokio::test]
async fn r40_files_stay_as_long_as_the_store_knows_their_task() {
    let data = tempfile::tempdir().unwrap();
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let nothing = script(|_| async { success(None) });
    let bench = Bench::within(dirs(data.path()), nothing, 4, Arc::clone(&store) as _);
    let dirs = Arc::clone(&bench.inner.around.dirs);
    for fails in [true, false] {
        let task = bench.start().await;
        task.gone().await;
        dirs.store(task.id(), 1, &mut b"kept".as_slice(), 100).unwrap();
        store.fail(fails);
        bench.inner.remove(task.id()).await.unwrap();
        store.fail(false);
        assert_eq!(dirs.read(task.id(), 1).is_ok(), fails);
    }
}
