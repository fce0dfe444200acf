//! What there is to build in a folder, and where cargo puts it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, anyhow};
use serde_json::Value;
use taskcell_toolchain::{Target, Toolchain};

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;

/// A crate that can become a plugin.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Project {
    /// Its folder.
    pub(super) dir: PathBuf,
    /// The package's name.
    pub(super) name: String,
    /// Where cargo puts what it builds.
    pub(super) target_dir: PathBuf,
}

/// Asks cargo about the crate in a folder.
pub(super) fn find(toolchain: &Toolchain, dir: &Path) -> Result<Project, Fault> {
    let failed = |error: Error| Fault::new(Exit::Failed, error);
    let output = toolchain
        .cargo()
        .current_dir(dir)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("failed to run cargo")
        .map_err(failed)?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(anyhow!("failed to read the crate in {}: {words}", dir.display())));
    }
    let metadata = serde_json::from_slice(&output.stdout).context("failed to understand cargo").map_err(failed)?;
    project(&metadata, dir, toolchain.target())
}

fn project(metadata: &Value, dir: &Path, target: Target) -> Result<Project, Fault> {
    let wrong = |message: String| Fault::new(Exit::Failed, Error::msg(message));
    let manifest = dir.join("Cargo.toml");
    let packages = metadata.get("packages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let here = |package: &&Value| text(package, "manifest_path").is_some_and(|path| Path::new(path) == manifest);
    let Some(package) = packages.iter().find(here) else {
        return Err(wrong(format!("{} is a workspace and not a crate", dir.display()))
            .hint("name the folder of one of its plugins"));
    };
    if !kinds(package).any(|kind| can_be_built(kind, target)) {
        return Err(wrong(format!(
            "the crate in {} is no plugin: it has no library of the type cdylib",
            dir.display()
        ))
        .hint("add to its Cargo.toml: [lib] with crate-type = [\"cdylib\"]"));
    }
    match (text(package, "name"), text(metadata, "target_directory")) {
        (Some(name), Some(target)) => {
            Ok(Project { dir: dir.to_owned(), name: name.to_owned(), target_dir: Path::new(target).join("plugin") })
        }
        _ => Err(wrong("failed to understand cargo: it names no package or no target directory".to_owned())),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn kinds(package: &Value) -> impl Iterator<Item = &str> {
    let targets = package.get("targets").and_then(Value::as_array).into_iter().flatten();
    let kinds = targets.flat_map(|target| target.get("kind").and_then(Value::as_array).into_iter().flatten());
    kinds.filter_map(Value::as_str)
}

/// Whether a target of this kind can be a plugin: a library, or a program where the compiler makes a component of it.
pub(super) fn can_be_built(kind: &str, target: Target) -> bool {
    kind == "cdylib" || kind == "bin" && target == Target::Wasip2
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(kind: &str) -> Value {
        json!({
            "target_directory": "/t",
            "packages": [
                {"name": "other", "manifest_path": "/w/other/Cargo.toml", "targets": []},
                {"name": "mine", "manifest_path": "/w/mine/Cargo.toml", "targets": [{"kind": [kind]}]},
            ],
        })
    }

    #[test]
    fn the_crate_in_the_folder_is_the_one() {
        let found = project(&metadata("cdylib"), Path::new("/w/mine"), Target::Wasip1).unwrap();
        assert_eq!((found.name.as_str(), found.target_dir.as_path()), ("mine", Path::new("/t/plugin")));
        assert!(project(&metadata("bin"), Path::new("/w/mine"), Target::Wasip2).is_ok());
    }

    #[test]
    fn what_is_no_plugin_is_told_before_anything_is_built() {
        let said = |kind: &str, dir: &str, target| {
            project(&metadata(kind), Path::new(dir), target).unwrap_err().lines().join("\n")
        };
        assert!(said("lib", "/w/mine", Target::Wasip2).contains("cdylib"));
        assert!(said("bin", "/w/mine", Target::Wasip1).contains("cdylib"));
        assert!(said("cdylib", "/w", Target::Wasip2).contains("is a workspace"));
    }
}
