//! Row 2: the same as row 1, with two threads for guests against one: what two of them cost each other.

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use taskcell_bench::{Figure, Owed, median};

use super::Bench;
use crate::{
    guests,
    measure::{blocks, cpu_each, scaled},
    ours::Ours,
    process,
};

/// Tasks in flight.
const AT_ONCE: u32 = 64;
/// Blocks in one process, of which the median counts: the first ones warm up.
const BLOCKS: u32 = 5;
/// Two workers do at least 0.85 of what one does, for each second of CPU time.
const RATIO_MAX: f64 = 1.0 / 0.85;

/// How many tasks one block has.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    tasks: u32,
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let processors = process::processors()?;
    let [first, second, ..] = processors.as_slice() else {
        eprintln!("bench: row 2 needs two processors, and here is one");
        return Ok(Vec::new());
    };
    let (both, one) = (format!("{first},{second}"), first.to_string());
    let tasks = bench.pick(1000, 2000);
    let blocks = blocks(bench.pick(5, 15), || on(&both, tasks), || on(&one, tasks))?;
    let name = "start, text guest, two workers against one (us CPU)";
    Ok(vec![Figure::of_blocks(2, name, &scaled(&blocks, 1e-3), Owed::Ratio(RATIO_MAX))])
}

/// What a task costs in a process that has these processors only: it makes as many workers as it finds processors.
fn on(processors: &str, tasks: u32) -> Result<f64> {
    let mut child = Command::new("taskset");
    child.args(["-c", processors]).arg(std::env::current_exe()?);
    let output = child.args(["starts", "--tasks", &tasks.to_string()]).output();
    let output = output.context("cannot run taskset, of util-linux")?;
    if !output.status.success() {
        bail!("the tasks did not run on {processors}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Runs tasks here, and prints what one of them costs.
pub(crate) fn starts(arguments: Arguments) -> Result<()> {
    let ours = Ours::new()?;
    let kind = ours.load(guests::nothing()?, "go", json!({}))?;
    let block = |_| cpu_each(arguments.tasks, || ours.run_many(&kind, arguments.tasks, AT_ONCE));
    let costs = (0..BLOCKS).map(block).collect::<Result<Vec<_>>>()?;
    let cost = median(&costs);
    ensure!(cost > 0.0, "the tasks took no time");
    println!("{cost}");
    Ok(())
}
