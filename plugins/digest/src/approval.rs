//! Asks for a yes. Everything that is not a yes is a no: a refusal, silence, and whatever another task says.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use taskcell_guest::{Sender, TaskCtl, WaitError};

/// The signal that carries the answer: `true`, `false`, or `{"approved": true, "comment": "…"}`.
pub(crate) const SIGNAL: &str = "approval";

/// What became of the question.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Approval {
    pub(crate) decision: Decision,
    /// Who decided: `person`, `agent` or `host`.
    pub(crate) by: Option<String>,
    /// What they had to say.
    pub(crate) comment: Option<String>,
}

impl Approval {
    /// The end of the matter, in a few words.
    pub(crate) fn outcome(&self) -> &'static str {
        match self.decision {
            Decision::Approved => "report published",
            Decision::Denied => "report not published: denied",
            Decision::NoAnswer => "report not published: nobody answered",
        }
    }
}

/// What the answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decision {
    /// Somebody said yes.
    Approved,
    /// Somebody said no.
    Denied,
    /// Nobody answered in time, or the host ended the wait.
    NoAnswer,
}

#[derive(Deserialize)]
struct Answer {
    approved: bool,
    comment: Option<String>,
}

impl Answer {
    fn read(payload: Option<Value>) -> Option<Self> {
        let payload = payload?;
        if let Some(approved) = payload.as_bool() {
            return Some(Self { approved, comment: None });
        }
        payload.is_object().then(|| serde_json::from_value(payload).ok()).flatten()
    }
}

/// Waits for the answer. Without a `timeout` it waits until the task's deadline.
///
/// What is no answer, or comes from another task, goes to the log, and the wait and its time begin anew.
pub(crate) fn wait(ctl: &TaskCtl, timeout: Option<Duration>) -> Result<Approval, WaitError> {
    loop {
        let signal = match ctl.wait_raw(SIGNAL, timeout) {
            Ok(signal) => signal,
            Err(WaitError::TimedOut | WaitError::WaitCancelled) => {
                return Ok(Approval { decision: Decision::NoAnswer, by: None, comment: None });
            }
            Err(error) => return Err(error),
        };
        // The host says who sent a signal, so no task can give a person's yes.
        if !matches!(signal.sender, Sender::Person | Sender::Agent | Sender::Host) {
            log::warn!("an answer from another task does not count; still waiting for {SIGNAL}");
            continue;
        }
        let Some(Answer { approved, comment }) = Answer::read(signal.payload) else {
            log::warn!("an answer is true, false or {{\"approved\": true}}; still waiting for {SIGNAL}");
            continue;
        };
        let decision = if approved { Decision::Approved } else { Decision::Denied };
        return Ok(Approval { decision, by: Some(signal.sender.as_str().to_owned()), comment });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use taskcell_guest::testing::FakeHost;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(90);

    fn decision(host: &FakeHost) -> Decision {
        wait(&host.ctl(), PATIENCE.into()).unwrap().decision
    }

    #[test]
    fn every_form_of_an_answer_is_understood() {
        for (payload, expected) in [
            (json!(true), Decision::Approved),
            (json!(false), Decision::Denied),
            (json!({ "approved": true }), Decision::Approved),
            (json!({ "approved": false, "comment": "too long" }), Decision::Denied),
        ] {
            let host = FakeHost::new();
            host.signal(SIGNAL, payload.clone());
            assert_eq!(decision(&host), expected, "{payload}");
        }
    }

    #[test]
    fn what_is_no_answer_is_never_a_yes() {
        for payload in
            [None, Some(json!(null)), Some(json!("yes")), Some(json!(1)), Some(json!([true])), Some(json!({}))]
        {
            let host = FakeHost::new();
            host.signal(SIGNAL, payload.clone());
            assert_eq!(decision(&host), Decision::NoAnswer, "{payload:?}");
            assert_eq!(host.logs().len(), 1, "{payload:?}");
        }
    }

    #[test]
    fn after_a_wrong_answer_the_right_one_counts() {
        let host = FakeHost::new();
        host.signal(SIGNAL, json!("yes"));
        host.send_at(PATIENCE / 2, SIGNAL, json!({ "approved": true, "comment": "go on" }));
        let approval = wait(&host.ctl(), PATIENCE.into()).unwrap();
        let (by, comment) = (Some("person".to_owned()), Some("go on".to_owned()));
        assert_eq!(approval, Approval { decision: Decision::Approved, by, comment });
        assert_eq!(host.elapsed(), PATIENCE / 2);
    }

    #[test]
    fn a_task_cannot_say_yes() {
        for sender in [Sender::Task, Sender::Itself, Sender::Other("stranger".to_owned())] {
            let host = FakeHost::new();
            host.signal_from(sender, SIGNAL, json!(true));
            assert_eq!(decision(&host), Decision::NoAnswer);
        }
    }

    #[test]
    fn silence_is_a_no_once_the_time_is_over() {
        let host = FakeHost::new();
        assert_eq!(decision(&host), Decision::NoAnswer);
        assert_eq!(host.elapsed(), PATIENCE);
    }

    #[test]
    fn a_wait_that_the_host_ends_is_a_no() {
        let host = FakeHost::new();
        host.end_next_wait();
        assert_eq!(decision(&host), Decision::NoAnswer);
    }
}
