//! Finds and reads the text files of a folder, and remembers what it left out and why.
#![expect(clippy::disallowed_methods, reason = "a plugin's disk is what its host granted")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Serialize;

/// Bytes. Text written by people stays far below; what is larger is mostly generated, and would fill the index with noise.
pub(crate) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Folders full of what others wrote or a compiler made.
const FOREIGN_FOLDERS: [&str; 2] = ["target", "node_modules"];

/// Why a file or folder was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// The file's extension is not one of those asked for.
    OtherExtension,
    /// The file or folder is hidden, or the folder is `target` or `node_modules`.
    HiddenOrForeign,
    /// It is a symbolic link. Links are never followed, so a loop of them cannot catch the walk.
    Link,
    /// The file is over 1 MiB.
    TooLarge,
    /// The file is not UTF-8.
    NotUtf8,
    /// Reading it failed, or it is neither file nor folder.
    Unreadable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherExtension => "another extension",
            Self::HiddenOrForeign => "hidden, `target` or `node_modules`",
            Self::Link => "a symbolic link",
            Self::TooLarge => "over 1 MiB",
            Self::NotUtf8 => "not UTF-8",
            Self::Unreadable => "not readable",
        })
    }
}

/// What was left out: paths relative to the folder, for each reason.
pub(crate) type Skipped = BTreeMap<Reason, BTreeSet<String>>;

/// What lies in the folder, before any file has been opened.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The files to read, sorted, relative to the folder.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) skipped: Skipped,
}

/// Looks through `folder` and the folders in it for files with one of the `extensions` (lower case, without a dot).
///
/// Fails if the folder itself cannot be listed. A folder further down that cannot be listed is left out.
pub(crate) fn find(folder: &Path, extensions: &[String]) -> io::Result<Found> {
    let mut found = Found::default();
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        let entries = match fs::read_dir(folder.join(&relative)) {
            Ok(entries) => entries,
            Err(error) if relative.as_os_str().is_empty() => return Err(error),
            Err(_) => {
                skip(&mut found.skipped, Reason::Unreadable, &relative);
                continue;
            }
        };
        for entry in entries {
            let Ok(entry) = entry else {
                skip(&mut found.skipped, Reason::Unreadable, &relative);
                break;
            };
            let path = relative.join(entry.file_name());
            match sort_out(&entry, extensions) {
                Ok(Kind::File) => found.files.push(path),
                Ok(Kind::Folder) => folders.push(path),
                Err(reason) => skip(&mut found.skipped, reason, &path),
            }
        }
    }
    // The order in which a folder lists its entries is the file system's whim.
    found.files.sort();
    Ok(found)
}

/// Reads one file's text.
pub(crate) fn read(path: &Path) -> Result<String, Reason> {
    let size = fs::metadata(path).map_err(|_| Reason::Unreadable)?.len();
    if size > MAX_FILE_BYTES {
        return Err(Reason::TooLarge);
    }
    let bytes = fs::read(path).map_err(|_| Reason::Unreadable)?;
    String::from_utf8(bytes).map_err(|_| Reason::NotUtf8)
}

/// Adds one path to what was left out.
pub(crate) fn skip(skipped: &mut Skipped, reason: Reason, path: &Path) {
    skipped.entry(reason).or_default().insert(path.display().to_string());
}

enum Kind {
    File,
    Folder,
}

fn sort_out(entry: &DirEntry, extensions: &[String]) -> Result<Kind, Reason> {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    // The type of the entry itself: unlike `metadata` of its path, it does not look through links.
    let kind = entry.file_type().map_err(|_| Reason::Unreadable)?;
    if name.starts_with('.') || (kind.is_dir() && FOREIGN_FOLDERS.contains(&&*name)) {
        return Err(Reason::HiddenOrForeign);
    }
    if kind.is_symlink() {
        return Err(Reason::Link);
    }
    if kind.is_dir() {
        return Ok(Kind::Folder);
    }
    if !kind.is_file() {
        return Err(Reason::Unreadable);
    }
    let extension = Path::new(&*name).extension().map(|it| it.to_string_lossy().to_lowercase());
    match extension {
        Some(it) if extensions.contains(&it) => Ok(Kind::File),
        _ => Err(Reason::OtherExtension),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plant(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
    }

    fn skipped(found: &Found, reason: Reason) -> Vec<&str> {
        found.skipped[&reason].iter().map(String::as_str).collect()
    }

    fn find_md(root: &Path) -> Found {
        find(root, &["md".to_owned()]).unwrap()
    }

    #[test]
    fn finds_files_by_extension_in_every_folder_and_sorts_them() {
        let dir = tempfile::tempdir().unwrap();
        plant(dir.path(), &["b.md", "sub/deep/c.md", "a.MD", "no-extension", "picture.png"]);
        let found = find_md(dir.path());
        assert_eq!(found.files, ["a.MD", "b.md", "sub/deep/c.md"].map(PathBuf::from));
        assert_eq!(skipped(&found, Reason::OtherExtension), ["no-extension", "picture.png"]);
    }

    #[test]
    fn leaves_out_hidden_and_foreign_folders() {
        let dir = tempfile::tempdir().unwrap();
        plant(dir.path(), &[".git/a.md", ".hidden.md", "node_modules/b.md", "sub/target/c.md", "target.md"]);
        let found = find_md(dir.path());
        assert_eq!(found.files, [PathBuf::from("target.md")]);
        assert_eq!(skipped(&found, Reason::HiddenOrForeign), [".git", ".hidden.md", "node_modules", "sub/target"]);
    }

    #[cfg(unix)]
    #[test]
    fn does_not_follow_links_so_a_loop_ends() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        plant(dir.path(), &["sub/a.md"]);
        symlink("..", dir.path().join("sub/up")).unwrap();
        symlink("itself", dir.path().join("itself")).unwrap();
        symlink("sub/a.md", dir.path().join("again.md")).unwrap();
        let found = find_md(dir.path());
        assert_eq!(found.files, [PathBuf::from("sub/a.md")]);
        assert_eq!(skipped(&found, Reason::Link), ["again.md", "itself", "sub/up"]);
    }

    #[test]
    fn a_missing_folder_and_a_file_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        plant(dir.path(), &["file.md"]);
        assert!(find(&dir.path().join("missing"), &[]).is_err());
        assert!(find(&dir.path().join("file.md"), &[]).is_err());
    }

    #[test]
    fn reads_text_and_says_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name);
        fs::write(path("ok"), "für").unwrap();
        fs::write(path("latin-1"), b"f\xfcr").unwrap();
        let limit = usize::try_from(MAX_FILE_BYTES).unwrap();
        fs::write(path("full"), vec![b'a'; limit]).unwrap();
        fs::write(path("large"), vec![b'a'; limit + 1]).unwrap();
        assert_eq!(read(&path("ok")), Ok("für".to_owned()));
        assert_eq!(read(&path("latin-1")), Err(Reason::NotUtf8));
        assert_eq!(read(&path("full")).map(|text| text.len()), Ok(limit));
        assert_eq!(read(&path("large")), Err(Reason::TooLarge));
        assert_eq!(read(&path("missing")), Err(Reason::Unreadable));
    }
}
