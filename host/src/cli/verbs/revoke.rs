//! `taskcell revoke`: takes a capability away from tasks that run.

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_complete::{ArgValueCandidates, ArgValueCompleter};
use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::output;
use crate::serve::wire::RevokeBody;
use crate::{Capability, RevokeReport, RevokedFrom, escape};

use super::at::At;
use super::{completing, which};

#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeArguments {
    /// What is taken away
    #[arg(value_name = "CAPABILITY", value_parser = PossibleValuesParser::new(Capability::ALL.map(Capability::name)))]
    capability: String,
    /// The task, and those below it: its id, or the beginning of it
    #[arg(value_name = "ID", required_unless_present = "plugin", conflicts_with = "plugin", add = ArgValueCompleter::new(completing::tasks))]
    id: Option<String>,
    /// ID is a PLUGIN/TYPE/KEY
    #[arg(long, requires = "id")]
    key: bool,
    /// All tasks of this plugin
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(completing::plugins))]
    plugin: Option<String>,
    /// Stops the tasks that had it as well, where they are
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    at: At,
}

/// Takes a capability away.
pub(super) async fn revoke(arguments: &RevokeArguments) -> Result<Exit, Fault> {
    let unknown = || Fault::usage(format!("there is no capability {:?}", arguments.capability));
    let capability = Capability::from_name(&arguments.capability).ok_or_else(unknown)?;
    let body = RevokeBody { capability, now: arguments.now };
    let client = arguments.at.connect().await?;
    let report = match (&arguments.plugin, &arguments.id) {
        (Some(plugin), _) => client.revoke_of_plugin(plugin, &body).await?,
        (None, Some(id)) => client.revoke(which::one(&client, id, arguments.key).await?, &body).await?,
        (None, None) => return Err(Fault::usage("name a task, or a plugin with --plugin".to_owned())),
    };
    if arguments.at.json {
        output::json(&json!({ "tasks": report.tasks }), false).map_err(Fault::stdout)?;
    } else {
        for line in lines(&report, capability) {
            output::talk(&line);
        }
    }
    Ok(Exit::Succeeded)
}

fn lines(report: &RevokeReport, capability: Capability) -> Vec<String> {
    if report.tasks.is_empty() {
        return vec!["no task runs that it could be taken away from".to_owned()];
    }
    let line = |of: &RevokedFrom| {
        let what = match (of.held, of.stopped) {
            (_, true) => format!("{capability} is taken away, and it is stopped"),
            (true, false) => format!("{capability} is taken away"),
            (false, false) => format!("it had no {capability}, and gets none"),
        };
        format!("{}: {what} ({})", which::short(of.id), escape(&of.task.to_string()))
    };
    report.tasks.iter().map(line).collect()
}
