//! What a guest may touch, decided with its actor: it is denied, or somebody is asked.

use std::sync::Arc;

use crate::model::approval::ApprovalDecision;
use crate::model::command::{Answer, Command, GrantCommand};
use crate::model::grants::touch::Touch;
use crate::model::machine::Refusal;
use crate::model::machine::granting::{Asker, no, question};
use crate::model::policy::answer::AlwaysAllowed;
use crate::model::policy::mandate::{AnswerFor, Denied, Verdict};
use crate::model::signal::Party;
use crate::model::state::lasting;
use crate::ports::audit::{AuditLine, AuditWhat};
use crate::ports::runner::Reply;

use super::actor::{Actor, Ended, Parked};
use super::always::Always;
use super::calls::done;

/// A guest that waits for an answer to the question whether it may do something.
#[derive(Debug)]
pub(crate) struct Petition {
    touch: Touch,
    rule: String,
    /// Whether a yes for one time is left for the call that it is needed for.
    leave: bool,
    reply: Reply<Result<(), Denied>>,
}

impl Petition {
    /// Its guest is parked already.
    pub(super) fn refuse(self, refusal: Refusal) {
        let denied = Denied::of(&self.touch, refusal.message, true);
        let _ = self.reply.send(Err(denied));
    }
}

impl Actor {
    /// The guest is about to do something that its mandate does not allow as it is.
    pub(super) async fn permit(
        &mut self,
        touch: Touch,
        why: Option<String>,
        leave: bool,
        reply: Reply<Result<(), Denied>>,
    ) -> Result<(), Ended> {
        let rule = match self.mandate.enter(&touch, leave) {
            // It was changed meanwhile.
            Verdict::Allowed { .. } => {
                let _ = reply.send(Ok(()));
                return Ok(());
            }
            Verdict::Denied { rule, denied } => {
                self.note_denial(rule, denied.clone()).await?;
                let _ = reply.send(Err(denied));
                return Ok(());
            }
            Verdict::Ask { rule } => rule,
        };
        if let Err(denied) = self.mandate.tell(&touch, |ledger| ledger.about(AuditWhat::Ask, &touch, &rule)) {
            let _ = reply.send(Err(denied));
            return Ok(());
        }
        let of = Asker { plugin: &self.shared.task.plugin, digest: &self.version.plugin.digest() };
        let ask = question(of, &touch, &rule, why.as_deref());
        if !self.park(Parked::Grant(Petition { touch, rule, leave, reply })) {
            return Ok(());
        }
        let answer = self.decide(Command::Grant(GrantCommand::Ask(Box::new(ask)))).await?;
        if !matches!(answer, Answer::Parked) {
            self.refuse_grant(done(answer).err());
        }
        Ok(())
    }

    /// Whether the guest may do what it has called for.
    pub(super) async fn may(&mut self, touch: &Touch) -> Result<Result<(), Refusal>, Ended> {
        match self.mandate.enter(touch, false) {
            Verdict::Allowed { .. } => Ok(Ok(())),
            // The guest's side asks, and calls again.
            Verdict::Ask { .. } => Ok(Err(Denied::of(touch, "somebody has to be asked about it", true).into())),
            Verdict::Denied { rule, denied } => {
                self.note_denial(rule, denied.clone()).await?;
                Ok(Err(denied.into()))
            }
        }
    }

    /// Counts it, and has it in the log.
    pub(super) async fn note_denial(&mut self, rule: String, denied: Denied) -> Result<(), Ended> {
        let in_row = self.mandate.count_denial(&denied, &rule);
        self.log_denial(rule, denied, in_row).await
    }

    /// Has in the log what is counted.
    pub(super) async fn log_denial(&mut self, rule: String, denied: Denied, in_row: u32) -> Result<(), Ended> {
        let command = GrantCommand::Denied { denied, rule, in_row, usage: self.shared.usage() };
        self.decide(Command::Grant(command)).await.map(drop)
    }

    /// Answers the guest's open question, if it is parked in one.
    pub(super) fn end_grant(&mut self, decision: &ApprovalDecision) {
        let Some(Parked::Grant(open)) = self.parked.take_if(|parked| matches!(parked, Parked::Grant(_))) else {
            return;
        };
        let Petition { touch, rule, leave, reply } = open;
        let told =
            self.mandate.tell(&touch, |ledger| answered(ledger.about(AuditWhat::Answer, &touch, &rule), decision));
        if let Some(yes) = lasting(decision).filter(|yes| !yes || told.is_ok()) {
            self.mandate.answered(touch.clone(), yes);
        }
        if let Some(denied) = no(&touch, decision) {
            self.mandate.count_denial(&denied, &rule);
            let _ = reply.send(Err(denied));
            return;
        }
        if let Err(denied) = told {
            let _ = reply.send(Err(denied));
            return;
        }
        if let ApprovalDecision::Approved { by, input } = decision
            && AnswerFor::of(input.as_ref()) == Some(AnswerFor::Always)
        {
            self.allow_always(&touch, rule, *by);
        }
        // What was taken away while somebody thought about it stays away.
        let answer = match self.mandate.decide(&touch) {
            Verdict::Denied { denied, .. } => Err(denied),
            Verdict::Ask { .. } if leave => {
                self.mandate.pass(touch);
                Ok(())
            }
            Verdict::Ask { .. } | Verdict::Allowed { .. } => Ok(()),
        };
        let _ = reply.send(answer);
    }

    /// Nobody was asked after all.
    fn refuse_grant(&mut self, refusal: Option<Refusal>) {
        let Some(refusal) = refusal else { return self.end_grant(&ApprovalDecision::Cancelled) };
        if let Some(Parked::Grant(open)) = self.parked.take_if(|parked| matches!(parked, Parked::Grant(_))) {
            open.refuse(refusal);
        }
    }

    /// Has the answer in the policy from now on, and written into the operator's file.
    fn allow_always(&self, touch: &Touch, rule: String, by: Party) {
        let Some(inner) = self.host.upgrade() else { return };
        let (plugin, at) = (self.shared.task.plugin.clone(), self.shared.around.clock.date());
        let answer = AlwaysAllowed::new(plugin, touch.clone(), by, at);
        let (mandate, output) = (Arc::clone(&self.mandate), Arc::clone(&self.shared.output));
        inner.allow_always(Always { answer, rule, mandate, output });
    }
}

/// The line that says what was decided.
fn answered(line: AuditLine, decision: &ApprovalDecision) -> AuditLine {
    let (by, answer, reason) = match decision {
        ApprovalDecision::Approved { by, input } => {
            (Some(*by), AnswerFor::of(input.as_ref()).unwrap_or_default().to_string(), None)
        }
        ApprovalDecision::Denied { by, reason } => (Some(*by), "no".to_owned(), Some(reason.clone())),
        ApprovalDecision::TimedOut => (None, "no".to_owned(), Some("nobody answered in time".to_owned())),
        ApprovalDecision::Cancelled => (None, "no".to_owned(), Some("the task shall stop".to_owned())),
    };
    AuditLine { by, answer: Some(answer), reason: reason.filter(|reason| !reason.is_empty()), ..line }
}
