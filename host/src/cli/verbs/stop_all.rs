//! `taskcell stop-all`: stops many tasks at once.

use std::time::Duration;

use clap::Args;
use clap_complete::{ArgValueCandidates, ArgValueCompleter};

use crate::TaskFilter;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::prompt::{Person, Typed, consent};
use crate::cli::{environment, output, values};
use crate::serve::wire::{ListQuery, StopBody, StopScopeBody, StoppedTask, Stops};

use super::at::At;
use super::table::Rows;
use super::{completing, which};

/// Tasks that are counted before a person is asked.
const COUNTED_MAX: usize = 1000;

#[derive(Debug, Args)]
#[group(id = "scope", required = true, multiple = false, args = ["all", "session", "plugin", "below"])]
pub(in crate::cli) struct StopAllArguments {
    /// All of them
    #[arg(long)]
    all: bool,
    /// Those of this session
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Those of this plugin
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(completing::plugins))]
    plugin: Option<String>,
    /// Everything that this task started, and what that started
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(completing::tasks))]
    below: Option<String>,
    /// Why; the tasks can read it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// How long they may take to end by themselves [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    grace: Option<Duration>,
    /// When those that still live are stopped where they are, after five minutes at most [default: 10s, or the grace if that is longer]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    deadline: Option<Duration>,
    /// Does not ask first
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    at: At,
}

/// Stops many.
pub(super) async fn stop_all(arguments: &StopAllArguments) -> Result<Exit, Fault> {
    if !arguments.yes && !environment::can_ask() {
        return Err(Fault::usage("there is no terminal to ask on whether you mean it").hint("say --yes if you do"));
    }
    let client = arguments.at.connect().await?;
    let scope = scope(&client, arguments).await?;
    if !arguments.yes && !asked(&client, &scope).await? {
        output::talk("nothing was stopped");
        return Ok(Exit::Failed);
    }
    let body =
        StopBody { scope, reason: arguments.reason.clone(), grace: arguments.grace, deadline: arguments.deadline };
    let stops = client.stop(&body).await?;
    let exit = arguments.at.answer(&stops, || lines(&stops))?;
    if !arguments.at.json {
        output::talk(&summary(&stops));
    }
    Ok(exit)
}

async fn scope(client: &Client, arguments: &StopAllArguments) -> Result<StopScopeBody, Fault> {
    Ok(match (&arguments.session, &arguments.plugin, &arguments.below) {
        (Some(session), _, _) => StopScopeBody::Session(session.clone()),
        (None, Some(plugin), _) => StopScopeBody::Plugin(plugin.clone()),
        (None, None, Some(task)) => StopScopeBody::Parent(which::one(client, task, false).await?),
        (None, None, None) => StopScopeBody::All,
    })
}

/// Asks the person whether they mean it.
async fn asked(client: &Client, scope: &StopScopeBody) -> Result<bool, Fault> {
    let (filter, whose) = match scope {
        StopScopeBody::All | StopScopeBody::Turn { .. } => (TaskFilter::default(), String::new()),
        StopScopeBody::Session(session) => (TaskFilter::session(session), format!(" of the session {session}")),
        StopScopeBody::Plugin(plugin) => (TaskFilter::plugin(plugin), format!(" of the plugin {plugin}")),
        StopScopeBody::Parent(id) => (TaskFilter::children_of(*id), format!(" that {} started", which::short(*id))),
    };
    let page =
        client.list(&ListQuery { filter: filter.live(), limit: Some(COUNTED_MAX), ..ListQuery::default() }).await?;
    let more = if page.next.is_some() { "more than " } else { "" };
    let tasks = match page.tasks.len() {
        1 => "1 task".to_owned(),
        many => format!("{many} tasks"),
    };
    let question = format!("Stop {more}{tasks}{whose}? [y/N] ");
    let mut person = Person::default();
    person.listen().map_err(|error| Fault::new(Exit::Host, error))?;
    loop {
        output::talk_raw(&output::safe_line(&question));
        match person.typed().await {
            Typed::Closed => return Ok(false),
            Typed::Line(line) => match consent(&line) {
                Some(meant) => return Ok(meant),
                None => output::talk("That is neither y nor n."),
            },
        }
        person.listen().map_err(|error| Fault::new(Exit::Host, error))?;
    }
}

fn words(task: &StoppedTask) -> String {
    match &task.outcome {
        Some(outcome) => outcome.to_string(),
        None => "has not ended yet".to_owned(),
    }
}

/// How each ended.
pub(super) fn lines(stops: &Stops) -> Vec<String> {
    if stops.tasks.is_empty() {
        return Vec::new();
    }
    let mut rows = Rows::new(&["ID", "TASK", "END"], &[2]);
    for task in &stops.tasks {
        rows.add(&[which::short(task.id), format!("{}/{}", task.task.plugin, task.task.task_type), words(task)]);
    }
    rows.lines()
}

/// How they ended, in a line.
pub(super) fn summary(stops: &Stops) -> String {
    let all = stops.tasks.len() + stops.more;
    let forced = stops.tasks.iter().filter(|task| task.forced).count();
    let left = stops.tasks.iter().filter(|task| task.outcome.is_none()).count();
    let asked = match all {
        0 => return "there was nothing to stop".to_owned(),
        1 => "1 task was".to_owned(),
        _ => format!("{all} tasks were"),
    };
    let forced = if forced > 0 { format!("; {forced} had to be stopped where they were") } else { String::new() };
    let left = if left > 0 { format!("; {left} had not ended yet") } else { String::new() };
    format!("{asked} asked to stop{forced}{left}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn r34_how_they_ended_is_told() {
        let task = json!({"plugin": "p", "task_type": "t", "key": "k"});
        let cancelled = json!({"outcome": "cancelled", "by": "person", "reason": "", "forced": true, "message": ""});
        let stops: Stops = serde_json::from_value(json!({
            "tasks": [
                {"id": "0f".repeat(16), "task": task, "outcome": cancelled, "forced": true},
                {"id": "ab".repeat(16), "task": task, "forced": false},
            ],
            "more": 1,
        }))
        .unwrap();
        assert_eq!(lines(&stops).len(), 3);
        assert_eq!(
            summary(&stops),
            "3 tasks were asked to stop; 1 had to be stopped where they were; 1 had not ended yet"
        );
        assert_eq!(summary(&Stops::default()), "there was nothing to stop");
    }
}
