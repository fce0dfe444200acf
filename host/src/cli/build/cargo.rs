//! Runs cargo and finds out which file it made.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Error, anyhow};
use serde_json::Value;
use taskcell_toolchain::{Target, Toolchain};

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;

use super::place::{Project, can_be_built};

/// Builds the crate for release. What cargo has to say goes to stderr as it comes.
pub(super) fn build(toolchain: &Toolchain, project: &Project) -> Result<PathBuf, Fault> {
    run(toolchain, project).map_err(|error| Fault::new(Exit::Failed, error))
}

fn run(toolchain: &Toolchain, project: &Project) -> Result<PathBuf, Error> {
    let mut command = toolchain.cargo();
    command.current_dir(&project.dir);
    command.args(["build", "--release", "--target", toolchain.target().triple()]);
    command.args(["--message-format", "json-render-diagnostics"]);
    // A folder of its own: the compiler may be another one than that of the crate's native builds.
    command.arg("--target-dir").arg(&project.target_dir);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("failed to run cargo")?;
    let mut built = None;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.context("failed to listen to cargo")?;
            let message: Value = serde_json::from_str(&line).unwrap_or_default();
            built = plugin_of(&message, &project.dir, toolchain.target()).or(built);
        }
    }
    let status = child.wait().context("failed to wait for cargo")?;
    if !status.success() {
        return Err(anyhow!("failed to build {}: cargo says above what is wrong", project.name));
    }
    built.ok_or_else(|| anyhow!("cargo has built no WebAssembly of {}", project.name))
}

/// The plugin's file, if this is cargo's message that it was made.
fn plugin_of(message: &Value, dir: &Path, target: Target) -> Option<PathBuf> {
    let made = message.get("reason")? == "compiler-artifact";
    let here = Path::new(message.get("manifest_path")?.as_str()?) == dir.join("Cargo.toml");
    let kinds = message.pointer("/target/kind")?.as_array()?;
    let fits = kinds.iter().filter_map(Value::as_str).any(|kind| can_be_built(kind, target));
    let files = message.get("filenames")?.as_array()?;
    let wasm = files
        .iter()
        .filter_map(Value::as_str)
        .map(PathBuf::from)
        .find(|file| file.extension() == Some("wasm".as_ref()));
    wasm.filter(|_| made && here && fits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_crates_own_wasm_file_is_found() {
        let message = |manifest: &str, kind: &str, file: &str| {
            json!({
                "reason": "compiler-artifact", "manifest_path": manifest, "target": {"kind": [kind]},
                "filenames": ["/t/x.d", file],
            })
        };
        let found = |message: &Value| plugin_of(message, Path::new("/p"), Target::Wasip2);
        assert_eq!(found(&message("/p/Cargo.toml", "cdylib", "/t/x.wasm")), Some("/t/x.wasm".into()));
        assert_eq!(found(&message("/q/Cargo.toml", "cdylib", "/t/x.wasm")), None);
        assert_eq!(found(&message("/p/Cargo.toml", "custom-build", "/t/x.wasm")), None);
        assert_eq!(found(&message("/p/Cargo.toml", "cdylib", "/t/x.so")), None);
        assert_eq!(found(&json!({"reason": "build-finished"})), None);
    }
}
