//! A task in one line, for a person.

use std::fmt::Write as _;

use super::ids::SignalKey;
use super::outcome::Outcome;
use super::snapshot::{Phase, Snapshot};
use super::text::{bytes, duration, escape, fuel, shortened};

/// Bytes of the task's own words that fit into a line.
const WORDS_BYTES_MAX: usize = 200;
/// Bytes of how it ended that do.
const OUTCOME_BYTES_MAX: usize = 600;

impl Snapshot {
    /// One safe line: how the task ended, what can be done about it, what it used, and how far it had come. While it is
    /// alive, where it is instead of how it ended.
    ///
    /// ```no_run
    /// # async fn example(task: taskcell::TaskHandle) {
    /// task.wait().await;
    /// println!("{}", task.state().summary()); // succeeded: 257 documents; used 1.5G of 1T units of fuel, …
    /// # }
    /// ```
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
            fuel(usage.fuel),
            fuel(self.fuel_budget),
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
        if let Some(digest) = &self.awaits_plugin {
            return format!("waits for its plugin {}, {}", escape(&self.task.plugin), digest);
        }
        if let Some(pause) = &self.paused {
            return match pause.reason.as_str() {
                "" => format!("paused by {}", pause.by),
                reason => format!("paused by {} ({})", pause.by, escape(shortened(reason, WORDS_BYTES_MAX).as_ref())),
            };
        }
        if let Some(request) = &self.fuel_request {
            let what_for = shortened(&request.reason, WORDS_BYTES_MAX);
            return format!("asks for {} units of fuel ({})", fuel(request.units), escape(&what_for));
        }
        if let (Phase::Running, Some(pending)) = (self.phase, self.approvals.first()) {
            return format!(
                "asks for approval ({})",
                escape(shortened(&pending.ask.summary, WORDS_BYTES_MAX).as_ref())
            );
        }
        match (self.phase, &self.waiting) {
            (Phase::Held, _) => "waits for somebody to approve of its start".to_owned(),
            (Phase::Delayed, _) => "waits for its moment".to_owned(),
            (Phase::Queued, _) => "waits for its turn".to_owned(),
            (Phase::Running, Some(point)) => {
                let keys: Vec<&str> = point.keys.iter().map(SignalKey::as_str).collect();
                format!("waits for the signal {}", escape(shortened(&keys.join(" or "), WORDS_BYTES_MAX).as_ref()))
            }
            (Phase::Running, None) if self.awaits_instruction => "waits to be told something".to_owned(),
            (Phase::Running, None) if self.awaits_child.is_some() => "waits for a task that it started".to_owned(),
            (Phase::Running, None) => "runs".to_owned(),
            (Phase::Ended, _) => "ended".to_owned(),
        }
    }
}

/// How it ended, and for a failure what can be done about it.
fn ended(outcome: &Outcome) -> String {
    let text = outcome.to_string();
    let text = shortened(&text, OUTCOME_BYTES_MAX);
    match outcome {
        Outcome::Failed(failure) => format!("{text} - {}", failure.advice()),
        Outcome::Succeeded { .. } | Outcome::Cancelled { .. } => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::event::{Event, EventBody};
    use crate::model::ids::{TaskId, TaskKey, TaskRef};
    use crate::model::limits::Limits;
    use crate::model::outcome::{Failure, FailureKind};
    use crate::model::request::CancelRequest;
    use crate::model::signal::Party;
    use crate::model::snapshot::Usage;
    use crate::model::state::TaskState;
    use crate::model::time::Timestamp;

    /// The summary of a task to which this happened.
    fn summary(bodies: Vec<EventBody>) -> String {
        let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::new("k").unwrap() };
        let limits = Limits { fuel: 2_000_000_000, ..Limits::default() };
        let created = EventBody::Created {
            task: Arc::new(task),
            input: Arc::default(),
            limits: Arc::new(limits),
            details: Arc::default(),
        };
        let mut state = TaskState::default();
        for body in std::iter::once(created).chain(bodies) {
            let event = Event::new(state.seq.next(), Timestamp(0), body);
            state.apply(&event);
        }
        let snapshot = state.snapshot(TaskId::from_random(1), usage(), Timestamp(0)).unwrap();
        let line = snapshot.summary();
        assert_eq!(escape(&line), line, "it is one safe line");
        line
    }

    fn usage() -> Usage {
        let wall = Duration::from_secs(90);
        Usage { fuel: 1_200_000_000, memory_peak_bytes: 3 << 20, host_calls: 7, wall, ..Usage::default() }
    }

    fn finished(outcome: Outcome) -> EventBody {
        EventBody::Finished { outcome: outcome.into(), usage: usage(), set_by: None }
    }

    const USED: &str = "; used 1.2G of 2G units of fuel, 3 MiB of memory at most, 1 min 30 s";

    #[test]
    fn r37_each_end_is_told_with_what_to_do_and_how_far_it_came() {
        let progress =
            EventBody::Progress { message: "row\n7\u{1b}[31m".into(), percent: Some(40), restarted: false, merged: 0 };
        let failure = Failure::new(FailureKind::Timeout, "the task did not end within its 1 h");
        assert_eq!(
            summary(vec![progress, finished(Outcome::Failed(failure))]),
            format!(
                "failed (timeout): the task did not end within its 1 h - start it with a longer timeout, or give it \
                 less to do{USED}; last report: 40 %: row\\n7\\u{{1b}}[31m"
            )
        );
        let success = Outcome::Succeeded { message: "7 files".into(), data: None };
        assert_eq!(summary(vec![finished(success)]), format!("succeeded: 7 files{USED}"));
        let long = Outcome::Failed(Failure::new(FailureKind::Guest, "x".repeat(1 << 20)));
        assert!(summary(vec![finished(long)]).len() < 1000);
    }

    #[test]
    fn a_live_task_is_told_by_where_it_is() {
        let begins = |bodies: Vec<EventBody>| summary(bodies).split(';').next().unwrap().to_owned();
        assert_eq!(begins(vec![]), "waits for its turn");
        assert_eq!(begins(vec![EventBody::Started { attempt: 1 }]), "runs");
        let paused = EventBody::Paused { by: Party::Person, reason: "lunch".into() };
        assert_eq!(begins(vec![EventBody::Started { attempt: 1 }, paused]), "paused by a person (lunch)");
        let asked = EventBody::CancelRequested(CancelRequest::new(Party::Agent, ""));
        assert_eq!(begins(vec![EventBody::Started { attempt: 1 }, asked]), "asked to stop by the agent");
    }
}
