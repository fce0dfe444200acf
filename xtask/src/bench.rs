//! `cargo xtask bench`: builds the benchmark optimised, and runs it.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{cargo, guests, workspace::Workspace};

/// The package, and the program that it makes.
const PACKAGE: &str = "taskcell-bench";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Fewer and smaller blocks: a look, in about two minutes.
    #[arg(long)]
    quick: bool,
    /// Prints the figures as a JSON array and nothing else on stdout.
    #[arg(long)]
    json: bool,
    /// Measures this row only; may be given more than once.
    #[arg(long = "row", value_name = "N")]
    rows: Vec<u8>,
}

pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    let workspace = Workspace::read()?;
    let guests = guests::build(&workspace)?;
    let mut build = cargo::host();
    build.current_dir(&workspace.root).args(["build", "--profile", "bench", "-p", PACKAGE, "--bin", PACKAGE]);
    let artifacts = cargo::build(build)?;
    let manifest = workspace.root.join("bench/Cargo.toml");
    let is_ours = |artifact: &&cargo::Artifact| artifact.manifest == manifest;
    let program = artifacts.iter().find(is_ours).context("cargo has built no program")?;

    let mut bench = Command::new(&program.file);
    bench.arg("--hello").arg(guests.join("hello.wasm")).arg("--svg").arg(workspace.target_dir.join("bench.svg"));
    bench.args(arguments.quick.then_some("--quick")).args(arguments.json.then_some("--json"));
    for row in &arguments.rows {
        bench.args(["--row", &row.to_string()]);
    }
    // With our own stdout and stderr.
    let status = bench.status().with_context(|| format!("cannot run {}", program.file.display()))?;
    ensure!(status.success(), "the benchmark ended with {status}");
    Ok(())
}
