//! What to do after a bad end.

use std::time::Duration;

use serde_json::Value;

use crate::cli::text;
use crate::{Access, Capability, Failure, FailureKind, Limits, Outcome, Plugin};

/// The most memory a 32-bit guest can have, in bytes.
const MEMORY_MAX: u64 = 4 << 30;

// The least that a hint names, for limits of next to nothing.
const FUEL_HINT_MIN: u64 = 10_000_000;
const MEMORY_HINT_MIN: u64 = 16 << 20;
const RESULT_HINT_MIN: u64 = 64 << 10;

/// What an error about files says somewhere: Rust, C, WASI and Python. In lower case.
const FILE_WORDS: [&str; 9] = [
    "no such file",
    "not found",
    "does not exist",
    "pre-opened",
    "preopen",
    "permission denied",
    "not permitted",
    "read-only file system",
    "not-capable",
];

/// What the advice depends on.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    /// The limits the task began with.
    pub(super) limits: Limits,
    /// Units of fuel it had in all.
    pub(super) fuel_budget: u64,
    /// The grace that it had, unless that was none or was cut short.
    pub(super) grace: Option<Duration>,
    /// Whether a folder was granted.
    pub(super) any_dir: bool,
    /// The plugin.
    pub(super) plugin: &'a Plugin,
}

/// What to do next, if there is something.
pub(super) fn advice(outcome: &Outcome, at: &Situation<'_>) -> Option<String> {
    let failure = match outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Succeeded { .. } => return None,
        Outcome::Cancelled { forced, .. } => return at.grace.filter(|_| *forced).map(longer_grace),
    };
    match failure.kind {
        FailureKind::Guest if failure.retryable => Some("the task says that trying again may help".to_owned()),
        FailureKind::Guest if is_about_files(failure) => missing_dir(at),
        FailureKind::Guest => None,
        FailureKind::Trap if let Some(limit) = &failure.limit => {
            Some(format!("{}: --limit {limit}=N; `taskcell limits` shows what it is", failure.advice()))
        }
        FailureKind::Trap
        | FailureKind::Panic
        | FailureKind::Exited
        | FailureKind::Budget
        | FailureKind::Plan
        | FailureKind::Denied
        | FailureKind::NotStarted
        | FailureKind::Lost => Some(failure.advice().into_owned()),
        FailureKind::OutOfFuel => Some(limit(
            &format!("{} units of fuel ({})", text::fuel(at.fuel_budget), text::cpu_seconds(at.fuel_budget)),
            &format!("--fuel {}", text::fuel_flag(at.fuel_budget.saturating_mul(10).max(FUEL_HINT_MIN))),
        )),
        FailureKind::Timeout => Some(limit(
            &text::duration_flag(at.limits.timeout),
            &format!("--timeout {}", text::duration_flag(more_time(at.limits.timeout))),
        )),
        FailureKind::Idle => Some(format!(
            "{}, or let its author call `heartbeat` during long work",
            limit(
                &text::duration_flag(at.limits.idle),
                &format!("--limit idle={}", text::duration_flag(more_time(at.limits.idle))),
            )
        )),
        FailureKind::Memory if at.limits.memory_bytes >= MEMORY_MAX => {
            Some("it had 4 GiB, which is all that a plugin can have; give it less to do at once".to_owned())
        }
        FailureKind::Memory => Some(limit(
            &format!("{} of memory", text::bytes(at.limits.memory_bytes)),
            &format!(
                "--memory {}",
                text::bytes_flag(at.limits.memory_bytes.saturating_mul(2).clamp(MEMORY_HINT_MIN, MEMORY_MAX))
            ),
        )),
        FailureKind::OutputLimit if failure.limit.is_none() => {
            Some("a result has at most 100 000 values; the plugin can publish a file instead".to_owned())
        }
        FailureKind::OutputLimit => Some(format!(
            "a result has at most {}, unless --limit result_bytes={} allows more; or the plugin publishes a file instead",
            text::bytes(at.limits.result_bytes),
            text::bytes_flag(at.limits.result_bytes.saturating_mul(4).max(RESULT_HINT_MIN)),
        )),
        FailureKind::Host => Some(format!("{}; `taskcell doctor` checks this machine", failure.advice())),
    }
}

fn longer_grace(had: Duration) -> String {
    let (had, more) = (text::duration_flag(had), text::duration_flag(more_time(had)));
    format!("it did not end within its {had}; it may take longer with --grace {more}")
}

/// Four times as much, in whole seconds.
fn more_time(had: Duration) -> Duration {
    Duration::from_secs(had.saturating_mul(4).as_secs().max(1))
}

fn limit(had: &str, flag: &str) -> String {
    format!("it had {had}; give it more with {flag}")
}

/// Whether a failure may come from a folder that is not there: it says what such errors say, or names a path.
fn is_about_files(failure: &Failure) -> bool {
    let error = failure.error.as_ref().map(Value::to_string).unwrap_or_default();
    let said = format!("{} {error}", failure.message).to_lowercase();
    let names_a_path = |word: &str| {
        let path = word.trim_start_matches(|c: char| "\"'`([{<:=".contains(c));
        path.strip_prefix('/').is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || "._-".contains(c)))
    };
    FILE_WORDS.iter().any(|words| said.contains(words)) || said.split([' ', ',', ':']).any(names_a_path)
}

fn missing_dir(at: &Situation<'_>) -> Option<String> {
    if at.any_dir {
        return None;
    }
    let manifest = at.plugin.manifest();
    let mut requests = manifest.requests.iter().chain(manifest.tasks.iter().flat_map(|task| &task.requests));
    let wish = requests.find(|wish| wish.known() == Some(Capability::Fs))?;
    let flag = if wish.access() == Access::ReadWrite { "--dir HOST::GUEST:rw" } else { "--dir HOST::GUEST" };
    let reason = wish.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    Some(format!("the plugin asks for {}{reason}, and no folder was granted: {flag}", wish.capability))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_longer_grace_is_named() {
        let text = longer_grace(Duration::from_secs(5));
        assert_eq!(text, "it did not end within its 5s; it may take longer with --grace 20s");
    }

    #[test]
    fn only_what_may_be_about_files_is() {
        let failure = |message: &str| Failure::new(FailureKind::Guest, message);
        for message in [
            "failed to read the folder /docs: No such file or directory (os error 44)",
            "failed to find a pre-opened file descriptor",
            "cannot open '/data/x.csv'",
            "Permission denied",
        ] {
            assert!(is_about_files(&failure(message)), "{message}");
        }
        for message in ["not today", "3 / 4 of the rows are bad", "see https://example.org/help", "and/or", "1/2"] {
            assert!(!is_about_files(&failure(message)), "{message}");
        }
        let in_details = Failure { error: Some(json!({"path": "/data"})), ..failure("no") };
        assert!(is_about_files(&in_details));
    }

    #[test]
    fn a_limit_names_what_it_was_and_the_flag_that_raises_it() {
        let text = limit("5m", "--timeout 20m");
        assert_eq!(text, "it had 5m; give it more with --timeout 20m");
        assert_eq!(more_time(Duration::from_millis(310)), Duration::from_secs(1));
        assert_eq!(more_time(Duration::from_mins(5)), Duration::from_mins(20));
    }
}
