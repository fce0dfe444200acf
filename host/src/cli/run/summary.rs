//! How a task ended: as one JSON document, and in words.

use std::io;

use serde_json::{Value, json};

use crate::cli::{output, plans, text};
use crate::{CancelReceipt, Failure, FailureKind, Outcome, Progress, Snapshot};

use super::artifacts::Saved;
use super::receipt;
use super::tree::{self, Frame, Node};

/// Lines of an error's details that are shown. All of them are in `--json`.
const DETAIL_LINES_MAX: usize = 40;
/// Bytes of its last report that are shown.
const PROGRESS_BYTES_MAX: usize = 300;

/// A task that has ended, and what is known of it.
#[derive(Debug)]
pub(in crate::cli) struct End<'a> {
    /// How it stood at its end.
    pub(in crate::cli) state: &'a Snapshot,
    /// How it ended.
    pub(in crate::cli) outcome: &'a Outcome,
    /// What a cancel came to, if somebody asked for one.
    pub(in crate::cli) receipt: Option<&'a CancelReceipt>,
    /// Its files.
    pub(in crate::cli) saved: &'a [Saved],
    /// What to do next.
    pub(in crate::cli) advice: Option<String>,
    /// It and what is below it, if that shall be shown.
    pub(in crate::cli) tree: Option<Node>,
}

/// What is left to say when a task has ended.
#[derive(Debug)]
pub(in crate::cli) struct LastWords {
    /// For stdout.
    data: Option<Value>,
    /// Whether the data may take many lines.
    pretty: bool,
    /// For stderr, afterwards.
    lines: Vec<String>,
}

impl LastWords {
    /// Finds the words: with `json` one document, else the result and how it ended.
    pub(in crate::cli) fn new(end: &End<'_>, json: bool) -> Self {
        if json {
            return Self { data: Some(document(end)), pretty: false, lines: Vec::new() };
        }
        let data = match end.outcome {
            Outcome::Succeeded { data, .. } => data.clone(),
            Outcome::Failed(_) | Outcome::Cancelled { .. } => None,
        };
        Self { data, pretty: true, lines: lines(end) }
    }

    /// Says them. Blocks as long as nobody reads.
    pub(in crate::cli) fn say(self) -> io::Result<()> {
        if let Some(data) = &self.data {
            output::json(data, self.pretty)?;
        }
        for line in &self.lines {
            output::talk(line);
        }
        Ok(())
    }
}

/// Everything about the end, for a program.
fn document(end: &End<'_>) -> Value {
    let state = end.state;
    let mut document = json!({ "id": state.id, "task": state.task });
    if let (Value::Object(all), Ok(Value::Object(outcome))) = (&mut document, serde_json::to_value(end.outcome)) {
        all.extend(outcome);
        all.insert("summary".to_owned(), state.summary().into());
        all.insert("usage".to_owned(), usage(state));
        if let Some(progress) = &state.progress {
            all.insert("progress".to_owned(), json!({ "message": progress.message, "percent": progress.percent }));
        }
        if let Some(plan) = &state.plan {
            all.insert("plan".to_owned(), plan.to_json());
        }
        if let Some(receipt) = end.receipt {
            all.insert("receipt".to_owned(), receipt::document(receipt));
        }
        all.insert("artifacts".to_owned(), end.saved.iter().map(artifact).collect());
        if let Some(tree) = &end.tree {
            all.insert("tree".to_owned(), tree.document());
        }
    }
    document
}

fn usage(state: &Snapshot) -> Value {
    let usage = &state.usage;
    json!({
        "fuel": usage.fuel,
        "fuel_budget": state.fuel_budget,
        "memory_peak_bytes": usage.memory_peak_bytes,
        "host_calls": usage.host_calls,
        "tokens": usage.tokens,
        "actions": usage.actions,
        "wall_ms": u64::try_from(usage.wall.as_millis()).unwrap_or(u64::MAX),
    })
}

fn artifact(saved: &Saved) -> Value {
    let artifact = &saved.artifact;
    let mut document = json!({
        "name": artifact.name,
        "media_type": artifact.media_type,
        "sha256": artifact.sha256,
        "size": artifact.size,
    });
    if let (Value::Object(fields), Some(path)) = (&mut document, &saved.path) {
        fields.insert("path".to_owned(), path.to_string_lossy().into());
    }
    document
}

/// How it ended, for a person: what happened and why, what it used, how far it had come, what to do next.
fn lines(end: &End<'_>) -> Vec<String> {
    let mut lines = end.tree.as_ref().map(|tree| tree::lines(tree, &Frame::endless())).unwrap_or_default();
    lines.extend(end.saved.iter().map(saved_line));
    lines.push(end.outcome.to_string());
    if let Outcome::Failed(failure) = end.outcome {
        lines.extend(details(failure));
    }
    let usage = &end.state.usage;
    lines.push(format!(
        "  {} · {} fuel ({}) · {} memory at its peak",
        text::elapsed(usage.wall),
        text::fuel(usage.fuel),
        text::cpu_seconds_within(usage.fuel, usage.wall),
        text::bytes(usage.memory_peak_bytes),
    ));
    lines.extend(end.state.plan.as_ref().map(plans::closing));
    let succeeded = matches!(end.outcome, Outcome::Succeeded { .. });
    if !succeeded {
        lines.push(reached(end.state.progress.as_ref()));
        lines.extend(end.receipt.map(receipt::lines).unwrap_or_default());
    }
    lines.extend(end.advice.iter().map(|advice| format!("hint: {advice}")));
    lines
}

/// How far a task had come that did not come to its end.
fn reached(progress: Option<&Progress>) -> String {
    match progress {
        None => "  it had not reported any progress".to_owned(),
        Some(Progress { message, percent, .. }) => {
            let percent = percent.map(|percent| format!("{percent}%: ")).unwrap_or_default();
            format!("  last progress: {percent}{}", text::clip(message, PROGRESS_BYTES_MAX))
        }
    }
}

fn saved_line(saved: &Saved) -> String {
    let size = text::bytes(saved.artifact.size);
    match &saved.path {
        Some(path) => format!("saved {} ({size})", path.display()),
        None => format!("published {} ({size}), which --artifacts DIR saves", saved.artifact.name),
    }
}

fn details(failure: &Failure) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(error) = &failure.error {
        let text = serde_json::to_string_pretty(error).unwrap_or_default();
        lines.extend(text.lines().take(DETAIL_LINES_MAX).map(|line| format!("  {line}")));
        match text.lines().count().saturating_sub(DETAIL_LINES_MAX) {
            0 => {}
            more => lines.push(format!("  … {more} lines more; --json writes them all")),
        }
    }
    // Where memory ran out says nothing: the allocator is there.
    if failure.kind != FailureKind::Memory {
        lines.extend(failure.backtrace.iter().map(|frame| format!("    at {frame}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{Phase, TaskId, TaskKey, TaskRef, Usage};

    use super::*;

    fn state() -> Snapshot {
        let wall = Duration::from_millis(3250);
        let usage = Usage { fuel: 1_250_000_000, memory_peak_bytes: 2 << 20, host_calls: 3, wall, ..Usage::default() };
        let task = TaskRef { plugin: "p".to_owned(), task_type: "t".to_owned(), key: TaskKey::new("k").unwrap() };
        Snapshot {
            phase: Phase::Ended,
            progress: Some(Progress { message: "reading".to_owned(), percent: Some(45), eta: None }),
            fuel_budget: 2_000_000_000,
            usage,
            ..Snapshot::of_nothing(TaskId::from_random(1), task)
        }
    }

    fn said(outcome: &Outcome, advice: Option<&str>) -> Vec<String> {
        let advice = advice.map(str::to_owned);
        lines(&End { state: &state(), outcome, receipt: None, saved: &[], advice, tree: None })
    }

    #[test]
    fn success_is_two_lines() {
        let done = Outcome::Succeeded { message: "42 read".to_owned(), data: None };
        assert_eq!(
            said(&done, None),
            ["succeeded: 42 read", "  3.2s · 1.2G fuel (≈ 0.12 CPU seconds) · 2 MiB memory at its peak"]
        );
    }

    #[test]
    fn failure_brings_details_backtrace_and_advice() {
        let failure = Failure {
            error: Some(json!({"skipped": [1]})),
            backtrace: vec!["inner".to_owned(), "outer".to_owned()],
            ..Failure::new(FailureKind::Trap, "unreachable")
        };
        let shown = said(&Outcome::Failed(failure), Some("do this")).join("\n");
        assert!(shown.starts_with("failed (trap): unreachable\n  {\n"), "{shown}");
        assert!(shown.contains("    at inner\n    at outer\n"), "{shown}");
        assert!(shown.ends_with("\n  last progress: 45%: reading\nhint: do this"), "{shown}");
        assert_eq!(reached(None), "  it had not reported any progress");
    }

    #[test]
    fn long_details_are_cut() {
        let failure = Failure { error: Some(json!(vec![0; 500])), ..Failure::new(FailureKind::Guest, "no") };
        let shown = said(&Outcome::Failed(failure), None);
        assert_eq!(shown.len(), 1 + DETAIL_LINES_MAX + 1 + 1 + 1);
        assert!(shown[DETAIL_LINES_MAX + 1].contains("462 lines more"), "{}", shown[DETAIL_LINES_MAX + 1]);
    }
}
