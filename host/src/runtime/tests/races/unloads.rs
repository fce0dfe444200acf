//! An unload, a replacement or a disabling against a start.

use std::sync::Arc;
use std::time::Duration;

use super::super::bench::{Bench, key, log, script, settle, success, wait_for};
use super::super::unloading::{CANCEL, DRAIN, done, in_background, load, made, replace, start, unload, waiting};
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::outcome::Outcome;
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::ports::clock::BoxFuture;
use crate::ports::runner::CellLink;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};
use crate::runtime::start_error::StartError;
use crate::runtime::stopping::StopReport;
use crate::runtime::unloading::Unload;
use crate::store::memory::MemoryStore;

/// A store that takes the first events of a task only when it is told to.
#[derive(Debug)]
pub(in crate::runtime::tests) struct Shut {
    inner: MemoryStore,
    pub(in crate::runtime::tests) open: tokio::sync::Semaphore,
}

impl TaskStore for Shut {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            if fence == Fence::Absent && matches!(stream, StreamId::Task(_)) {
                self.open.acquire().await.unwrap().forget();
            }
            self.inner.commit(stream, fence, records).await
        })
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        self.inner.head(stream)
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        self.inner.read(stream, after, limit)
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.remove(stream)
    }

    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>> {
        self.inner.tasks(after, limit)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.flush()
    }
}

pub(in crate::runtime::tests) fn shut() -> (Bench, Arc<Shut>) {
    let store = Arc::new(Shut { inner: MemoryStore::new(), open: tokio::sync::Semaphore::new(0) });
    let scripts = script(|link: CellLink| async move {
        wait_for(&link, "go", None).await;
        success(None)
    });
    (Bench::with(scripts, 4, Arc::clone(&store) as _), store)
}

#[tokio::test]
async fn t45_unload_against_start_waits_for_a_start_that_is_under_way_and_ends_its_task() {
    for how in [Unload::Force, CANCEL, DRAIN] {
        let (bench, store) = shut();
        let code = load(&bench, "1").await;
        let starting = in_background(&bench, |inner| async move { inner.start(made()).await.unwrap() });
        settle().await;
        let mut unloading = unload(&bench, how);
        settle().await;
        assert!(unloading.try_join_next().is_none(), "{how:?}: a task may still come of it");
        store.open.add_permits(1);
        let task = done(starting).await;
        settle().await;
        task.notify(key("go"), None, Party::Host).await;
        let report = done(unloading).await.unwrap();
        assert_eq!(report.tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [task.id()], "{how:?}");
        assert!(report.is_complete() && code.upgrade().is_none());
        log(&task).await;
    }
}

#[tokio::test]
async fn t45_a_start_whose_store_does_not_answer_holds_an_unload_up_for_a_second_only() {
    let (bench, store) = shut();
    let code = load(&bench, "1").await;
    let starting = in_background(&bench, |inner| async move { inner.start(made()).await.unwrap() });
    settle().await;
    let mut unloading = unload(&bench, CANCEL);
    bench.advance(Duration::from_secs(6)).await;
    let report = unloading.try_join_next().expect("it comes back").unwrap().unwrap();
    assert_eq!(report, StopReport::default());
    assert!(code.upgrade().is_some(), "it may still be needed");
    store.open.add_permits(1);
    let task = done(starting).await;
    assert!(matches!(task.wait().await, Outcome::Cancelled { by: Party::Host, .. }));
    task.gone().await;
    settle().await;
    assert!(code.upgrade().is_none());
}

#[tokio::test]
async fn t45_replace_against_start_gives_each_start_one_version_or_the_other() {
    let bench = waiting();
    load(&bench, "0").await;
    let versions = ["1", "2", "3", "4"];
    for (number, version) in versions.into_iter().enumerate() {
        let replacing = replace(&bench, version, CANCEL);
        let mut tasks = Vec::new();
        for turns in 0..20 {
            tasks.push(start(&bench).await);
            // The scripts and the actors get a turn, and so does the replacement, at another moment each time.
            for _ in 0..(turns + number) % 3 {
                tokio::task::yield_now().await;
            }
            if tasks.len() > 3 {
                let oldest = tasks.remove(0);
                oldest.cancel(CancelRequest::force(Party::Host, "")).await;
                oldest.gone().await;
            }
        }
        done(replacing).await;
        for task in tasks {
            task.cancel(CancelRequest::force(Party::Host, "")).await;
            task.gone().await;
            assert!(log(&task).await.iter().any(|event| matches!(event.body, EventBody::Finished { .. })));
        }
    }
    assert_eq!(bench.inner.registry.version("made").unwrap().plugin.manifest().version, "4");
}

#[tokio::test]
async fn t45_disable_against_start_refuses_it_or_lets_it_live() {
    let (bench, store) = shut();
    load(&bench, "1").await;
    let starting = in_background(&bench, |inner| async move { inner.start(made()).await.unwrap() });
    settle().await;
    assert_eq!(bench.inner.set_enabled("made", false).await, Ok(true));
    store.open.add_permits(1);
    let task = done(starting).await;
    settle().await;
    assert_eq!(task.state().phase, Phase::Running, "it was started before");
    assert!(matches!(bench.inner.start(made()).await, Err(StartError::PluginDisabled { .. })));
}
