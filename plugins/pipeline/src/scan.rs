//! The step `scan`: lists the files of the folder and of the folders in it.

use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use taskcell_guest::{TaskCtl, TaskError};

/// The most files of one report: each is a task of its own.
pub(crate) const FILES_MAX: usize = 200;

/// The files, sorted, relative to the folder. Hidden ones are left out, and links are not followed, so that a loop of them
/// cannot catch the walk.
pub(crate) fn files(ctl: &TaskCtl, folder: &str) -> Result<Vec<String>, TaskError> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        ctl.checkpoint()?;
        let entries = match fs::read_dir(Path::new(folder).join(&relative)) {
            Ok(entries) => entries,
            Err(error) if relative.as_os_str().is_empty() => return Err(not_granted(folder, &error)),
            Err(error) => return Err(unreadable(&relative, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&relative, &error))?;
            let path = relative.join(entry.file_name());
            let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
            sort_in(path, kind, &mut files, &mut folders)?;
        }
    }
    if files.is_empty() {
        return Err(TaskError::new(format!("there is no file in {folder}: nothing to report")));
    }
    // The order in which a folder lists its entries is the file system's whim.
    files.sort();
    Ok(files)
}

fn sort_in(
    path: PathBuf,
    kind: FileType,
    files: &mut Vec<String>,
    folders: &mut Vec<PathBuf>,
) -> Result<(), TaskError> {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    if hidden {
        return Ok(());
    }
    if kind.is_dir() {
        folders.push(path);
    } else if kind.is_file() {
        if files.len() == FILES_MAX {
            return Err(TaskError::new(format!("there are more than {FILES_MAX} files: grant a smaller folder")));
        }
        files.push(path.to_string_lossy().into_owned());
    }
    Ok(())
}

/// The folder is missing, or the operator has not granted it: from inside a sandbox that is the same.
fn not_granted(folder: &str, error: &io::Error) -> TaskError {
    TaskError::new(format!(
        "failed to read the folder {folder}: {error}. Grant it with `--dir HOST::{folder}`, where HOST is the folder on \
         your machine; or name a granted one in `folder`"
    ))
}

fn unreadable(path: &Path, error: &io::Error) -> TaskError {
    TaskError::new(format!("failed to read {}: {error}", path.display()))
}
