//! Measures Taskcell beside raw wasmtime, in one process and one run. `cargo xtask bench` builds and runs it.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures: it looks at the clock, makes threads, and prints"
)]

mod guests;
mod measure;
mod ours;
mod raw;
mod rows;
mod slots;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use taskcell_bench::{plot, table};

/// What is measured, and how the figures are shown.
#[derive(Debug, Parser)]
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
    /// Where the picture goes.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let bench = rows::Bench { quick: arguments.quick, hello: std::fs::read(&arguments.hello)? };
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
