//! From a file to a plugin: read once, identified, compiled, linked, described.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::hook::{HookError, Hooks};
use crate::model::ids::PluginDigest;
use crate::model::manifest::{Manifest, ManifestError, Schemas, TaskKind, TaskType};
use crate::model::plugin_bytes::PluginBytes;
use crate::model::publisher::{Signed, Unsigned, listed};
use crate::model::text;

use super::identify::FileKind;
use super::signature::CONTENT_BYTES_MAX;

/// The name of the one task type of a plain command.
pub(crate) const COMMAND: &str = "command";

/// What the name of a file ends with, after the plugin's, that is its signature.
const SIGNATURE_ENDING: &str = ".sig";

/// What a loaded plugin is, beside its code.
#[derive(Debug)]
pub(crate) struct LoadedPlugin {
    pub(crate) digest: PluginDigest,
    pub(crate) manifest: Manifest,
    pub(crate) schemas: Vec<(String, Schemas)>,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    pub(crate) size: u64,
    pub(crate) kind: FileKind,
    pub(crate) hooks: Hooks,
    pub(crate) signed: Signed,
}

/// Why a file could not be loaded as a plugin. The text says what the file is and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// That it is loaded cannot be written into the audit log, and what that does not have does not happen.
    #[error("the audit log cannot be written: {0}")]
    Audit(io::Error),
    /// It is not a file at all.
    #[error("{} is {what}, and a plugin is a file: name the .wasm file itself", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// It is larger than any plugin may be.
    #[error("the file has {size} bytes, and a plugin has at most {max}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// It is something else than a component.
    #[error("this is {0}, and a plugin is a WebAssembly component{advice}", advice = advice(*.0))]
    NotAComponent(FileKind),
    /// It is not signed by those by whom the host's policy wants it to be.
    #[error("this plugin has to be signed by {}, and it {signed}", wanted(required))]
    NotSigned {
        /// One of these publishers; when there is none, any that the policy knows.
        required: BTreeSet<String>,
        /// What it carries instead.
        signed: Signed,
    },
    /// It begins like WebAssembly and is not valid.
    #[error(
        "this is a damaged or truncated WebAssembly file (at byte {offset}: {message}); build or download it again"
    )]
    Malformed {
        /// Where the fault is.
        offset: u64,
        /// What the fault is.
        message: String,
    },
    /// It is a component of some other kind.
    #[error(
        "this component is no Taskcell plugin: it does not export {missing} of taskcell:plugin, nor wasi:cli/run; \
         it exports {exports}"
    )]
    OtherWorld {
        /// The interfaces that are missing.
        missing: String,
        /// The interfaces that are there.
        exports: String,
    },
    /// It was built for a newer contract than this host knows.
    #[error(
        "this plugin was built for a newer contract: it needs {interface}, and this host knows taskcell:plugin@0.1.2; use a newer Taskcell"
    )]
    NewerContract {
        /// The interface and its version.
        interface: String,
    },
    /// It imports something that this host does not have.
    #[error("this plugin imports {}, which this host does not provide", imports.join(", "))]
    UnknownImports {
        /// The imports.
        imports: Vec<String>,
    },
    /// It does not fit into a cell.
    #[error("this plugin cannot be run here: {0}")]
    TooDemanding(String),
    /// It is a program for WASI preview 1, and nobody said that such may run.
    #[error(
        "this is a plain program for wasm32-wasip1, which knows nothing of Taskcell; `--command`, or \
         `HostBuilder::plain_commands` in a library, lets such programs run as plugins with the one task type `command`"
    )]
    PlainProgram,
    /// A core module with the contract, or a program, could not be made a component.
    #[error("no component can be made of this core module: {0}")]
    Componentize(String),
    /// The compiler refused it.
    #[error("this component cannot be compiled: {0}")]
    Compile(String),
    /// Compiling it takes more memory than it may.
    #[error(
        "compiling this plugin takes more than {} of memory ({said}); a plugin that you trust can be given more with the \
         load limit `compile_memory_bytes`",
        text::bytes(*max)
    )]
    CompileMemory {
        /// The limit in bytes.
        max: u64,
        /// What the compiler said at its end.
        said: String,
    },
    /// Compiling it takes longer than it may.
    #[error(
        "compiling this plugin takes longer than {}; a plugin that you trust can be given more with the load limit \
         `compile_timeout`",
        text::duration(*max)
    )]
    CompileTimeout {
        /// The limit.
        max: Duration,
    },
    /// Its compiled code is larger than it may be.
    #[error(
        "the compiled code of this plugin has more than {}; a plugin that you trust can be given more with the load \
         limit `code_bytes`",
        text::bytes(*max)
    )]
    CodeTooLarge {
        /// The limit in bytes.
        max: u64,
    },
    /// The process that compiled it was killed, by the system or by somebody else than the host.
    #[error(
        "the process that compiled this plugin was ended by signal {signal}{}; it may have been short of memory: try \
         again, and if it happens again do not use this plugin",
        said_by(said)
    )]
    CompilerDied {
        /// The signal's number.
        signal: i32,
        /// What the process said at its end.
        said: String,
    },
    /// The program that should compile plugins does not.
    #[error(
        "{} should compile plugins, and {what}; `HostBuilder::compiler` takes the path of a `taskcell` of this version",
        program.display()
    )]
    NoCompiler {
        /// The program.
        program: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Its `describe` did not answer.
    #[error("the plugin's describe function failed: {0}")]
    Describe(String),
    /// Its `init` hook failed.
    #[error("the plugin could not be initialised: {error}")]
    Init {
        /// What `init` said, or what ended it.
        error: HookError,
    },
    /// Its manifest is wrong.
    #[error("the plugin's manifest cannot be used: {0}")]
    Manifest(#[from] ManifestError),
    /// A plugin of that name is loaded already.
    #[error(
        "a plugin called {name:?} is loaded already, from other code (version {version}); give one of them another name"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// The version that is loaded.
        version: String,
    },
    /// The host is shutting down.
    #[error("the host is shutting down")]
    ShuttingDown,
}

fn said_by(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" ({said})") }
}

fn wanted(required: &BTreeSet<String>) -> String {
    if required.is_empty() { "a publisher that the policy knows".to_owned() } else { listed(required, " or ") }
}

impl LoadError {
    pub(super) fn not_signed(unsigned: Unsigned, signed: &Signed) -> Self {
        Self::NotSigned { required: unsigned.required, signed: signed.clone() }
    }
}

fn advice(kind: FileKind) -> &'static str {
    match kind {
        FileKind::PlainModule => {
            " with the taskcell:plugin contract; this module has no contract in it: build it with the Taskcell SDK \
             (`taskcell build`), or for wasm32-wasip2"
        }
        FileKind::WasmText => "; make it binary first, for instance with `wasm-tools parse`",
        FileKind::Precompiled => "; native code is never taken from outside: give the .wasm that it was made from",
        FileKind::NativeCode => "; build the plugin for wasm32-wasip2 (`taskcell build`)",
        FileKind::Component | FileKind::ModuleWithContract | FileKind::Text | FileKind::Empty | FileKind::Unknown => {
            "; build one with `taskcell build`"
        }
    }
}

/// Reads a plugin file, once: what is hashed is what is compiled. And the signature that lies beside it, if one does.
pub(crate) fn read_file(path: &Path, max: u64) -> Result<PluginBytes, LoadError> {
    let wasm = read_regular(path, max)?;
    let signature = match read_signature(&beside(path)) {
        Err(LoadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        read => Some(read?),
    };
    Ok(PluginBytes { wasm, signature })
}

/// Where the signature of a plugin's file lies, if it is in none: beside it.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SIGNATURE_ENDING);
    name.into()
}

/// Reads a signature that lies beside a plugin. What is too long to be one is told to be that where it is looked at, like
/// whatever else is none.
pub(crate) fn read_signature(path: &Path) -> Result<Vec<u8>, LoadError> {
    match read_regular(path, CONTENT_BYTES_MAX as u64) {
        Err(LoadError::TooLarge { .. }) => Ok(vec![0; CONTENT_BYTES_MAX + 1]),
        Err(LoadError::NotAFile { path, what }) => {
            let source = io::Error::other(format!("it is {what}, and a signature is a file"));
            Err(LoadError::Io { path, source })
        }
        read => read,
    }
}

/// Reads a regular file of so many bytes at most.
#[expect(clippy::disallowed_methods, reason = "this is where plugin files are read, and nowhere else")]
pub(crate) fn read_regular(path: &Path, max: u64) -> Result<Vec<u8>, LoadError> {
    use std::os::unix::fs::FileTypeExt as _;
    let io = |source| LoadError::Io { path: path.to_owned(), source };
    // Looked at before it is opened, because opening a pipe waits for its other end.
    let kind = std::fs::metadata(path).map_err(io)?.file_type();
    let what = if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_file() {
        ""
    } else {
        "a device or socket"
    };
    if !what.is_empty() {
        return Err(LoadError::NotAFile { path: path.to_owned(), what });
    }
    let file = std::fs::File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    if size > max {
        return Err(LoadError::TooLarge { size, max });
    }
    let mut bytes = Vec::new();
    // The file may grow while it is read.
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    match bytes.len() as u64 {
        size if size > max => Err(LoadError::TooLarge { size, max }),
        _ => Ok(bytes),
    }
}

/// The manifest of a plain command, which cannot describe itself.
pub(super) fn command_manifest(name: &str) -> Manifest {
    let mut plugin = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_ascii_lowercase() || (!plugin.is_empty() && (c.is_ascii_digit() || c == '-')) {
            plugin.push(c);
        } else if !plugin.is_empty() && !plugin.ends_with('-') {
            plugin.push('-');
        }
    }
    plugin.truncate(64);
    let trimmed = plugin.trim_end_matches('-');
    let mut description = String::from("A WASI command");
    // Writing to a String cannot fail.
    let _ = write!(description, " ({name})");
    Manifest {
        manifest: 1,
        name: if trimmed.is_empty() { COMMAND.to_owned() } else { trimmed.to_owned() },
        version: "0.0.0".to_owned(),
        author: None,
        description: Some(description),
        url: None,
        requests: Vec::new(),
        tasks: vec![TaskType {
            name: COMMAND.to_owned(),
            description: Some("Runs the program with the given arguments and input until it exits.".to_owned()),
            input: Some(serde_json::json!({
                "type": "object",
                "properties": {
                    "args": { "type": "array", "items": { "type": "string" }, "description": "Arguments, without the program's own name." },
                    "stdin": { "type": "string", "description": "What the program reads on its standard input." },
                },
                "additionalProperties": false,
            })),
            output: Some(serde_json::json!({
                "type": "object",
                "properties": {
                    "exit_code": { "type": "integer" },
                    "stdout": { "type": "string" },
                    "truncated": { "type": "boolean", "description": "Whether the beginning of stdout is missing." },
                },
            })),
            limits: crate::model::limits::LimitsRequest::default(),
            routing: None,
            kind: TaskKind::Task,
            requests: Vec::new(),
            read_only: false,
            // A program may do anything with the folders that it is granted.
            concurrent_safe: false,
            restartable: false,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_called_after_its_file() {
        for (file, name) in [("Echo Args_2.wasm", "echo-args-2-wasm"), ("9lives", "lives"), ("…", "command")] {
            assert_eq!(command_manifest(file).name, name);
        }
    }
}
