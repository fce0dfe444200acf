//! How much a task keeps in its scratch directory, held to its limits.
//!
//! A file system's own quotas need privileges and differ everywhere, and the size of a tree cannot be asked for cheaply.
//! So there is a tally of at most how much there is: it grows with each change and never shrinks. When it is over the
//! limit, the directory is measured, which finds what was removed meanwhile; only then is anything refused. The normal
//! path costs no more than the change itself.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use cap_std::fs::{Dir, MetadataExt as _};
use tokio::sync::OwnedMutexGuard;
use wasmtime_wasi::runtime::spawn_blocking;

use crate::model::limits::Limits;
use crate::ports::output::OutputLog;

use super::measure::{Amount, Walk};

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
    /// Where the first refusal is told in words; empty afterwards. Many a guest's libc makes a bare I/O error of it.
    log: Option<Arc<OutputLog>>,
}

impl Books {
    /// The refusal, and the first time a line in the task's log.
    fn over(&mut self) -> io::Error {
        let Tally { bytes_max, entries_max, depth_max, .. } = self.tally;
        let told = format!(
            "the scratch directory is full: it takes {bytes_max} bytes in {entries_max} files and directories, which lie \
             at most {depth_max} deep"
        );
        if let Some(log) = self.log.take() {
            log.log("warn", "taskcell".to_owned(), &told);
        }
        io::Error::new(io::ErrorKind::QuotaExceeded, told)
    }

    /// Makes room in the tally, measuring the directory if that is needed to know.
    fn admit(&mut self, more: Amount) -> io::Result<()> {
        if self.tally.admit(more) {
            return Ok(());
        }
        self.tally.at_most = self.measure()?;
        if self.tally.admit(more) { Ok(()) } else { Err(self.over()) }
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
    pub(super) fn check_new_dir(&mut self, dir: &File, path: &Path) -> io::Result<()> {
        let depth = self.depth(parent(dir, path)?)?.saturating_add(1);
        if self.tally.too_deep(depth) { Err(self.over()) } else { Ok(()) }
    }

    /// Refuses a move if what is moved is a directory and the deepest in it would lie too deep.
    pub(super) fn check_move(&mut self, from: &File, old: &Path, to: &File, new: &Path) -> io::Result<()> {
        let from = Dir::from_std_file(from.try_clone()?);
        if !from.symlink_metadata(old)?.is_dir() {
            return Ok(());
        }
        let below = Walk::through(&from.open_dir(old)?)?.height;
        let depth = self.depth(parent(to, new)?)?.saturating_add(1).saturating_add(below);
        if self.tally.too_deep(depth) { Err(self.over()) } else { Ok(()) }
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
        let mut walk = Walk::through(&Dir::from_std_file(self.root.try_clone()?))?;
        // Afterwards, so that a file which loses its name meanwhile is met in one place or the other.
        for file in self.open.alive() {
            walk.meet_open(&file)?;
        }
        Ok(walk.found)
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
    pub(super) fn new(root: &Arc<File>, limits: &Limits, log: Arc<OutputLog>) -> Self {
        let open = Arc::new(OpenFiles::default());
        let books =
            Books { root: Arc::clone(root), open: Arc::clone(&open), tally: Tally::new(limits), log: Some(log) };
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
    mut turn: Turn,
    check: impl FnOnce(&mut Books) -> io::Result<()> + Send + 'static,
) -> io::Result<Turn> {
    spawn_blocking(move || check(&mut turn).map(|()| turn)).await
}

/// Makes room at once or not at all, without a look at the disk.
pub(super) fn admit_now(turn: &mut Turn, more: Amount) -> bool {
    turn.tally.admit(more)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tally(bytes: u64, entries: u64) -> Tally {
        Tally::new(&Limits { scratch_bytes: bytes, scratch_inodes: entries, ..Limits::default() })
    }

    #[test]
    fn the_tally_admits_up_to_the_limit_and_keeps_nothing_of_a_refusal() {
        let mut tally = tally(10, 2);
        assert!(tally.admit(Amount::bytes(10)));
        assert!(!tally.admit(Amount::bytes(1)));
        assert!(!tally.admit(Amount { bytes: 1, ..Amount::FILE }));
        assert_eq!(tally.at_most, Amount::bytes(10));
        assert!(tally.admit(Amount::FILE), "bytes are not in the way of entries");
        assert!(tally.admit(Amount::DIR));
        assert!(!tally.admit(Amount::DIR));
        assert!(tally.admit(Amount::default()), "nothing always fits");
        assert!(!tally.admit(Amount::bytes(u64::MAX)), "and the sum does not wrap");
    }

    #[test]
    fn what_is_over_the_limit_in_one_way_may_still_grow_in_the_other() {
        let mut tally = tally(10, 2);
        tally.at_most = Amount { bytes: 50, entries: 1, dirs: 0 };
        assert!(tally.admit(Amount::FILE));
        assert!(!tally.admit(Amount::bytes(1)));
    }

    /// A directory on the disk, and its quota of 100 bytes, 10 entries, 3 directories deep.
    struct Kept {
        top: tempfile::TempDir,
        root: Arc<File>,
        quota: Quota,
        log: Arc<OutputLog>,
    }

    #[expect(clippy::disallowed_methods, reason = "tests make files of their own")]
    impl Kept {
        fn new() -> Self {
            let top = tempfile::tempdir().unwrap();
            let root = Arc::new(File::open(top.path()).unwrap());
            let limits = Limits { scratch_bytes: 100, scratch_inodes: 10, scratch_depth: 3, ..Limits::default() };
            let log = Arc::new(OutputLog::new(1000));
            let quota = Quota::new(&root, &limits, Arc::clone(&log));
            Self { top, root, quota, log }
        }

        fn books(&self) -> Turn {
            Arc::clone(&self.quota.books).try_lock_owned().unwrap()
        }

        fn dir(&self, path: &str) -> Arc<File> {
            std::fs::create_dir_all(self.top.path().join(path)).unwrap();
            Arc::new(File::open(self.top.path().join(path)).unwrap())
        }

        fn file(&self, name: &str) -> Arc<File> {
            let file = Arc::new(File::create(self.top.path().join(name)).unwrap());
            self.quota.add(&file);
            file
        }
    }

    fn over<T: std::fmt::Debug>(result: io::Result<T>) {
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    }

    #[test]
    fn only_growth_is_counted() {
        let kept = Kept::new();
        let (mut books, file) = (kept.books(), kept.file("file"));
        books.write_all_at(&file, &[1; 60], 0).unwrap();
        for _ in 0..5 {
            books.write_all_at(&file, &[2; 60], 0).unwrap();
        }
        books.append(&file, &[3; 40]).unwrap();
        assert_eq!(books.tally.at_most.bytes, 100);
        over(books.append(&file, &[4]));
        over(books.write_at(&file, &[4; 2], 99));
        over(books.set_size(&file, 101));
        over(books.set_size(&file, u64::MAX));
        assert_eq!(books.write_at(&file, &[4; 2], u64::MAX).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(file.metadata().unwrap().len(), 100, "what is refused has not happened");
    }

    #[test]
    fn an_empty_write_changes_nothing_however_far_out() {
        let kept = Kept::new();
        let (mut books, file) = (kept.books(), kept.file("file"));
        assert_eq!(books.write_at(&file, &[], 1 << 40).unwrap(), 0);
        books.write_all_at(&file, &[], 1 << 40).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn the_directory_is_measured_only_when_the_tally_is_full() {
        let kept = Kept::new();
        let (mut books, file) = (kept.books(), kept.file("file"));
        books.set_size(&file, 80).unwrap();
        books.set_size(&file, 0).unwrap();
        assert_eq!(books.tally.at_most.bytes, 80, "what was given back is not seen yet");
        books.set_size(&file, 30).unwrap();
        assert_eq!(books.tally.at_most.bytes, 30, "now it is");
    }

    #[test]
    fn a_measurement_sees_links_once_and_files_without_a_name() {
        let kept = Kept::new();
        let (books, at) = (kept.books(), |name: &str| kept.top.path().join(name));
        kept.dir("a/b");
        kept.file("a/b/file").set_len(7).unwrap();
        std::fs::hard_link(at("a/b/file"), at("a/link")).unwrap();
        symlink("12345", at("soft")).unwrap();
        assert_eq!(books.measure().unwrap(), Amount { bytes: 12, entries: 5, dirs: 2 });

        let open = kept.file("gone");
        open.set_len(50).unwrap();
        std::fs::remove_file(at("gone")).unwrap();
        assert_eq!(books.measure().unwrap(), Amount { bytes: 62, entries: 6, dirs: 2 });
        drop(open);
        assert_eq!(books.measure().unwrap(), Amount { bytes: 12, entries: 5, dirs: 2 });
    }

    #[test]
    fn depth_is_counted_on_the_disk() {
        let kept = Kept::new();
        let mut books = kept.books();
        let deep = kept.dir("a/b/c");
        symlink("a/b", kept.top.path().join("short")).unwrap();
        books.check_new_dir(&kept.root, Path::new("a/b/x")).unwrap();
        books.check_new_dir(&kept.root, Path::new("short/../b/x/")).unwrap();
        over(books.check_new_dir(&kept.root, Path::new("a/b/c/x")));
        over(books.check_new_dir(&kept.root, Path::new("short/c/x")));
        over(books.check_new_dir(&deep, Path::new("x")));
        assert!(books.check_new_dir(&kept.root, Path::new("../x")).is_err(), "there is no way out");

        let tree = kept.dir("tree");
        kept.dir("tree/one/two");
        books.check_move(&kept.root, Path::new("tree/one"), &kept.root, Path::new("a/one")).unwrap();
        over(books.check_move(&kept.root, Path::new("tree"), &kept.root, Path::new("a/tree")));
        over(books.check_move(&tree, Path::new("one"), &deep, Path::new("one")));
        kept.file("tree/file");
        books.check_move(&tree, Path::new("file"), &deep, Path::new("file")).unwrap();
    }

    #[test]
    fn the_first_refusal_is_told_in_the_log_and_no_other() {
        let kept = Kept::new();
        let (mut books, file) = (kept.books(), kept.file("file"));
        over(books.set_size(&file, 101));
        over(books.set_size(&file, 101));
        let page = kept.log.read(crate::ports::output::OutputCursor::default());
        assert_eq!(page.chunks.len(), 1);
        assert!(page.chunks[0].text.contains("100 bytes in 10 files"), "{:?}", page.chunks);
    }

    #[test]
    fn closed_files_are_forgotten_and_open_ones_are_not() {
        let kept = Kept::new();
        let open: Vec<_> = (0..100).map(|_| kept.file("open")).collect();
        for _ in 0..100_000 {
            let file = Arc::new(kept.root.try_clone().unwrap());
            kept.quota.add(&file);
            assert!(kept.quota.has(&file));
        }
        assert!(open.iter().all(|file| kept.quota.has(file)));
        assert!(!kept.quota.has(&Arc::new(kept.root.try_clone().unwrap())), "the same directory, opened elsewhere");
        let remembered = kept.quota.open.files.lock().unwrap().len();
        assert!(remembered < 1000, "{remembered}");
    }

    #[tokio::test]
    async fn changes_wait_for_each_other() {
        let kept = Kept::new();
        let turn = kept.quota.admit(Amount::bytes(100)).await.unwrap();
        let mut next = Box::pin(kept.quota.admit(Amount::FILE));
        let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx).is_pending()));
        assert!(waits.await);
        drop(turn);
        drop(next.await.unwrap());
        // Nothing was written, so what had been admitted is not there.
        kept.quota.change(|books| books.admit(Amount::bytes(60))).await.unwrap();
    }
}
