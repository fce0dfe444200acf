//! `taskcell events`: what happened, and what happens.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::output;
use crate::serve::wire::{EventQuery, Followed, Lane};
use crate::{Event, EventSeq, TaskId};

use super::at::At;
use super::list::FilterArguments;
use super::times::Now;
use super::{completing, which};

/// Events that are asked for at once.
const PAGE: usize = 500;

#[derive(Debug, Args)]
pub(in crate::cli) struct EventsArguments {
    /// The task: its id, or the beginning of it; without one, all tasks are followed
    #[arg(value_name = "ID", add = ArgValueCompleter::new(completing::tasks))]
    id: Option<String>,
    /// ID is a PLUGIN/TYPE/KEY
    #[arg(long, requires = "id")]
    key: bool,
    /// Goes on until the task has ended; all tasks are always followed, from now on
    #[arg(long)]
    follow: bool,
    /// Only what came after the event of this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "id")]
    after: u64,
    #[command(flatten)]
    filter: FilterArguments,
    #[command(flatten)]
    at: At,
}

/// Shows events.
pub(super) async fn events(arguments: &EventsArguments) -> Result<Exit, Fault> {
    let Some(name) = &arguments.id else { return all(arguments).await };
    if !arguments.filter.is_empty() {
        return Err(Fault::usage("--plugin, --type, --session and --label are for the events of all tasks")
            .hint("leave out the id, or the flags"));
    }
    let client = arguments.at.connect().await?;
    let id = which::one(&client, name, arguments.key).await?;
    if arguments.follow { follow(&client, id, arguments).await } else { read(&client, id, arguments).await }
}

async fn read(client: &Client, id: TaskId, arguments: &EventsArguments) -> Result<Exit, Fault> {
    let mut query = EventQuery { after: EventSeq(arguments.after), limit: Some(PAGE) };
    loop {
        let page = client.events(id, query).await?;
        for event in &page.events {
            if !write(event, arguments.at.json)? {
                return Ok(Exit::Succeeded);
            }
        }
        if page.events.is_empty() || page.ended {
            break;
        }
        query.after = page.next;
    }
    Ok(Exit::Succeeded)
}

async fn follow(client: &Client, id: TaskId, arguments: &EventsArguments) -> Result<Exit, Fault> {
    let mut events = client.follow(id, EventSeq(arguments.after));
    while let Some(event) = events.next().await? {
        if !write(&event, arguments.at.json)? {
            break;
        }
    }
    Ok(Exit::Succeeded)
}

fn write(event: &Event, json: bool) -> Result<bool, Fault> {
    let written = if json { output::json_line(event) } else { output::line(&line(event, &Now::new())) };
    written.map_err(Fault::stdout)
}

fn line(event: &Event, now: &Now) -> String {
    format!("{}  {:>4}  {}", now.clock(event.at), event.seq.0, event.display_message())
}

async fn all(arguments: &EventsArguments) -> Result<Exit, Fault> {
    let filter = arguments.filter.filter()?;
    let client = arguments.at.connect().await?;
    let mut events = client.follow_all(filter);
    loop {
        let followed = events.next().await?;
        let written = if arguments.at.json {
            output::json_line(&followed)
        } else {
            output::line(&followed_line(&followed, &Now::new()))
        };
        if !written.map_err(Fault::stdout)? {
            return Ok(Exit::Succeeded);
        }
    }
}

fn followed_line(followed: &Followed, now: &Now) -> String {
    let Followed { id, task, event, lane, .. } = followed;
    let after = match lane {
        Lane::Task => "",
        Lane::After => " (after its end)",
    };
    let (at, id) = (now.clock(event.at), which::short(*id));
    format!("{at}  {id}  {}/{}  {}{after}", task.plugin, task.task_type, event.display_message())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::times::tests::{NOW_MS, now};
    use super::*;

    #[test]
    fn r42_an_event_is_a_line_with_its_time_and_number() {
        let event = json!({"seq": 3, "at": NOW_MS, "body": {"event": "started", "attempt": 1}});
        let read: Event = serde_json::from_value(event.clone()).unwrap();
        assert_eq!(line(&read, &now()), "18:00:00     3  it begins");
        let followed = json!({
            "position": "e1", "id": "0f".repeat(16), "task": {"plugin": "p", "task_type": "t", "key": "k"},
            "phase": "running", "lane": "task", "event": event,
        });
        let mut followed: Followed = serde_json::from_value(followed).unwrap();
        assert_eq!(followed_line(&followed, &now()), "18:00:00  0f0f0f0f  p/t  it begins");
        followed.lane = Lane::After;
        assert!(followed_line(&followed, &now()).ends_with("(after its end)"));
    }
}
