//! Starts whose commits are taken and whose answers are lost: they are refused, and nothing is left of them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::bench::{Bench, request, script, settle, success};
use crate::model::event::{Event, EventSeq};
use crate::model::ids::{TaskId, TaskKey};
use crate::model::request::StartRequest;
use crate::model::time::Timestamp;
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};
use crate::runtime::orphans::{Orphans, Written};
use crate::runtime::start_error::StartError;
use crate::store::memory::MemoryStore;

/// How the answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    AtOnce,
    Later,
    Panic,
}

/// A store that takes what is committed, and does not say so.
#[derive(Debug)]
struct Torn {
    inner: MemoryStore,
    loss: Loss,
    tears: AtomicBool,
    /// Whether nothing can be read or removed.
    closed: AtomicBool,
    streams: Mutex<BTreeSet<StreamId>>,
}

impl Torn {
    fn works(&self) -> Result<(), StoreError> {
        assert!(self.loss != Loss::Panic || !self.closed.load(Ordering::SeqCst), "the store is broken");
        if self.closed.load(Ordering::SeqCst) { Err(StoreError::Unavailable) } else { Ok(()) }
    }

    async fn left(&self) -> usize {
        let streams = self.streams.lock().unwrap().clone();
        let mut left = 0;
        for stream in streams {
            left += usize::from(self.inner.head(stream).await.unwrap().is_some());
        }
        left
    }
}

impl TaskStore for Torn {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        self.streams.lock().unwrap().insert(stream);
        Box::pin(async move {
            self.inner.commit(stream, fence, records).await?;
            if !self.tears.load(Ordering::SeqCst) {
                return Ok(());
            }
            match self.loss {
                Loss::AtOnce => {}
                Loss::Later => tokio::task::yield_now().await,
                Loss::Panic => panic!("the store is broken"),
            }
            Err(CommitError::Unavailable)
        })
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        self.inner.head(stream)
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        Box::pin(async move {
            self.works()?;
            self.inner.read(stream, after, limit).await
        })
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.works()?;
            self.inner.remove(stream).await
        })
    }

    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>> {
        self.inner.tasks(after, limit)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.flush()
    }
}

fn keyed() -> StartRequest {
    request().key(TaskKey::new("k").unwrap())
}

#[tokio::test]
async fn r13_a_start_whose_answer_is_lost_is_taken_back() {
    for loss in [Loss::AtOnce, Loss::Later, Loss::Panic] {
        for closed in [false, true] {
            let (tears, closed) = (AtomicBool::new(true), AtomicBool::new(closed));
            let streams = Mutex::default();
            let store = Arc::new(Torn { inner: MemoryStore::new(), loss, tears, closed, streams });
            let bench = Bench::with(script(|_| async { success(None) }), 4, Arc::clone(&store) as _);
            assert!(matches!(bench.inner.start(keyed()).await, Err(StartError::Store(_))));
            let later = store.closed.swap(false, Ordering::SeqCst);
            assert_eq!(store.left().await, usize::from(later), "{loss:?}");
            // What cannot be taken back now is so with the next start.
            store.tears.store(false, Ordering::SeqCst);
            bench.inner.start(keyed()).await.unwrap().wait().await;
            settle().await;
            assert_eq!(store.left().await, 1, "{loss:?}: the task that runs");
            assert!(bench.inner.registry.orphans.is_empty());
            assert_eq!(bench.inputs.lock().unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn r19_what_another_host_has_stored_under_the_id_is_not_taken_back() {
    let store = MemoryStore::new();
    let bench = Bench::new(script(|_| async { success(None) }));
    let task = bench.start().await;
    task.wait().await;
    let log = super::bench::log(&task).await;
    let record = |event: &Event, at| Record::Event(Event { at, ..event.clone() });
    let orphans = Orphans::default();
    for (number, theirs) in [(1, &log[..1]), (2, &log[..])] {
        let stream = StreamId::Task(TaskId::from_random(number));
        let theirs = theirs.iter().map(|event| record(event, event.at)).collect();
        store.commit(stream, Fence::Absent, theirs).await.unwrap();
        // Another moment, or a longer log.
        let at = if number == 1 { Timestamp(log[0].at.0 + 1) } else { log[0].at };
        orphans.note(TaskId::from_random(number), Written::of(&[record(&log[0], at)]));
        orphans.take_back(&store, TaskId::from_random(number)).await.unwrap();
        assert!(store.head(stream).await.unwrap().is_some());
        assert!(orphans.is_empty());
    }
}
