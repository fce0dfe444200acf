//! What a task's log says about what it may touch: what was taken away, what was answered, what it was denied last.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::model::approval::{ApprovalDecision, PendingApproval};
use crate::model::capability::Capability;
use crate::model::event::EventBody;
use crate::model::grants::touch::Touch;
use crate::model::machine::granting::touch_of;
use crate::model::policy::mandate::AnswerFor;

/// Denials that are remembered, to be named when there were too many.
const NAMED_MAX: usize = 3;

/// What a mandate is to know that is made out anew.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Granting {
    pub(crate) revoked: BTreeSet<Capability>,
    /// What people said, for as long as the task lives: yes or no.
    pub(crate) answered: Vec<(Touch, bool)>,
    /// The newest things that it was denied, the oldest first.
    pub(crate) denied: VecDeque<String>,
    /// The bytes and inodes that it has taken of granted folders with a quota, by the path under which it sees them.
    pub(crate) rooms: BTreeMap<String, (u64, u64)>,
}

impl Granting {
    /// Notes what an event says, before it is folded in.
    pub(super) fn note(&mut self, body: &EventBody, open: &[PendingApproval]) {
        if let EventBody::Revoked { capability, .. } = body {
            self.revoked.insert(*capability);
        } else if let EventBody::Denied { capability, scope, .. } = body {
            self.denied.push_back(if scope.is_empty() {
                capability.to_string()
            } else {
                format!("{capability} {scope}")
            });
            if self.denied.len() > NAMED_MAX {
                self.denied.pop_front();
            }
        } else if let EventBody::FolderRoomTaken { folder, bytes, inodes } = body {
            self.rooms.insert(folder.clone(), (*bytes, *inodes));
        } else if let EventBody::ApprovalDecided { number, decision } = body {
            let asked = open.iter().find(|pending| pending.number == *number);
            let touch = asked.and_then(|pending| touch_of(&pending.ask));
            self.answered.extend(touch.zip(lasting(decision)));
        } else if let EventBody::Finished { .. } = body {
            *self = Self::default();
        }
    }
}

/// What a decision says for as long as the task lives.
pub(crate) fn lasting(decision: &ApprovalDecision) -> Option<bool> {
    match decision {
        ApprovalDecision::Approved { input, .. } => match AnswerFor::of(input.as_ref())? {
            AnswerFor::Once => None,
            AnswerFor::Task | AnswerFor::Always => Some(true),
        },
        // Nobody saying anything is a no.
        ApprovalDecision::Denied { .. } | ApprovalDecision::TimedOut => Some(false),
        ApprovalDecision::Cancelled => None,
    }
}
