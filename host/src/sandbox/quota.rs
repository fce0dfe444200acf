//! How much a task keeps in its scratch directory, held to its limits.
//!
//! A file system's own quotas need privileges and differ everywhere, and the size of a tree cannot be asked for cheaply.
//! So there is a tally of at most how much there is: it grows with each change and never shrinks. When it is over the
//! limit, the directory is measured, which finds what was removed meanwhile; only then is anything refused. The normal
//! path costs no more than the change itself.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use cap_std::fs::{Dir, DirEntry, MetadataExt, ReadDir};
use tokio::sync::OwnedMutexGuard;
use wasmtime_wasi::runtime::spawn_blocking;

use crate::model::limits::Limits;

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

    fn plus(self, more: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(more.bytes),
            entries: self.entries.saturating_add(more.entries),
            dirs: self.dirs.saturating_add(more.dirs),
        }
    }
}

/// At most how much there is, and how much there may be.
#[derive(Debug)]
struct Tally {
    at_most: Amount,
    bytes_max: u64,
    entries_max: u64,
    depth_max: u64,
}

impl Tally {
    fn new(limits: &Limits) -> Self {
        Self {
            at_most: Amount::default(),
            bytes_max: limits.scratch_bytes,
            entries_max: limits.scratch_inodes,
            depth_max: u64::from(limits.scratch_depth),
        }
    }

    /// Adds it, if there is room for it for certain. What does not grow is never in the way of what does.
    fn admit(&mut self, more: Amount) -> bool {
        let sum = self.at_most.plus(more);
        let fits =
            (more.bytes == 0 || sum.bytes <= self.bytes_max) && (more.entries == 0 || sum.entries <= self.entries_max);
        if fits {
            self.at_most = sum;
        }
        fits
    }

    /// Whether so many directories within each other are too many.
    fn too_deep(&self, depth: u64) -> bool {
        depth > self.depth_max
    }
}

/// The directory as one task may change it: one change at a time, and none while it is measured.
///
/// Its functions touch the disk and may take long: they run where a thread may block.
#[derive(Debug)]
pub(super) struct Books {
    root: Arc<File>,
    open: Arc<OpenFiles>,
    tally: Tally,
}

impl Books {
    /// Makes room in the tally, measuring the directory if that is needed to know.
    fn admit(&mut self, more: Amount) -> io::Result<()> {
        if self.tally.admit(more) {
            return Ok(());
        }
        self.tally.at_most = self.measure()?;
        if self.tally.admit(more) { Ok(()) } else { Err(over()) }
    }

    /// Writes at a place of a file, as many bytes as the system takes at once.
    pub(super) fn write_at(&mut self, file: &File, bytes: &[u8], place: u64) -> io::Result<usize> {
        let end = place.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        if !bytes.is_empty() {
            self.admit(Amount::bytes(end.saturating_sub(file.metadata()?.len())))?;
        }
        file.write_at(bytes, place)
    }

    /// Writes all bytes at a place of a file.
    pub(super) fn write_all_at(&mut self, file: &File, mut bytes: &[u8], mut place: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(file, bytes, place) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    place = place.saturating_add(written as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all bytes at the end of a file. Nobody else writes to it meanwhile: only this task can, and it does one
    /// thing at a time.
    pub(super) fn append(&mut self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let end = file.metadata()?.len();
        self.write_all_at(file, bytes, end)
    }

    /// Cuts a file, or lengthens it with a hole, which counts like bytes.
    pub(super) fn set_size(&mut self, file: &File, size: u64) -> io::Result<()> {
        self.admit(Amount::bytes(size.saturating_sub(file.metadata()?.len())))?;
        file.set_len(size)
    }

    /// Whether a directory could lie too deep at all: never, while there are few.
    pub(super) fn may_be_deep(&self) -> bool {
        self.tally.too_deep(self.tally.at_most.dirs)
    }

    /// Refuses a new directory at this path if it would lie too deep.
    pub(super) fn check_new_dir(&self, dir: &File, path: &Path) -> io::Result<()> {
        let depth = self.depth(parent(dir, path)?)?.saturating_add(1);
        if self.tally.too_deep(depth) { Err(over()) } else { Ok(()) }
    }

    /// Refuses a move if what is moved is a directory and the deepest in it would lie too deep.
    pub(super) fn check_move(&self, from: &File, old: &Path, to: &File, new: &Path) -> io::Result<()> {
        let from = Dir::from_std_file(from.try_clone()?);
        if !from.symlink_metadata(old)?.is_dir() {
            return Ok(());
        }
        let below = Walk::new(&from.open_dir(old)?)?.last()?.height;
        let depth = self.depth(parent(to, new)?)?.saturating_add(1).saturating_add(below);
        if self.tally.too_deep(depth) { Err(over()) } else { Ok(()) }
    }

    /// How many directories lie between this one and the top, counted on the disk: links, `..` and moves cannot lie.
    fn depth(&self, mut dir: Dir) -> io::Result<u64> {
        let identity = |dir: &Dir| dir.dir_metadata().map(|data| (data.dev(), data.ino()));
        let top = identity(&Dir::from_std_file(self.root.try_clone()?))?;
        let mut depth = 0;
        while identity(&dir)? != top {
            depth += 1;
            if self.tally.too_deep(depth) {
                break;
            }
            // Upwards from inside the directory, and never past its top.
            dir = dir.open_parent_dir(cap_std::ambient_authority())?;
        }
        Ok(depth)
    }

    /// Counts what there is, files included that have no name any more and are still open.
    fn measure(&self) -> io::Result<Amount> {
        let mut walk = Walk::new(&Dir::from_std_file(self.root.try_clone()?))?.last()?;
        for file in self.open.alive() {
            let data = file.metadata()?;
            use std::os::unix::fs::MetadataExt as _;
            if data.nlink() == 0 && walk.seen.insert((data.dev(), data.ino())) {
                let bytes = if data.is_file() { data.len() } else { 0 };
                walk.found = walk.found.plus(Amount { bytes, ..Amount::FILE });
            }
        }
        Ok(walk.found)
    }
}

/// A way through a tree, a level of open directories at a time.
struct Walk {
    levels: Vec<ReadDir>,
    found: Amount,
    /// The most levels there were below the first.
    height: u64,
    /// Files that were met and may be met again by another name: device and number.
    seen: HashSet<(u64, u64)>,
}

impl Walk {
    fn new(top: &Dir) -> io::Result<Self> {
        Ok(Self { levels: vec![top.entries()?], found: Amount::default(), height: 0, seen: HashSet::new() })
    }

    /// Goes through all of it. What is removed meanwhile may be counted or not.
    fn last(mut self) -> io::Result<Self> {
        while let Some(level) = self.levels.last_mut() {
            match level.next() {
                None => drop(self.levels.pop()),
                Some(entry) => match self.meet(&entry?) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    met => met?,
                },
            }
        }
        Ok(self)
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
}

/// Opens the directory that a path's last name lies in, the way the change itself will.
fn parent(dir: &File, path: &Path) -> io::Result<Dir> {
    let dir = Dir::from_std_file(dir.try_clone()?);
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => dir.open_dir(parent),
        _ => Ok(dir),
    }
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "the scratch directory is full: its limit is reached")
}

/// Which files and directories of the scratch directory are open.
///
/// They are known by where the open file itself lies in memory, which is its own as long as the entry is there. So
/// neither a handle's number that is used again nor a stream that outlives its handle can get past it.
#[derive(Debug, Default)]
struct OpenFiles {
    files: Mutex<HashMap<usize, Weak<File>>>,
}

impl OpenFiles {
    /// Below that many it is not worth while to look for closed ones.
    const FEW: usize = 64;

    fn add(&self, file: &Arc<File>) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= Self::FEW && files.len() == files.capacity() {
            files.retain(|_, file| file.strong_count() > 0);
            let room = files.len();
            files.reserve(room.max(Self::FEW));
        }
        files.insert(Arc::as_ptr(file).addr(), Arc::downgrade(file));
    }

    fn has(&self, file: &Arc<File>) -> bool {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&Arc::as_ptr(file).addr())
    }

    fn alive(&self) -> Vec<Arc<File>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.values().filter_map(Weak::upgrade).collect()
    }
}

/// The quota of one task's scratch directory.
#[derive(Debug)]
pub(super) struct Quota {
    open: Arc<OpenFiles>,
    /// Held during each change, also while the disk works on it: a task's changes wait for each other, and for no other
    /// task's.
    books: Arc<tokio::sync::Mutex<Books>>,
}

/// The right to change the directory, until it is dropped.
pub(super) type Turn = OwnedMutexGuard<Books>;

impl Quota {
    /// The quota of this empty directory.
    pub(super) fn new(root: &Arc<File>, limits: &Limits) -> Self {
        let open = Arc::new(OpenFiles::default());
        let books = Books { root: Arc::clone(root), open: Arc::clone(&open), tally: Tally::new(limits) };
        let quota = Self { open, books: Arc::new(tokio::sync::Mutex::new(books)) };
        quota.add(root);
        quota
    }

    /// Remembers that this file or directory lies in the scratch directory.
    pub(super) fn add(&self, file: &Arc<File>) {
        self.open.add(file);
    }

    /// Whether this open file or directory lies in the scratch directory.
    pub(super) fn has(&self, file: &Arc<File>) -> bool {
        self.open.has(file)
    }

    /// Waits until nothing else changes the directory.
    pub(super) async fn turn(&self) -> Turn {
        Arc::clone(&self.books).lock_owned().await
    }

    /// Waits for its turn and for room, or says that there is none.
    pub(super) async fn admit(&self, more: Amount) -> io::Result<Turn> {
        admit(self.turn().await, more).await
    }

    /// Does something with the directory where a thread may block. It goes on when the future is dropped.
    pub(super) async fn change<R: Send + 'static>(&self, job: impl FnOnce(&mut Books) -> R + Send + 'static) -> R {
        let mut turn = self.turn().await;
        spawn_blocking(move || job(&mut turn)).await
    }
}

/// Makes room for more, where a thread may block if it must.
pub(super) async fn admit(mut turn: Turn, more: Amount) -> io::Result<Turn> {
    if turn.tally.admit(more) {
        return Ok(turn);
    }
    spawn_blocking(move || turn.admit(more).map(|()| turn)).await
}

/// Lets a check look at the disk where a thread may block.
pub(super) async fn check(
    turn: Turn,
    check: impl FnOnce(&Books) -> io::Result<()> + Send + 'static,
) -> io::Result<Turn> {
    spawn_blocking(move || check(&turn).map(|()| turn)).await
}

/// Makes room at once or not at all, without a look at the disk.
pub(super) fn admit_now(turn: &mut Turn, more: Amount) -> bool {
    turn.tally.admit(more)
}
