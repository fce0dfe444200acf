//! `taskcell schedule`: tasks that are started at their times.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::{output, text};
use crate::serve::wire::{NewSchedule, schedule_id};
use crate::{Overlap, Schedule, ScheduleId, StartRequest, When};

use super::at::At;
use super::start::TaskArguments;
use super::table::Rows;
use super::times::Now;
use super::{completing, which};

/// Digits of an id at least.
const DIGITS_MIN: usize = 4;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ScheduleVerb {
    /// Adds a schedule, which starts a task at its times, and prints its id
    #[command(after_help = super::help::SCHEDULE_ADD)]
    Add(Box<AddArguments>),
    /// Lists all schedules
    List(ListArguments),
    /// Shows all about a schedule
    Show(NamedArguments),
    /// Lets a schedule fire no more for now
    Pause(NamedArguments),
    /// Lets a paused schedule fire again
    Resume(NamedArguments),
    /// Starts a schedule's task now, and prints the task's id
    Fire(NamedArguments),
    /// Removes a schedule; tasks that it started go on
    Remove(NamedArguments),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AddArguments {
    /// What people call it; no two have the same name
    #[arg(value_name = "NAME")]
    name: String,
    /// The moments at which it fires, as cron writes them: '30 2 * * *', @daily; else --at or --after says the only one
    #[arg(long, value_name = "CRON", conflicts_with_all = ["at", "after"])]
    every: Option<String>,
    /// The time zone of these moments, as the IANA database names it [default: yours]
    #[arg(long, value_name = "ZONE", requires = "every")]
    zone: Option<String>,
    /// Starts another task beside one that still runs; without it, the moment is left out
    #[arg(long)]
    allow_overlap: bool,
    /// A schedule of the same name and content stands for this one
    #[arg(long)]
    keep_same: bool,
    #[command(flatten)]
    task: TaskArguments,
    #[command(flatten)]
    server: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArguments {
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NamedArguments {
    /// The schedule: its name, its id, or the beginning of that
    #[arg(value_name = "SCHEDULE", add = ArgValueCandidates::new(completing::schedules))]
    schedule: String,
    #[command(flatten)]
    at: At,
}

/// Does what is said about schedules.
pub(super) async fn run(verb: ScheduleVerb) -> Result<Exit, Fault> {
    match verb {
        ScheduleVerb::Add(arguments) => add(*arguments).await,
        ScheduleVerb::List(arguments) => list(&arguments).await,
        ScheduleVerb::Show(arguments) => {
            let (_, schedule) = find(&arguments).await?;
            arguments.at.answer(&schedule, || page(&schedule, &Now::new()))
        }
        ScheduleVerb::Pause(arguments) => {
            let (client, schedule) = find(&arguments).await?;
            let schedule = client.pause_schedule(schedule.id).await?;
            arguments.at.confirm(&schedule, &format!("paused {}", schedule.name))
        }
        ScheduleVerb::Resume(arguments) => {
            let (client, schedule) = find(&arguments).await?;
            let schedule = client.resume_schedule(schedule.id).await?;
            let next = next(&schedule, &Now::new());
            arguments.at.confirm(&schedule, &format!("{} goes on; next: {next}", schedule.name))
        }
        ScheduleVerb::Fire(arguments) => {
            let (client, schedule) = find(&arguments).await?;
            let task = client.fire_schedule(schedule.id).await?;
            arguments.at.answer(&task, || vec![task.id.to_string()])
        }
        ScheduleVerb::Remove(arguments) => {
            let (client, schedule) = find(&arguments).await?;
            client.remove_schedule(schedule.id).await?;
            arguments.at.confirm(&serde_json::json!({ "removed": schedule.id }), &format!("removed {}", schedule.name))
        }
    }
}

async fn add(arguments: AddArguments) -> Result<Exit, Fault> {
    let client = arguments.server.connect().await?;
    let mut task = arguments.task.request(&client).await?;
    let when = when(&arguments, &mut task, &Now::new())?;
    let overlap = if arguments.allow_overlap { Overlap::Allow } else { Overlap::Skip };
    let new = NewSchedule { name: arguments.name.clone(), when, task, overlap, keep_same: arguments.keep_same };
    let added = client.add_schedule(&new).await.map_err(|error| arguments.task.refused(error))?;
    arguments.server.answer(&added, || vec![added.id.to_string()])?;
    if !arguments.server.json {
        output::talk(&format!("added {}; next: {}", added.name, next(&added, &Now::new())));
    }
    Ok(Exit::Succeeded)
}

/// When it fires. The moments that are the task's flags are the schedule's here.
fn when(arguments: &AddArguments, task: &mut StartRequest, now: &Now) -> Result<When, Fault> {
    let (at, after) = (task.details.run_at.take(), task.run_after.take());
    match (&arguments.every, at, after) {
        (Some(cron), _, _) => {
            let zone = arguments.zone.clone().unwrap_or_else(|| now.zone());
            Ok(When::Every { cron: cron.clone(), zone })
        }
        (None, Some(at), _) => Ok(When::At { at }),
        (None, None, Some(after)) => Ok(When::After { after }),
        (None, None, None) => Err(Fault::usage("a schedule needs a time: --every, --at or --after")
            .hint("for example --every '30 2 * * *', --at 18:30 or --after 10m")),
    }
}

async fn list(arguments: &ListArguments) -> Result<Exit, Fault> {
    let list = arguments.at.connect().await?.schedules().await?;
    let table = || if list.schedules.is_empty() { Vec::new() } else { rows(&list.schedules, &Now::new()).lines() };
    let exit = arguments.at.answer(&list, table)?;
    if list.schedules.is_empty() && !arguments.at.json {
        output::talk("there are no schedules: `taskcell schedule add --help` says how one is added");
    }
    Ok(exit)
}

async fn find(arguments: &NamedArguments) -> Result<(Client, Schedule), Fault> {
    let client = arguments.at.connect().await?;
    let mut schedules = client.schedules().await?.schedules;
    let id = meant(&arguments.schedule, &schedules)?;
    let schedule = match schedules.iter().position(|schedule| schedule.id == id) {
        Some(place) => schedules.swap_remove(place),
        None => client.schedule(id).await?,
    };
    Ok((client, schedule))
}

/// Which schedule a name means. A name goes before an id: whoever gave it knew.
fn meant(name: &str, schedules: &[Schedule]) -> Result<ScheduleId, Fault> {
    if let Some(named) = schedules.iter().find(|schedule| schedule.name == name) {
        return Ok(named.id);
    }
    let digits = name.to_ascii_lowercase();
    if let Some(id) = schedule_id(&digits) {
        return Ok(id);
    }
    let is_beginning = digits.len() >= DIGITS_MIN && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let of_id = |schedule: &&Schedule| is_beginning && schedule.id.to_string().starts_with(&digits);
    let found: Vec<&Schedule> = schedules.iter().filter(of_id).collect();
    match found.as_slice() {
        [only] => Ok(only.id),
        [] => {
            let known = text::suggestion(name, schedules.iter().map(|schedule| schedule.name.as_str()));
            let hint = match known {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "`taskcell schedule list` shows what there is".to_owned(),
            };
            Err(Fault::new(Exit::Refused, anyhow::Error::msg(format!("there is no schedule `{name}`"))).hint(hint))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|schedule| schedule.name.as_str()).collect();
            Err(Fault::usage(format!("several schedules have an id that begins so: {}", names.join(", ")))
                .hint("say the name"))
        }
    }
}

fn rows(schedules: &[Schedule], now: &Now) -> Rows {
    let mut rows = Rows::new(&["ID", "NAME", "TASK", "WHEN", "NEXT", "FIRED", "LAST"], &[1, 3, 6]);
    for schedule in schedules {
        let id = schedule.id.to_string();
        rows.add(&[
            id.get(..which::DIGITS).unwrap_or(&id).to_owned(),
            schedule.name.clone(),
            format!("{}/{}", schedule.task.plugin, schedule.task.task_type),
            moments(&schedule.when, now),
            next(schedule, now),
            schedule.fired.to_string(),
            last(schedule, now),
        ]);
    }
    rows
}

fn moments(when: &When, now: &Now) -> String {
    match when {
        When::At { at } => format!("at {}", now.clock(*at)),
        When::After { after } => format!("after {}", text::duration_flag(*after)),
        When::Every { cron, zone } => format!("{cron} ({zone})"),
    }
}

fn next(schedule: &Schedule, now: &Now) -> String {
    match (&schedule.paused, schedule.next) {
        (Some(by), _) => format!("paused by {by}"),
        (None, Some(at)) => now.told(at),
        (None, None) => "never".to_owned(),
    }
}

fn last(schedule: &Schedule, now: &Now) -> String {
    let Some(last) = &schedule.last else { return String::new() };
    let at = now.told(last.firing.at);
    match &last.failure {
        Some(failure) => format!("{at}: ✗ {failure}"),
        None => format!("{at}: {}", which::short(last.firing.task)),
    }
}

fn page(schedule: &Schedule, now: &Now) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", schedule.id, schedule.name)];
    let overlap = match schedule.overlap {
        Overlap::Skip => "a moment at which the last task still lives is left out",
        Overlap::Allow => "a task is started beside one that still lives",
    };
    let input = serde_json::to_string(&schedule.task.input).unwrap_or_default();
    for (name, value) in [
        ("task", format!("{}/{}", schedule.task.plugin, schedule.task.task_type)),
        ("input", text::clip(&input, 500)),
        ("when", moments(&schedule.when, now)),
        ("next", next(schedule, now)),
        ("fired", schedule.fired.to_string()),
        ("last", last(schedule, now)),
        ("overlap", overlap.to_owned()),
        ("added", now.told(schedule.created)),
    ] {
        if !value.is_empty() {
            lines.push(format!("  {name:<8} {value}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::times::tests::{NOW_MS, now};
    use super::*;

    fn schedule(id: &str, name: &str) -> Schedule {
        serde_json::from_value(json!({
            "id": format!("{id:0<32}"), "name": name, "overlap": "skip", "created": NOW_MS, "counted": NOW_MS,
            "when": {"when": "every", "cron": "30 2 * * *", "zone": "Europe/Berlin"},
            "task": {"plugin": "digest", "task_type": "digest"}, "next": NOW_MS + 7_300_000, "fired": 1,
            "last": {"firing": {"number": 1, "task": "0f".repeat(16), "at": NOW_MS - 60_000}},
        }))
        .unwrap()
    }

    #[test]
    fn r19_schedules_are_listed_with_what_they_did_and_will_do() {
        let mut paused = schedule("ef", "other");
        paused.paused = Some(crate::Party::Person);
        assert_eq!(
            rows(&[schedule("abcd", "nightly"), paused], &now()).lines_within(None),
            [
                "ID        NAME     TASK           WHEN                        NEXT                FIRED  LAST",
                "abcd0000  nightly  digest/digest  30 2 * * * (Europe/Berlin)  in 2h               1      1m ago: 0f0f0f0f",
                "ef000000  other    digest/digest  30 2 * * * (Europe/Berlin)  paused by a person  1      1m ago: 0f0f0f0f",
            ]
        );
        assert_eq!(page(&schedule("ab", "nightly"), &now()).len(), 9);
    }

    #[test]
    fn a_schedule_is_named_by_its_name_or_its_id() {
        let all = [schedule("abcd", "nightly"), schedule("abce", "weekly"), schedule("1234", "abcd")];
        let named = |name: &str| meant(name, &all).map(|id| id.to_string()).map_err(|fault| fault.lines().join("\n"));
        assert_eq!(named("nightly"), Ok(all[0].id.to_string()));
        assert_eq!(named("abcd"), Ok(all[2].id.to_string()), "the name goes first");
        assert_eq!(named("ABCE"), Ok(all[1].id.to_string()));
        assert!(named("abc").unwrap_err().contains("there is no schedule"));
        assert!(named("nigtly").unwrap_err().contains("did you mean `nightly`?"));
        assert_eq!(named(&"f".repeat(32)), Ok("f".repeat(32)), "the server knows");
    }
}
