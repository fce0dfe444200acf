//! Measures Taskcell beside raw wasmtime, in one process and one run; or runs it for long and looks whether anything grows.
//! `cargo xtask bench` and `cargo xtask soak` build and run it.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures: it looks at the clock and the disk, makes threads, and prints"
)]

mod apart;
mod counts;
mod floor;
mod guests;
mod hostile;
mod measure;
mod ours;
mod park;
mod process;
mod raw;
mod rows;
mod slots;
mod soak;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use mimalloc::MiMalloc;
use rustix::thread::disable_transparent_huge_pages;
use taskcell_bench::{plot, table};

/// The same as the program's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What is to be done.
#[derive(Debug, Parser)]
enum Command {
    /// Measures the rows of the table.
    Rows(Arguments),
    /// Lets hostile guests run beside a good one, and says what that one notices.
    Hostile(hostile::Arguments),
    /// Runs tasks for long, and looks whether anything grows.
    Soak(soak::Arguments),
    /// Counts the instructions of a start and of calls, and holds them against those that were recorded.
    Counts(counts::Arguments),
    /// Does what is counted.
    #[command(hide = true)]
    Counted(counts::Work),
    /// Compiles the plugin that comes over stdin, with raw wasmtime.
    #[command(hide = true)]
    Compile,
    /// Says how much memory so many tasks that wait take, in a process of its own.
    #[command(hide = true)]
    Park(park::Arguments),
    /// Says what a short task costs on the processors that this process may use.
    #[command(hide = true)]
    Starts(rows::Arguments),
}

/// What is measured, and how the figures are shown.
#[derive(Debug, clap::Args)]
struct Arguments {
    /// Fewer and smaller blocks: a look, in about two minutes.
    #[arg(long)]
    quick: bool,
    /// Prints the figures as a JSON array and nothing else.
    #[arg(long)]
    json: bool,
    /// Measures these rows only.
    #[arg(long = "row", value_name = "N")]
    rows: Vec<u8>,
    /// The finished `hello` plugin.
    #[arg(long, value_name = "FILE")]
    hello: PathBuf,
    /// The finished `approval` plugin.
    #[arg(long, value_name = "FILE")]
    approval: PathBuf,
    /// The finished program.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// A directory on a disk, for what is measured there. Default: the system's for temporary files.
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,
    /// Where the picture goes.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    // As the program does.
    let _ = disable_transparent_huge_pages(true);
    if let Some(done) = taskcell::compile_child() {
        return done;
    }
    let done = match Command::parse() {
        Command::Rows(arguments) => run(&arguments).map(|()| true),
        Command::Hostile(arguments) => hostile::run(&arguments).map(|()| true),
        Command::Soak(arguments) => soak::run(&arguments),
        Command::Counts(arguments) => counts::run(&arguments),
        Command::Counted(work) => counts::work(work).map(|()| true),
        Command::Compile => apart::run().map(|()| true),
        Command::Park(arguments) => park::run(&arguments).map(|()| true),
        Command::Starts(arguments) => rows::starts(arguments).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let disk = arguments.disk.clone().unwrap_or_else(std::env::temp_dir);
    let (hello, program) = (std::fs::read(&arguments.hello)?, arguments.program.clone());
    let bench = rows::Bench { quick: arguments.quick, hello, approval: arguments.approval.clone(), disk, program };
    let figures = rows::measure(&bench, &arguments.rows)?;
    if let Some(svg) = &arguments.svg {
        plot(&figures, svg)?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&figures).context("a figure is no JSON")?);
        return Ok(());
    }
    print!("{}", table(&figures));
    if let Some(svg) = &arguments.svg {
        println!("\npicture: {}", svg.display());
    }
    Ok(())
}
