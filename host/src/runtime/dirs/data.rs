//! The host's directory when it lies in a data directory: `DATA/files`, which outlives the host.
//!
//! ```text
//! files/
//!   scratch/ID      a task's scratch directory; emptied when a host begins
//!   trash/          on its way out; emptied when a host begins
//!   artifacts/ID/N  what a task attached, by number
//!   output/ID       what a task printed and logged
//!   kept/ID         a scratch directory that was kept
//!   attachments/N/  the files that one task got along, under their own names
//! ```
//!
//! A task's id is 32 hexadecimal digits, a number is decimal. Whatever has another name is not the host's: it is left alone,
//! and no link is followed.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, File, Metadata, OpenOptions, OpenOptionsExt as _};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::model::ids::TaskId;
use crate::ports::output::Behind;
use crate::runtime::trash::Trash;

use super::{HostDirs, Root};

/// The directory in the data directory.
const FILES: &str = "files";
/// What is in it.
pub(super) const PLACES: [&str; 6] = ["scratch", "artifacts", "output", "trash", "kept", "attachments"];
/// Where what hosts before this one left behind waits to be removed.
const LEFT: &str = "trash/left";
/// Where that is taken apart.
const FLAT: &str = "trash/flat";

/// What only a directory has that outlives its host.
#[derive(Debug)]
pub(super) struct Lasting {
    /// Whose output is to be written.
    behind: Arc<Behind>,
    /// Writes it.
    writer: Mutex<JoinSet<()>>,
    /// The tasks that had output when the directory was opened.
    outputs: Mutex<HashSet<TaskId>>,
    /// Those that had artifacts then.
    /// Without those that have attached something since.
    artifacts: Mutex<HashSet<TaskId>>,
}

fn lock<T>(tasks: &Mutex<T>) -> MutexGuard<'_, T> {
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lasting {
    pub(super) fn forget(&self, id: TaskId) {
        lock(&self.outputs).remove(&id);
        lock(&self.artifacts).remove(&id);
    }
}

impl HostDirs {
    /// Opens the directory `files` in a data directory that nobody else uses, or makes it. Blocks.
    ///
    /// Nothing of what is there is removed before [`HostDirs::keep_only`] says what is known.
    #[cfg_attr(
        not(any(test, feature = "sqlite")),
        expect(dead_code, reason = "for a host that is started on a data directory")
    )]
    pub(crate) fn in_data(data: &Path) -> io::Result<Self> {
        let path = std::path::absolute(data)?.join(FILES);
        let top = Dir::open_ambient_dir(data, cap_std::ambient_authority())?;
        make(&top, FILES, &path)?;
        let dir = top.open_dir(FILES)?;
        for place in PLACES {
            make(&dir, place, &path.join(place))?;
        }
        dir.open(".")?.sync_all()?;
        top.open(".")?.sync_all()?;
        let scratch = Arc::new(dir.open_dir("scratch")?);
        let (artifacts, outputs) = (tasks(&dir, "artifacts", true)?, tasks(&dir, "output", false)?);
        let kept = tasks(&dir, "kept", true)?;
        let highest = names(&dir, "attachments")?.filter_map(|name| number(&name)).max();
        let with_files = Mutex::new(&artifacts | &outputs);
        let lasting = Lasting {
            behind: Arc::default(),
            writer: Mutex::default(),
            outputs: Mutex::new(outputs),
            artifacts: Mutex::new(artifacts),
        };
        let this = Self {
            scratch,
            with_files,
            kept: Mutex::new(kept),
            attachments: AtomicU64::new(highest.map_or(0, |highest| highest + 1)),
            root: Root::Kept(path, lasting),
            dir,
        };
        this.collect_trash()?;
        Ok(this)
    }

    pub(super) fn lasting(&self) -> Option<&Lasting> {
        match &self.root {
            Root::Temporary { .. } => None,
            Root::Kept(_, lasting) => Some(lasting),
        }
    }

    /// Whether what lies here outlives the host.
    pub(crate) fn is_kept(&self) -> bool {
        self.lasting().is_some()
    }

    /// Whose output is to be written, if it outlives the host.
    pub(crate) fn behind(&self) -> Option<&Arc<Behind>> {
        self.lasting().map(|lasting| &lasting.behind)
    }

    /// Runs what writes it until this is dropped.
    pub(crate) fn keep_writing(&self, runtime: &Handle, writer: impl Future<Output = ()> + Send + 'static) {
        if let Some(lasting) = self.lasting() {
            lock(&lasting.writer).spawn_on(writer, runtime);
        }
    }

    /// Whether a host before this one left a file with the task's output. Does not ask the disk.
    pub(crate) fn had_output(&self, id: TaskId) -> bool {
        self.lasting().is_some_and(|lasting| lock(&lasting.outputs).contains(&id))
    }

    /// Takes out of the way what belongs to none of these tasks, and places for attachments other than these, and all
    /// scratch directories: to be called before a task runs, and followed by [`HostDirs::empty_trash`]. A task counts as
    /// known also when the host cannot go on with it. Blocks, and not for long.
    ///
    /// What cannot be moved stays: it is in nobody's way, but for the scratch directory of a task that goes on, whose next
    /// attempt says so.
    pub(crate) fn keep_only(&self, known: &HashSet<TaskId>, attachments: &HashSet<u64>) {
        let Some(lasting) = self.lasting() else { return };
        let throw = |place: &str, name: &str| drop(self.throw(&Path::new(place).join(name)));
        for name in names(&self.dir, "scratch").into_iter().flatten() {
            throw("scratch", &name);
        }
        let unknown = |tasks: &HashSet<TaskId>| -> Vec<_> { tasks.difference(known).copied().collect() };
        let (artifacts, outputs) = (unknown(&lock(&lasting.artifacts)), unknown(&lock(&lasting.outputs)));
        let kept = unknown(&self.kept());
        for (place, tasks) in [("artifacts", artifacts), ("output", outputs), ("kept", kept)] {
            for id in tasks {
                throw(place, &id.to_string());
                self.with_files().remove(&id);
                self.kept().remove(&id);
                lasting.forget(id);
            }
        }
        for name in names(&self.dir, "attachments").into_iter().flatten() {
            if number(&name).is_some_and(|place| !attachments.contains(&place))
                && is(&self.dir, "attachments", &name, true)
            {
                throw("attachments", &name);
            }
        }
    }

    /// Keeps the scratch directory of a task whose host was killed after the task's end and before it had kept it. To be
    /// called before [`HostDirs::keep_only`], for tasks that ended so that it is kept.
    pub(crate) fn keep_left_scratch(&self, id: TaskId) {
        let name = id.to_string();
        let is_left = self.is_kept() && !self.kept().contains(&id) && is(&self.dir, "scratch", &name, true);
        if is_left && self.keep(&name, id).is_err() {
            self.kept().remove(&id);
        }
    }

    /// Removes what is out of the way. Blocks, for long if there is much. What cannot be removed is left to the next host.
    pub(crate) fn empty_trash(&self) {
        if self.dir.create_dir_all(FLAT).is_err() {
            return;
        }
        let mut trash = Trash::new(&self.dir, Path::new(FLAT));
        trash.take_out(Path::new(LEFT));
        trash.empty(|_| {});
        let _ = self.dir.remove_dir(FLAT);
    }

    /// Puts together what is in the trash, so that what this host throws away does not meet it.
    fn collect_trash(&self) -> io::Result<()> {
        self.dir.create_dir_all(LEFT)?;
        for name in names(&self.dir, "trash")?.filter(|name| name != "left") {
            // The next host tries again.
            let _ = self.throw(&Path::new("trash").join(name));
        }
        Ok(())
    }

    fn throw(&self, what: &Path) -> io::Result<()> {
        let place = Path::new(LEFT).join(uuid::Uuid::new_v4().simple().to_string());
        self.dir.rename(what, &self.dir, place)
    }

    /// Removes the copy that a host before this one made of a file and had no time to write down: `path` is where the task's
    /// next artifact belongs.
    pub(super) fn make_way(&self, id: TaskId, path: &Path) {
        let is_first = |lasting: &Lasting| lock(&lasting.artifacts).remove(&id);
        if self.lasting().is_some_and(is_first) {
            // Most often there is none.
            let _ = self.dir.remove_file(path);
        }
    }

    /// Waits until a file outlives the machine, and its name in these directories, if anything here does.
    pub(crate) fn outlives<'a>(&self, file: &File, dirs: impl IntoIterator<Item = &'a Path>) -> io::Result<()> {
        if !self.is_kept() {
            return Ok(());
        }
        file.sync_all()?;
        self.names_outlive(dirs)
    }

    /// The same of the names in these directories.
    pub(super) fn names_outlive<'a>(&self, dirs: impl IntoIterator<Item = &'a Path>) -> io::Result<()> {
        if !self.is_kept() {
            return Ok(());
        }
        dirs.into_iter().try_for_each(|dir| self.dir.open(dir)?.sync_all())
    }

    /// Opens a plain file to read it.
    pub(super) fn open_file(&self, path: &Path) -> io::Result<File> {
        let mut how = no_links();
        how.read(true);
        let file = self.dir.open_with(path, &how)?;
        if file.metadata()?.is_file() {
            return Ok(file);
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "there is something else than a file"))
    }
}

/// Follows no link, and waits for nobody at the other end of a pipe.
pub(super) fn no_links() -> OpenOptions {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut how = OpenOptions::new();
    how.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    how
}

/// Makes a directory for this user alone, or sees that it is one.
fn make(dir: &Dir, name: &str, path: &Path) -> io::Result<()> {
    let mut how = DirBuilder::new();
    how.mode(0o700);
    match dir.create_dir_with(name, &how) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    if dir.symlink_metadata(name).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{} is not a directory", path.display())))
}

/// The names in a directory that are text.
fn names(dir: &Dir, place: &str) -> io::Result<impl Iterator<Item = String>> {
    Ok(dir.read_dir(place)?.flatten().filter_map(|entry| entry.file_name().into_string().ok()))
}

/// Whether that is a directory, or a plain file, and no link.
fn is(dir: &Dir, place: &str, name: &str, directory: bool) -> bool {
    let is_right = |found: Metadata| if directory { found.is_dir() } else { found.is_file() };
    // A link is neither.
    dir.symlink_metadata(PathBuf::from(place).join(name)).is_ok_and(is_right)
}

/// The tasks that have a directory there, or a file.
fn tasks(dir: &Dir, place: &str, directories: bool) -> io::Result<HashSet<TaskId>> {
    let ours = names(dir, place)?.filter(|name| is(dir, place, name, directories));
    Ok(ours.filter_map(|name| TaskId::parse(&name)).collect())
}

fn number(name: &str) -> Option<u64> {
    let number: u64 = name.parse().ok()?;
    // The next one is larger.
    (number.to_string() == name && number < u64::MAX).then_some(number)
}

#[cfg(test)]
mod tests;
