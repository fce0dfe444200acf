//! The one file that touches the disk.
#![expect(clippy::disallowed_methods, reason = "this file owns the crate's access to the disk")]

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::ToolchainError;

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ToolchainError + 'a {
    move |source| ToolchainError::Disk { what, path: path.to_owned(), source }
}

pub(crate) fn create_dirs(path: &Path) -> Result<(), ToolchainError> {
    fs::create_dir_all(path).map_err(failed("create the folder", path))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), ToolchainError> {
    fs::write(path, text).map_err(failed("write", path))
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), ToolchainError> {
    fs::copy(from, to).map(drop).map_err(failed("copy", from))
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), ToolchainError> {
    fs::rename(from, to).map_err(failed("move into its place", to))
}

/// Removes a folder and all that is in it. No such folder is fine.
pub(crate) fn remove_dir(path: &Path) -> Result<(), ToolchainError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The paths of what is in a folder, sorted.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>, ToolchainError> {
    let entries = fs::read_dir(path).map_err(failed("list", path))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed("list", path))?;
    paths.sort();
    Ok(paths)
}

/// A file that can be locked. What is in it does not matter.
pub(crate) fn open_lock(path: &Path) -> Result<fs::File, ToolchainError> {
    fs::OpenOptions::new().create(true).append(true).open(path).map_err(failed("open", path))
}

#[cfg(unix)]
pub(crate) fn link(to: &Path, at: &Path) -> Result<(), ToolchainError> {
    std::os::unix::fs::symlink(to, at).map_err(failed("create the link", at))
}

/// Only the Debian way makes links, and it is not gone elsewhere.
#[cfg(not(unix))]
pub(crate) fn link(_to: &Path, at: &Path) -> Result<(), ToolchainError> {
    Err(failed("create the link", at)(io::ErrorKind::Unsupported.into()))
}

#[cfg(unix)]
pub(crate) fn make_executable(path: &Path) -> Result<(), ToolchainError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed("make executable", path))
}

#[cfg(not(unix))]
pub(crate) fn make_executable(path: &Path) -> Result<(), ToolchainError> {
    Err(failed("make executable", path)(io::ErrorKind::Unsupported.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        remove_dir(&dir.path().join("nothing")).unwrap();
    }

    #[test]
    fn an_error_names_what_and_where() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let error = list(&missing).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot list {}: ", missing.display())), "{error}");
    }
}
