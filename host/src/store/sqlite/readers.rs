//! Reads beside the writer: a read sees what was committed when it began, and waits for nobody.

use std::io;
use std::thread::{Builder, JoinHandle};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use crate::ports::store::StoreError;

use super::open::{Manner, connect};
use super::queue::Queue;

/// Threads that read. Two, so that a long page does not hold everybody up.
const READERS: usize = 2;
/// Reads that wait. Whoever asks for more waits before that.
const READS_MAX: u32 = 1024;

/// One thing to read.
type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The readers of a store.
#[derive(Debug)]
pub(super) struct Readers {
    reads: Queue<ReadJob>,
}

struct ReadJob(Read);

impl std::fmt::Debug for ReadJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadJob")
    }
}

/// Opens connections for readers.
pub(super) fn connections(file: &std::path::Path, manner: Manner) -> rusqlite::Result<Vec<Connection>> {
    let open = |_| {
        let db = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY, manner)?;
        db.pragma_update(None, "cell_size_check", true)?;
        Ok(db)
    };
    (0..READERS).map(open).collect()
}

impl Readers {
    /// Starts a thread for each connection. They end when this is dropped, and what waits has been read.
    pub(super) fn start(connections: Vec<Connection>) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (reads, jobs) = Queue::<ReadJob>::new(READS_MAX);
        let mut threads = Vec::with_capacity(connections.len());
        for db in connections {
            let jobs = jobs.clone();
            let life = move || {
                while let Some(queued) = jobs.next() {
                    (queued.job.0)(&db);
                }
            };
            threads.push(Builder::new().name("store reader".to_owned()).spawn(life)?);
        }
        Ok((Self { reads }, threads))
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = ReadJob(Box::new(move |db| {
            // Whoever asked may have gone.
            let _ = answer.send(read(db)).is_ok();
        }));
        self.reads.send(1, job).await.map_err(|_| StoreError::Unavailable)?;
        answered.await.unwrap_or(Err(StoreError::Unavailable))
    }
}
