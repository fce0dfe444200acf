//! All questions that nobody has decided yet, in one list: seen, followed and decided from outside.
//!
//! The list is no truth of its own. It is read from the states of the live tasks, whose actors say when it may have changed.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::model::approval::{ApprovalNumber, ApprovalRuling, ApprovalVerdict, OpenApproval, PendingApproval};
use crate::model::ids::TaskId;
use crate::model::signal::Party;
use crate::model::time::Timestamp;
use crate::ports::approvals::ApprovalPolicy;

use super::actor::stopped;
use super::handle::{ApprovalAnswer, TaskHandle};
use super::host::{Host, Inner};
use super::registry::Registry;
use super::shared::Shared;

/// What the host itself says about its tasks' questions.
pub(crate) struct ApprovalDesk {
    policy: Option<Arc<dyn ApprovalPolicy>>,
    /// Changes whenever the list of open questions may have.
    changes: watch::Sender<()>,
}

impl fmt::Debug for ApprovalDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApprovalDesk").field("has_policy", &self.policy.is_some()).finish_non_exhaustive()
    }
}

impl ApprovalDesk {
    pub(crate) fn new(policy: Option<Arc<dyn ApprovalPolicy>>) -> Self {
        Self { policy, changes: watch::Sender::new(()) }
    }

    /// A question was asked or decided.
    pub(super) fn changed(&self) {
        // Whoever follows them subscribes before looking, so one that does not yet will find what there is now.
        if self.changes.receiver_count() > 0 {
            self.changes.send_replace(());
        }
    }

    fn rule(&self, question: &OpenApproval, by: Party) -> ApprovalRuling {
        self.policy.as_ref().map_or(ApprovalRuling::AsTheTaskSays, |policy| policy.rule(question, by))
    }
}

/// Which questions are meant; without anything said, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApprovalFilter {
    /// Only those of this session's tasks.
    pub session: Option<String>,
    /// Only those of this plugin's tasks.
    pub plugin: Option<String>,
    /// Only those of this task.
    pub task: Option<TaskId>,
}

impl ApprovalFilter {
    /// Those of this session's tasks.
    pub fn session(session: impl Into<String>) -> Self {
        Self { session: Some(session.into()), ..Self::default() }
    }

    /// Those of this plugin's tasks.
    pub fn plugin(plugin: impl Into<String>) -> Self {
        Self { plugin: Some(plugin.into()), ..Self::default() }
    }

    /// Those of this task.
    pub fn task(task: TaskId) -> Self {
        Self { task: Some(task), ..Self::default() }
    }

    fn takes(&self, shared: &Shared) -> bool {
        self.task.is_none_or(|task| task == shared.id)
            && self.session.as_ref().is_none_or(|session| shared.session.as_ref() == Some(session))
            && self.plugin.as_ref().is_none_or(|plugin| *plugin == shared.task.plugin)
    }
}

impl Shared {
    /// What it asks, with what others want to know about it.
    pub(super) fn open_approvals(&self) -> Vec<OpenApproval> {
        let state = self.state();
        let open = |pending: PendingApproval| {
            let time = pending.ask.timeout.and_then(|time| u64::try_from(time.as_millis()).ok());
            OpenApproval {
                id: self.id,
                task: self.task_ref(),
                session: self.session.clone(),
                title: state.details.title.clone(),
                number: pending.number,
                until: time.and_then(|time| pending.since.0.checked_add(time)).map(Timestamp),
                since: pending.since,
                ask: pending.ask,
                approvers: state.details.approvers,
            }
        };
        // What was permitted or denied in advance is settled in a moment, and nobody's to decide.
        let mut questions = state.questions();
        questions.retain(|pending| state.details.permission.verdict(&pending.ask.kind).is_none());
        questions.into_iter().map(open).collect()
    }

    /// What the host's policy says about this party's decision; `None` when there is no such question. What is decided
    /// before the policy was asked does not reach the task: the question may open meanwhile.
    pub(super) fn ruling(&self, number: ApprovalNumber, by: Party) -> Option<ApprovalRuling> {
        let question = self.open_approvals().into_iter().find(|open| open.number == number)?;
        Some(self.around.approvals.rule(&question, by))
    }
}

impl Registry {
    fn open_approvals(&self, filter: &ApprovalFilter) -> Vec<OpenApproval> {
        let tasks = self.live().into_iter().filter(|task| filter.takes(task));
        let mut open: Vec<OpenApproval> = tasks.flat_map(|task| task.open_approvals()).collect();
        // Stable: of the same moment, the older task's first.
        open.sort_by_key(|open| open.since);
        open
    }
}

impl Inner {
    pub(super) fn follow_approvals(&self, filter: ApprovalFilter) -> ApprovalStream {
        ApprovalStream {
            registry: Arc::clone(&self.registry),
            filter,
            changes: self.around.approvals.changes.subscribe(),
            shutdown: self.shutdown.subscribe(),
            seen: HashSet::new(),
            next: VecDeque::new(),
            looked: false,
        }
    }

    pub(super) fn approvals(&self, filter: &ApprovalFilter) -> Vec<OpenApproval> {
        self.registry.open_approvals(filter)
    }

    pub(super) async fn decide(
        &self,
        task: TaskId,
        number: ApprovalNumber,
        verdict: ApprovalVerdict,
        by: Party,
    ) -> ApprovalAnswer {
        let Some(task) = self.registry.by_id(task).map(TaskHandle::new) else { return ApprovalAnswer::NotAsked };
        match verdict {
            ApprovalVerdict::Approve(input) => task.approve(number, input, by).await,
            ApprovalVerdict::Deny(reason) => task.deny(number, reason, by).await,
        }
    }
}

impl Host {
    /// The questions of its tasks that nobody has decided yet, the oldest first: those of running tasks, those of tasks that
    /// may not begin before, and requests for fuel. They can be decided in any order.
    pub fn approvals(&self, filter: &ApprovalFilter) -> Vec<OpenApproval> {
        self.inner().approvals(filter)
    }

    /// The same questions one by one, and each new one as soon as it is asked.
    ///
    /// ```no_run
    /// # async fn example(host: taskcell::Host) {
    /// use taskcell::{ApprovalFilter, ApprovalVerdict, Party};
    ///
    /// let mut questions = host.follow_approvals(ApprovalFilter::session("s1"));
    /// while let Some(question) = questions.next().await {
    ///     println!("{}", taskcell::escape(&question.ask.summary));
    ///     let no = ApprovalVerdict::Deny("not today".to_owned());
    ///     host.decide(question.id, question.number, no, Party::Person).await;
    /// }
    /// # }
    /// ```
    pub fn follow_approvals(&self, filter: ApprovalFilter) -> ApprovalStream {
        self.inner().follow_approvals(filter)
    }

    /// Decides a question of a task, as [`TaskHandle::approve`] and [`TaskHandle::deny`] do. Who may is up to the host's policy
    /// ([`HostBuilder::approval_policy`](crate::HostBuilder::approval_policy)) and the task's
    /// ([`TaskDetails::approvers`](crate::TaskDetails)); a question that somebody may not decide stays open.
    ///
    /// Cancel safety: when the future is dropped, it may or may not have been decided.
    pub async fn decide(
        &self,
        task: TaskId,
        number: ApprovalNumber,
        verdict: ApprovalVerdict,
        by: Party,
    ) -> ApprovalAnswer {
        self.inner().decide(task, number, verdict, by).await
    }
}

/// The open questions one by one. See [`Host::follow_approvals`].
pub struct ApprovalStream {
    registry: Arc<Registry>,
    filter: ApprovalFilter,
    changes: watch::Receiver<()>,
    shutdown: watch::Receiver<bool>,
    /// Those that were told and are still open.
    seen: HashSet<(TaskId, ApprovalNumber)>,
    next: VecDeque<OpenApproval>,
    /// Whether the list was looked at for the first time.
    looked: bool,
}

impl fmt::Debug for ApprovalStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApprovalStream").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl ApprovalStream {
    /// The next question that is open and was not told yet, as soon as there is one; `None` when the host shuts down. One
    /// that is decided before anybody comes to it is left out.
    ///
    /// Cancel safety: no question is lost.
    pub async fn next(&mut self) -> Option<OpenApproval> {
        loop {
            // Looked at before the list, so that a change in between is not slept through.
            if !self.looked || self.changes.has_changed().unwrap_or(false) {
                self.look();
            }
            if let Some(question) = self.next.pop_front() {
                self.seen.insert((question.id, question.number));
                return Some(question);
            }
            tokio::select! {
                changed = self.changes.changed() => {
                    self.looked = false;
                    // An error means that the host is gone.
                    changed.ok()?;
                }
                () = stopped(&mut self.shutdown) => return None,
            }
        }
    }

    fn look(&mut self) {
        self.looked = true;
        self.changes.mark_unchanged();
        let open = self.registry.open_approvals(&self.filter);
        let still: HashSet<(TaskId, ApprovalNumber)> = open.iter().map(|open| (open.id, open.number)).collect();
        self.seen.retain(|seen| still.contains(seen));
        self.next = open.into_iter().filter(|open| !self.seen.contains(&(open.id, open.number))).collect();
    }
}
