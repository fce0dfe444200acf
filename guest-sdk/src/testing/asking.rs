//! What a fake person decides about a task's questions, and says to it.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::fake_host::FakeHost;
use super::records::{ApprovalRequest, UsageRecord};
use super::state::{State, shall_stop};
use crate::approval::{Approval, Decision};
use crate::error::{RefusalKind, Refused};
use crate::values::Sender;
use crate::waiting::Instruction;

/// What somebody will decide about a question.
#[derive(Debug)]
pub(super) struct Verdict {
    /// How long after the question.
    after: Duration,
    decision: Decision,
}

/// Something that will be said.
#[derive(Debug)]
pub(super) struct Word {
    at: Duration,
    said: Instruction,
}

/// The fake host's part in it.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// For the next questions, the first one first.
    verdicts: VecDeque<Verdict>,
    requests: Vec<ApprovalRequest>,
    /// Not yet taken, by the time they come.
    words: Vec<Word>,
    pub(super) usage: Vec<UsageRecord>,
    pub(super) note: Option<String>,
}

impl FakeHost {
    /// A person says yes to the task's next question, at once. More decisions are for the questions after it, in the
    /// order in which they were given.
    pub fn approve(&self) {
        self.approve_after(Duration::ZERO);
    }

    /// Like [`approve`](Self::approve), but the person takes this long. A decision that comes when the question is over
    /// already is lost.
    pub fn approve_after(&self, after: Duration) {
        self.decide(after, Decision::Approved { by: Sender::Person, input: None });
    }

    /// Like [`approve`](Self::approve), but something else is to be done than what was asked for.
    pub fn approve_with(&self, input: Value) {
        self.decide(Duration::ZERO, Decision::Approved { by: Sender::Person, input: Some(input) });
    }

    /// A person says no to the task's next question, at once. See [`approve`](Self::approve).
    pub fn deny(&self, reason: &str) {
        self.deny_after(Duration::ZERO, reason);
    }

    /// Like [`deny`](Self::deny), but the person takes this long.
    pub fn deny_after(&self, after: Duration, reason: &str) {
        self.decide(after, Decision::Denied { by: Sender::Person, reason: reason.to_owned() });
    }

    fn decide(&self, after: Duration, decision: Decision) {
        self.state.borrow_mut().asking.verdicts.push_back(Verdict { after, decision });
    }

    /// A person says something to the task, now.
    pub fn instruct(&self, text: &str) {
        self.instruct_at(self.elapsed(), text);
    }

    /// A person says something to the task when it has run for `after`.
    pub fn instruct_at(&self, after: Duration, text: &str) {
        let said = Instruction { text: text.to_owned(), sender: Sender::Person };
        let words = &mut self.state.borrow_mut().asking.words;
        let place = words.partition_point(|other| other.at <= after);
        words.insert(place, Word { at: after, said });
    }

    /// What the task asked approval for, in order, each with its decision.
    pub fn approval_requests(&self) -> Vec<ApprovalRequest> {
        self.state.borrow().asking.requests.clone()
    }

    /// What the task said it has spent elsewhere, in order. There are no limits.
    pub fn usage(&self) -> Vec<UsageRecord> {
        self.state.borrow().asking.usage.clone()
    }

    /// The task's note, as it stands.
    pub fn note(&self) -> Option<String> {
        self.state.borrow().asking.note.clone()
    }
}

impl State {
    /// Lets time pass until a question is decided, and writes both down. Returns the contract's document.
    pub(super) fn request_approval(&mut self, approval: Approval, timeout_ms: Option<u64>) -> Result<String, Refused> {
        check_kind(&approval.kind)?;
        let decision = self.verdict(timeout_ms.map(Duration::from_millis))?;
        let document = document(&decision).to_string();
        self.asking.requests.push(ApprovalRequest {
            kind: approval.kind,
            summary: approval.summary,
            reason: approval.reason,
            metadata: approval.metadata,
            timeout: approval.timeout,
            decision,
        });
        Ok(document)
    }

    fn verdict(&mut self, timeout: Option<Duration>) -> Result<Decision, Refused> {
        let start = self.now;
        let cancel_at = self.cancel_at();
        if cancel_at == Some(start) {
            return Ok(Decision::Cancelled);
        }
        if timeout == Some(Duration::ZERO) {
            return Ok(Decision::TimedOut);
        }
        // Used up with this question, also when it comes too late.
        let verdict = self.asking.verdicts.pop_front();
        let verdict_at = verdict.as_ref().map(|verdict| start.saturating_add(verdict.after));
        let over_at = timeout.map(|timeout| start.saturating_add(timeout));
        let Some(end) = [verdict_at, cancel_at, over_at].into_iter().flatten().min() else {
            return Err(endless(
                "asks for approval without a timeout, and the test decides nothing",
                "`approve` or `deny`",
            ));
        };
        self.now = end;
        if cancel_at == Some(end) {
            return Ok(Decision::Cancelled);
        }
        Ok(verdict.filter(|_| verdict_at == Some(end)).map_or(Decision::TimedOut, |verdict| verdict.decision))
    }

    /// Lets time pass until something is said.
    pub(super) fn next_message(&mut self, timeout_ms: Option<u64>) -> Result<Option<Instruction>, Refused> {
        let start = self.now;
        if self.asking.words.first().is_some_and(|word| word.at <= start) {
            return Ok(Some(self.asking.words.remove(0).said));
        }
        let cancel_at = self.cancel_at();
        let word_at = self.asking.words.first().map(|word| word.at);
        let over_at = timeout_ms.map(|ms| start.saturating_add(Duration::from_millis(ms)));
        let Some(end) = [word_at, cancel_at, over_at].into_iter().flatten().min() else {
            return Err(endless("waits for a message without a timeout, and the test says nothing", "`instruct`"));
        };
        self.now = end;
        if cancel_at == Some(end) {
            return Err(shall_stop());
        }
        let said = word_at == Some(end);
        Ok(said.then(|| self.asking.words.remove(0).said))
    }
}

/// The decision as the contract describes it.
fn document(decision: &Decision) -> Value {
    match decision {
        Decision::Approved { by, input: None } => json!({"version": 1, "decision": "approved", "by": by.as_str()}),
        Decision::Approved { by, input: Some(input) } => {
            json!({"version": 1, "decision": "approved", "by": by.as_str(), "input": input})
        }
        Decision::Denied { by, reason } => {
            json!({"version": 1, "decision": "denied", "by": by.as_str(), "reason": reason})
        }
        Decision::TimedOut => json!({"version": 1, "decision": "timed-out"}),
        Decision::Cancelled => json!({"version": 1, "decision": "cancelled"}),
        Decision::Other(word) => json!({"version": 1, "decision": word}),
    }
}

fn check_kind(kind: &str) -> Result<(), Refused> {
    if kind.is_empty() || kind.len() > 64 || kind.chars().any(char::is_control) || kind == "start" {
        return Err(Refused::invalid("kind: 1 to 64 bytes without control characters, and not `start`"));
    }
    Ok(())
}

/// A task cannot go on from here, and its test would never end.
pub(super) fn endless(what: &str, remedy: &str) -> Refused {
    Refused {
        kind: RefusalKind::Other("fake-host".to_owned()),
        message: format!("the task {what}: it would wait for ever. Call {remedy} before the task runs"),
    }
}
