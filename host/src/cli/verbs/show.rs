//! `taskcell show`: a page about one task.

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::run::Standing;
use crate::cli::{plans, text};
use crate::{ChildOutcome, OutputQuery, OutputText, Snapshot, StepStatus, escape};

use super::approve;
use super::at::At;
use super::output::labelled_lines;
use super::standing;
use super::times::Now;
use super::which::{self, One};

/// Lines of output at the end of the page.
const OUTPUT_LINES: usize = 10;
/// Children and steps that are listed. All of them are in `--json`.
const LISTED_MAX: usize = 50;
/// Bytes of a text of the task's.
const WORDS_BYTES_MAX: usize = 500;

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArguments {
    #[command(flatten)]
    task: One,
    #[command(flatten)]
    at: At,
}

/// Shows a task.
pub(super) async fn show(arguments: &ShowArguments) -> Result<Exit, Fault> {
    let client = arguments.at.connect().await?;
    let id = arguments.task.find(&client).await?;
    let state = client.task(id).await?;
    if arguments.at.json {
        return arguments.at.answer(&state, Vec::new);
    }
    let mut query = OutputQuery::tail(OUTPUT_LINES);
    query.log = true;
    let output = client.output(id, &query).await?;
    arguments.at.answer(&state, || page(&state, &output, &Now::new()))
}

/// The page. Its lines are escaped where they are written.
fn page(state: &Snapshot, output: &OutputText, now: &Now) -> Vec<String> {
    let mut lines = vec![headline(state)];
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {name:<10} {value}"));
        }
    };
    field("state", standing(state));
    let progress = state.progress.as_ref().map(|progress| standing::progress(progress, WORDS_BYTES_MAX));
    field("progress", progress.unwrap_or_default());
    field("times", times(state, now));
    field("used", used(state));
    let details = &state.details;
    field("session", details.session.clone().unwrap_or_default());
    let labels: Vec<String> = details.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    field("labels", labels.join(", "));
    field("note", state.note.clone().unwrap_or_default());
    field("parent", details.parent.map(which::short).unwrap_or_default());
    field(
        "schedule",
        details.schedule.as_ref().map(|by| format!("{}, firing {}", by.name, by.firing)).unwrap_or_default(),
    );
    field("attempt", if state.attempt > 1 { state.attempt.to_string() } else { String::new() });
    lines.extend(plan(state));
    lines.extend(questions(state, now));
    lines.extend(children(state));
    lines.extend(files(state));
    let shown = labelled_lines(output);
    if !shown.is_empty() {
        lines.push("  output".to_owned());
        lines.extend(shown.into_iter().map(|line| format!("    {line}")));
    }
    lines
}

fn headline(state: &Snapshot) -> String {
    let task = &state.task;
    let id = state.id.to_string();
    let key = if task.key.as_str() == id { String::new() } else { format!(" [{}]", task.key) };
    let title = state.details.title.as_ref().map(|title| format!(" · {title}")).unwrap_or_default();
    format!("{id}  {}/{}{key}{title}", task.plugin, task.task_type)
}

fn standing(state: &Snapshot) -> String {
    let (standing, why) = Standing::of(state);
    let why = text::clip(&why, WORDS_BYTES_MAX);
    if why.is_empty() { standing.words() } else { format!("{}: {why}", standing.words()) }
}

fn times(state: &Snapshot, now: &Now) -> String {
    let told = |what: &str, at: Option<crate::Timestamp>| at.map(|at| format!("{what} {}", now.told(at)));
    let begins = state.details.run_at.filter(|_| state.started_at.is_none());
    let all = [
        told("created", state.created_at),
        begins.map(|at| format!("begins at {}", now.clock(at))),
        told("began", state.started_at),
        told("ended", state.ended_at),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn used(state: &Snapshot) -> String {
    let usage = &state.usage;
    if usage.fuel == 0 {
        return String::new();
    }
    format!(
        "{} · {} of {} fuel ({}) · {} memory at its peak",
        text::elapsed(usage.wall),
        text::fuel(usage.fuel),
        text::fuel(state.fuel_budget),
        text::cpu_seconds_within(usage.fuel, usage.wall),
        text::bytes(usage.memory_peak_bytes),
    )
}

fn plan(state: &Snapshot) -> Vec<String> {
    let Some(plan) = &state.plan else { return Vec::new() };
    let goal =
        if plan.goal.is_empty() { String::new() } else { format!(" · {}", text::clip(&plan.goal, WORDS_BYTES_MAX)) };
    let at = plans::at(plan).unwrap_or_else(|| format!("{} of {} steps completed", plan.completed(), plan.steps.len()));
    let mut lines = vec![format!("  {:<10} {at}{goal}", "plan")];
    for step in plan.steps.iter().take(LISTED_MAX) {
        let note =
            step.note.as_deref().map(|note| format!(": {}", text::clip(note, WORDS_BYTES_MAX))).unwrap_or_default();
        lines.push(format!("    {} {}{note}", mark(step.status), step.name));
    }
    lines.extend(more(plan.steps.len()));
    lines
}

fn mark(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Pending => "·",
        StepStatus::Current => "▸",
        StepStatus::Completed => "✓",
        StepStatus::Failed | StepStatus::Cancelled => "✗",
        StepStatus::Skipped => "-",
    }
}

fn questions(state: &Snapshot, now: &Now) -> Vec<String> {
    if state.approvals.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["  questions".to_owned()];
    for pending in &state.approvals {
        lines.push(format!("    {}  {}", approve::words(&pending.ask), now.told(pending.since)));
        lines.push(format!("       {}", approve::to_type(state.id, pending.number, &pending.ask.kind)));
    }
    lines
}

fn children(state: &Snapshot) -> Vec<String> {
    if state.children.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["  children".to_owned()];
    for child in state.children.iter().take(LISTED_MAX) {
        let words = match child.outcome {
            None => "has not ended",
            Some(ChildOutcome::Succeeded) => "✓ succeeded",
            Some(ChildOutcome::Failed) => "✗ failed",
            Some(ChildOutcome::Cancelled) => "✗ cancelled",
            Some(ChildOutcome::NotStarted) => "✗ not started",
        };
        lines.push(format!("    {}  {}/{}  {words}", which::short(child.id), child.task.plugin, child.task.task_type));
    }
    lines.extend(more(state.children.len()));
    lines
}

fn files(state: &Snapshot) -> Vec<String> {
    if state.artifacts.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["  files".to_owned()];
    for artifact in state.artifacts.iter().take(LISTED_MAX) {
        let size = text::bytes(artifact.size);
        lines.push(format!("    {}  {} ({}, {size})", artifact.number, escape(&artifact.name), artifact.media_type));
    }
    lines.extend(more(state.artifacts.len()));
    lines
}

fn more(count: usize) -> Option<String> {
    count.checked_sub(LISTED_MAX).filter(|more| *more > 0).map(|more| format!("    … {more} more"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::times::tests::{NOW_MS, now};
    use super::*;

    fn empty() -> OutputText {
        text(&json!([]))
    }

    fn text(lines: &Value) -> OutputText {
        let document = json!({
            "lines": lines, "has_earlier": false, "lost": 0, "next": 0, "has_more": false, "ended": false,
        });
        serde_json::from_value(document).unwrap()
    }

    fn state(more: Value) -> Snapshot {
        let id = "0f".repeat(16);
        let mut document = json!({
            "id": id, "task": {"plugin": "pipeline", "task_type": "build", "key": "nightly"}, "phase": "running",
            "artifacts": [], "seq": 9, "created_at": NOW_MS - 200_000, "started_at": NOW_MS - 130_000,
            "fuel_budget": 1_000_000_000_000_u64, "attempt": 1,
            "usage": {"fuel": 1_250_000_000, "memory_peak_bytes": 2 << 20, "host_calls": 3, "wall_ms": 130_000},
        });
        if let (Value::Object(all), Value::Object(more)) = (&mut document, more) {
            all.extend(more);
        }
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn r41_the_page_of_a_task_says_how_it_stands_and_what_it_asks() {
        let ask = json!({"kind": "deploy", "reason": "all tests pass", "summary": "version 7"});
        let child = json!({
            "id": "ab".repeat(16), "task": {"plugin": "pipeline", "task_type": "step", "key": "x"}, "fuel": 5,
            "detached": false, "outcome": "succeeded",
        });
        let state = state(json!({
            "details": {"title": "the evening build", "session": "s1", "labels": {"team": "search"}},
            "progress": {"message": "writing", "percent": 45, "eta_ms": 12_000},
            "approvals": [{"number": 1, "ask": ask, "since": NOW_MS - 60_000}],
            "children": [child],
            "plan": {"goal": "a release", "steps": [{"name": "build", "status": "completed"}, {"name": "sign", "status": "current"}]},
            "artifacts": [{"number": 1, "name": "report.md", "media_type": "text/markdown", "sha256": "0".repeat(64), "size": 1536}],
        }));
        let output = text(&json!([{"source": "stdout", "text": "hello", "ended": true, "cut": false}]));
        let page = page(&state, &output, &now());
        assert_eq!(
            page,
            [
                "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f  pipeline/build [nightly] · the evening build",
                "  state      waits for approval: deploy: version 7",
                "  progress   45% · 12s left · writing",
                "  times      created 3m ago · began 2m ago",
                "  used       2m 10s · 1.2G of 1T fuel (≈ 0.12 CPU seconds) · 2 MiB memory at its peak",
                "  session    s1",
                "  labels     team=search",
                "  plan       step 2/2 sign · a release",
                "    ✓ build",
                "    ▸ sign",
                "  questions",
                "    deploy: version 7 - reason: all tests pass  1m ago",
                "       taskcell approve 0f0f0f0f 1, or taskcell deny 0f0f0f0f 1",
                "  children",
                "    abababab  pipeline/step  ✓ succeeded",
                "  files",
                "    1  report.md (text/markdown, 1.5 KiB)",
                "  output",
                "       out | hello",
            ]
        );
    }

    #[test]
    fn r41_what_is_not_there_has_no_line() {
        let page = page(
            &state(json!({"usage": {"fuel": 0, "memory_peak_bytes": 0, "host_calls": 0, "wall_ms": 0}})),
            &empty(),
            &now(),
        );
        assert_eq!(page.len(), 3, "{page:#?}");
    }
}
