//! Taking capabilities away from tasks that run: gone with the next call that needs them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::model::capability::Capability;
use crate::model::command::{Command, GrantCommand};
use crate::model::ids::{TaskId, TaskRef};
use crate::model::request::CancelRequest;
use crate::model::signal::Party;

use super::handle::TaskHandle;
use super::host::{Host, Inner};

/// From whom a capability is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevokeFrom {
    /// From this task, and from everything below it: its children have what they have from it.
    Task(TaskId),
    /// From the tasks of this plugin: those that there are, and those that are started before another policy is in force,
    /// or the host stops.
    Plugin(String),
}

/// A capability that is to be taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revocation {
    /// From whom.
    pub from: RevokeFrom,
    /// Which one.
    pub capability: Capability,
    /// Who says so.
    pub by: Party,
    /// Whether the tasks that have it are stopped where they are.
    pub now: bool,
}

impl Revocation {
    /// Takes it away with the next call.
    pub fn new(from: RevokeFrom, capability: Capability, by: Party) -> Self {
        Self { from, capability, by, now: false }
    }

    /// Stops the tasks that have it, too.
    #[must_use]
    pub fn now(mut self) -> Self {
        self.now = true;
        self
    }
}

/// What became of a revocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RevokeReport {
    /// The live tasks that it was taken away from, the oldest id first.
    pub tasks: Vec<RevokedFrom>,
}

/// A task that lost a capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RevokedFrom {
    /// Its id.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// Whether it had any of it before, be it after a question.
    pub held: bool,
    /// Whether it was stopped for that.
    pub stopped: bool,
}

/// What another policy has taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PolicyChange {
    /// The live tasks that may do less than before, with the first thing that each of them lost.
    pub lost: Vec<LostGrant>,
    /// Why the audit log does not have it, if so. Nothing is allowed then until it can be written again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unaudited: Option<String>,
}

/// A task that another policy lets do less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LostGrant {
    /// Its id.
    pub id: TaskId,
    /// Of which capability it lost something.
    pub capability: Capability,
    /// What; empty when it is one thing only.
    pub scope: String,
}

impl Inner {
    pub(super) async fn revoke(&self, wish: Revocation) -> RevokeReport {
        let Revocation { from, capability, by, now } = wish;
        // First what they may do, which no store and no actor holds up; then their logs.
        let held: HashSet<TaskId> = match &from {
            RevokeFrom::Plugin(name) => self.policy.withdraw_from_plugin(name, capability),
            RevokeFrom::Task(id) => {
                let below = |task: TaskId, parent| task == *id || self.registry.is_below(parent, *id);
                self.policy.withdraw_from(capability, below)
            }
        };
        let mut live = self.registry.live();
        live.retain(|task| match &from {
            RevokeFrom::Plugin(name) => task.task.plugin == *name,
            RevokeFrom::Task(id) => task.id == *id || self.registry.is_below(task.parent, *id),
        });
        let mut told = JoinSet::new();
        for shared in live {
            let held = held.contains(&shared.id);
            let told_of = async move {
                let (id, task) = (shared.id, shared.task_ref());
                let handle = TaskHandle::new(shared);
                handle.change(Command::Grant(GrantCommand::Revoke { capability, by })).await;
                let stopped = now && held;
                if stopped {
                    let why = format!("{capability} was taken away from it");
                    handle.cancel(CancelRequest::force(by, why)).await;
                }
                RevokedFrom { id, task, held, stopped }
            };
            told.spawn_on(told_of, &self.runtime);
        }
        let mut tasks = told.join_all().await;
        tasks.sort_by_key(|task| task.id);
        RevokeReport { tasks }
    }
}

impl Host {
    /// Takes a capability away from tasks that run. It is gone with the next call that needs it, also where somebody has said
    /// yes; a question about it is answered with no; nothing gives it back to these tasks. What a call has begun it finishes.
    ///
    /// ```no_run
    /// # async fn example(host: taskcell::Host) {
    /// use taskcell::{Capability, Party, Revocation, RevokeFrom};
    ///
    /// let fetch = RevokeFrom::Plugin("fetch".to_owned());
    /// let report = host.revoke(Revocation::new(fetch, Capability::Http, Party::Person).now()).await;
    /// println!("{} tasks have lost it", report.tasks.len());
    /// # }
    /// ```
    ///
    /// Cancel safety: when the future is dropped, the capability is gone, and some of the tasks may not be stopped.
    pub async fn revoke(&self, wish: Revocation) -> RevokeReport {
        self.inner().revoke(wish).await
    }
}
