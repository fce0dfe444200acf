//! The file of a task's older output, in the host's own directory: in a data directory, of all its output.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::model::ids::TaskId;
use crate::model::limits::Limits;
use crate::ports::clock::Clock;
use crate::ports::failpoint::failpoint;
use crate::ports::output::{Mark, OutputLog, Spill, SpillFile};

use super::dirs::HostDirs;

/// How long output stays in memory alone: what a host that is killed loses of it, about.
const LAG: Duration = Duration::from_millis(500);

/// The file. It is made by the first write, and open only while something is written or read: a host remembers more
/// tasks than it may have files open.
#[derive(Debug)]
pub(super) struct OutputFile {
    dirs: Arc<HostDirs>,
    id: TaskId,
    made: AtomicBool,
}

impl OutputFile {
    /// A task's output. Blocks if a host before this one left some of it.
    pub(super) fn log(dirs: &Arc<HostDirs>, id: TaskId, limits: &Limits) -> Arc<OutputLog> {
        let is_there = dirs.had_output(id);
        let file = Self { dirs: Arc::clone(dirs), id, made: AtomicBool::new(is_there) };
        let spill = Spill::new(Box::new(file), limits.spill_bytes);
        match dirs.behind() {
            Some(behind) if is_there => OutputLog::reopened(limits.output_bytes, spill, behind),
            Some(behind) => OutputLog::written_behind(limits.output_bytes, spill, behind),
            None => Arc::new(OutputLog::with_spill(limits.output_bytes, spill)),
        }
    }
}

impl SpillFile for OutputFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.dirs.write_output(self.id, !self.made.load(Ordering::Relaxed))?;
        self.made.store(true, Ordering::Relaxed);
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)?;
        failpoint!("output.written");
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = self.dirs.read_output(self.id)?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.dirs.read_output(self.id)?.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.dirs.outlives(&self.dirs.read_output(self.id)?, [Path::new("output")])
    }

    fn random(&self) -> Mark {
        uuid::Uuid::new_v4().into_bytes()
    }
}

impl HostDirs {
    /// Begins to write all tasks' output to their files, a moment behind, until this is dropped. One timer for all of them.
    pub(crate) fn write_behind(&self, clock: Arc<dyn Clock>, runtime: &Handle) {
        let Some(behind) = self.behind().cloned() else { return };
        self.keep_writing(runtime, async move {
            loop {
                behind.some().await;
                if let Some(at) = clock.steady().checked_add(LAG) {
                    clock.sleep_until(at).await;
                }
                let behind = Arc::clone(&behind);
                // The host is shutting down when it cannot be run.
                let _ = tokio::task::spawn_blocking(move || behind.write()).await;
            }
        });
    }
}

/// Writes a task's output as far as it is behind, where its host keeps it. Cancel safety: what was begun goes on.
pub(super) async fn catch_up(output: &Arc<OutputLog>) {
    if output.is_behind()
        && let Some(turn) = output.turn().await
    {
        let output = Arc::clone(output);
        // The task's log says what went wrong.
        let _ = tokio::task::spawn_blocking(move || output.catch_up(turn)).await;
    }
}

/// The same, and waits until it outlives the machine.
pub(super) async fn flush(output: &Arc<OutputLog>) -> io::Result<()> {
    let Some(turn) = output.turn().await else { return Ok(()) };
    let output = Arc::clone(output);
    tokio::task::spawn_blocking(move || output.flush(turn)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
