//! The disk, as the tests lay it out and look at it.
#![expect(clippy::disallowed_methods, reason = "tests make and read files of their own")]

use std::fs;
use std::path::Path;

pub(crate) fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    fs::write(path, bytes).unwrap();
}

/// Makes a folder, and those above it.
pub(crate) fn make_folder(path: impl AsRef<Path>) {
    fs::create_dir_all(path).unwrap();
}

pub(crate) fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn read_text(path: impl AsRef<Path>) -> String {
    String::from_utf8(read(path)).unwrap()
}

pub(crate) fn remove(path: impl AsRef<Path>) {
    fs::remove_file(path).unwrap();
}

/// Makes a pipe, which nobody writes to.
pub(crate) fn pipe(path: impl AsRef<Path>) {
    assert!(std::process::Command::new("mkfifo").arg(path.as_ref()).status().unwrap().success());
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Takes away the place that scratch directories are made in.
pub(crate) fn remove_scratch_dirs(work_dir: &Path) {
    fs::remove_dir(work_dir.join(&names(work_dir)[0]).join("scratch")).unwrap();
}

/// The scratch directories that are there, for a host whose working directory is in `work_dir`.
pub(crate) fn scratch_dirs(work_dir: &Path) -> Vec<String> {
    let hosts = names(work_dir);
    assert_eq!(hosts.len(), 1, "one host works in {}", work_dir.display());
    names(work_dir.join(&hosts[0]).join("scratch"))
}

pub(crate) fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    fs::rename(from, to).unwrap();
}

/// Who may do what with a file, as `chmod` takes it.
pub(crate) fn mode(path: impl AsRef<Path>) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub(crate) fn set_mode(path: impl AsRef<Path>, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
