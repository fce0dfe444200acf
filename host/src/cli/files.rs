//! The only place where the program reads and writes the person's own files.
#![expect(clippy::disallowed_methods, reason = "these are the paths that the person named on the command line")]

mod log;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

pub(super) use log::LogLines;

/// Bytes of an input that are read at most; the host takes less, and says so.
const INPUT_BYTES_MAX: u64 = 16 << 20;
/// So many artifacts of one name are kept in one folder.
const SAME_NAME_MAX: u32 = 9999;

/// Reads a file of text.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    text_of(File::open(path)?)
}

/// Reads stdin to its end, as text.
pub(super) fn read_stdin() -> io::Result<String> {
    text_of(io::stdin().lock())
}

fn text_of(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(INPUT_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > INPUT_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {} MiB", INPUT_BYTES_MAX >> 20)));
    }
    Ok(text)
}

/// Writes a new file of this name into the folder, which is made if it is not there. A file that is there stays: then
/// the new one gets a number before its ending. Returns the new file's path.
///
/// The name must be safe: see `run::artifacts`.
pub(super) fn save_new(dir: &Path, name: &str, content: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    for number in 0..=SAME_NAME_MAX {
        let path = dir.join(numbered(name, number));
        // `create_new` follows no link, so nothing outside the folder is written either.
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => return file.write_all(content).map(|()| path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("there are {SAME_NAME_MAX} files of that name already")))
}

fn numbered(name: &str, number: u32) -> String {
    match (number, name.rsplit_once('.')) {
        (0, _) => name.to_owned(),
        (_, Some((stem, ending))) if !stem.is_empty() => format!("{stem}-{number}.{ending}"),
        _ => format!("{name}-{number}"),
    }
}

/// Moves a folder to a place where there is nothing, and lets nobody else look into it.
pub(super) fn move_private_dir(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(from, fs::Permissions::from_mode(0o700))?;
    fs::rename(from, to)
}

/// Makes a folder for a new project. One that is there must be empty.
pub(super) fn make_empty_dir(dir: &Path) -> io::Result<()> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(io::Error::other("it is there already, and not empty")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(dir),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(io::Error::other("there is a file of that name already"))
        }
        Err(error) => Err(error),
    }
}

/// Writes a file of a new project, with the folders above it.
pub(super) fn write_project_file(path: &Path, content: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(content.as_bytes())
}

/// Reads what cargo built.
pub(super) fn read_built(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// Puts a built plugin in its place, at once and as a whole.
pub(super) fn write_built(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = Replacement::of(path)?;
    file.file.write_all(content)?;
    file.done()
}

/// Writes a new file that nobody else may read. One that is there stays.
pub(super) fn write_secret(path: &Path, content: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content.as_bytes())
}

/// A file that takes another's place once it is whole.
#[derive(Debug)]
pub(super) struct Replacement {
    file: tempfile::NamedTempFile,
    path: PathBuf,
}

impl Replacement {
    /// Begins it. The folder must be there.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // What is wrong with the folder is told without the name of a file in it that nobody knows.
        fs::metadata(dir)?;
        let file = tempfile::Builder::new().permissions(world_readable()).tempfile_in(dir)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Adds to it.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())
    }

    /// Puts it in its place.
    pub(super) fn done(self) -> io::Result<()> {
        self.file.persist(&self.path)?;
        Ok(())
    }
}

/// Puts a text in the place of a file that is there, at once and as a whole, with the file's permissions. A link stays one.
pub(super) fn replace_text(path: &Path, text: &str) -> io::Result<()> {
    let path = resolved(path)?;
    let mode = fs::metadata(&path)?.permissions();
    let mut file = Replacement::of(&path)?;
    // The person's umask has no say here.
    file.file.as_file().set_permissions(mode)?;
    file.write(text)?;
    file.file.as_file().sync_all()?;
    file.done()
}

/// What a file made by `open` gets; the person's umask is still applied.
fn world_readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o666)
}

/// Whether there is anything of this name, be it a link to nothing.
pub(super) fn is_there(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// The permissions of a file, as `chmod` takes them.
pub(super) fn mode(path: &Path) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

/// Where a folder really is. Fails when it is none.
pub(super) fn real_dir(path: &Path) -> io::Result<PathBuf> {
    let real = resolved(path)?;
    if real.is_dir() { Ok(real) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Whether there is a file.
pub(super) fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// The path from the root, links resolved. Fails when there is nothing there.
pub(super) fn resolved(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// Checks that files can be made in a folder.
pub(super) fn probe(dir: &Path) -> io::Result<()> {
    tempfile::tempfile_in(dir)?.write_all(b"taskcell")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a/b");
        let save = |content: &[u8]| save_new(&target, "report.md", content).unwrap();
        assert_eq!(save(b"one"), target.join("report.md"));
        assert_eq!(save(b"two"), target.join("report-1.md"));
        assert_eq!(save(b"three"), target.join("report-2.md"));
        assert_eq!(fs::read(target.join("report.md")).unwrap(), b"one");
        assert_eq!(numbered("plain", 3), "plain-3");
        assert_eq!(numbered("a.tar.gz", 1), "a.tar-1.gz");
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        let target = dir.path().join("target");
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&outside, target.join("x")).unwrap();
        assert_eq!(save_new(&target, "x", b"content").unwrap(), target.join("x-1"));
        assert!(!outside.exists());
    }

    #[test]
    fn a_project_needs_an_empty_folder() {
        let dir = tempfile::tempdir().unwrap();
        assert!(make_empty_dir(dir.path()).is_ok());
        assert!(make_empty_dir(&dir.path().join("new/er")).is_ok());
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(make_empty_dir(dir.path()).is_err());
        assert!(make_empty_dir(&dir.path().join("file")).is_err());
    }

    #[test]
    fn a_built_file_replaces_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.wasm");
        write_built(&path, b"old").unwrap();
        write_built(&path, b"new").unwrap();
        assert_eq!(read_built(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
