//! Reaching other tasks: those of a tree or a session, in the order in which they wait.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::model::command::Command;
use crate::model::grants::touch::Touch;
use crate::model::ids::{SignalKey, TaskId, TaskRef};
use crate::model::machine::Refusal;
use crate::model::signal::{NotifyAnswer, Party, Signal};
use crate::ports::runner::Reply;

use super::actor::{Actor, Ended, Finding};
use super::calls::done;
use super::registry::Registry;
use super::shared::{Addressee, Shared};

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

/// One signal on its way to one of several tasks, or to all of them.
#[derive(Debug)]
pub(crate) struct Round {
    /// Those that may still be sent it, oldest first.
    tasks: VecDeque<Arc<Shared>>,
    key: SignalKey,
    signal: Signal,
    all: bool,
    /// How often one that waits is still looked for. Each time that it no longer does, another signal has woken it.
    looks: usize,
    /// How many took or kept it.
    reached: u32,
}

impl Round {
    fn new(tasks: Vec<Arc<Shared>>, key: SignalKey, signal: Signal, all: bool) -> Self {
        let looks = if all { 0 } else { tasks.len() };
        Self { tasks: tasks.into(), key, signal, all, looks, reached: 0 }
    }

    /// Whose turn it is: whoever waits comes before whoever does not, and of those who has waited longest.
    fn next(&mut self) -> Option<(Arc<Shared>, Addressee)> {
        if self.reached > 0 && !self.all {
            return None;
        }
        if let Some(looks) = self.looks.checked_sub(1) {
            self.looks = looks;
            if let Some(longest) = self.longest() {
                return Some((longest, Addressee::Waiting));
            }
            self.looks = 0;
        }
        self.tasks.pop_front().map(|task| (task, Addressee::Any))
    }

    fn longest(&self) -> Option<Arc<Shared>> {
        let waits = |task: &&Arc<Shared>| task.state().waits_for(&self.key, self.signal.sender);
        self.tasks.iter().filter(waits).min_by_key(|task| task.waiting_since.load(Ordering::Relaxed)).cloned()
    }

    async fn send(&mut self, task: &Shared, to: Addressee) {
        let (key, signal) = (self.key.clone(), self.signal.clone());
        let reached = match to {
            Addressee::Waiting => task.wake(key, signal).await,
            Addressee::Any => match task.notify(key, signal).await {
                NotifyAnswer::Delivered | NotifyAnswer::Buffered => true,
                NotifyAnswer::NoTask | NotifyAnswer::Full => false,
            },
        };
        self.reached += u32::from(reached);
    }
}

/// Sends a signal to the first of these tasks that waits for it, or to all. Returns how many took or kept it.
pub(crate) async fn notify_tasks(tasks: Vec<Arc<Shared>>, key: SignalKey, signal: Signal, all: bool) -> u32 {
    let mut round = Round::new(tasks, key, signal, all);
    while let Some((task, to)) = round.next() {
        round.send(&task, to).await;
    }
    round.reached
}

impl Actor {
    /// Whether this task is of the guest's own tree.
    fn is_in_tree(&self, target: &Shared) -> bool {
        self.registry.root(self.shared.id) == self.registry.root(target.id)
    }

    /// Counts a call that makes nothing happen in this task's own log as if it did: it costs others something.
    pub(super) fn take_turn(&mut self) {
        self.event_pace.take(self.shared.around.clock.steady());
    }

    /// The task that a guest means, if it may reach it; `None` when there is none.
    pub(super) async fn reach(&mut self, target: &TaskRef) -> Result<Result<Option<Arc<Shared>>, Refusal>, Ended> {
        match self.registry.by_ref(target) {
            Some(task) if self.is_in_tree(&task) => Ok(Ok(Some(task))),
            // Whether there is such a task is nobody's business who may not reach it.
            other => Ok(self.may(&Touch::Signal).await?.map(|()| other)),
        }
    }

    /// Ends another task's wait. Not waited for here: the other task may be about to reach this one.
    pub(super) async fn cancel_wait_of(
        &mut self,
        target: &TaskRef,
        key: Option<SignalKey>,
        reply: Reply<Result<u32, Refusal>>,
    ) -> Result<(), Ended> {
        if *target == *self.shared.task {
            self.take_turn();
            // It is in this call, and so in no wait.
            let _ = reply.send(Ok(0));
            return Ok(());
        }
        let reached = self.reach(target).await?;
        if reached.is_ok() {
            // That it was denied is in its log, and counted there.
            self.take_turn();
        }
        match reached {
            Ok(Some(task)) => drop(self.jobs.spawn(async move {
                let _ = reply.send(Ok(u32::from(task.cancel_wait(key).await)));
                None
            })),
            Ok(None) => drop(reply.send(Ok(0))),
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
        Ok(())
    }

    /// Sends a signal to the tasks of this task's tree or session, itself excepted.
    pub(super) async fn notify_scope(
        &mut self,
        session: bool,
        key: SignalKey,
        payload: Option<Value>,
        all: bool,
        reply: Reply<Result<u32, Refusal>>,
    ) -> Result<(), Ended> {
        if session && let Err(refusal) = self.may(&Touch::Signal).await? {
            let _ = reply.send(Err(refusal));
            return Ok(());
        }
        self.take_turn();
        let scope = match (session, &self.shared.session) {
            (false, _) => Scope::Tree(self.shared.id),
            (true, Some(session)) => Scope::Session(session.clone()),
            (true, None) => {
                let _ = reply.send(Ok(0));
                return Ok(());
            }
        };
        let mut tasks = self.registry.live_in(&scope);
        tasks.retain(|task| task.id != self.shared.id);
        let signal = Signal { payload, sender: Party::Task(self.shared.id), task: Some(self.shared.task_ref()) };
        self.send_next(Box::new(Round::new(tasks, key, signal, all)), reply).await
    }

    /// Sends the signal to whose turn it is, which is written down before. When no more may be written, it goes to nobody
    /// else.
    pub(super) async fn send_next(
        &mut self,
        mut round: Box<Round>,
        reply: Reply<Result<u32, Refusal>>,
    ) -> Result<(), Ended> {
        let Some((task, to)) = round.next() else {
            let _ = reply.send(Ok(round.reached));
            return Ok(());
        };
        let command = Command::SendSignal { target: task.task_ref(), key: round.key.clone() };
        if let Err(refusal) = done(self.decide(command).await?) {
            let _ = reply.send(if round.reached > 0 { Ok(round.reached) } else { Err(refusal) });
            return Ok(());
        }
        // Not waited for here: the other task may be sending to this one.
        self.jobs.spawn(async move {
            round.send(&task, to).await;
            Some(Finding::Sent { round, reply })
        });
        Ok(())
    }
}
