//! Measures Taskcell beside its peers, in one run on one machine: Extism, Capsule, a process per task, a tokio task.
//! `cargo xtask bench --peers` builds and runs it.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures: it looks at the clock and the disk, makes threads, and prints"
)]

mod fact;
mod guests;
mod measure;
mod report;
mod run;
mod sides;
#[path = "../../src/stats.rs"]
#[expect(unreachable_pub, reason = "it is the bench's library, where it is public")]
mod stats;
mod versions;
mod work;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser;
use mimalloc::MiMalloc;

use measure::Amount;
use sides::list::Side;

/// For every side that runs in this process, and the one that the `taskcell` program has.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What is to be done.
#[derive(Debug, Parser)]
enum Command {
    /// Measures all sides and shows them side by side.
    Compare(Arguments),
    /// Measures one side, in this process, and prints what it found.
    #[command(hide = true)]
    Side {
        side: Side,
        #[arg(long)]
        quick: bool,
    },
}

/// What is measured, and how it is shown.
#[derive(Debug, clap::Args)]
struct Arguments {
    /// Once and less of it: a look, in about two minutes.
    #[arg(long)]
    quick: bool,
    /// Prints the cells as a JSON array and nothing else.
    #[arg(long)]
    json: bool,
    /// Measures this side only; may be given more than once.
    #[arg(long = "side", value_name = "SIDE")]
    sides: Vec<Side>,
    /// Where Capsule is installed, and what it builds is kept.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    // As the program does.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    if let Some(done) = taskcell::compile_child() {
        return done;
    }
    let done = match Command::parse() {
        Command::Compare(arguments) => compare(&arguments),
        Command::Side { side, quick } => one(side, Amount { quick }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<()> {
    let sides = if arguments.sides.is_empty() { &sides::list::ALL[..] } else { &arguments.sides };
    let columns = run::columns(sides, Amount { quick: arguments.quick }, &arguments.dir)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report::cells(&columns)).context("a cell is no JSON")?);
    } else {
        print!("{}", report::table(&columns));
    }
    Ok(())
}

fn one(side: Side, amount: Amount) -> Result<()> {
    println!("{}", serde_json::to_string(&side.measure(amount)?).context("a finding is no JSON")?);
    Ok(())
}
