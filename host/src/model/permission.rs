//! What becomes of a task's questions when nobody is to be asked: permission that was given before it ran.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::approval::{ApprovalAsk, ApprovalDecision, KIND_BYTES_MAX};
use super::signal::Party;

/// Kinds that one request names.
const KINDS_MAX: usize = 64;

/// Kinds of questions for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ApprovalKinds {
    /// These.
    Only(BTreeSet<String>),
    /// Whatever there is, but not [`ApprovalAsk::GRANT`]: what a plugin may touch is permitted in advance only by its name.
    All,
}

impl Default for ApprovalKinds {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl ApprovalKinds {
    /// These kinds. [`ApprovalAsk::START`] is a task's start, and [`ApprovalAsk::FUEL`] a request for fuel.
    pub fn only(kinds: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Only(kinds.into_iter().map(Into::into).collect())
    }

    /// Whether this kind is among them.
    pub fn contains(&self, kind: &str) -> bool {
        match self {
            Self::All => kind != ApprovalAsk::GRANT,
            Self::Only(kinds) => kinds.contains(kind),
        }
    }

    /// Whether all of these are among the others.
    pub(crate) fn is_within(&self, others: &Self) -> bool {
        match (self, others) {
            (Self::All, Self::All) => true,
            (Self::Only(kinds), Self::All) => !kinds.contains(ApprovalAsk::GRANT),
            (Self::All, Self::Only(_)) => false,
            (Self::Only(kinds), Self::Only(others)) => kinds.is_subset(others),
        }
    }

    /// Whether they can be kinds at all.
    pub(crate) fn are_names(&self) -> bool {
        match self {
            Self::All => true,
            Self::Only(kinds) => kinds.len() <= KINDS_MAX && kinds.iter().all(|kind| is_kind(kind)),
        }
    }
}

/// Whether this can be the kind of a question.
pub(crate) fn is_kind(kind: &str) -> bool {
    (1..=KIND_BYTES_MAX).contains(&kind.len()) && !kind.chars().any(char::is_control)
}

/// What is decided about a task's questions before it asks, so that a task which nobody attends does not wait for an
/// answer that never comes. The default asks. A task's children have their parent's.
///
/// ```
/// use taskcell::{ApprovalKinds, Permission};
///
/// // Deploys without asking, and is told no about everything else.
/// let permission = Permission::approve(ApprovalKinds::only(["deploy"])).deny_others();
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Permission {
    /// Questions of these kinds are approved at once, in the host's name. A request for fuel gets what
    /// [`Limits::fuel_on_approval`](crate::Limits) leaves it, or nothing.
    pub approve: ApprovalKinds,
    /// All others are denied at once, in the host's name; else somebody is asked.
    pub deny_others: bool,
}

impl Permission {
    /// Approves of these kinds, and asks about all others.
    pub fn approve(kinds: ApprovalKinds) -> Self {
        Self { approve: kinds, deny_others: false }
    }

    /// Denies everything.
    pub fn deny_all() -> Self {
        Self { approve: ApprovalKinds::default(), deny_others: true }
    }

    /// Denies whatever it does not approve of.
    #[must_use]
    pub fn deny_others(mut self) -> Self {
        self.deny_others = true;
        self
    }

    /// What is decided about a question of this kind; `None` when somebody is to be asked.
    pub(crate) fn verdict(&self, kind: &str) -> Option<bool> {
        if self.approve.contains(kind) {
            return Some(true);
        }
        self.deny_others.then_some(false)
    }

    /// The same, as a decision about this question.
    pub(crate) fn decision(&self, ask: &ApprovalAsk) -> Option<ApprovalDecision> {
        self.verdict(&ask.kind).map(|yes| {
            if yes {
                ApprovalDecision::Approved { by: Party::Host, input: None }
            } else {
                ApprovalDecision::Denied { by: Party::Host, reason: NOBODY.to_owned() }
            }
        })
    }
}

/// Why it is a no when nobody is to be asked.
pub(crate) const NOBODY: &str = "nobody is asked in this run, and this was not approved of before it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r26_what_was_said_before_is_a_yes_a_no_or_a_question() {
        let deploy = || ApprovalKinds::only(["deploy"]);
        for (permission, deploys, other) in [
            (Permission::default(), None, None),
            (Permission::deny_all(), Some(false), Some(false)),
            (Permission::approve(deploy()), Some(true), None),
            (Permission::approve(deploy()).deny_others(), Some(true), Some(false)),
            (Permission::approve(ApprovalKinds::All), Some(true), Some(true)),
        ] {
            assert_eq!((permission.verdict("deploy"), permission.verdict("pay")), (deploys, other), "{permission:?}");
            let text = serde_json::to_string(&permission).unwrap();
            assert_eq!(serde_json::from_str::<Permission>(&text).unwrap(), permission, "{text}");
        }
    }

    #[test]
    fn t16_what_a_plugin_may_touch_is_permitted_in_advance_only_by_its_name() {
        let (all, grant) = (ApprovalKinds::All, ApprovalKinds::only([ApprovalAsk::GRANT]));
        assert_eq!(Permission::approve(all.clone()).verdict(ApprovalAsk::GRANT), None);
        assert_eq!(Permission::approve(all.clone()).deny_others().verdict(ApprovalAsk::GRANT), Some(false));
        assert_eq!(Permission::approve(grant.clone()).verdict(ApprovalAsk::GRANT), Some(true));
        assert!(all.is_within(&all) && grant.is_within(&grant) && !grant.is_within(&all));
    }

    #[test]
    fn kinds_are_within_others() {
        let (one, two) = (ApprovalKinds::only(["a"]), ApprovalKinds::only(["a", "b"]));
        assert!(one.is_within(&two) && !two.is_within(&one) && two.is_within(&ApprovalKinds::All));
        assert!(!ApprovalKinds::All.is_within(&two) && ApprovalKinds::default().is_within(&ApprovalKinds::default()));
        assert!(one.are_names() && !ApprovalKinds::only([""]).are_names() && !ApprovalKinds::only(["a\n"]).are_names());
    }
}
