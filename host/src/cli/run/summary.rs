//! How a task ended: as one JSON document, and in words.

use std::io;

use serde_json::{Value, json};

use crate::cli::{output, text};
use crate::{Failure, FailureKind, Outcome, Snapshot, Usage};

use super::artifacts::Saved;

/// Lines of an error's details that are shown. All of them are in `--json`.
const DETAIL_LINES_MAX: usize = 40;

/// What is left to say when a task has ended.
#[derive(Debug)]
pub(super) struct LastWords {
    /// For stdout.
    data: Option<Value>,
    /// Whether the data may take many lines.
    pretty: bool,
    /// For stderr, afterwards.
    lines: Vec<String>,
}

impl LastWords {
    /// Finds the words: with `json` one document, else the result and how it ended.
    pub(super) fn new(state: &Snapshot, outcome: &Outcome, saved: &[Saved], advice: Option<&str>, json: bool) -> Self {
        if json {
            return Self { data: Some(document(state, outcome, saved)), pretty: false, lines: Vec::new() };
        }
        let data = match outcome {
            Outcome::Succeeded { data, .. } => data.clone(),
            Outcome::Failed(_) | Outcome::Cancelled { .. } => None,
        };
        Self { data, pretty: true, lines: lines(outcome, &state.usage, saved, advice) }
    }

    /// Says them. Blocks as long as nobody reads.
    pub(super) fn say(self) -> io::Result<()> {
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
fn document(state: &Snapshot, outcome: &Outcome, saved: &[Saved]) -> Value {
    let mut document = json!({ "id": state.id, "task": state.task });
    if let (Value::Object(all), Ok(Value::Object(outcome))) = (&mut document, serde_json::to_value(outcome)) {
        all.extend(outcome);
        all.insert("usage".to_owned(), usage(&state.usage));
        all.insert("artifacts".to_owned(), saved.iter().map(artifact).collect());
    }
    document
}

fn usage(usage: &Usage) -> Value {
    json!({
        "fuel": usage.fuel,
        "memory_peak_bytes": usage.memory_peak_bytes,
        "host_calls": usage.host_calls,
        "wall_ms": u64::try_from(usage.wall.as_millis()).unwrap_or(u64::MAX),
    })
}

fn artifact(saved: &Saved) -> Value {
    let artifact = &saved.artifact;
    json!({
        "name": artifact.name,
        "media_type": artifact.media_type,
        "sha256": artifact.sha256,
        "size": artifact.size,
        "path": saved.path.to_string_lossy(),
    })
}

/// How it ended, for a person.
fn lines(outcome: &Outcome, usage: &Usage, saved: &[Saved], advice: Option<&str>) -> Vec<String> {
    let mut lines: Vec<String> = saved.iter().map(saved_line).collect();
    lines.push(outcome.to_string());
    if let Outcome::Failed(failure) = outcome {
        lines.extend(details(failure));
    }
    lines.push(format!(
        "  {} · {} fuel ({}) · {} memory at its peak",
        text::elapsed(usage.wall),
        text::fuel(usage.fuel),
        text::cpu_seconds(usage.fuel),
        text::bytes(usage.memory_peak_bytes),
    ));
    lines.extend(advice.map(|advice| format!("hint: {advice}")));
    lines
}

fn saved_line(saved: &Saved) -> String {
    format!("saved {} ({})", saved.path.display(), text::bytes(saved.artifact.size))
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

    use super::*;

    const USAGE: Usage =
        Usage { fuel: 1_250_000_000, memory_peak_bytes: 2 << 20, host_calls: 3, wall: Duration::from_millis(3250) };

    #[test]
    fn success_is_two_lines() {
        let done = Outcome::Succeeded { message: "42 read".to_owned(), data: None };
        assert_eq!(
            lines(&done, &USAGE, &[], None),
            ["succeeded: 42 read", "  3.2s · 1.2G fuel (≈ 0.12 CPU seconds) · 2.0 MiB memory at its peak"]
        );
    }

    #[test]
    fn failure_brings_details_backtrace_and_advice() {
        let failure = Failure {
            error: Some(json!({"skipped": [1]})),
            backtrace: vec!["inner".to_owned(), "outer".to_owned()],
            ..Failure::new(FailureKind::Trap, "unreachable")
        };
        let shown = lines(&Outcome::Failed(failure), &USAGE, &[], Some("do this")).join("\n");
        assert!(shown.starts_with("failed (trap): unreachable\n  {\n"), "{shown}");
        assert!(shown.contains("    at inner\n    at outer\n") && shown.ends_with("\nhint: do this"), "{shown}");
    }

    #[test]
    fn long_details_are_cut() {
        let failure = Failure { error: Some(json!(vec![0; 500])), ..Failure::new(FailureKind::Guest, "no") };
        let shown = lines(&Outcome::Failed(failure), &USAGE, &[], None);
        assert_eq!(shown.len(), 1 + DETAIL_LINES_MAX + 1 + 1);
        assert!(shown[DETAIL_LINES_MAX + 1].contains("462 lines more"), "{}", shown[DETAIL_LINES_MAX + 1]);
    }
}
