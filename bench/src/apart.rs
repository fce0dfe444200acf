//! Compiling with raw wasmtime in a process of its own: what keeps a plugin that makes the compiler take all memory from
//! taking the host's.

use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::raw::compiler;

/// Compiles what comes over stdin, and writes the code to stdout.
pub(crate) fn run() -> Result<()> {
    let mut plugin = Vec::new();
    std::io::stdin().read_to_end(&mut plugin).context("no plugin came")?;
    let code = compiler()?.precompile_component(&plugin).map_err(|error| anyhow!("{error:#}"))?;
    std::io::stdout().write_all(&code).context("nobody takes the code")
}

/// The code of a plugin, from such a process.
pub(crate) fn compiled(plugin: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("compile")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("this program cannot be run again")?;
    // It reads all of it before it writes anything.
    child.stdin.take().context("no way to it")?.write_all(plugin)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "it could not compile: {}", output.status);
    Ok(output.stdout)
}
