//! What happens when the store fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::bench::{Bench, key, request, script, settle, success, wait_for};
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::ids::TaskKey;
use crate::model::outcome::Outcome;
use crate::model::request::CancelRequest;
use crate::model::signal::{NotifyAnswer, Party};
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StreamId, TaskStore};
use crate::runtime::host::StartError;
use crate::store::faulty::FaultyStore;
use crate::store::memory::MemoryStore;

#[tokio::test]
async fn a_task_whose_store_fails_ends_and_says_why() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let waiting = script(|link| async move { success(json!(wait_for(&link, "go", None).await)) });
    let bench = Bench::with(waiting, 4, Arc::clone(&store) as _);
    let task = bench.start().await;
    settle().await;
    store.fail(true);
    let answer = task.notify(key("go"), None, Party::Host).await;
    assert_eq!(answer, NotifyAnswer::NoTask, "a signal that was not stored was not taken");
    let outcome = task.wait().await;
    assert!(
        matches!(&outcome, Outcome::Failed(failure) if failure.message.contains("could not be stored")),
        "{outcome}"
    );
}

#[tokio::test]
async fn r13_a_start_that_cannot_be_stored_leaves_nothing_behind() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let bench = Bench::with(script(|_| async { success(None) }), 4, Arc::clone(&store) as _);
    let keyed = || request().key(TaskKey::new("k").unwrap());
    store.fail(true);
    assert!(matches!(bench.inner.start(keyed()).await, Err(StartError::Store(_))));
    store.fail(false);
    bench.inner.start(keyed()).await.unwrap().wait().await;
}

/// A store whose first commit never comes back.
#[derive(Debug, Default)]
struct StuckOnce {
    inner: MemoryStore,
    reached: AtomicBool,
}

impl TaskStore for StuckOnce {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        if self.reached.swap(true, Ordering::SeqCst) {
            self.inner.commit(stream, fence, records)
        } else {
            Box::pin(std::future::pending())
        }
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
}

#[tokio::test]
async fn r12_a_start_that_nobody_waits_for_gives_its_key_back() {
    let store = Arc::new(StuckOnce::default());
    let bench = Bench::with(script(|_| async { success(None) }), 4, Arc::clone(&store) as _);
    let keyed = || request().key(TaskKey::new("k").unwrap());
    tokio::select! {
        biased;
        _ = bench.inner.start(keyed()) => panic!("the store never answers"),
        () = async { while !store.reached.load(Ordering::SeqCst) { tokio::task::yield_now().await } } => {}
    }
    bench.inner.start(keyed()).await.unwrap().wait().await;
}

#[tokio::test]
async fn r42_a_stream_ends_with_the_task_although_its_end_was_not_stored() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let waiting = script(|link| async move { success(json!(wait_for(&link, "go", None).await)) });
    let bench = Bench::with(waiting, 4, Arc::clone(&store) as _);
    let task = bench.start().await;
    settle().await;
    let mut cut_off = task.events(EventSeq::default());
    store.fail(true);
    task.notify(key("go"), None, Party::Host).await;
    let outcome = task.wait().await;
    // While the store fails, a reader is told so, and then gets the end all the same.
    assert_eq!(cut_off.next().await, Err(StoreError::Unavailable));
    let finished = |event: Option<Event>| match event.map(|event| event.body) {
        Some(EventBody::Finished { outcome, .. }) => outcome,
        other => panic!("{other:?}"),
    };
    assert_eq!(finished(cut_off.next().await.unwrap()), outcome);
    assert_eq!(cut_off.next().await, Ok(None));
    // When it works again, everything that was stored is there, and then the end.
    store.fail(false);
    let log = super::bench::log(&task).await;
    assert!(log.len() > 2, "{log:?}");
    assert_eq!(finished(log.last().cloned()), outcome);
}

#[tokio::test]
async fn r33_a_receipt_says_when_it_could_not_read_everything() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let bench = Bench::with(script(|_| std::future::pending()), 4, Arc::clone(&store) as _);
    let task = bench.start().await;
    settle().await;
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    store.fail(true);
    assert!(!task.receipt().await.unwrap().effects_complete);
    store.fail(false);
    assert!(task.receipt().await.unwrap().effects_complete);
}
