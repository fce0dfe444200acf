//! Where events are kept.

use std::fmt;

use crate::model::event::{Event, EventSeq};
use crate::model::ids::{ScheduleId, TaskId};
use crate::model::papers::TaskPapers;

use super::clock::BoxFuture;

/// Whose events: each stream has one order, and a writer that has not seen all of it is fenced.
///
/// A store knows all cases of this, of [`Fence`] and of [`Record`], or it could not keep them: one more is a breaking change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// The log of one task.
    Task(TaskId),
    /// What happened to a task after its end, which changes nothing about it. Has numbers of its own, from 1, and several
    /// writers: each looks at the head first, and again when it was fenced.
    After(TaskId),
    /// What happened to one schedule. Its oldest events are forgotten in time: what is kept begins with one that says
    /// everything.
    Schedule(ScheduleId),
    /// Which schedules there are. Only the last event is kept.
    Schedules,
}

/// What must hold for a commit to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// The stream does not exist yet.
    Absent,
    /// The last event of the stream is this one: whoever writes has seen everything.
    After(EventSeq),
}

/// What is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// The next event of the stream. Its number follows the last one's.
    Event(Event),
    /// The stream's events up to this one are no longer needed, and a read does not return them. The last one always is
    /// needed. Their numbers are not given again.
    Forget(EventSeq),
    /// What the host needs to go on with the task. In the stream of a task, and once: with its first event.
    Papers(Box<TaskPapers>),
}

/// Why a commit was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Somebody else has written to the stream, or the numbers have a gap.
    #[error("another writer has written to this stream")]
    Fenced,
    /// There is no room on the disk for another task or schedule. Nothing was written. What belongs to those that there are
    /// waits for room.
    #[error("the disk has no room; nothing was written")]
    Full,
    /// The store cannot be reached or cannot write. What it was given may be written all the same.
    #[error("the store cannot write now")]
    Unavailable,
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable | StoreError::Damaged => Self::Unavailable,
        }
    }
}

/// Why something could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached or cannot read.
    #[error("the store cannot be read now")]
    Unavailable,
    /// What the store has of this stream is no event that this version knows.
    #[error("what is stored there cannot be read: it is damaged, or from a newer version")]
    Damaged,
}

/// A task that is in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredTask {
    /// Its place in the order in which tasks came into the store. Where the next page goes on.
    pub place: u64,
    /// Which task; `None` when that cannot be read. Then nothing else of it can be found either.
    pub id: Option<TaskId>,
    /// Its papers; `None` when it came without, or they cannot be read.
    pub papers: Option<TaskPapers>,
}

impl StoredTask {
    /// A task at this place.
    pub fn new(place: u64, id: impl Into<Option<TaskId>>, papers: Option<TaskPapers>) -> Self {
        Self { place, id: id.into(), papers }
    }
}

/// Keeps the streams. Used as `Arc<dyn TaskStore>`.
pub trait TaskStore: Send + Sync + fmt::Debug {
    /// Appends all records, or none and says why. When it answers `Ok`, a read by anybody sees them, and they outlive the
    /// process. They outlive the machine too when one of them asks for it ([`EventBody::is_durable`]); else after the next
    /// that does, after [`TaskStore::flush`], or after a bounded time, whichever comes first.
    ///
    /// A stream begins with an event: other records alone make none.
    ///
    /// Cancel safety: a commit whose future is dropped may or may not have been taken.
    ///
    /// [`EventBody::is_durable`]: crate::EventBody::is_durable
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>>;

    /// The number of the stream's last event, or `None` when the stream does not exist. Sees every commit.
    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>>;

    /// At most `limit` events after `after`, in order; fewer when they are large. None means that there are no more.
    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>>;

    /// Forgets the stream, and with a task what happened after its end, in one step. A stream that does not exist is fine.
    /// That outlives the machine as soon as a commit would that does not ask for it.
    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// At most `limit` tasks whose place is after `after`, in the order in which they came into the store; places begin at 1,
    /// and none is given again. Fewer when their papers are large; none means that there are no more.
    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>>;

    /// Waits until everything that was committed outlives the machine.
    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
