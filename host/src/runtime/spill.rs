//! The file of a task's older output, in the host's own directory.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::ids::TaskId;
use crate::ports::output::SpillFile;

use super::dirs::HostDirs;

/// The file. It is made by the first write, and open only while something is written or read: a host remembers more
/// tasks than it may have files open.
#[derive(Debug)]
pub(super) struct OutputFile {
    dirs: Arc<HostDirs>,
    id: TaskId,
    made: AtomicBool,
}

impl OutputFile {
    pub(super) fn new(dirs: Arc<HostDirs>, id: TaskId) -> Self {
        Self { dirs, id, made: AtomicBool::new(false) }
    }
}

impl SpillFile for OutputFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.dirs.write_output(self.id, !self.made.load(Ordering::Relaxed))?;
        self.made.store(true, Ordering::Relaxed);
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = self.dirs.read_output(self.id)?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }
}
