//! Removes trees of any depth: every directory is moved up to one level first.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;

/// How often a directory is looked through before it is left to the host's end. Protects the cleaning up from whoever
/// makes files all the time: one operation of a guest makes one file.
const REMOVE_TRIES: u32 = 8;

/// Directories on their way out, all next to each other.
pub(super) struct Trash<'a> {
    dir: &'a Dir,
    flat: &'a Path,
    count: u64,
    waiting: Vec<PathBuf>,
    /// The newest thing that went wrong.
    pub(super) error: Option<std::io::Error>,
}

impl<'a> Trash<'a> {
    /// For directories in `dir`, which are moved to `flat`.
    pub(super) fn new(dir: &'a Dir, flat: &'a Path) -> Self {
        Self { dir, flat, count: 0, waiting: Vec::new(), error: None }
    }

    /// Moves a directory here.
    pub(super) fn take(&mut self, tree: &Path) {
        self.count += 1;
        let place = self.flat.join(self.count.to_string());
        match self.dir.rename(tree, self.dir, &place) {
            Ok(()) => self.waiting.push(place),
            Err(error) => self.note(error),
        }
    }

    /// Moves the directories in a directory here, and removes the files in it.
    pub(super) fn take_out(&mut self, path: &Path) {
        if let Err(error) = self.clear(path) {
            self.note(error);
        }
    }

    /// Something that is gone already is as it shall be.
    fn note(&mut self, error: std::io::Error) {
        if error.kind() != ErrorKind::NotFound {
            self.error = Some(error);
        }
    }

    /// Removes all directories that are here, and those inside of them. `listed` is told of each one that was listed and
    /// is about to be removed.
    pub(super) fn empty(&mut self, mut listed: impl FnMut(&Path)) {
        while let Some(path) = self.waiting.pop() {
            let mut tries = 0;
            loop {
                self.take_out(&path);
                listed(&path);
                tries += 1;
                match self.dir.remove_dir(&path) {
                    Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && tries < REMOVE_TRIES => {}
                    Ok(()) => break,
                    Err(error) => break self.note(error),
                }
            }
        }
    }

    /// Removes the files in a directory, and takes the directories out of it.
    fn clear(&mut self, path: &Path) -> std::io::Result<()> {
        for entry in self.dir.read_dir(path)? {
            let inside = path.join(entry?.file_name());
            match self.dir.symlink_metadata(&inside) {
                Ok(found) if found.is_dir() => self.take(&inside),
                Ok(_) => self.dir.remove_file(&inside).unwrap_or_else(|error| self.note(error)),
                Err(error) => self.note(error),
            }
        }
        Ok(())
    }
}
