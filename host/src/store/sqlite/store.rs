//! The store's front: asks the writer and the readers, and waits for them.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, Builder, JoinHandle};

use tokio::sync::{oneshot, watch};

use crate::model::event::{Event, EventSeq};
use crate::ports::clock::{BoxFuture, Clock as _, SystemClock};
use crate::ports::kv::{ValueStore, Values};
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};

use super::group::{Answer, Append, Job, Put};
use super::health::{Pulse, StoreHealth};
use super::open::{self, Manner, OpenError};
use super::pages;
use super::queue::Queue;
use super::readers::{self, Readers};
use super::recent::Recent;
use super::writer::Writer;

/// Bytes of what waits to be written. Whoever comes with more waits before that. Protects the host's memory while the disk
/// is slow or full.
const WAITING_BYTES_MAX: u32 = 64 << 20;
/// What a job takes up beside its bytes, about.
const JOB_BYTES: usize = 1024;

/// Keeps tasks in a directory, in a file that SQLite writes and any of its tools can read.
///
/// One host has it at a time. What is answered as committed is on the disk when its event asks for that
/// ([`EventBody::is_durable`](crate::EventBody::is_durable)), and else a fifth of a second later.
///
/// While the disk has no room, commits to streams that exist wait, and new streams are refused with
/// [`CommitError::Full`]; after an I/O error nothing is written any more. [`SqliteStore::health`] tells.
///
/// Dropping it writes what waits, closes the file, and lets go of the directory; that blocks for a moment.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use taskcell::{SqliteStore, StoreHealth};
///
/// # let dir = tempfile::tempdir()?;
/// let store = SqliteStore::open(dir.path())?;
/// assert_eq!(*store.health().borrow(), StoreHealth::Working);
///
/// let error = SqliteStore::open(dir.path()).unwrap_err();
/// assert!(error.to_string().contains("is in use by"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    /// `None` once it is being dropped: then its thread ends.
    writes: Option<Queue<Job>>,
    readers: Option<Readers>,
    /// What was written last.
    recent: Arc<Recent>,
    health: watch::Receiver<StoreHealth>,
    writer: Option<JoinHandle<()>>,
    reading: Vec<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the store in a directory, which is made if it is missing, for its owner alone.
    ///
    /// It blocks: after a crash it reads what is left in the log, and looks through a small file.
    ///
    /// # Errors
    /// [`OpenError`], whose text says what to do. A file that is damaged, newer or something else is left as it was; of a
    /// file that is older, each step is done or not.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(dir.as_ref(), Manner::default())
    }

    pub(super) fn open_with(dir: &Path, manner: Manner) -> Result<Self, OpenError> {
        let fault = |error| OpenError::Io { dir: dir.to_owned(), error };
        let opened = open::open(dir, SystemClock::new().date(), manner)?;
        let connections =
            readers::connections(&opened.file, manner).map_err(|error| fault(std::io::Error::other(error)))?;
        let (readers, reading) = Readers::start(connections).map_err(fault)?;
        let (queue, jobs) = Queue::new(WAITING_BYTES_MAX);
        let (pulse, health) = Pulse::new();
        let recent = Arc::<Recent>::default();
        let writer = Writer::new(opened, jobs, pulse, Arc::clone(&recent));
        let writer = Builder::new().name("store writer".to_owned()).spawn(|| writer.run()).map_err(fault)?;
        Ok(Self { writes: Some(queue), readers: Some(readers), recent, health, writer: Some(writer), reading })
    }

    /// How the store is, now and whenever that changes.
    pub fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.clone()
    }

    async fn send(&self, bytes: usize, job: Job) -> Result<(), StoreError> {
        let writes = self.writes.as_ref().ok_or(StoreError::Unavailable)?;
        writes.send(bytes.saturating_add(JOB_BYTES), job).await.map_err(|_| StoreError::Unavailable)
    }

    /// Has something done by the writer, after everything that it was given before.
    pub(super) async fn have_done(&self, job: impl FnOnce(Answer<StoreError>) -> Job) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = job(answer);
        self.send(job.bytes(), job).await?;
        answered.await.unwrap_or(Err(StoreError::Unavailable))
    }

    pub(super) async fn read_with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.as_ref().ok_or(StoreError::Unavailable)?.read(read).await
    }

    async fn append(&self, append: Append) -> Result<(), CommitError> {
        let (answer, answered) = oneshot::channel();
        let (bytes, is_new) = (append.held_bytes(), append.is_new());
        let job = Job::Append(append, answer);
        if is_new {
            // There may be no room to wait in either.
            tokio::select! {
                biased;
                () = self.full() => return Err(CommitError::Full),
                sent = self.send(bytes, job) => sent?,
            }
        } else {
            self.send(bytes, job).await?;
        }
        answered.await.unwrap_or(Err(CommitError::Unavailable))
    }

    /// Waits until the disk has no room.
    async fn full(&self) {
        let mut health = self.health.clone();
        if health.wait_for(|health| matches!(health, StoreHealth::Full { .. })).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl TaskStore for SqliteStore {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move { self.append(Append::of(stream, fence, records)?).await })
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        Box::pin(async move {
            match self.recent.head(stream) {
                Some(head) => Ok(Some(head)),
                None => self.read_with(move |db| pages::head(db, stream)).await,
            }
        })
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        Box::pin(async move {
            match self.recent.read(stream, after, limit) {
                Some(found) => Ok(found),
                None => self.read_with(move |db| pages::events(db, stream, after, limit)).await,
            }
        })
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.have_done(move |answer| Job::Remove(stream, answer)))
    }

    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>> {
        Box::pin(self.read_with(move |db| pages::tasks(db, after, limit)))
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.have_done(Job::Flush))
    }
}

impl ValueStore for SqliteStore {
    fn load<'a>(&'a self, plugin: &'a str) -> BoxFuture<'a, Result<Values, StoreError>> {
        let plugin = plugin.to_owned();
        Box::pin(async move {
            // One that nobody waits for may not have been written yet.
            self.have_done(Job::Barrier).await?;
            self.read_with(move |db| pages::values(db, &plugin)).await
        })
    }

    fn put<'a>(
        &'a self,
        plugin: &'a str,
        key: &'a str,
        value: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let put = Put { plugin: plugin.to_owned(), key: key.to_owned(), value };
        Box::pin(self.have_done(|answer| Job::Put(put, answer)))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The readers first, so that the writer is the last to close the file.
        self.readers = None;
        self.reading.drain(..).for_each(join);
        self.writes = None;
        self.writer.take().into_iter().for_each(join);
    }
}

/// Waits until a thread has ended, unless it is this one: an answer may be the last that has the store.
fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != thread::current().id() {
        // It has nothing to say, and a panic was told when it happened.
        let _ = thread.join();
    }
}
