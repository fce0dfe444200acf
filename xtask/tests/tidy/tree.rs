//! The files that a rule looks at: those of the repository, or a sample.
#![expect(clippy::disallowed_methods, reason = "this file reads the repository")]

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Something that is against a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offence {
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    /// The rule, in words.
    pub(crate) rule: String,
}

impl Offence {
    pub(crate) fn new(path: &str, line: usize, rule: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule: rule.into() }
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

/// One text file.
#[derive(Debug)]
pub(crate) struct File {
    /// From the repository's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether nothing but tests is in it.
    pub(crate) fn is_test(&self) -> bool {
        let in_folder = self.path.split('/').rev().skip(1).any(|part| part == "tests" || part == "benches");
        in_folder || self.name() == "tests.rs"
    }
}

/// Text files, sorted by path.
#[derive(Debug)]
pub(crate) struct Tree {
    files: Vec<File>,
}

impl Tree {
    /// The files that git knows or would take, or without git all but the hidden ones and those in `target`.
    pub(crate) fn of_repository() -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let listed = Command::new("git")
            .current_dir(&root)
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .output()
            .ok()
            .filter(|output| output.status.success())
            .and_then(|output| String::from_utf8(output.stdout).ok());
        let mut paths = Vec::new();
        match listed {
            Some(listed) => paths.extend(listed.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from)),
            None => walk(&root, Path::new(""), &mut paths)?,
        }
        let mut files = Vec::new();
        for path in paths {
            let bytes = match fs::read(root.join(&path)) {
                Ok(bytes) => bytes,
                // Deleted, and git has not been told yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // The rest is no text: frozen plugins and pictures.
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
        Ok(Self::new(files))
    }

    /// A tree of samples: paths and texts.
    #[cfg(test)]
    pub(crate) fn of(samples: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self::new(samples.iter().map(file).collect())
    }

    fn new(mut files: Vec<File>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files }
    }

    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }
}

fn walk(root: &Path, folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_file() {
            paths.push(path);
        } else if kind.is_dir() && entry.file_name() != "target" && entry.file_name() != ".git" {
            walk(root, &path, paths)?;
        }
    }
    Ok(())
}

#[test]
fn tests_are_told_from_code() {
    let is_test = |path: &str| File { path: path.to_owned(), text: String::new() }.is_test();
    assert!(is_test("tests/it/main.rs") && is_test("host/src/model/tests.rs") && is_test("xtask/tests/tidy/wit.rs"));
    assert!(!is_test("host/src/testing.rs") && !is_test("guest-sdk/src/testing/log.rs"));
}
