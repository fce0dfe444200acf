//! `cargo xtask bench`: builds the benchmark optimised, and runs it.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{cargo, guests, workspace::Workspace};

/// The package, and the program that it makes.
const PACKAGE: &str = "taskcell-bench";
/// The program that people use, and its package.
const PROGRAM: &str = "taskcell";
/// The workspace of what compares us with others, and where it is built.
const PEERS: &str = "bench/peers/Cargo.toml";
/// What a start, a wake and calls cost in instructions, as it was when somebody recorded it.
const COUNTS: &str = "bench/counts.json";
const PEERS_DIR: &str = "peers";
/// The file of the plugin that is run.
const HELLO: &str = "hello.wasm";
/// The program that does; the other one that is built with it is one of the sides.
const PEERS_PROGRAM: &str = "taskcell-peers";

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
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
    /// Lets hostile guests run beside a good one instead, and says what that one notices.
    #[arg(long, conflicts_with = "rows")]
    hostile: bool,
    /// Measures Taskcell beside its peers instead, and prints a table in Markdown: Extism, Capsule, a process per task, a
    /// tokio task. The first build takes long, because Extism brings another wasmtime.
    #[arg(long, conflicts_with_all = ["rows", "hostile"])]
    peers: bool,
    /// Counts the instructions of a start and of calls under valgrind instead, and says what costs more than it did when
    /// it was recorded (`bench/counts.json`).
    #[arg(long, conflicts_with_all = ["rows", "hostile", "peers", "quick"])]
    counts: bool,
    /// Records what is counted.
    #[arg(long, requires = "counts")]
    record: bool,
}

pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    let workspace = Workspace::read()?;
    if arguments.peers {
        return peers(&workspace, arguments);
    }
    let Programs { mut bench, taskcell } = programs(&workspace)?;
    let flags = arguments.flags();
    if arguments.hostile {
        bench.arg("hostile").arg("--guests").arg(guests::build(&workspace)?).args(flags);
        return run(bench, "the benchmark");
    }
    if arguments.counts {
        bench
            .arg("counts")
            .arg("--compiler")
            .arg(cargo::compiler()?)
            .arg("--recorded")
            .arg(workspace.root.join(COUNTS));
        bench.args(flags).args(arguments.record.then_some("--record"));
        return run(bench, "the count");
    }
    let guests = guests::build(&workspace)?;
    bench.arg("rows").arg("--hello").arg(guests.join(HELLO)).arg("--approval").arg(guests.join("approval.wasm"));
    bench.arg("--program").arg(taskcell);
    bench.arg("--disk").arg(&workspace.target_dir).arg("--svg").arg(workspace.target_dir.join("bench.svg"));
    bench.args(flags);
    for row in &arguments.rows {
        bench.args(["--row", &row.to_string()]);
    }
    run(bench, "the benchmark")
}

impl Arguments {
    /// Those that all programs take.
    fn flags(&self) -> impl Iterator<Item = &'static str> {
        self.quick.then_some("--quick").into_iter().chain(self.json.then_some("--json"))
    }
}

/// Builds what compares us with others, with all that it needs, and runs it.
fn peers(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let (manifest, dir) = (workspace.root.join(PEERS), workspace.target_dir.join(PEERS_DIR));
    let mut build = cargo::host();
    build.current_dir(&workspace.root).args(["build", "--release", "--locked", "--bins", "--manifest-path"]);
    build.arg(&manifest).arg("--target-dir").arg(&dir);
    let programs = cargo::build(build)?;
    let is_it = |artifact: &&cargo::Artifact| {
        artifact.manifest == manifest && artifact.file.file_stem().is_some_and(|name| name == PEERS_PROGRAM)
    };
    let program = programs.iter().find(is_it).context("cargo has built no program")?;
    let mut compare = Command::new(&program.file);
    compare.arg("compare").arg("--dir").arg(dir.join("capsule")).args(arguments.flags());
    run(compare, "the comparison")
}

/// The finished programs.
pub(crate) struct Programs {
    pub(crate) bench: Command,
    taskcell: PathBuf,
}

/// Builds them, optimised, both at once: what both use is then built once.
pub(crate) fn programs(workspace: &Workspace) -> Result<Programs> {
    let mut build = cargo::host();
    build.current_dir(&workspace.root).args(["build", "--profile", "bench"]);
    build.args(["-p", PACKAGE, "-p", PROGRAM, "--bin", PACKAGE, "--bin", PROGRAM]);
    let artifacts = cargo::build(build)?;
    let file = |manifest: &str| {
        let manifest = workspace.root.join(manifest);
        let artifact = artifacts.iter().find(|artifact| artifact.manifest == manifest);
        artifact.map(|artifact| artifact.file.clone()).context("cargo has built no program")
    };
    Ok(Programs { bench: Command::new(file("bench/Cargo.toml")?), taskcell: file("host/Cargo.toml")? })
}

/// Builds the guests, and says where the plugin is that is run.
pub(crate) fn hello(workspace: &Workspace) -> Result<PathBuf> {
    Ok(guests::build(workspace)?.join(HELLO))
}

/// With our own stdout and stderr.
pub(crate) fn run(mut program: Command, what: &str) -> Result<()> {
    let status = program.status().with_context(|| format!("cannot run {}", program.get_program().display()))?;
    ensure!(status.success(), "{what} ended with {status}");
    Ok(())
}
