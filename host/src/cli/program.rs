//! From the command line to the exit code.

use std::process::ExitCode;

use anyhow::{Context as _, Error};
use clap::Parser as _;

use super::args::{Arguments, Command};
use super::exit::Exit;
use super::fault::Fault;
use super::output::talk;
use super::{build, completions, doctor, environment, inspect, limits, new, policy, run, serve, signing, verbs};

/// Runs the program with the process's arguments and returns its exit code. `host/docs/cli.md` lists the codes.
///
/// Reads the environment, prints, and makes a tokio runtime of its own: for `main` only.
pub fn main() -> ExitCode {
    // Before anything else: as the child that compiles a plugin it is another program.
    if let Some(done) = crate::compile_child() {
        return done;
    }
    if completions::answered() {
        return ExitCode::SUCCESS;
    }
    #[cfg(feature = "failpoints")]
    super::failpoints::arm();
    let arguments = match Arguments::try_parse_from(environment::arguments()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too. A closed pipe is nobody's fault.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    let exit = dispatch(arguments.command).unwrap_or_else(|fault| {
        for line in fault.lines() {
            talk(&line);
        }
        fault.exit()
    });
    exit.into()
}

fn dispatch(command: Command) -> Result<Exit, Fault> {
    match command {
        Command::Run(arguments) => in_runtime(run::run(*arguments)),
        Command::Serve(arguments) => in_runtime(serve::serve(arguments)),
        Command::Policy(verb) => in_runtime(policy::run(verb)),
        Command::Inspect(arguments) => in_runtime(inspect::inspect(arguments)),
        Command::New(arguments) => new::new(&arguments),
        Command::Build(arguments) => build::build(&arguments),
        Command::Keygen(arguments) => signing::keygen(&arguments),
        Command::Sign(arguments) => signing::sign(&arguments),
        Command::Limits(arguments) => limits::list(&arguments),
        Command::Doctor(arguments) => in_runtime(doctor::doctor(arguments)),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Verb(verb) => in_runtime(verbs::run(verb)),
    }
}

fn in_runtime(command: impl Future<Output = Result<Exit, Fault>>) -> Result<Exit, Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the program's threads")
        .map_err(|error: Error| Fault::new(Exit::Host, error))?;
    let result = runtime.block_on(Box::pin(command));
    // Not waited for: a compilation that nobody needs any more may still be running.
    runtime.shutdown_background();
    result
}
