//! The task store in memory: what every other store is compared with.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::event::{Event, EventSeq};
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StreamId, TaskStore};

/// Keeps everything in memory and loses it with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    streams: Mutex<HashMap<StreamId, Vec<Event>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamId, Vec<Event>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> Result<(), CommitError> {
        let mut streams = self.lock();
        let mut head = streams.get(&stream).and_then(|events| events.last()).map(|event| event.seq);
        let fits = match (fence, head) {
            (Fence::Absent, None) => true,
            (Fence::After(expected), Some(last)) => expected == last,
            (Fence::Absent, Some(_)) | (Fence::After(_), None) => false,
        };
        let mut events = Vec::with_capacity(records.len());
        let mut forgotten = EventSeq::default();
        for record in records {
            let event = match record {
                Record::Event(event) => event,
                Record::Forget(up_to) => {
                    forgotten = forgotten.max(up_to);
                    continue;
                }
            };
            if event.seq != head.unwrap_or_default().next() {
                return Err(CommitError::Fenced);
            }
            head = Some(event.seq);
            events.push(event);
        }
        if !fits {
            return Err(CommitError::Fenced);
        }
        let kept = streams.entry(stream).or_default();
        kept.extend(events);
        if forgotten > EventSeq::default() {
            // The last one says where the stream goes on.
            kept.retain(|event| event.seq > forgotten || Some(event.seq) == head);
        }
        Ok(())
    }
}

impl TaskStore for MemoryStore {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(std::future::ready(self.append(stream, fence, records)))
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        let head = self.lock().get(&stream).and_then(|events| events.last()).map(|event| event.seq);
        Box::pin(std::future::ready(Ok(head)))
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        let page = self.lock().get(&stream).map_or_else(Vec::new, |events| {
            let first = events.partition_point(|event| event.seq <= after);
            events.iter().skip(first).take(limit).cloned().collect()
        });
        Box::pin(std::future::ready(Ok(page)))
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.lock().remove(&stream);
        Box::pin(std::future::ready(Ok(())))
    }
}
