//! Answers for always: in force at once, and written into the operator's file.

use std::sync::Arc;

use crate::model::grants::touch::Touch;
use crate::model::policy::answer::AlwaysAllowed;
use crate::model::policy::mandate::AnswerFor;
use crate::ports::audit::{AuditLine, AuditWhat};
use crate::ports::mandate::LiveMandate;
use crate::ports::output::OutputLog;

use super::host::Inner;

/// Why an answer is written nowhere.
const NO_WRITER: &str = "allowed always; nothing writes it into the policy's file, so it holds as long as this host";

/// An answer for always, and whom it is told about.
#[derive(Debug)]
pub(super) struct Always {
    pub(super) answer: AlwaysAllowed,
    /// The rule that asks about it.
    pub(super) rule: String,
    /// Of the task that asked, whose part of the audit log it is told in.
    pub(super) mandate: Arc<LiveMandate>,
    pub(super) output: Arc<OutputLog>,
}

impl Always {
    fn touch(&self) -> &Touch {
        &self.answer.touch
    }

    /// Tells that another policy is in force, and whether its file has it. That it cannot be told takes nothing back.
    fn tell(&self, reason: String) {
        let _ = self.mandate.tell(self.touch(), |ledger| AuditLine {
            by: Some(self.answer.by),
            answer: Some(AnswerFor::Always.to_string()),
            reason: Some(reason),
            ..ledger.about(AuditWhat::Policy, self.touch(), &self.rule)
        });
    }

    /// The answer holds all the same, and whoever gave it has to know for how long.
    fn not_written(&self, why: &str) {
        let reason = format!("allowed always, and not written into the policy's file: {why}");
        let _is_over = self.output.log("warn", "taskcell".to_owned(), format!("{}: {reason}", self.touch()));
        self.tell(reason);
    }
}

impl Inner {
    /// Has an answer for always in force, and writes it down. That the file cannot be written is told and takes nothing
    /// back: the answer holds as long as this host.
    pub(super) fn allow_always(&self, always: Always) {
        self.policy.allow(&always.answer);
        let Some(writer) = self.policy.writer() else { return always.tell(NO_WRITER.to_owned()) };
        self.spawn(Box::pin(async move {
            let answer = always.answer.clone();
            match tokio::task::spawn_blocking(move || writer(&answer)).await {
                Ok(Ok(())) => always.tell("allowed always, and written into the policy's file".to_owned()),
                Ok(Err(error)) => always.not_written(&error.to_string()),
                Err(broken) => always.not_written(&format!("what writes it broke: {broken}")),
            }
        }));
    }
}
