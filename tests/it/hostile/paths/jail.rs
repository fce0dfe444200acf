//! The folder that is granted, what lies outside of it, and what that looked like before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::files::{make_folder, read, write};

/// What lies outside, and must not be seen inside.
pub(super) const SECRET: &str = "what nobody was given";

/// A granted folder, `jail`, and one beside it that is not granted, `outside`, with links from one to the other.
pub(super) struct Jail {
    top: TempDir,
    before: BTreeMap<PathBuf, Entry>,
}

/// All that can be told of a name on the disk, but when it was last read.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// Kind, rights, owner, links, size, times, and which one it is.
    data: [i128; 8],
    /// A file's bytes, or where a link leads.
    content: Vec<u8>,
}

impl Entry {
    fn of(path: &Path) -> Self {
        let data = fs::symlink_metadata(path).unwrap();
        let content = if data.is_symlink() {
            fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()
        } else if data.is_file() {
            read(path)
        } else {
            Vec::new()
        };
        let time = |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        let data = [
            data.mode().into(),
            data.uid().into(),
            data.gid().into(),
            data.nlink().into(),
            data.size().into(),
            time(data.mtime(), data.mtime_nsec()),
            time(data.ctime(), data.ctime_nsec()),
            data.ino().into(),
        ];
        Self { data, content }
    }
}

impl Jail {
    pub(super) fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        let (jail, outside) = (top.path().join("jail"), top.path().join("outside"));
        for dir in [jail.join("sub/deep"), outside.join("dir")] {
            make_folder(dir);
        }
        for (path, text) in [("jail/in.txt", "inside"), ("jail/sub/in.txt", "deeper"), ("outside/secret", SECRET)] {
            write(top.path().join(path), text);
        }
        for (link, to) in [
            ("abs", outside.as_path()),
            ("rel", Path::new("../outside")),
            ("relslash", Path::new("../outside/")),
            ("reldir", Path::new("../outside/dir")),
            ("dangling", Path::new("../outside/newdir")),
            ("procroot", Path::new("/proc/self/root")),
            ("up", Path::new("..")),
            ("loop", Path::new("loop")),
            ("seclink", Path::new("../outside/secret")),
            ("seclinkslash", Path::new("../outside/secret/")),
            ("inlink", Path::new("sub/in.txt")),
        ] {
            symlink(to, jail.join(link)).unwrap();
        }
        let mut made = Self { top, before: BTreeMap::new() };
        made.before = made.now();
        made
    }

    /// The folder to grant.
    pub(super) fn folder(&self) -> PathBuf {
        self.top.path().join("jail")
    }

    /// Everything there is, by its path from the top.
    fn now(&self) -> BTreeMap<PathBuf, Entry> {
        let top = self.top.path();
        let mut found = BTreeMap::from([(PathBuf::from("."), Entry::of(top))]);
        let mut waiting = vec![top.to_owned()];
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                found.insert(entry.path().strip_prefix(top).unwrap().to_owned(), Entry::of(&entry.path()));
                if entry.file_type().unwrap().is_dir() {
                    waiting.push(entry.path());
                }
            }
        }
        found
    }

    /// What is not as it was, of everything or of what lies outside.
    pub(super) fn changed(&self, inside_too: bool) -> Vec<PathBuf> {
        let now = self.now();
        let paths: BTreeSet<&PathBuf> = now.keys().chain(self.before.keys()).collect();
        let counts = |path: &Path| inside_too || !path.starts_with("jail");
        let changed = paths.into_iter().filter(|path| counts(path) && now.get(*path) != self.before.get(*path));
        changed.cloned().collect()
    }

    /// The names that a guest may see.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let inside = self.before.keys().filter_map(|path| path.strip_prefix("jail").ok());
        inside.filter_map(Path::file_name).map(|name| name.to_string_lossy().into_owned()).collect()
    }
}
