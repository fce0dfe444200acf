//! The host's own directory: a scratch directory for each task, the files that tasks attached, and their older output.
//!
//! It is made privately for this host and removed with it. Paths inside are built from task ids and numbers, never from
//! anything that a guest or a caller wrote.

use std::collections::HashSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::{Dir, File, OpenOptions};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::model::ids::TaskId;
use crate::model::machine::{Refusal, RefusalKind};
use crate::ports::scratch::Scratch;

/// Bytes copied at a time.
const COPY_BYTES: usize = 64 << 10;

/// How often a directory is looked through before it is left to the host's end. Protects the cleaning up from whoever
/// makes files all the time: one operation of a guest makes one file.
const REMOVE_TRIES: u32 = 8;

/// The directory.
#[derive(Debug)]
pub(crate) struct HostDirs {
    dir: Dir,
    /// Where the scratch directories lie.
    scratch: Arc<Dir>,
    /// Who has files in `artifacts` or `output`: most tasks have none, and so the disk need not be asked.
    with_files: Mutex<HashSet<TaskId>>,
    /// Removes everything at the end.
    _root: TempDir,
}

/// A file that was stored, before it has a name.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) sha256: String,
    pub(crate) size: u64,
}

impl HostDirs {
    /// Makes the directory, in the system's place for temporary files or in the given one.
    pub(crate) fn new(parent: Option<&Path>) -> std::io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("taskcell-");
        let root = match parent {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        let dir = Dir::open_ambient_dir(root.path(), cap_std::ambient_authority())?;
        dir.create_dir("scratch")?;
        dir.create_dir("artifacts")?;
        dir.create_dir("output")?;
        dir.create_dir("trash")?;
        let scratch = Arc::new(dir.open_dir("scratch")?);
        Ok(Self { dir, scratch, with_files: Mutex::default(), _root: root })
    }

    /// A task's scratch directory, which is not made yet.
    pub(crate) fn scratch(&self, id: TaskId) -> Scratch {
        Scratch::new(Arc::clone(&self.scratch), id)
    }

    /// Removes a scratch directory that is closed, with all that is in it, if it was ever made.
    pub(crate) fn remove_scratch(&self, scratch: &Scratch, id: TaskId) -> std::io::Result<()> {
        if scratch.was_made() { self.remove_tree(&Path::new("scratch").join(scratch.name()), id) } else { Ok(()) }
    }

    /// Removes a tree however deep it is: every directory is moved up to one level first, so that neither the stack nor
    /// the table of descriptors grows with the depth.
    ///
    /// An operation of the guest's that was under way when it ended may still make a file here: what stands in the way is
    /// looked for again, and what cannot be removed does not keep the rest.
    fn remove_tree(&self, tree: &Path, id: TaskId) -> std::io::Result<()> {
        let flat = Path::new("trash").join(id.to_string());
        self.dir.create_dir_all(&flat)?;
        let mut trash = Trash { dir: &self.dir, flat: &flat, count: 0, waiting: Vec::new(), error: None };
        trash.take(tree);
        trash.empty(|_| {});
        match trash.error {
            Some(error) => Err(error),
            None => self.dir.remove_dir(&flat),
        }
    }

    /// Keeps a copy of a file as the task's artifact of this number, if it has at most `bytes_max` bytes.
    pub(crate) fn store(&self, id: TaskId, number: u32, mut source: File, bytes_max: u64) -> Result<Stored, Refusal> {
        let host =
            |error: std::io::Error| Refusal::new(RefusalKind::Host, format!("failed to store the file: {error}"));
        self.with_files().insert(id);
        let parent = artifact_dir(id);
        self.dir.create_dir_all(&parent).map_err(host)?;
        let path = parent.join(number.to_string());
        let mut copy = self.dir.open_with(&path, OpenOptions::new().write(true).create_new(true)).map_err(host)?;
        // A copy that fails leaves nothing that stands in the next one's way.
        let stored = copy_hashed(&mut source, &mut copy, bytes_max);
        if stored.is_err() {
            let _ = self.dir.remove_file(&path);
        }
        stored
    }

    /// Reads an artifact.
    pub(crate) fn read(&self, id: TaskId, number: u32) -> std::io::Result<Vec<u8>> {
        self.dir.read(artifact_dir(id).join(number.to_string()))
    }

    /// Opens the file of a task's older output to write to, and makes it first if it is `new`.
    pub(crate) fn write_output(&self, id: TaskId, new: bool) -> std::io::Result<File> {
        self.with_files().insert(id);
        self.dir.open_with(output_file(id), OpenOptions::new().write(true).create_new(new))
    }

    /// Opens the file of a task's older output to read from.
    pub(crate) fn read_output(&self, id: TaskId) -> std::io::Result<File> {
        self.dir.open(output_file(id))
    }

    fn with_files(&self) -> MutexGuard<'_, HashSet<TaskId>> {
        self.with_files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything of a task may lie here beside its scratch directory. Does not ask the disk.
    pub(crate) fn has_files(&self, id: TaskId) -> bool {
        self.with_files().contains(&id)
    }

    /// Removes a task's artifacts and older output. A task without any is fine.
    pub(crate) fn remove_files(&self, id: TaskId) {
        self.with_files().remove(&id);
        // What cannot be removed now goes with the whole directory later.
        let _ = self.dir.remove_dir_all(artifact_dir(id));
        let _ = self.dir.remove_file(output_file(id));
    }
}

/// Directories on their way out, all next to each other.
struct Trash<'a> {
    dir: &'a Dir,
    flat: &'a Path,
    count: u64,
    waiting: Vec<PathBuf>,
    /// The newest thing that went wrong.
    error: Option<std::io::Error>,
}

impl Trash<'_> {
    /// Moves a directory here.
    fn take(&mut self, tree: &Path) {
        self.count += 1;
        let place = self.flat.join(self.count.to_string());
        match self.dir.rename(tree, self.dir, &place) {
            Ok(()) => self.waiting.push(place),
            Err(error) => self.note(error),
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
    fn empty(&mut self, mut listed: impl FnMut(&Path)) {
        while let Some(path) = self.waiting.pop() {
            let mut tries = 0;
            loop {
                if let Err(error) = self.clear(&path) {
                    self.note(error);
                }
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

/// Copies a file of at most `bytes_max` bytes and says what it holds.
fn copy_hashed(source: &mut File, copy: &mut File, bytes_max: u64) -> Result<Stored, Refusal> {
    let host = |error: std::io::Error| Refusal::new(RefusalKind::Host, format!("failed to store the file: {error}"));
    let mut hash = Sha256::new();
    let mut size: u64 = 0;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = source.read(&mut buffer).map_err(host)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        size += count as u64;
        if size > bytes_max {
            let message = format!("the task's artifacts would have more than {bytes_max} bytes left to it");
            return Err(Refusal::new(RefusalKind::TooLarge, message));
        }
        hash.update(bytes);
        copy.write_all(bytes).map_err(host)?;
    }
    Ok(Stored { sha256: hex::encode(hash.finalize()), size })
}

fn output_file(id: TaskId) -> PathBuf {
    Path::new("output").join(id.to_string())
}

fn artifact_dir(id: TaskId) -> PathBuf {
    Path::new("artifacts").join(id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f25_a_directory_of_any_depth_is_removed() {
        let dirs = HostDirs::new(None).unwrap();
        let id = TaskId::from_random(7);
        let scratch = dirs.scratch(id);
        let mut dir = scratch.open().unwrap().try_clone().unwrap();
        for _ in 0..5_000 {
            dir.create_dir("d").unwrap();
            dir.write("f", b"x").unwrap();
            dir = dir.open_dir("d").unwrap();
        }
        drop(dir);
        assert!(scratch.close());
        dirs.remove_scratch(&scratch, id).unwrap();
        assert_eq!(dirs.dir.read_dir("scratch").unwrap().count(), 0);
        assert_eq!(dirs.dir.read_dir("trash").unwrap().count(), 0);
    }

    #[test]
    fn f25_what_is_made_while_a_tree_is_removed_goes_too() {
        let dirs = HostDirs::new(None).unwrap();
        let flat = Path::new("trash").join("7");
        dirs.dir.create_dir_all(&flat).unwrap();
        dirs.dir.create_dir_all("scratch/s/d").unwrap();
        dirs.dir.write("scratch/s/f", b"x").unwrap();
        let mut trash = Trash { dir: &dirs.dir, flat: &flat, count: 0, waiting: Vec::new(), error: None };
        trash.take(Path::new("scratch/s"));
        let mut late = 0;
        trash.empty(|path| {
            late += 1;
            if late <= 4 {
                dirs.dir.write(path.join("late"), b"x").unwrap();
                dirs.dir.create_dir(path.join("late directory")).unwrap();
            }
        });
        assert!(trash.error.is_none(), "{:?}", trash.error);
        assert_eq!(dirs.dir.read_dir(&flat).unwrap().count(), 0);
        assert!(late > 4, "{late}");
    }

    #[test]
    fn f25_what_cannot_be_removed_is_told_and_left() {
        let dirs = HostDirs::new(None).unwrap();
        let flat = Path::new("trash").join("7");
        dirs.dir.create_dir_all(&flat).unwrap();
        dirs.dir.create_dir_all("scratch/s").unwrap();
        let mut trash = Trash { dir: &dirs.dir, flat: &flat, count: 0, waiting: Vec::new(), error: None };
        trash.take(Path::new("scratch/s"));
        trash.empty(|path| dirs.dir.write(path.join("late"), b"x").unwrap());
        assert_eq!(trash.error.map(|error| error.kind()), Some(ErrorKind::DirectoryNotEmpty));
    }
}
