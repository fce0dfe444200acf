//! A task in one line, for a person.

use std::fmt::Write as _;

use super::outcome::Outcome;
use super::state::{Phase, Snapshot};
use super::text::{bytes, count, duration, escape, shortened};

/// Bytes of the task's own words that fit into a line.
const WORDS_BYTES_MAX: usize = 200;

impl Snapshot {
    /// One safe line: how the task ended, what can be done about it, what it used, and how far it had come. While it is
    /// alive, where it is instead of how it ended.
    pub fn summary(&self) -> String {
        let mut line = match &self.outcome {
            Some(outcome) => ended(outcome),
            None => self.standing(),
        };
        let usage = &self.usage;
        // Writing to a String cannot fail.
        let _ = write!(
            line,
            "; used {} of {} units of fuel, {} of memory at most, {}",
            count(usage.fuel),
            count(self.fuel_budget),
            bytes(usage.memory_peak_bytes),
            duration(usage.wall)
        );
        if let Some(progress) = &self.progress {
            let percent = progress.percent.map(|percent| format!("{percent} %: ")).unwrap_or_default();
            let _ = write!(line, "; last report: {percent}{}", escape(&shortened(&progress.message, WORDS_BYTES_MAX)));
        }
        if let Some(eta) = self.progress.as_ref().and_then(|progress| progress.eta) {
            let _ = write!(line, ", about {} left", duration(eta));
        }
        line
    }

    fn standing(&self) -> String {
        if let Some(request) = &self.cancel {
            return format!("asked to stop by {}", request.by);
        }
        if let Some(pause) = &self.paused {
            return match pause.reason.as_str() {
                "" => format!("paused by {}", pause.by),
                reason => format!("paused by {} ({})", pause.by, escape(shortened(reason, WORDS_BYTES_MAX).as_ref())),
            };
        }
        if let Some(request) = &self.fuel_request {
            let what_for = shortened(&request.reason, WORDS_BYTES_MAX);
            return format!("asks for {} units of fuel ({})", count(request.units), escape(&what_for));
        }
        match (self.phase, &self.waiting) {
            (Phase::Queued, _) => "waits for its turn".to_owned(),
            (Phase::Running, Some(point)) => format!("waits for the signal {}", escape(point.key.as_str())),
            (Phase::Running, None) => "runs".to_owned(),
            (Phase::Ended, _) => "ended".to_owned(),
        }
    }
}

/// How it ended, and for a failure what can be done about it.
fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => format!("{outcome} - {}", failure.kind.advice()),
        Outcome::Succeeded { .. } | Outcome::Cancelled { .. } => outcome.to_string(),
    }
}
