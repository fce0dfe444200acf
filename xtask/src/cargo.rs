//! Runs cargo, and reads which files it has made and what its compiler complains about.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, IsTerminal, Write},
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
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-artifact")]
    Artifact { manifest_path: PathBuf, filenames: Vec<PathBuf>, executable: Option<PathBuf> },
    #[serde(rename = "compiler-message")]
    Complaint { message: Diagnostic },
    #[serde(other)]
    Other,
}

/// What the compiler says about the code.
#[derive(Debug, Deserialize)]
struct Diagnostic {
    level: String,
    /// Which lint it is. What sums the others up is none.
    code: Option<Code>,
    /// As people read it.
    rendered: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Code {}

/// Whether the project's code can be linted while it is compiled.
pub(crate) fn can_lint() -> bool {
    Command::new(DRIVER).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The compiler with all of clippy's lints.
const DRIVER: &str = "clippy-driver";

/// The cargo that lints the project's own packages while it compiles them. `cargo clippy` has the same driver, but checks all that
/// they depend on once more, because it compiles nothing. The driver optimises what it compiles a little less.
pub(crate) fn linting(linted: bool) -> Command {
    let mut command = host();
    if linted {
        // Not in the environment, where tests that run cargo themselves would have it too.
        command.args(["--config", &format!("build.rustc-workspace-wrapper=\"{DRIVER}\"")]);
        command.env_remove("RUSTC_WORKSPACE_WRAPPER");
    }
    command
}

/// Runs a `cargo build` and counts what the compiler complains about, which it says to people as well. It is said again of
/// what is not compiled again.
pub(crate) fn complaints(mut command: Command) -> Result<usize> {
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    command.arg(if coloured { "--message-format=json-diagnostic-rendered-ansi" } else { "--message-format=json" });
    // A library and its tests are two compilations of one text.
    let mut told = HashSet::new();
    let mut count = 0;
    read(command, |message| {
        let Message::Complaint { message: Diagnostic { level, code, rendered } } = message else { return };
        let rendered = rendered.unwrap_or_default();
        if told.insert(rendered.clone()) {
            count += usize::from(level == "warning" && code.is_some());
            // Whoever does not read it sees the count all the same.
            let _ = std::io::stderr().write_all(rendered.as_bytes());
        }
    })?;
    Ok(count)
}

/// Runs a `cargo build` and collects the programs and WebAssembly files it names. What cargo says to people goes to
/// stderr, as always.
pub(crate) fn build(mut command: Command) -> Result<Vec<Artifact>> {
    command.arg("--message-format=json-render-diagnostics");
    let mut artifacts = Vec::new();
    read(command, |message| artifacts.extend(artifact(message)))?;
    Ok(artifacts)
}

/// Runs cargo and hears each of its messages.
fn read(mut command: Command, mut hear: impl FnMut(Message)) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    let mut unreadable = None;
    for line in BufReader::new(stdout).lines() {
        match line.map_err(anyhow::Error::from).and_then(|line| Ok(serde_json::from_str(&line)?)) {
            Ok(message) => hear(message),
            Err(error) => unreadable = Some(error),
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!("cargo build failed ({status})");
    }
    unreadable.map_or(Ok(()), |error| Err(error.context("cannot read what cargo says")))
}

fn artifact(message: Message) -> Option<Artifact> {
    match message {
        Message::Artifact { manifest_path: manifest, filenames, executable } => {
            let wasm = filenames.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "wasm"));
            wasm.or(executable).map(|file| Artifact { manifest, file })
        }
        Message::Complaint { .. } | Message::Other => None,
    }
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
        let file = |line| artifact(serde_json::from_str(line).unwrap()).map(|artifact| artifact.file);
        assert_eq!(file(plugin), Some("/t/p.wasm".into()));
        assert_eq!(file(program), Some("/t/q".into()));
        assert_eq!(file(library), None);
        assert_eq!(file(r#"{"reason": "build-finished", "success": true}"#), None);
    }

    #[cfg(unix)]
    #[test]
    fn warnings_are_counted_and_what_is_no_message_is_an_error() {
        let says = |lines: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", "printf '%s' \"$0\"", lines]);
            complaints(command)
        };
        let warning = |what: &str| {
            let message = format!(r#"{{"level": "warning", "code": {{"code": "unused"}}, "rendered": "{what}\\n"}}"#);
            format!(r#"{{"reason": "compiler-message", "message": {message}}}"#) + "\n"
        };
        let sum =
            r#"{"reason": "compiler-message", "message": {"level": "warning", "code": null, "rendered": "2 emitted"}}"#;
        let end = r#"{"reason": "build-finished", "success": true}"#;
        let twice = format!("{}{}{}{sum}\n{end}\n", warning("a"), warning("b"), warning("a"));
        assert_eq!(says(&twice).unwrap(), 2, "the library's is its tests' as well");
        assert_eq!(says(&format!("{end}\n")).unwrap(), 0);
        assert!(says("not JSON\n").is_err());
    }
}
