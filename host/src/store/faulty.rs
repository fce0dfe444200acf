//! A store that fails when it is told to: how the rest behaves then is tested with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::event::{Event, EventSeq};
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};

/// Passes everything on to another store, or refuses everything while [`FaultyStore::fail`] says so.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn TaskStore>,
    failing: AtomicBool,
}

impl FaultyStore {
    /// A store that works, in front of another one.
    pub fn new(inner: Arc<dyn TaskStore>) -> Self {
        Self { inner, failing: AtomicBool::new(false) }
    }

    /// From now on every commit and read fails (`true`) or works again (`false`).
    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    fn works(&self) -> Result<(), StoreError> {
        if self.failing.load(Ordering::SeqCst) { Err(StoreError::Unavailable) } else { Ok(()) }
    }
}

impl TaskStore for FaultyStore {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            self.works()?;
            self.inner.commit(stream, fence, records).await
        })
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        Box::pin(async move {
            self.works()?;
            self.inner.head(stream).await
        })
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
        Box::pin(async move {
            self.works()?;
            self.inner.tasks(after, limit).await
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.works()?;
            self.inner.flush().await
        })
    }
}
