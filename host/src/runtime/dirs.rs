//! The host's own directory: a scratch directory for each task, the files that tasks attached, and their older output.
//!
//! It is made privately for this host and removed with it; what a host left behind that was killed is removed by the next
//! one in the same place. A host on a data directory keeps it there instead, and the next host on it finds what there was.
//! Paths inside are built from task ids and numbers, never from anything that a guest or a caller wrote.

use std::collections::HashSet;
use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::{Dir, File, OpenOptions};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::model::ids::TaskId;
use crate::model::machine::{Refusal, RefusalKind};
use crate::ports::failpoint::failpoint;
use crate::ports::scratch::Scratch;

use super::sweep::{self, Abandoned};
use super::trash::Trash;

mod data;

use data::Lasting;

/// Bytes copied at a time.
const COPY_BYTES: usize = 64 << 10;

/// The directory.
#[derive(Debug)]
pub(crate) struct HostDirs {
    dir: Dir,
    /// Where the scratch directories lie.
    scratch: Arc<Dir>,
    /// Who has files in `artifacts` or `output`: most tasks have none, and so the disk need not be asked.
    with_files: Mutex<HashSet<TaskId>>,
    /// Whose scratch directory was kept.
    kept: Mutex<HashSet<TaskId>>,
    /// Places for attachments that were made.
    attachments: AtomicU64,
    root: Root,
}

/// Where it is.
#[derive(Debug)]
enum Root {
    /// Removes everything at the end: what lies there need not outlive the machine.
    Temporary {
        /// Says that somebody lives here, until it is dropped. Before the directory, so that it is dropped first.
        _owner: Option<std::fs::File>,
        dir: TempDir,
    },
    /// In a data directory.
    Kept(PathBuf, Lasting),
}

impl Root {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary { dir, .. } => dir.path(),
            Self::Kept(path, _) => path,
        }
    }
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
        // Nobody else looks into it, whatever the umask.
        builder.prefix(sweep::PREFIX).permissions(std::fs::Permissions::from_mode(0o700));
        let root = match parent {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        let dir = Dir::open_ambient_dir(root.path(), cap_std::ambient_authority())?;
        for place in data::PLACES {
            dir.create_dir(place)?;
        }
        let scratch = Arc::new(dir.open_dir("scratch")?);
        let owner = sweep::own(&dir)?;
        let (with_files, kept, attachments) = Default::default();
        let root = Root::Temporary { _owner: owner, dir: root };
        Ok(Self { dir, scratch, with_files, kept, attachments, root })
    }

    /// What finds and removes the directories beside this one that nobody owns any more. One in a data directory has none.
    pub(crate) fn abandoned(&self) -> Option<Abandoned> {
        match &self.root {
            Root::Temporary { dir, .. } => Abandoned::beside(dir.path()),
            Root::Kept(..) => None,
        }
    }

    /// Keeps a scratch directory that is closed, if it was ever made. Says how many bytes are in it, `bytes_max` when that
    /// cannot be found out.
    pub(crate) fn keep_scratch(&self, scratch: &Scratch, id: TaskId, bytes_max: u64) -> std::io::Result<Option<u64>> {
        if !scratch.was_made() {
            return Ok(None);
        }
        self.keep(&scratch.name(), id)?;
        Ok(self.kept_bytes(id, bytes_max))
    }

    fn keep(&self, scratch: &str, id: TaskId) -> std::io::Result<()> {
        self.kept().insert(id);
        self.dir.rename(Path::new("scratch").join(scratch), &self.dir, kept_dir(id))
    }

    /// The bytes of a task's scratch directory, if that was kept: `bytes_max` when that cannot be found out. Blocks.
    pub(crate) fn kept_bytes(&self, id: TaskId, bytes_max: u64) -> Option<u64> {
        let is_kept = self.kept().contains(&id);
        // A guest can make paths that are too long for the system. What is in them must not count as nothing.
        is_kept.then(|| self.bytes_below(kept_dir(id)).unwrap_or(bytes_max))
    }

    /// Bytes of the files in a tree, if all of it can be looked at.
    fn bytes_below(&self, tree: PathBuf) -> std::io::Result<u64> {
        let (mut bytes, mut waiting) = (0_u64, vec![tree]);
        while let Some(path) = waiting.pop() {
            for entry in self.dir.read_dir(&path)? {
                let entry = entry?;
                let found = entry.metadata()?;
                if found.is_dir() {
                    waiting.push(path.join(entry.file_name()));
                } else {
                    bytes = bytes.saturating_add(found.len());
                }
            }
        }
        Ok(bytes)
    }

    /// Where a kept scratch directory is.
    pub(crate) fn kept_path(&self, id: TaskId) -> PathBuf {
        self.root.path().join(kept_dir(id))
    }

    fn kept(&self) -> MutexGuard<'_, HashSet<TaskId>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut trash = Trash::new(&self.dir, &flat);
        trash.take(tree);
        trash.empty(|_| {});
        match trash.error {
            Some(error) => Err(error),
            None => self.dir.remove_dir(&flat),
        }
    }

    /// Keeps a copy of a file as the task's artifact of this number, if it has at most `bytes_max` bytes.
    pub(crate) fn store(
        &self,
        id: TaskId,
        number: u32,
        source: &mut dyn Read,
        bytes_max: u64,
    ) -> Result<Stored, Refusal> {
        let host =
            |error: std::io::Error| Refusal::new(RefusalKind::Host, format!("failed to store the file: {error}"));
        self.with_files().insert(id);
        let parent = artifact_dir(id);
        self.dir.create_dir_all(&parent).map_err(host)?;
        let path = parent.join(number.to_string());
        self.make_way(id, &path);
        let mut copy = self.dir.open_with(&path, OpenOptions::new().write(true).create_new(true)).map_err(host)?;
        // A copy that fails leaves nothing that stands in the next one's way.
        let stored = copy_hashed(source, &mut copy, bytes_max).and_then(|stored| {
            failpoint!("artifact.copied");
            self.outlives(&copy, [&*parent, Path::new("artifacts")]).map_err(CopyError::Failed)?;
            Ok(stored)
        });
        if stored.is_err() {
            let _ = self.dir.remove_file(&path);
        }
        stored.map_err(|error| match error {
            CopyError::Failed(error) => host(error),
            CopyError::TooLarge => {
                let message = format!("the task's artifacts would have more than {bytes_max} bytes left to it");
                Refusal::new(RefusalKind::TooLarge, message)
            }
        })
    }

    /// Makes a place for a task's attachments: its number, and the directory.
    pub(crate) fn new_attachments(&self) -> std::io::Result<(u64, Dir)> {
        // Not the task's id: one that is started twice must not lose its files with the second start.
        let number = self.attachments.fetch_add(1, Ordering::Relaxed);
        let place = attachments_dir(number);
        self.dir.create_dir(&place)?;
        Ok((number, self.dir.open_dir(&place)?))
    }

    /// This place belongs to somebody, whether its files are there or not: new ones get higher numbers.
    pub(crate) fn attachments_belong(&self, number: u64) {
        self.attachments.fetch_max(number.saturating_add(1), Ordering::Relaxed);
    }

    /// Waits until that place outlives the machine, if anything here does.
    pub(crate) fn attachments_outlive(&self, number: u64) -> std::io::Result<()> {
        self.names_outlive([&*attachments_dir(number), Path::new("attachments")])
    }

    /// Whether there is that place.
    pub(crate) fn has_attachments(&self, number: u64) -> bool {
        self.dir.symlink_metadata(attachments_dir(number)).is_ok_and(|found| found.is_dir())
    }

    /// Where that place is.
    pub(crate) fn attachments_path(&self, number: u64) -> PathBuf {
        self.root.path().join(attachments_dir(number))
    }

    /// Removes that place with all that is in it.
    pub(crate) fn remove_attachments(&self, number: u64) {
        // What cannot be removed now goes with the whole directory, or when a host begins in it again.
        let _ = self.dir.remove_dir_all(attachments_dir(number));
    }

    /// Removes a copy that is no artifact after all.
    pub(crate) fn unstore(&self, id: TaskId, number: u32) {
        // What cannot be removed now goes with the task.
        let _ = self.dir.remove_file(artifact_dir(id).join(number.to_string()));
    }

    /// Reads an artifact.
    pub(crate) fn read(&self, id: TaskId, number: u32) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let found = self.open_file(&artifact_dir(id).join(number.to_string()));
        found.and_then(|mut file| file.read_to_end(&mut bytes)).map_err(|error| {
            let why = format!("artifact {number} of task {id} cannot be read: {error}");
            std::io::Error::new(error.kind(), why)
        })?;
        Ok(bytes)
    }

    /// Opens the file of a task's older output to write to, and makes it first if it is `new`.
    pub(crate) fn write_output(&self, id: TaskId, new: bool) -> std::io::Result<File> {
        self.with_files().insert(id);
        let mut how = data::no_links();
        how.write(true).create_new(new);
        self.dir.open_with(output_file(id), &how)
    }

    /// Opens the file of a task's older output to read from.
    pub(crate) fn read_output(&self, id: TaskId) -> std::io::Result<File> {
        self.open_file(&output_file(id))
    }

    fn with_files(&self) -> MutexGuard<'_, HashSet<TaskId>> {
        self.with_files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything of a task may lie here after its end. Does not ask the disk.
    pub(crate) fn has_files(&self, id: TaskId) -> bool {
        self.with_files().contains(&id) || self.kept().contains(&id)
    }

    /// Removes a task's artifacts, its older output, and its scratch directory if that was kept. A task without any is
    /// fine.
    pub(crate) fn remove_files(&self, id: TaskId) {
        self.with_files().remove(&id);
        if let Some(lasting) = self.lasting() {
            lasting.forget(id);
        }
        if self.kept().remove(&id) {
            let _ = self.remove_tree(&kept_dir(id), id);
        }
        // What cannot be removed now goes with the whole directory, or when a host begins in it again.
        let _ = self.dir.remove_dir_all(artifact_dir(id));
        let _ = self.dir.remove_file(output_file(id));
    }
}

/// Why a file was not copied.
#[derive(Debug)]
pub(super) enum CopyError {
    /// It has more bytes than it may.
    TooLarge,
    Failed(std::io::Error),
}

/// Copies a file of at most `bytes_max` bytes and says what it holds.
pub(super) fn copy_hashed(source: &mut dyn Read, copy: &mut File, bytes_max: u64) -> Result<Stored, CopyError> {
    let mut hash = Sha256::new();
    let mut size: u64 = 0;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = source.read(&mut buffer).map_err(CopyError::Failed)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        size += count as u64;
        if size > bytes_max {
            return Err(CopyError::TooLarge);
        }
        hash.update(bytes);
        copy.write_all(bytes).map_err(CopyError::Failed)?;
    }
    Ok(Stored { sha256: hex::encode(hash.finalize()), size })
}

fn attachments_dir(number: u64) -> PathBuf {
    Path::new("attachments").join(number.to_string())
}

fn output_file(id: TaskId) -> PathBuf {
    Path::new("output").join(id.to_string())
}

fn kept_dir(id: TaskId) -> PathBuf {
    Path::new("kept").join(id.to_string())
}

fn artifact_dir(id: TaskId) -> PathBuf {
    Path::new("artifacts").join(id.to_string())
}

#[cfg(test)]
mod tests;
