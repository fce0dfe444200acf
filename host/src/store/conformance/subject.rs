//! A store that is tried.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::ids::{ScheduleId, SignalKey, TaskId};
use crate::model::signal::{Party, Signal};
use crate::model::time::Timestamp;
use crate::ports::kv::ValueStore;
use crate::ports::store::{CommitError, Fence, Record, StoredTask, StreamId, TaskStore};
use crate::store::faulty::FaultyStore;
use crate::store::memory::MemoryStore;
#[cfg(feature = "sqlite")]
use crate::store::sqlite::SqliteStore;

/// A store, and where it is.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) store: Arc<dyn TaskStore>,
    pub(super) values: Arc<dyn ValueStore>,
    #[cfg(feature = "sqlite")]
    dir: Option<tempfile::TempDir>,
}

impl Subject {
    pub(super) fn memory() -> Self {
        let store = Arc::new(MemoryStore::new());
        Self {
            store: Arc::clone(&store) as _,
            values: store,
            #[cfg(feature = "sqlite")]
            dir: None,
        }
    }

    pub(super) fn faulty() -> Self {
        let inner = Arc::new(MemoryStore::new());
        Self { store: Arc::new(FaultyStore::new(Arc::clone(&inner) as _)), values: inner, ..Self::memory() }
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
        Self { store: Arc::clone(&store) as _, values: store, dir: Some(dir) }
    }

    /// Closes and opens it, if it is one that can be.
    pub(super) fn reopen(&mut self) {
        #[cfg(feature = "sqlite")]
        if let Some(dir) = &self.dir {
            let empty = Self::memory();
            (self.store, self.values) = (empty.store, empty.values);
            let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
            (self.store, self.values) = (Arc::clone(&store) as _, store);
        }
    }

    pub(super) async fn commit(&self, stream: StreamId, head: u64, seqs: &[u64]) -> Result<(), CommitError> {
        let records = seqs.iter().map(|seq| Record::Event(event(*seq, json!(seq)))).collect();
        self.store.commit(stream, fence(head), records).await
    }

    pub(super) async fn head(&self, stream: StreamId) -> Option<u64> {
        self.store.head(stream).await.unwrap().map(|head| head.0)
    }

    /// Everything that is in a stream, a page after the other.
    pub(super) async fn all(&self, stream: StreamId, page: usize) -> Vec<Event> {
        let mut all: Vec<Event> = Vec::new();
        loop {
            let after = all.last().map_or_else(EventSeq::default, |last| last.seq);
            let next = self.store.read(stream, after, page).await.unwrap();
            if next.is_empty() {
                return all;
            }
            assert!(next.len() <= page);
            all.extend(next);
        }
    }

    pub(super) async fn seqs(&self, stream: StreamId) -> Vec<u64> {
        self.all(stream, 100).await.iter().map(|event| event.seq.0).collect()
    }

    /// All tasks, a page after the other.
    pub(super) async fn tasks(&self, page: usize) -> Vec<StoredTask> {
        let mut all: Vec<StoredTask> = Vec::new();
        loop {
            let next = self.store.tasks(all.last().map_or(0, |last| last.place), page).await.unwrap();
            if next.is_empty() {
                return all;
            }
            assert!(next.len() <= page);
            all.extend(next);
        }
    }
}

pub(super) fn fence(head: u64) -> Fence {
    if head == 0 { Fence::Absent } else { Fence::After(EventSeq(head)) }
}

pub(super) fn task(number: u128) -> StreamId {
    StreamId::Task(TaskId::from_random(number))
}

pub(super) fn after(number: u128) -> StreamId {
    StreamId::After(TaskId::from_random(number))
}

pub(super) fn schedule(number: u128) -> StreamId {
    StreamId::Schedule(ScheduleId::from_random(number))
}

pub(super) fn event(seq: u64, payload: Value) -> Event {
    let signal = Signal::new(Some(payload), Party::Person);
    let body = EventBody::SignalReceived { key: SignalKey::new("key").unwrap(), signal };
    Event::new(EventSeq(seq), Timestamp(1_700_000_000_000 + seq), body)
}
