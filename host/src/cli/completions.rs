//! `taskcell completions`, and the completions that ask the server.

use clap::CommandFactory as _;
use clap_complete::CompleteEnv;

use super::args::{Arguments, CompletionArguments};
use super::exit::Exit;
use super::fault::Fault;
use super::{environment, output};

/// Answers a shell that asks by the variable `COMPLETE`: with the script that asks, or with what can be typed next. Says
/// whether that was it.
pub(super) fn answered() -> bool {
    let current_dir = environment::current_dir();
    let complete = CompleteEnv::with_factory(Arguments::command);
    // A variable of that name that names no shell is somebody else's.
    complete.try_complete(environment::arguments(), current_dir.as_deref()).unwrap_or(false)
}

/// Writes the completions for a shell.
pub(super) fn completions(arguments: &CompletionArguments) -> Result<Exit, Fault> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    output::data(&script).map_err(Fault::stdout)?;
    Ok(Exit::Succeeded)
}
