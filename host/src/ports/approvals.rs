//! Who may decide about what tasks ask: the host's own policy.

use crate::model::approval::{ApprovalRuling, Approvers, OpenApproval};
use crate::model::signal::Party;

/// Says of each decision about a question whether that party may make it. It may allow more than the task's own
/// [`Approvers`], or less; that a task decides it cannot allow.
///
/// A closure `Fn(&OpenApproval, Party) -> ApprovalRuling` is a policy. So are [`Approvers`]: then whoever is not among them
/// may not decide, whatever a task's own say.
///
/// ```
/// use taskcell::{ApprovalRuling, Approvers, Host, OpenApproval, Party};
///
/// let only_people = Host::builder().approval_policy(Approvers::Person);
/// let trusting = Host::builder().approval_policy(|question: &OpenApproval, by: Party| match (&*question.ask.kind, by) {
///     ("lint", Party::Agent) => ApprovalRuling::Allowed,
///     ("pay", Party::Host) => ApprovalRuling::Forbidden("people pay".to_owned()),
///     _ => ApprovalRuling::AsTheTaskSays,
/// });
/// ```
pub trait ApprovalPolicy: Send + Sync {
    /// Whether this party may decide this question. Must not block. A panic is the caller's, who wants to decide.
    fn rule(&self, question: &OpenApproval, by: Party) -> ApprovalRuling;
}

impl<F: Fn(&OpenApproval, Party) -> ApprovalRuling + Send + Sync> ApprovalPolicy for F {
    fn rule(&self, question: &OpenApproval, by: Party) -> ApprovalRuling {
        self(question, by)
    }
}

impl ApprovalPolicy for Approvers {
    fn rule(&self, _: &OpenApproval, by: Party) -> ApprovalRuling {
        if self.allow(by) {
            return ApprovalRuling::AsTheTaskSays;
        }
        ApprovalRuling::Forbidden("this host lets others decide".to_owned())
    }
}
