//! A store that lives again and again on one disk.

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Waker};

use serde_json::json;

use super::world::World;
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::ids::{SignalKey, TaskId, TaskKey, TaskRef};
use crate::model::outcome::Outcome;
use crate::model::signal::{Party, Signal};
use crate::model::snapshot::Usage;
use crate::model::time::Timestamp;
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StreamId, TaskStore};
use crate::store::sqlite::{OpenError, SqliteStore};

/// A directory, and the disk that its store is on.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) world: World,
    pub(super) dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(seed: u64) -> Self {
        Self { world: World::new(seed), dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn open(&self) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_with(self.dir.path(), self.world.manner())
    }
}

pub(super) fn task(number: u128) -> StreamId {
    StreamId::Task(TaskId::from_random(number))
}

/// Answered only when it is safe.
pub(super) fn durable(seq: u64) -> Event {
    let signal = Signal::new(Some(json!(seq)), Party::Person);
    event(seq, EventBody::SignalReceived { key: SignalKey::new("key").unwrap(), signal })
}

/// The beginning of a task.
pub(super) fn created(key: &str) -> Event {
    let key = TaskKey::new(key).unwrap();
    let task = TaskRef { plugin: "plugin".into(), task_type: "type".into(), key };
    event(
        1,
        EventBody::Created {
            task: Arc::new(task),
            input: Arc::new(json!({})),
            limits: Arc::default(),
            details: Arc::default(),
        },
    )
}

/// Its end.
pub(super) fn finished(seq: u64) -> Event {
    let outcome = Outcome::Succeeded { message: "done".into(), data: None };
    event(seq, EventBody::Finished { outcome: outcome.into(), usage: Usage::default(), set_by: None })
}

/// Written behind.
pub(super) fn behind(seq: u64) -> Event {
    sized(seq, 10)
}

/// One of this size, written behind.
pub(super) fn sized(seq: u64, bytes: usize) -> Event {
    event(seq, EventBody::HostCalled { name: "x".repeat(bytes) })
}

fn event(seq: u64, body: EventBody) -> Event {
    Event::new(EventSeq(seq), Timestamp(seq), body)
}

/// Commits one event after those that are there.
pub(super) async fn commit(store: &SqliteStore, stream: StreamId, event: Event) -> Result<(), CommitError> {
    begin(store, stream, vec![event]).await
}

/// The same, of several, without waiting.
pub(super) fn begin(
    store: &SqliteStore,
    stream: StreamId,
    events: Vec<Event>,
) -> BoxFuture<'_, Result<(), CommitError>> {
    let before = events[0].seq.0 - 1;
    let fence = if before == 0 { Fence::Absent } else { Fence::After(EventSeq(before)) };
    queued(store.commit(stream, fence, events.into_iter().map(Record::Event).collect()))
}

/// What is asked for is in the queue then, so that whoever comes later is later.
pub(super) fn queued<T: Send + 'static>(mut asked: BoxFuture<'_, T>) -> BoxFuture<'_, T> {
    let answer = match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(answer) => Some(answer),
        std::task::Poll::Pending => None,
    };
    Box::pin(async move {
        match answer {
            Some(answer) => answer,
            None => asked.await,
        }
    })
}

pub(super) async fn log(store: &SqliteStore, stream: StreamId) -> Vec<Event> {
    let mut log: Vec<Event> = Vec::new();
    loop {
        let page = store.read(stream, log.last().map_or_else(EventSeq::default, |last| last.seq), 1000).await.unwrap();
        if page.is_empty() {
            return log;
        }
        log.extend(page);
    }
}

/// A file of the store's, opened by somebody with another tool.
pub(super) fn with_sqlite<T>(dir: &Path, act: impl FnOnce(&rusqlite::Connection) -> T) -> T {
    act(&rusqlite::Connection::open(dir.join("tasks.db")).unwrap())
}
