//! Two tasks, one of which waits for the other: `publish` parks until somebody decides, and `review` decides.
//!
//! A person or an agent can send the signal as well. Whoever it is, the host writes down who it was.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskcell_guest::{NotifyResult, TaskCtl, TaskError, TaskRef, WaitError, plugin, task};

/// The key of the signal that `publish` waits for.
const DECISION: &str = "decision";

/// What the signal carries.
#[derive(Serialize, Deserialize)]
struct Decision {
    approved: bool,
    comment: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Publish {
    /// What is to be published.
    text: String,
    /// Who should look at it; only named in the message to the agent.
    #[serde(default)]
    reviewers: Vec<String>,
    /// How many seconds to wait for the decision.
    timeout_seconds: u64,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Published {
    /// Whether the text may be published.
    approved: bool,
    /// What was said about it.
    comment: Option<String>,
    /// Who decided: `person`, `agent`, `host` or `task`.
    decided_by: String,
}

/// Asks for a decision about a text, and waits for it.
#[task]
fn publish(ctl: &TaskCtl, input: Publish) -> Result<Published, TaskError> {
    let reviewers = if input.reviewers.is_empty() { "somebody".to_owned() } else { input.reviewers.join(", ") };
    let key = ctl.info().key;
    ctl.notify_agent(format!("Task {key}: {reviewers} should decide about \"{}\".", input.text), true)?;
    ctl.report_progress(format!("waiting for {reviewers} to decide"), None)?;

    let signal = match ctl.wait::<Decision>(DECISION, Duration::from_secs(input.timeout_seconds)) {
        Ok(signal) => signal,
        Err(WaitError::TimedOut) => return Err(TaskError::new("nobody decided in time").retryable()),
        Err(other) => return Err(other.into()),
    };

    let decision = signal.payload;
    ctl.set_summary(if decision.approved { "approved" } else { "turned down" });
    Ok(Published { approved: decision.approved, comment: decision.comment, decided_by: signal.sender.to_string() })
}

#[derive(Deserialize, JsonSchema)]
struct Review {
    /// The key of the `publish` task that waits.
    task: String,
    /// Whether the text may be published.
    approve: bool,
    /// What is to be said about it.
    comment: Option<String>,
}

/// Decides about a text that a `publish` task asks about.
#[task]
fn review(ctl: &TaskCtl, input: Review) -> Result<(), TaskError> {
    let target = TaskRef::new(ctl.info().plugin, "publish", &input.task);
    let decision = Decision { approved: input.approve, comment: input.comment };
    match ctl.notify(&target, DECISION, Some(&decision))? {
        NotifyResult::Delivered | NotifyResult::Buffered => Ok(()),
        NotifyResult::NoTask => Err(TaskError::new(format!("no task \"{}\" waits for a decision", input.task))),
        NotifyResult::Full => {
            Err(TaskError::new(format!("the task \"{}\" has unread signals", input.task)).retryable())
        }
    }
}

plugin! {
    name: "approval",
    version: env!("CARGO_PKG_VERSION"),
    author: "The Taskcell developers",
    description: "Asks for a decision and waits for it.",
    requests: ["signal" => "a review tells the task that waits for it"],
    tasks: [publish, review],
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use taskcell_guest::testing::FakeHost;
    use taskcell_guest::{RefusalKind, Refused, Sender};

    use super::*;

    fn text() -> Publish {
        Publish { text: "News".to_owned(), reviewers: vec!["Ada".to_owned()], timeout_seconds: 3600 }
    }

    fn yes() -> Review {
        Review { task: "news-7".to_owned(), approve: true, comment: Some("fine".to_owned()) }
    }

    #[test]
    fn the_decision_and_who_made_it_are_the_result() {
        let host = FakeHost::new();
        host.signal_from(Sender::Agent, DECISION, json!({ "approved": false, "comment": "too long" }));
        let published = host.run(publish, text()).unwrap();
        let comment = Some("too long".to_owned());
        assert_eq!(published, Published { approved: false, comment, decided_by: "agent".to_owned() });
        assert_eq!(host.summary().as_deref(), Some("turned down"));
        assert_eq!(host.messages()[0].message, "Task fake-key: Ada should decide about \"News\".");
    }

    #[test]
    fn a_decision_may_take_its_time() {
        let host = FakeHost::new();
        host.send_at(Duration::from_secs(1800), DECISION, json!({ "approved": true }));
        assert_eq!(host.run(publish, text()).unwrap().decided_by, "person");
        assert_eq!(host.elapsed(), Duration::from_secs(1800));
    }

    #[test]
    fn without_a_decision_in_time_it_may_be_tried_again() {
        let host = FakeHost::new();
        host.send_at(Duration::from_secs(7200), DECISION, json!({ "approved": true }));
        let error = host.run(publish, text()).unwrap_err();
        assert_eq!((error.message(), error.is_retryable()), ("nobody decided in time", true));
        assert_eq!(host.elapsed(), Duration::from_secs(3600));
    }

    #[test]
    fn a_cancel_ends_the_wait() {
        let host = FakeHost::new();
        host.cancel_after(Duration::from_secs(60), "withdrawn");
        assert!(host.run(publish, text()).unwrap_err().is_cancelled());
    }

    #[test]
    fn a_review_tells_the_task_that_waits() {
        let host = FakeHost::new();
        host.run(review, yes()).unwrap();
        let sent = host.notified().remove(0);
        assert_eq!((sent.target.task_type.as_str(), sent.target.key.as_str()), ("publish", "news-7"));
        assert_eq!((sent.key.as_str(), sent.payload), (DECISION, Some(json!({ "approved": true, "comment": "fine" }))));
    }

    #[test]
    fn a_review_of_nothing_and_a_review_without_the_capability_fail() {
        let host = FakeHost::new();
        host.answer_notify(Ok(NotifyResult::NoTask));
        assert_eq!(host.run(review, yes()).unwrap_err().message(), "no task \"news-7\" waits for a decision");
        host.answer_notify(Err(Refused { kind: RefusalKind::Denied, message: "not granted".to_owned() }));
        let error = host.run(review, yes()).unwrap_err();
        assert_eq!(error.message(), "the host refused the call (denied): not granted");
    }
}
