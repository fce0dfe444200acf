//! `taskcell completions`.

use clap::CommandFactory as _;

use super::args::{Arguments, CompletionArguments};
use super::exit::Exit;
use super::fault::Fault;
use super::output;

/// Writes the completions for a shell.
pub(super) fn completions(arguments: &CompletionArguments) -> Result<Exit, Fault> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    output::data(&script).map_err(Fault::stdout)?;
    Ok(Exit::Succeeded)
}
