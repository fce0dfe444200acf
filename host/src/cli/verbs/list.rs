//! `taskcell list`.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use serde_json::json;

use crate::cli::client::Client;
use crate::cli::details;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::run::Standing;
use crate::cli::{output, text};
use crate::serve::wire::ListQuery;
use crate::{Phase, TaskCursor, TaskFilter, TaskId, TaskSummary};

use super::at::At;
use super::table::Rows;
use super::times::Now;
use super::{completing, standing, which};

/// Tasks of a list when nobody says how many.
const LIMIT: usize = 50;
/// Tasks that are asked for at once when all are wanted.
const PAGE: usize = 1000;
/// Bytes of a task's words.
const WORDS_BYTES_MAX: usize = 200;

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArguments {
    #[command(flatten)]
    filter: FilterArguments,
    /// Only those that are somewhere of this in their life; may be given several times
    #[arg(long, value_enum, value_name = "STATE", conflicts_with_all = ["running", "ended"])]
    state: Vec<State>,
    /// Only those that have not ended
    #[arg(long, conflicts_with = "ended")]
    running: bool,
    /// Only those that have ended
    #[arg(long)]
    ended: bool,
    /// Only the children of this task
    #[arg(long, value_name = "ID", add = clap_complete::ArgValueCompleter::new(completing::tasks))]
    parent: Option<String>,
    /// All of them, and not the first page only
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    all: bool,
    /// How many at most, up to 1000 [default: 50]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// Where to go on, as the page before says
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<TaskCursor>,
    #[command(flatten)]
    at: At,
}

/// Which tasks are meant, by what they have in common.
#[derive(Debug, Default, Args)]
pub(super) struct FilterArguments {
    /// Only those of this plugin
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(completing::plugins))]
    plugin: Option<String>,
    /// Only those of this type
    #[arg(long = "type", value_name = "TASK", add = ArgValueCandidates::new(completing::task_types))]
    task_type: Option<String>,
    /// Only those of this session
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Only those with this label; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = details::label)]
    label: Vec<(String, String)>,
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// Somebody has to approve of its start
    Held,
    /// It waits for its moment
    Delayed,
    /// It waits for its turn
    Queued,
    /// It runs, or waits for something while it does
    Running,
    /// It has its outcome
    Ended,
}

impl FilterArguments {
    /// As the server takes it.
    pub(super) fn filter(&self) -> Result<TaskFilter, Fault> {
        let mut filter = TaskFilter::default();
        filter.plugin.clone_from(&self.plugin);
        filter.task_type.clone_from(&self.task_type);
        filter.session.clone_from(&self.session);
        for (name, value) in &self.label {
            if filter.labels.insert(name.clone(), value.clone()).is_some_and(|other| other != *value) {
                return Err(Fault::usage(format!("the label `{name}` is given twice, with two values")));
            }
        }
        Ok(filter)
    }

    /// Whether nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        self.plugin.is_none() && self.task_type.is_none() && self.session.is_none() && self.label.is_empty()
    }
}

/// Lists tasks.
pub(super) async fn list(arguments: &ListArguments) -> Result<Exit, Fault> {
    let mut filter = arguments.filter.filter()?;
    if arguments.running {
        filter = filter.live();
    } else if arguments.ended {
        filter = filter.ended();
    } else {
        filter.phases = arguments.state.iter().map(|state| phase(*state)).collect();
    }
    let client = arguments.at.connect().await?;
    if let Some(parent) = &arguments.parent {
        filter.parent = Some(which::one(&client, parent, false).await?);
    }
    let limit = if arguments.all { PAGE } else { arguments.limit.map_or(LIMIT, usize::from) };
    let mut query = ListQuery { filter, limit: Some(limit), cursor: arguments.cursor, full: false };
    let mut page = client.list(&query).await?;
    while let Some(next) = page.next.filter(|_| arguments.all) {
        query.cursor = Some(next);
        let more = client.list(&query).await?;
        page.tasks.extend(more.tasks);
        page.next = more.next;
    }
    let standing =
        if arguments.at.json { Standings::new() } else { standings(&client, &query.filter, &page.tasks).await? };
    let document = json!({ "tasks": page.tasks, "next": page.next });
    let exit = arguments.at.answer(&document, || lines(&page.tasks, &standing, &Now::new()))?;
    if !arguments.at.json {
        if page.tasks.is_empty() {
            output::talk("there is no such task");
        }
        if let Some(next) = page.next {
            output::talk(&format!("there are more: add --cursor {next}, or --all"));
        }
    }
    Ok(exit)
}

/// What the running tasks of a list wait for, which a line about them does not say.
type Standings = BTreeMap<TaskId, String>;

async fn standings(client: &Client, filter: &TaskFilter, tasks: &[TaskSummary]) -> Result<Standings, Fault> {
    let running = tasks.iter().filter(|task| task.phase == Phase::Running).count();
    if running == 0 || running > PAGE {
        return Ok(Standings::new());
    }
    // Running ones have no outcome yet, so what is known of them is not much.
    let filter = TaskFilter { phases: vec![Phase::Running], ..filter.clone() };
    let all = client.list_full(&ListQuery { filter, limit: Some(PAGE), ..ListQuery::default() }).await?;
    Ok(all.tasks.iter().map(|state| (state.id, Standing::of(state).0.words())).collect())
}

fn phase(state: State) -> Phase {
    match state {
        State::Held => Phase::Held,
        State::Delayed => Phase::Delayed,
        State::Queued => Phase::Queued,
        State::Running => Phase::Running,
        State::Ended => Phase::Ended,
    }
}

fn rows(tasks: &[TaskSummary], standings: &Standings, now: &Now) -> Rows {
    let mut rows = Rows::new(&["ID", "TASK", "NAME", "STATE", "SINCE", "PROGRESS"], &[2, 5]);
    for task in tasks {
        let moment = task.ended_at.or(task.created_at);
        rows.add(&[
            which::short(task.id),
            format!("{}/{}", task.task.plugin, task.task.task_type),
            name(task),
            standings.get(&task.id).filter(|_| task.end.is_none()).cloned().unwrap_or_else(|| standing::of(task)),
            moment.map(|at| now.told(at)).unwrap_or_default(),
            progress(task),
        ]);
    }
    rows
}

fn lines(tasks: &[TaskSummary], standings: &Standings, now: &Now) -> Vec<String> {
    if tasks.is_empty() { Vec::new() } else { rows(tasks, standings, now).lines() }
}

/// What people call it: its title, else the key that somebody chose.
fn name(task: &TaskSummary) -> String {
    let chosen = || Some(task.task.key.to_string()).filter(|key| *key != task.id.to_string());
    text::clip(&task.title.clone().or_else(chosen).unwrap_or_default(), WORDS_BYTES_MAX)
}

fn progress(task: &TaskSummary) -> String {
    let progress = task.progress.as_ref().filter(|_| task.end.is_none());
    progress.map(|progress| standing::progress(progress, WORDS_BYTES_MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::times::tests::{NOW_MS, now};
    use super::*;

    fn task(number: u32, more: Value) -> TaskSummary {
        let id = format!("{number:032x}");
        let id = format!("abcd{}", &id[4..]);
        let mut document = json!({
            "id": id, "task": {"plugin": "digest", "task_type": "digest", "key": id}, "phase": "running",
            "created_at": NOW_MS - 90_000, "ended_at": null,
        });
        if let (Value::Object(all), Value::Object(more)) = (&mut document, more) {
            all.extend(more);
        }
        serde_json::from_value(document).unwrap()
    }

    fn standings() -> Standings {
        let all = tasks();
        Standings::from([(all[5].id, "waits for a signal".to_owned()), (all[4].id, "running".to_owned())])
    }

    fn tasks() -> Vec<TaskSummary> {
        let ended = json!({"phase": "ended", "ended_at": NOW_MS - 3_600_000, "title": "the nightly digest\u{1b}[2J"});
        let mut failed = ended.clone();
        failed["end"] = json!({"outcome": "failed", "kind": "timeout"});
        let mut done = ended;
        done["end"] = json!({"outcome": "succeeded"});
        let key = json!({"plugin": "digest", "task_type": "digest", "key": "nightly"});
        vec![
            task(1, json!({"progress": {"message": "reading docs/a.md", "percent": 45, "eta_ms": 12_000}})),
            task(2, json!({"open_approvals": 1, "task": key})),
            task(3, json!({"phase": "held"})),
            task(4, failed),
            task(5, done),
            task(6, json!({})),
        ]
    }

    #[test]
    fn r41_a_list_says_what_each_task_is_and_how_it_stands() {
        assert_eq!(
            rows(&tasks(), &standings(), &now()).lines_within(None),
            [
                "ID        TASK           NAME                         STATE                    SINCE   PROGRESS",
                "abcd0000  digest/digest                               running                  1m ago  45% · 12s left · reading docs/a.md",
                "abcd0000  digest/digest  nightly                      asks for approval        1m ago",
                "abcd0000  digest/digest                               held: asks for approval  1m ago",
                r"abcd0000  digest/digest  the nightly digest\u{1b}[2J  ✗ failed (timeout)       1h ago",
                r"abcd0000  digest/digest  the nightly digest\u{1b}[2J  ✓ succeeded              1h ago",
                "abcd0000  digest/digest                               waits for a signal       1m ago",
            ]
        );
    }

    #[test]
    fn t35_a_list_fits_into_a_narrow_terminal() {
        use unicode_width::UnicodeWidthStr as _;
        for columns in [80, 120] {
            let lines = rows(&tasks(), &standings(), &now()).lines_within(Some(columns));
            assert!(lines.iter().all(|line| line.width() <= usize::from(columns)), "{columns}: {lines:#?}");
            assert_eq!(lines.len(), 7, "{lines:#?}");
        }
    }
}
