//! The project's own commands: `cargo xtask guests`, `demo`, `test`, `bench`, `soak` and `fuzz`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for this repository: it looks at the clock, the disk and the environment, and it prints"
)]

mod bench;
mod cancel;
mod cargo;
mod child;
mod demo;
mod fuzz;
mod guests;
mod signals;
mod soak;
mod suite;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Taskcell's own commands", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds all guests into target/guests/wasm.
    Guests,
    /// Builds what it needs, makes a report of this repository's documents in a sandbox, then cancels a busy loop.
    Demo,
    /// Runs every check and every test, and says how long each step took.
    Test(suite::Arguments),
    /// Measures Taskcell beside raw wasmtime: a table, and a picture in target/bench.svg. Or beside its peers.
    Bench(bench::Arguments),
    /// Runs very many short tasks, and looks whether memory, descriptors, threads or the disk grow.
    Soak(soak::Arguments),
    /// Searches for bytes that the host does not withstand; with cargo-fuzz, where it is.
    Fuzz(fuzz::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Command::Guests => guests::command(),
        Command::Demo => demo::command(),
        Command::Test(arguments) => suite::command(arguments),
        Command::Bench(arguments) => bench::command(arguments),
        Command::Soak(arguments) => soak::command(arguments),
        Command::Fuzz(arguments) => fuzz::command(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
