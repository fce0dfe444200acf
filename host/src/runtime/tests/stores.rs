//! What happens when the store fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::bench::{Bench, key, request, script, settle, success, wait_for};
use crate::model::event::{Event, EventSeq};
use crate::model::ids::TaskKey;
use crate::model::outcome::Outcome;
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
