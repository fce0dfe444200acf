//! What cargo knows about this workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::cargo::{self, Artifact};

/// The part of `cargo metadata` that is needed here.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// Where the repository is.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// `target`, wherever the person's cargo puts it.
    #[serde(rename = "target_directory")]
    pub(crate) target_dir: PathBuf,
    packages: Vec<Package>,
}

/// One member of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// As in `-p NAME`.
    pub(crate) name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read() -> Result<Self> {
        let output = cargo::host().args(["metadata", "--no-deps", "--format-version", "1"]).output();
        let output = output.context("cannot run cargo")?;
        ensure!(output.status.success(), "cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr).trim());
        serde_json::from_slice(&output.stdout).context("cannot read what cargo metadata says")
    }

    /// The members that are guests, by their short names.
    pub(crate) fn guests(&self) -> Vec<&Package> {
        let mut guests: Vec<_> = self.packages.iter().filter(|package| package.is_guest(&self.root)).collect();
        guests.sort_by_key(|package| package.short_name());
        guests
    }
}

impl Package {
    /// The name of its folder, which is also that of the finished file.
    pub(crate) fn short_name(&self) -> &str {
        self.folder().file_name().and_then(|name| name.to_str()).unwrap_or(&self.name)
    }

    /// Whether this file was built from it.
    pub(crate) fn owns(&self, artifact: &Artifact) -> bool {
        artifact.manifest == self.manifest_path
    }

    fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }

    /// Guests are what compiles to a component in the two folders that hold nothing else.
    fn is_guest(&self, root: &Path) -> bool {
        let compiles =
            self.targets.iter().flat_map(|target| &target.kind).any(|kind| kind == "cdylib" || kind == "bin");
        compiles && ["plugins", "tests/guests"].iter().any(|place| self.folder().starts_with(root.join(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_are_told_from_the_rest() {
        let json = r#"{"workspace_root": "/w", "target_directory": "/t", "packages": [
            {"name": "b-guest", "manifest_path": "/w/tests/guests/b/Cargo.toml", "targets": [{"kind": ["bin"]}]},
            {"name": "plugin-a", "manifest_path": "/w/plugins/a/Cargo.toml", "targets": [{"kind": ["cdylib"]}]},
            {"name": "plugin-lib", "manifest_path": "/w/plugins/c/Cargo.toml", "targets": [{"kind": ["lib"]}]},
            {"name": "host", "manifest_path": "/w/host/Cargo.toml", "targets": [{"kind": ["lib"]}, {"kind": ["bin"]}]}]}"#;
        let workspace: Workspace = serde_json::from_str(json).unwrap();
        let guests = workspace.guests();
        assert_eq!(guests.iter().map(|guest| guest.short_name()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(guests.iter().map(|guest| guest.name.as_str()).collect::<Vec<_>>(), ["plugin-a", "b-guest"]);
    }
}
