//! Who lives in a directory: one host at a time, named for whoever comes second.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::time::Timestamp;

/// The file whose lock says that somebody lives there.
pub(super) const FILE: &str = "owner";
/// The most that is read of it: whatever is in there, it is shown in an error.
const WORDS_MAX: u64 = 1024;

/// The host that has a directory open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoreOwner {
    /// The number of its process.
    pub pid: u32,
    /// The name of its program.
    pub program: String,
    /// Since when.
    pub since: Timestamp,
}

impl StoreOwner {
    /// This process, from now on.
    fn this(since: Timestamp) -> Self {
        let program = std::env::current_exe().ok();
        let name = program.as_ref().and_then(|program| program.file_name()).map(|name| name.to_string_lossy());
        Self { pid: std::process::id(), program: name.map_or_else(String::new, String::from), since }
    }
}

impl fmt::Display for StoreOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = if self.program.is_empty() { "a program" } else { &self.program };
        write!(f, "{} (process {}", crate::model::text::escape(program), self.pid)?;
        match self.since.instant() {
            Some(since) => write!(f, ", since {since:.0})"),
            None => f.write_str(")"),
        }
    }
}

/// Why the directory is not ours.
#[derive(Debug)]
pub(super) enum NotOurs {
    /// Somebody else lives in it: this one, if it has said so.
    InUse(Option<StoreOwner>),
    Io(io::Error),
}

impl From<io::Error> for NotOurs {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The lock. The system lets go of it whatever way the process ends.
#[derive(Debug)]
pub(super) struct OwnerLock {
    file: File,
    /// Whether the owner before has left without a word: its process was killed, or the machine stopped.
    pub(super) was_left: bool,
}

impl OwnerLock {
    /// Takes the lock, and says in the file who has it.
    pub(super) fn take(dir: &Path, now: Timestamp) -> Result<Self, NotOurs> {
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = open.open(dir.join(FILE))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NotOurs::InUse(words(&mut file))),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let was_left = file.metadata()?.len() > 0;
        let words = serde_json::to_string(&StoreOwner::this(now)).map_err(io::Error::other)?;
        // At no moment is it empty: whoever is killed in between has left without a word too.
        file.rewind()?;
        file.write_all(format!("{words}\n").as_bytes())?;
        let length = file.stream_position()?;
        file.set_len(length)?;
        file.sync_data()?;
        Ok(Self { file, was_left })
    }

    /// Lets go of it in good order. The words of one who does not come so far stay.
    pub(super) fn leave(self) {
        // Words that stay only make the next owner look at the file.
        let _ = self.file.set_len(0);
    }
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        // Closing the file would not do while a process that is just being started has a copy of it.
        let _ = self.file.unlock();
    }
}

fn words(file: &mut File) -> Option<StoreOwner> {
    let mut words = String::new();
    file.take(WORDS_MAX).read_to_string(&mut words).ok()?;
    // What comes after the first line was somebody's before.
    serde_json::from_str(words.lines().next()?).ok()
}
