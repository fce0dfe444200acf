//! Reaching other tasks: those of a tree or a session, in the order in which they wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::model::ids::{SignalKey, TaskId, TaskRef};
use crate::model::machine::{Refusal, RefusalKind};
use crate::model::signal::{NotifyAnswer, Party, Signal};
use crate::ports::runner::Reply;

use super::actor::Actor;
use super::registry::Registry;
use super::shared::Shared;

/// Several tasks that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// The tasks of a session.
    Session(String),
    /// A task's tree: its oldest ancestor that is known, and everything below.
    Tree(TaskId),
}

impl Registry {
    /// The live tasks of a scope, oldest first.
    pub(crate) fn live_in(&self, scope: &Scope) -> Vec<Arc<Shared>> {
        let live = self.live();
        match scope {
            Scope::Session(session) => {
                let is_in = |task: &Arc<Shared>| task.session.as_deref() == Some(session);
                live.into_iter().filter(is_in).collect()
            }
            Scope::Tree(id) => {
                let parents: HashMap<TaskId, Option<TaskId>> = live.iter().map(|task| (task.id, task.parent)).collect();
                let root = root(&parents, *id);
                live.into_iter().filter(|task| self::root(&parents, task.id) == root).collect()
            }
        }
    }
}

/// The oldest ancestor that is alive.
fn root(parents: &HashMap<TaskId, Option<TaskId>>, mut id: TaskId) -> TaskId {
    while let Some(Some(parent)) = parents.get(&id) {
        if !parents.contains_key(parent) {
            break;
        }
        id = *parent;
    }
    id
}

/// Sends a signal to the first of these tasks that waits for it, or to all. Returns how many took or kept it.
pub(crate) async fn notify_tasks(mut tasks: Vec<Arc<Shared>>, key: SignalKey, signal: Signal, all: bool) -> u32 {
    // Whoever waits for it comes before whoever does not, and of those who has waited longest.
    let since = |task: &Arc<Shared>| {
        let waits =
            task.state().waiting().is_some_and(|point| point.keys.contains(&key) && point.senders.allow(signal.sender));
        if waits { task.waiting_since.load(Ordering::Relaxed) } else { u64::MAX }
    };
    tasks.sort_by_cached_key(since);
    let mut reached = 0;
    for task in tasks {
        match task.notify(key.clone(), signal.clone()).await {
            NotifyAnswer::Delivered | NotifyAnswer::Buffered => reached += 1,
            NotifyAnswer::NoTask | NotifyAnswer::Full => continue,
        }
        if !all {
            break;
        }
    }
    reached
}

impl Actor {
    /// Whether the guest may reach this task: its own tree, and others with the capability.
    fn may_reach(&self, target: &Shared) -> bool {
        self.grants.signal
            || self.registry.live_in(&Scope::Tree(self.shared.id)).iter().any(|task| task.id == target.id)
    }

    fn denied() -> Refusal {
        let message = "reaching tasks outside of this task's tree needs the capability signal, which was not granted";
        Refusal::new(RefusalKind::Denied, message)
    }

    /// The task that a guest means, if it may reach it; `None` when there is none.
    pub(super) fn reach(&self, target: &TaskRef) -> Result<Option<Arc<Shared>>, Refusal> {
        match self.registry.by_ref(target) {
            Some(task) if self.may_reach(&task) => Ok(Some(task)),
            // Whether there is such a task is nobody's business who may not reach it.
            None if self.grants.signal => Ok(None),
            Some(_) | None => Err(Self::denied()),
        }
    }

    /// Ends another task's wait. Not waited for here: the other task may be about to reach this one.
    pub(super) fn cancel_wait_of(
        &mut self,
        target: &TaskRef,
        key: Option<SignalKey>,
        reply: Reply<Result<u32, Refusal>>,
    ) {
        if *target == self.shared.task {
            // It is in this call, and so in no wait.
            let _ = reply.send(Ok(0));
            return;
        }
        match self.reach(target) {
            Ok(Some(task)) => drop(self.jobs.spawn(async move {
                let _ = reply.send(Ok(u32::from(task.cancel_wait(key).await)));
                None
            })),
            Ok(None) => drop(reply.send(Ok(0))),
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    /// Sends a signal to the tasks of this task's tree or session, itself excepted.
    pub(super) fn notify_scope(
        &mut self,
        session: bool,
        key: SignalKey,
        payload: Option<Value>,
        all: bool,
        reply: Reply<Result<u32, Refusal>>,
    ) {
        let scope = match (session, self.grants.signal, &self.shared.session) {
            (false, _, _) => Scope::Tree(self.shared.id),
            (true, true, Some(session)) => Scope::Session(session.clone()),
            (true, true, None) => return drop(reply.send(Ok(0))),
            (true, false, _) => return drop(reply.send(Err(Self::denied()))),
        };
        let mut tasks = self.registry.live_in(&scope);
        tasks.retain(|task| task.id != self.shared.id);
        let signal = Signal { payload, sender: Party::Task(self.shared.id), task: Some(self.shared.task.clone()) };
        self.jobs.spawn(async move {
            let _ = reply.send(Ok(notify_tasks(tasks, key, signal, all).await));
            None
        });
    }
}
