//! What so many tasks that wait cost in memory: in a process of its own, whose memory nobody has used before.

use std::{hint::black_box, process::Command, sync::Arc};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use taskcell::{Compiler, Host, Profile};

use crate::{
    guests,
    ours::Ours,
    process,
    raw::{Bare, Guest, Way, engine_for},
};

/// Whose tasks wait, and how many.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    tasks: u32,
    /// Raw wasmtime's.
    #[arg(long)]
    raw: bool,
    /// Of a dense host, compiled in this process, as valgrind's `dhat` can run it, which says whose the memory is.
    #[arg(long, conflicts_with = "raw")]
    dense: bool,
}

const WAY: Way = Way { slice: Some(1_000_000), hook: true };

/// Parks them, and prints how many bytes each of them takes.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let bytes = guests::waits()?;
    let count = arguments.tasks;
    let each = if arguments.raw {
        let guest = Arc::new(Guest::<Bare>::new(&engine_for(count + 1)?, &bytes, "go")?);
        // The first of its kind pays for what all use.
        let first = guest.park(WAY)?;
        let before = bytes_now()?;
        let parked = (0..count).map(|_| guest.park(WAY)).collect::<Result<Vec<_>>>()?;
        let each = (bytes_now()? - before) / f64::from(count);
        black_box((first, parked));
        each
    } else {
        let ours = if arguments.dense {
            Ours::with(count + 1, Host::builder().compiler(Compiler::InProcess).profile(Profile::Dense))?
        } else {
            Ours::with_cells(count + 1, Host::builder())?
        };
        let kind = ours.load(bytes, "go", json!({}))?;
        let first = ours.park(&kind, 1)?;
        let before = bytes_now()?;
        let parked = ours.park(&kind, count)?;
        let each = (bytes_now()? - before) / f64::from(count);
        ours.end(&parked);
        ours.end(&first);
        each
    };
    println!("{each:.0}");
    Ok(())
}

/// The same in a process of its own. What it says when it cannot.
pub(crate) fn elsewhere(count: u32, raw: bool) -> Result<Result<f64, String>> {
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["park", "--tasks", &count.to_string()]).args(raw.then_some("--raw"));
    let output = child.output().context("this program cannot be run again")?;
    if !output.status.success() {
        return Ok(Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let text = String::from_utf8(output.stdout)?;
    let bytes: f64 = text.trim().parse()?;
    ensure!(bytes > 0.0, "{count} tasks that wait took no memory");
    Ok(Ok(bytes))
}

/// Memory and page tables.
fn bytes_now() -> Result<f64> {
    let look = process::look()?;
    Ok((look.memory_mib + look.tables_mib) * f64::from(1 << 20))
}
