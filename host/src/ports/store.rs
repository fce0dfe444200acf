//! Where events are kept.

use std::fmt;

use crate::model::event::{Event, EventSeq};
use crate::model::ids::{ScheduleId, TaskId};

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
#[expect(clippy::large_enum_variant, reason = "nearly every record is an event")]
pub enum Record {
    /// The next event of the stream. Its number follows the last one's.
    Event(Event),
    /// The stream's events up to this one are no longer needed, and a read does not return them. The last one always is
    /// needed. Their numbers are not given again.
    Forget(EventSeq),
}

/// Why a commit was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Somebody else has written to the stream, or the numbers have a gap.
    #[error("another writer has written to this stream")]
    Fenced,
    /// The store cannot be reached or cannot write.
    #[error("the store cannot write now")]
    Unavailable,
}

/// Why something could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached or cannot read.
    #[error("the store cannot be read now")]
    Unavailable,
}

/// Keeps the streams. Used as `Arc<dyn TaskStore>`.
pub trait TaskStore: Send + Sync + fmt::Debug {
    /// Appends all records, or none and says why. When it answers `Ok`, a read by anybody sees them.
    ///
    /// Cancel safety: a commit whose future is dropped may or may not have been taken.
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>>;

    /// The number of the stream's last event, or `None` when the stream does not exist. Sees every commit.
    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>>;

    /// At most `limit` events after `after`, in order.
    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>>;

    /// Forgets the stream. A stream that does not exist is fine.
    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>>;
}
