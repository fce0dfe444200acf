//! Runs cargo, and reads which files it has made.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The cargo that runs this program.
pub(crate) fn host() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The compiler that it uses, as that calls itself.
pub(crate) fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().context("cannot run rustc")?;
    Ok(String::from_utf8(output.stdout).context("rustc says what is no text")?.trim().to_owned())
}

/// A finished program, component or module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// The manifest of the package that it is from.
    pub(crate) manifest: PathBuf,
    /// The file.
    pub(crate) file: PathBuf,
}

/// One line of `--message-format=json`, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        manifest_path: PathBuf,
        filenames: Vec<PathBuf>,
        executable: Option<PathBuf>,
    },
    #[serde(other)]
    Other,
}

/// Runs a `cargo build` and collects the programs and WebAssembly files it names. What cargo says to people goes to
/// stderr, as always.
pub(crate) fn build(mut command: Command) -> Result<Vec<Artifact>> {
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    let mut artifacts = Vec::new();
    let mut unreadable = None;
    for line in BufReader::new(stdout).lines() {
        match line.map_err(anyhow::Error::from).and_then(|line| parse(&line)) {
            Ok(found) => artifacts.extend(found),
            Err(error) => unreadable = Some(error),
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!("cargo build failed ({status})");
    }
    match unreadable {
        Some(error) => Err(error.context("cannot read what cargo says")),
        None => Ok(artifacts),
    }
}

fn parse(line: &str) -> Result<Option<Artifact>> {
    Ok(match serde_json::from_str(line)? {
        Message::CompilerArtifact { manifest_path: manifest, filenames, executable } => {
            let wasm = filenames.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "wasm"));
            wasm.or(executable).map(|file| Artifact { manifest, file })
        }
        Message::Other => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_the_wasm_file_and_a_program_its_executable() {
        let plugin = r#"{"reason": "compiler-artifact", "manifest_path": "/p/Cargo.toml", "executable": null,
            "filenames": ["/t/libp.rlib", "/t/p.wasm"], "fresh": true}"#;
        let program = r#"{"reason": "compiler-artifact", "manifest_path": "/q/Cargo.toml", "executable": "/t/q",
            "filenames": ["/t/q"]}"#;
        let library = r#"{"reason": "compiler-artifact", "manifest_path": "/r/Cargo.toml", "executable": null,
            "filenames": ["/t/libr.rlib"]}"#;
        let file = |line| parse(line).unwrap().map(|artifact| artifact.file);
        assert_eq!(file(plugin), Some("/t/p.wasm".into()));
        assert_eq!(file(program), Some("/t/q".into()));
        assert_eq!(file(library), None);
        assert_eq!(file(r#"{"reason": "build-finished", "success": true}"#), None);
        assert!(parse("not JSON").is_err());
    }
}
