//! What a task may touch: what it is denied, asks about, and loses.

use super::{Parked, Reference, Said};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber};
use crate::model::capability::Capability;
use crate::model::command::GrantCommand;
use crate::model::event::WaitEnd;
use crate::model::machine::RefusalKind;
use crate::model::outcome::FailureKind;
use crate::model::permission::{ApprovalKinds, NOBODY};
use crate::model::signal::Party;

/// The kind of the questions, all of which are about the plugin's store here.
pub(super) const GRANT: &str = "grant";
pub(super) const ABOUT: Capability = Capability::Kv;

impl Reference {
    pub(super) fn granting(&mut self, command: &GrantCommand) -> Said {
        match command {
            GrantCommand::Denied { in_row, .. } => {
                if !self.own_is_full() {
                    self.own += 1;
                }
                if *in_row >= 20 { self.fails(FailureKind::Denied) } else { Said::Done }
            }
            GrantCommand::Revoke { capability, .. } if self.revoked.contains(capability) => Said::Unchanged,
            GrantCommand::Revoke { capability, by } => {
                self.revoked.push(*capability);
                if *capability == ABOUT {
                    let reason = "it was taken away from this task".to_owned();
                    self.answers_grants(&ApprovalDecision::Denied { by: *by, reason });
                }
                Said::Done
            }
            GrantCommand::TakeRoom { bytes, inodes, .. } => {
                let (had_bytes, had_inodes) = self.room;
                if *bytes <= had_bytes && *inodes <= had_inodes {
                    return Said::Unchanged;
                }
                self.room = (had_bytes.max(*bytes), had_inodes.max(*inodes));
                Said::Done
            }
            GrantCommand::Ask(ask) => self.asks_grant(ask),
        }
    }

    fn asks_grant(&mut self, _: &ApprovalAsk) -> Said {
        if self.view.parked.is_some() {
            return Said::Refused(RefusalKind::Host);
        }
        if self.view.cancel.is_some() {
            return Said::Over(WaitEnd::Cancelled);
        }
        self.asked += 1;
        let number = ApprovalNumber(self.asked);
        let parked = self.parks(Parked::Approval(number));
        self.view.questions.push((number, GRANT.to_owned()));
        let named = matches!(&self.made.permission.approve, ApprovalKinds::Only(kinds) if kinds.contains(GRANT));
        if named {
            self.answers_grants(&ApprovalDecision::Approved { by: Party::Host, input: None });
        } else if self.made.permission.deny_others {
            self.answers_grants(&ApprovalDecision::Denied { by: Party::Host, reason: NOBODY.to_owned() });
        }
        parked
    }

    /// All open questions of the kind are answered so.
    pub(super) fn answers_grants(&mut self, decision: &ApprovalDecision) {
        let open = self.view.questions.iter().filter(|(_, kind)| kind == GRANT).map(|(number, _)| *number);
        for number in open.collect::<Vec<_>>() {
            self.settles(number);
            self.answers(number, decision);
        }
    }

    /// Why a decision is none about such a question.
    pub(super) fn is_no_answer(&self, number: ApprovalNumber, decision: &ApprovalDecision) -> Option<Said> {
        let ApprovalDecision::Approved { by, input: Some(input) } = decision else { return None };
        self.view.questions.iter().find(|(open, kind)| *open == number && kind == GRANT)?;
        match input.as_str() {
            Some("always") if *by == Party::Agent => Some(Said::Refused(RefusalKind::Denied)),
            Some("once" | "task" | "always") => None,
            _ => Some(Said::Refused(RefusalKind::InvalidArgument)),
        }
    }
}
