//! The task store in memory: what every other store is compared with.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;

use crate::model::event::{Event, EventSeq};
use crate::model::ids::TaskId;
use crate::model::papers::TaskPapers;
use crate::ports::clock::BoxFuture;
use crate::ports::kv::{ValueStore, Values};
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};

/// How many events most tasks have: created, started, a report of progress, finished.
const EVENTS_OF_MOST: usize = 4;

/// Parts of the streams. Whoever writes or reads one, which may be long, keeps only those of the same part waiting.
const SHARDS: usize = 16;

/// Keeps everything in memory and loses it with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    shards: [Shard; SHARDS],
    /// Taken while a shard is held, and never the other way round.
    places: Mutex<Places>,
    /// What plugins keep, by their names.
    values: Mutex<HashMap<String, BTreeMap<String, Vec<u8>>>>,
}

/// Boxed streams, because a table that grows moves all that is in it, and has room for twice as much.
type Streams = HashMap<StreamId, Box<Stream>, RandomState>;

/// Some of the streams. It has its cache lines for itself.
type Shard = CachePadded<Mutex<Streams>>;

#[derive(Debug, Default)]
struct Places {
    /// The tasks, by their places.
    tasks: BTreeMap<u64, TaskId>,
    /// How many tasks have come.
    come: u64,
}

#[derive(Debug, Default)]
struct Stream {
    events: Vec<Event>,
    papers: Option<TaskPapers>,
    /// Its place among the tasks.
    place: u64,
}

impl Stream {
    /// With room for so many events, and for those that most tasks have.
    fn with_room(events: usize) -> Self {
        Self { events: Vec::with_capacity(events.max(EVENTS_OF_MOST)), ..Self::default() }
    }

    fn head(&self) -> Option<EventSeq> {
        self.events.last().map(|event| event.seq)
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of one task are together.
    #[expect(clippy::indexing_slicing, reason = "there are as many as are counted to")]
    fn shard(&self, stream: StreamId) -> MutexGuard<'_, Streams> {
        let byte = match stream {
            StreamId::Task(id) | StreamId::After(id) => id.any_byte(),
            StreamId::Schedule(id) => id.any_byte(),
            StreamId::Schedules => 0,
        };
        locked(&self.shards[usize::from(byte) % SHARDS])
    }

    /// The task at this place. Of one that was removed and written anew meanwhile, the other place counts.
    fn task_at(&self, place: u64, id: TaskId) -> Option<StoredTask> {
        let stream = StreamId::Task(id);
        let shard = self.shard(stream);
        let kept = shard.get(&stream).filter(|kept| kept.place == place)?;
        Some(StoredTask::new(place, id, kept.papers.clone()))
    }

    fn append(&self, stream: StreamId, fence: Fence, mut records: Vec<Record>) -> Result<(), CommitError> {
        let (first, last) = bounds(&records)?;
        let mut new = (fence == Fence::Absent).then(|| Box::new(Stream::with_room(records.len())));
        // Others wait for this lock: what can be done before, was.
        let mut streams = self.shard(stream);
        let known = streams.get_mut(&stream);
        let head = known.as_ref().and_then(|kept| kept.head());
        let fits = match (fence, head) {
            (Fence::Absent, None) => true,
            (Fence::After(expected), Some(last)) => expected == last,
            (Fence::Absent, Some(_)) | (Fence::After(_), None) => false,
        };
        if !fits || first.is_some_and(|first| first != head.unwrap_or_default().next()) {
            return Err(CommitError::Fenced);
        }
        let Some(head) = last.or(head) else {
            // A stream begins with an event.
            return Ok(());
        };
        let kept = match known {
            Some(kept) => kept,
            None => streams.entry(stream).or_insert_with(|| new.take().unwrap_or_default()),
        };
        if let (StreamId::Task(id), 0) = (stream, kept.place) {
            let mut places = locked(&self.places);
            places.come += 1;
            kept.place = places.come;
            places.tasks.insert(kept.place, id);
        }
        if kept.events.capacity() < kept.events.len().saturating_add(records.len()) {
            // By half and not to twice as many: a task that waits has few events.
            kept.events.reserve_exact(records.len().max(kept.events.len() / 2));
        }
        let mut forgotten = EventSeq::default();
        for record in records.drain(..) {
            match record {
                Record::Event(event) => kept.events.push(event),
                Record::Forget(up_to) => forgotten = forgotten.max(up_to),
                Record::Papers(papers) => kept.papers = Some(*papers),
            }
        }
        if forgotten > EventSeq::default() {
            // The last one says where the stream goes on.
            kept.events.retain(|event| event.seq > forgotten || event.seq == head);
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The numbers of the first event and of the last, which have no gap between them.
fn bounds(records: &[Record]) -> Result<(Option<EventSeq>, Option<EventSeq>), CommitError> {
    let (mut first, mut last) = (None, None);
    for record in records {
        let Record::Event(Event { seq, .. }) = record else { continue };
        if last.is_some_and(|last: EventSeq| *seq != last.next()) {
            return Err(CommitError::Fenced);
        }
        first = first.or(Some(*seq));
        last = Some(*seq);
    }
    Ok((first, last))
}

impl TaskStore for MemoryStore {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(std::future::ready(self.append(stream, fence, records)))
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        let head = self.shard(stream).get(&stream).and_then(|kept| kept.head());
        Box::pin(std::future::ready(Ok(head)))
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        let page = self.shard(stream).get(&stream).map_or_else(Vec::new, |kept| {
            let first = kept.events.partition_point(|event| event.seq <= after);
            kept.events.iter().skip(first).take(limit).cloned().collect()
        });
        Box::pin(std::future::ready(Ok(page)))
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        let removed = {
            let mut streams = self.shard(stream);
            let after = if let StreamId::Task(id) = stream { streams.remove(&StreamId::After(id)) } else { None };
            let gone = streams.remove(&stream);
            if let Some(gone) = &gone {
                locked(&self.places).tasks.remove(&gone.place);
            }
            (after, gone)
        };
        // Nobody waits for this.
        drop(removed);
        Box::pin(std::future::ready(Ok(())))
    }

    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>> {
        let mut page = Vec::new();
        let mut after = after;
        // One that is removed meanwhile is none, and the page is the end only when nobody is left.
        while page.len() < limit {
            let next =
                locked(&self.places).tasks.range(after.saturating_add(1)..).next().map(|(place, id)| (*place, *id));
            let Some((place, id)) = next else { break };
            after = place;
            page.extend(self.task_at(place, id));
        }
        Box::pin(std::future::ready(Ok(page)))
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl ValueStore for MemoryStore {
    fn load<'a>(&'a self, plugin: &'a str) -> BoxFuture<'a, Result<Values, StoreError>> {
        let values = locked(&self.values).get(plugin).cloned().unwrap_or_default();
        Box::pin(std::future::ready(Ok(values.into_iter().collect())))
    }

    fn put<'a>(
        &'a self,
        plugin: &'a str,
        key: &'a str,
        value: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut all = locked(&self.values);
        let values = all.entry(plugin.to_owned()).or_default();
        match value {
            Some(value) => values.insert(key.to_owned(), value),
            None => values.remove(key),
        };
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::EventBody;
    use crate::model::time::Timestamp;

    #[tokio::test]
    async fn a_task_that_is_written_anew_is_not_found_at_the_place_it_had() {
        let (store, id) = (MemoryStore::new(), TaskId::from_random(1));
        let stream = StreamId::Task(id);
        let first = || vec![Record::Event(Event::new(EventSeq(1), Timestamp(0), EventBody::Due))];
        store.commit(stream, Fence::Absent, first()).await.unwrap();
        store.remove(stream).await.unwrap();
        store.commit(stream, Fence::Absent, first()).await.unwrap();
        assert!(store.task_at(1, id).is_none() && store.task_at(2, id).is_some());
    }
}
