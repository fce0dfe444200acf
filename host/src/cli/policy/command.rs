//! The verbs of `taskcell policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::help::SUGGEST_HELP;
use crate::cli::output;
use crate::model::policy::SCHEMA;

use super::suggest::SuggestArguments;
use super::{check, explain, place, reload, suggest};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PolicyVerb {
    /// Finds what is wrong with a policy, and what may not be meant
    Check(CheckArguments),
    /// Shows what becomes of each thing that a plugin asks for, and by which rule
    Explain(ExplainArguments),
    /// Runs a plugin that is denied everything, and writes a policy for what it wanted
    #[command(after_help = SUGGEST_HELP)]
    Suggest(Box<SuggestArguments>),
    /// Has the running server read its policy again, as SIGHUP does, and says what its tasks lost by that
    Reload(ReloadArguments),
    /// Writes the JSON Schema of a policy to stdout
    Schema,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArguments {
    /// The policy [default: the file that `TASKCELL_POLICY` names, else the server's]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(super) file: Option<PathBuf>,
    /// Compares the rules with a plugin too: its digest, and what it asks for; can be given several times
    #[arg(long, value_name = "PLUGIN", value_hint = clap::ValueHint::FilePath)]
    pub(super) plugin: Vec<PathBuf>,
    /// The server's directory [default: `TASKCELL_DATA`, else taskcell in `XDG_STATE_HOME` or ~/.local/state]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    data: Option<PathBuf>,
    /// Writes JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArguments {
    /// The plugin: a .wasm file
    #[arg(value_name = "PLUGIN", value_hint = clap::ValueHint::FilePath)]
    pub(super) plugin: PathBuf,
    /// The policy [default: the file that `TASKCELL_POLICY` names, else the server's]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    policy: Option<PathBuf>,
    /// The server's directory [default: `TASKCELL_DATA`, else taskcell in `XDG_STATE_HOME` or ~/.local/state]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    data: Option<PathBuf>,
    /// Writes JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReloadArguments {
    /// The server's directory [default: `TASKCELL_DATA`, else taskcell in `XDG_STATE_HOME` or ~/.local/state]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(super) data: Option<PathBuf>,
    /// Writes JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Does what a verb says.
pub(in crate::cli) async fn run(verb: PolicyVerb) -> Result<Exit, Fault> {
    match verb {
        PolicyVerb::Check(arguments) => {
            let file = place::wanted(arguments.file.as_deref(), arguments.data.as_deref())?;
            check::check(&arguments, &file).await
        }
        PolicyVerb::Explain(arguments) => {
            let file = place::wanted(arguments.policy.as_deref(), arguments.data.as_deref())?;
            explain::explain(&arguments, &file).await
        }
        PolicyVerb::Suggest(arguments) => suggest::suggest(&arguments).await,
        PolicyVerb::Reload(arguments) => reload::reload(&arguments).await,
        PolicyVerb::Schema => {
            output::data(SCHEMA.as_bytes()).map_err(Fault::stdout)?;
            Ok(Exit::Succeeded)
        }
    }
}
