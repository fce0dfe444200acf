//! How much lies in a directory, counted name by name.

use std::collections::HashSet;
use std::fs::File;
use std::io;

use cap_std::fs::{Dir, DirEntry, MetadataExt as _, ReadDir};

/// What lies in the directory, or is to be added to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    /// Bytes of files and of links' targets, holes included.
    pub(super) bytes: u64,
    /// Names of files, directories and links, and files without a name that are still open.
    pub(super) entries: u64,
    /// How many of them are directories.
    pub(super) dirs: u64,
}

impl Amount {
    pub(super) const FILE: Self = Self { bytes: 0, entries: 1, dirs: 0 };
    pub(super) const DIR: Self = Self { bytes: 0, entries: 1, dirs: 1 };

    pub(super) fn bytes(bytes: u64) -> Self {
        Self { bytes, ..Self::default() }
    }

    pub(super) fn plus(self, more: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(more.bytes),
            entries: self.entries.saturating_add(more.entries),
            dirs: self.dirs.saturating_add(more.dirs),
        }
    }
}

/// A way through a tree, a level of open directories at a time.
pub(super) struct Walk {
    levels: Vec<ReadDir>,
    pub(super) found: Amount,
    /// The most levels there were below the first.
    pub(super) height: u64,
    /// Files that were met and may be met again by another name: device and number.
    seen: HashSet<(u64, u64)>,
}

impl Walk {
    /// Goes through all of a tree. What is removed meanwhile may be counted or not.
    pub(super) fn through(top: &Dir) -> io::Result<Self> {
        let levels = vec![top.entries()?];
        let mut walk = Self { levels, found: Amount::default(), height: 0, seen: HashSet::new() };
        while let Some(level) = walk.levels.last_mut() {
            match level.next() {
                None => drop(walk.levels.pop()),
                Some(entry) => match walk.meet(&entry?) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    met => met?,
                },
            }
        }
        Ok(walk)
    }

    fn meet(&mut self, entry: &DirEntry) -> io::Result<()> {
        let data = entry.metadata()?;
        if data.is_dir() {
            self.found = self.found.plus(Amount::DIR);
            self.levels.push(entry.open_dir()?.entries()?);
            self.height = self.height.max(self.levels.len().saturating_sub(1) as u64);
        } else {
            let counted = data.nlink() > 1 && !self.seen.insert((data.dev(), data.ino()));
            let bytes = if counted { 0 } else { data.len() };
            self.found = self.found.plus(Amount { bytes, ..Amount::FILE });
        }
        Ok(())
    }

    /// Counts an open file that has no name any more; others are met by their names.
    pub(super) fn meet_open(&mut self, file: &File) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let data = file.metadata()?;
        if data.nlink() == 0 && self.seen.insert((data.dev(), data.ino())) {
            let bytes = if data.is_file() { data.len() } else { 0 };
            self.found = self.found.plus(Amount { bytes, ..Amount::FILE });
        }
        Ok(())
    }
}
