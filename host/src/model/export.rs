//! Everything that happened to a task, written out: as lines of JSON for programs, and as a page for people.

pub(crate) mod markdown;
mod words;

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::markdown::{block, code, json};
use super::cron::utc;
use super::event::{Event, EventBody, EventSeq};
use super::ids::{TaskId, TaskRef};
use super::outcome::Outcome;
use super::snapshot::Snapshot;
use super::text::{bytes, duration, fuel};
use super::time::Timestamp;

/// The version of the JSON lines.
const VERSION: u32 = 1;

/// How a task's activity is written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportFormat {
    /// JSON, a value on each line. First `{"export": 1, "id", "task", "snapshot"}`, then each event as `{"id", "lane", "seq",
    /// "at", "body"}`, where the lane is `log`, or `after` for what came after the end; last `{"id", "complete": true,
    /// "events", "after"}` with how many of both there were. Texts are as they were said: escape them before showing them.
    JsonLines,
    /// Markdown that is also read well as it is: what was asked, how it ended, what happened when. Texts of the task and of
    /// others are code in it, escaped; very long ones are cut.
    Page,
}

/// Which stream an event is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Lane {
    Log,
    After,
}

#[derive(Serialize)]
struct Header<'a> {
    export: u32,
    id: TaskId,
    task: &'a TaskRef,
    snapshot: &'a Snapshot,
}

#[derive(Serialize)]
struct Line<'a> {
    id: TaskId,
    lane: Lane,
    seq: EventSeq,
    at: Timestamp,
    body: &'a EventBody,
}

#[derive(Serialize)]
struct End {
    id: TaskId,
    complete: bool,
    events: u64,
    after: u64,
}

#[derive(Serialize)]
struct Forgotten {
    id: TaskId,
    forgotten: bool,
}

fn line(value: &impl Serialize) -> String {
    // Values of ours with texts as keys can always be written.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

/// What comes before the events.
pub(crate) fn head(format: ExportFormat, snapshot: &Snapshot) -> String {
    match format {
        ExportFormat::JsonLines => line(&Header { export: VERSION, id: snapshot.id, task: &snapshot.task, snapshot }),
        ExportFormat::Page => page_head(snapshot),
    }
}

/// What comes before the first event of a lane.
pub(crate) fn lane_head(format: ExportFormat, lane: Lane) -> &'static str {
    match (format, lane) {
        // The log begins with what was asked.
        (ExportFormat::JsonLines, _) | (ExportFormat::Page, Lane::Log) => "",
        (ExportFormat::Page, Lane::After) => "\n## After its end\n\n",
    }
}

/// One event. `created`: when the task was.
pub(crate) fn event(format: ExportFormat, id: TaskId, lane: Lane, created: Timestamp, event: &Event) -> String {
    match format {
        ExportFormat::JsonLines => line(&Line { id, lane, seq: event.seq, at: event.at, body: &event.body }),
        ExportFormat::Page => {
            let said = format!("- {}: {}\n", after(created, event.at), words::words(&event.body));
            asked(&event.body).unwrap_or_default() + &said
        }
    }
}

/// What comes before the first event of all.
#[expect(clippy::wildcard_enum_match_arm, reason = "one event of all begins a log")]
fn asked(event: &EventBody) -> Option<String> {
    match event {
        EventBody::Created { input, .. } => {
            Some(format!("## What it was asked\n\n{}\n## What happened\n\n", json(input)))
        }
        _ => None,
    }
}

/// What comes after the events, of which there were so many in each lane.
pub(crate) fn foot(format: ExportFormat, id: TaskId, events: u64, after: u64) -> String {
    match format {
        ExportFormat::JsonLines => line(&End { id, complete: true, events, after }),
        ExportFormat::Page => "\n".to_owned(),
    }
}

/// In place of a task that nothing is known of any more.
pub(crate) fn forgotten(format: ExportFormat, id: TaskId) -> String {
    match format {
        ExportFormat::JsonLines => line(&Forgotten { id, forgotten: true }),
        ExportFormat::Page => format!("# Task {id}\n\nThe host has forgotten it.\n\n"),
    }
}

fn after(created: Timestamp, at: Timestamp) -> String {
    match at.0.saturating_sub(created.0) {
        0 => "at once".to_owned(),
        millis => format!("after {}", duration(Duration::from_millis(millis))),
    }
}

fn date(at: Timestamp) -> String {
    utc(at).unwrap_or_else(|| "at some time".to_owned())
}

fn page_head(snapshot: &Snapshot) -> String {
    let (task, details) = (&snapshot.task, &snapshot.details);
    let mut page = String::new();
    let title = details.title.clone().unwrap_or_else(|| format!("{} {}", task.plugin, task.task_type));
    let mut fact = |name: &str, what: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "- {name}: {what}");
    };
    fact("Task", &format!("{} of {}, key {}", code(&task.task_type), code(&task.plugin), code(task.key.as_str())));
    fact("Id", &snapshot.id.to_string());
    match &snapshot.outcome {
        Some(outcome) => fact("Outcome", &words::outcome(outcome)),
        None => fact("Outcome", "none yet"),
    }
    let created = snapshot.created_at.unwrap_or_default();
    fact("Created", &date(created));
    for (name, at) in [("Began", snapshot.started_at), ("Ended", snapshot.ended_at)] {
        if let Some(at) = at {
            fact(name, &format!("{} ({})", date(at), after(created, at)));
        }
    }
    let usage = &snapshot.usage;
    fact(
        "Used",
        &format!(
            "{} of {} units of fuel, {} of memory at most, {} calls, {}",
            fuel(usage.fuel),
            fuel(snapshot.fuel_budget),
            bytes(usage.memory_peak_bytes),
            usage.host_calls,
            duration(usage.wall)
        ),
    );
    if usage.tokens > 0 || usage.actions > 0 {
        fact("Spent elsewhere", &format!("{} tokens, {} actions", usage.tokens, usage.actions));
    }
    let texts = [("Session", &details.session), ("User", &details.user)];
    for (name, text) in texts {
        if let Some(text) = text {
            fact(name, &code(text));
        }
    }
    if let Some(parent) = details.parent {
        fact("Started by", &format!("task {parent}"));
    }
    for (name, value) in &details.labels {
        fact("Label", &format!("{} = {}", code(name), code(value)));
    }
    for child in &snapshot.children {
        fact("Started", &format!("{} as {}", code(&child.task.to_string()), child.id));
    }
    for artifact in &snapshot.artifacts {
        let (name, kind) = (code(&artifact.name), code(&artifact.media_type));
        fact("File", &format!("{name} ({kind}, {}, sha256 {})", bytes(artifact.size), code(&artifact.sha256)));
    }
    let mut page = format!("# {}\n\n{page}\n", code(&title));
    if let Some(result) = snapshot.outcome.as_ref().and_then(result) {
        let _ = writeln!(page, "## What came of it\n\n{result}");
    }
    page
}

/// What an outcome has beside its sentence.
fn result(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Succeeded { data, .. } | Outcome::Cancelled { data, .. } => data.as_ref().map(json),
        Outcome::Failed(failure) => {
            let trace = Some(failure.backtrace.join("\n")).filter(|trace| !trace.is_empty());
            let trace = trace.map(|trace| block("", &trace));
            let parts: Vec<_> = failure.error.as_ref().map(json).into_iter().chain(trace).collect();
            Some(parts.join("\n")).filter(|text| !text.is_empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::approval::{ApprovalDecision, ApprovalNumber};
    use super::super::ids::TaskKey;
    use super::super::signal::Party;
    use super::super::snapshot::Artifact;
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        let task = TaskRef { plugin: "p".to_owned(), task_type: "t".to_owned(), key: TaskKey::new("k").unwrap() };
        let mut snapshot = Snapshot::of_nothing(TaskId::from_random(1), task);
        snapshot.details.title = Some(text.to_owned());
        snapshot.created_at = Some(Timestamp(1_000_000_000_000));
        snapshot.outcome = Some(Outcome::Succeeded { message: text.to_owned(), data: Some(text.into()) });
        let (name, media_type) = (text.to_owned(), text.to_owned());
        snapshot.artifacts = vec![Artifact { number: 1, name, media_type, sha256: "00".repeat(32), size: 3 }];
        snapshot
    }

    #[test]
    fn r4b_the_page_reads_well_as_it_is() {
        let page = head(ExportFormat::Page, &snapshot("Build the app"));
        assert!(page.starts_with("# `Build the app`\n\n- Task: `t` of `p`, key `k`\n- Id: "), "{page}");
        assert!(page.contains("\n- Created: 2001-09-09 01:46:40 UTC\n"), "{page}");
        assert!(page.ends_with("\n\n## What came of it\n\n```json\n\"Build the app\"\n```\n\n"), "{page}");
        let decided = EventBody::ApprovalDecided {
            number: ApprovalNumber(1),
            decision: ApprovalDecision::Denied { by: Party::Person, reason: "too dear".to_owned() },
        };
        let decided = Event::new(EventSeq(3), Timestamp(1_000_000_001_500), decided);
        let id = TaskId::from_random(1);
        let said = event(ExportFormat::Page, id, Lane::Log, Timestamp(1_000_000_000_000), &decided);
        assert_eq!(said, "- after 1.5 s: approval 1: denied by a person: `too dear`\n");
        let line = event(ExportFormat::JsonLines, id, Lane::After, Timestamp(0), &decided);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["lane"], &line["seq"]), (&"after".into(), &3.into()));
        assert_eq!(line["body"]["event"], "approval-decided");
    }

    proptest! {
        /// Whatever a task says, the page has the headings and lines that it has for a plain word.
        #[test]
        fn r4b_what_a_task_says_changes_nothing_about_the_page(text in "[#`\n\r|<>\\[\\]a -]{1,40}") {
            let shape = |text: &str| -> Vec<String> {
                let page = head(ExportFormat::Page, &snapshot(text));
                let mut shape = Vec::new();
                let mut fence = None;
                for line in page.lines() {
                    match fence {
                        Some(open) if line == open => fence = None,
                        Some(_) => {}
                        None if line.starts_with("```") => fence = Some(line.trim_end_matches("json")),
                        None => shape.push(line.chars().take_while(|c| *c != '`').collect()),
                    }
                }
                assert!(fence.is_none());
                shape
            };
            prop_assert_eq!(shape(&text), shape("word"));
        }
    }
}
