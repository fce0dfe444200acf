//! Row 13: from the start of the program `taskcell run` to the first line that says how far the task is.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use taskcell_bench::{Figure, Owed};

use super::Bench;
use crate::measure::{blocks, scaled, wall};

/// What is owed, in milliseconds.
const FIRST_MAX: f64 = 50.0;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let Some(program) = &bench.program else {
        eprintln!("bench: row 13 needs --program, the finished taskcell");
        return Ok(Vec::new());
    };
    let dir = tempfile::tempdir()?;
    let plugin = dir.path().join("hello.wasm");
    std::fs::write(&plugin, &bench.hello).context("the disk takes no file")?;
    let cache = dir.path().join("cache");
    let blocks =
        blocks(bench.pick(15, 41), || wall(|| first_line(program, &plugin, &cache)), || wall(|| nothing(program)))?;
    Ok(vec![Figure::of_blocks(
        13,
        "taskcell run to first progress, against --version (ms wall)",
        &scaled(&blocks, 1e-6),
        Owed::Ours(FIRST_MAX),
    )])
}

/// Runs the plugin until it has told something.
fn first_line(program: &Path, plugin: &Path, cache: &Path) -> Result<()> {
    let mut run = Command::new(program);
    run.arg("run").arg(plugin).arg("hello").env("TASKCELL_CACHE_DIR", cache);
    let mut child = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let stderr = child.stderr.take().context("a child without stderr")?;
    let mut said = String::new();
    for line in BufReader::new(stderr).lines() {
        let line = line?;
        if line.contains('%') {
            child.kill()?;
            child.wait()?;
            return Ok(());
        }
        said.push_str(&line);
        said.push('\n');
    }
    bail!("the program never said how far its task is, and ended with {}: {said}", child.wait()?)
}

fn nothing(program: &Path) -> Result<()> {
    let output = Command::new(program).arg("--version").output()?;
    ensure!(output.status.success(), "the program does not say its version");
    Ok(())
}
