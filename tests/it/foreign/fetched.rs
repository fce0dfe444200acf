//! Gets a package of a registry by the registry's own client, into a directory that goes away.
#![expect(clippy::print_stderr, reason = "whoever runs the tests should know what they did not see")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A package, unpacked.
pub(super) struct Fetched {
    dir: TempDir,
}

impl Fetched {
    /// A wheel. `None` if it cannot be had here, which is said.
    pub(super) fn wheel(name: &str, version: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let wanted = format!("{name}=={version}");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"]);
        said(&wanted, pip.arg(dir.path()).arg(&wanted).output())?;
        let wheel = ending(dir.path(), "whl").pop().unwrap();
        let mut unzip = Command::new("python3");
        said(&wanted, unzip.args(["-m", "zipfile", "-e"]).arg(wheel).arg(dir.path()).output())?;
        Some(Self { dir })
    }

    /// The source of a crate, without what it depends on.
    pub(super) fn of_crate(name: &str, version: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let wanted = format!("{name}@{version}");
        let mut cargo = Command::new("cargo");
        // It downloads what it shows.
        let cargo = cargo.args(["info", "--quiet", &wanted]).env("CARGO_HOME", dir.path()).current_dir(dir.path());
        said(&wanted, cargo.output())?;
        Some(Self { dir })
    }

    /// The files in it with this ending, by their paths.
    pub(super) fn ending(&self, ending: &str) -> Vec<PathBuf> {
        self::ending(self.dir.path(), ending)
    }

    /// The one file of this name.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        let ending = name.rsplit('.').next().unwrap();
        let found = self.ending(ending).into_iter().find(|path| path.file_name().is_some_and(|found| found == name));
        found.unwrap_or_else(|| panic!("there is no {name} in it: {:?}", self.ending(ending)))
    }
}

fn said(wanted: &str, output: std::io::Result<Output>) -> Option<()> {
    let why = match output {
        Ok(output) if output.status.success() => return Some(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().lines().next_back().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("skipped: {wanted} cannot be had here: {why}");
    None
}

fn ending(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
