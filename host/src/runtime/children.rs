//! A task's children: started in its name, with its fuel, and stopped with it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::Value;

use crate::model::children::{ChildOptions, ChildOutcome};
use crate::model::command::{Answer, Command};
use crate::model::details::TaskDetails;
use crate::model::grants::Grants;
use crate::model::ids::{TaskId, TaskRef};
use crate::model::machine::{Refusal, RefusalKind};
use crate::model::outcome::Outcome;
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::ports::runner::Reply;

use super::actor::{Actor, Ended, Finding, Parked};
use super::calls::done;
use super::host::Inner;
use super::registry::TreePlace;
use super::shared::{Control, Shared};
use super::start::{Birthright, new_id, start_as};

/// The way back for a child that was started.
pub(super) type Started = Reply<Result<(TaskId, TaskRef), Refusal>>;

impl Actor {
    /// Starts a child for the guest. It is written down first, so that a crash in between does not lose it.
    pub(super) async fn start_child(
        &mut self,
        task_type: String,
        input: Value,
        options: Box<ChildOptions>,
        reply: Started,
    ) -> Result<(), Ended> {
        let (request, right) = match self.child_request(task_type, input, options) {
            Ok(ready) => ready,
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
                return Ok(());
            }
        };
        let (child, task) = (right.id, right.task(&request));
        let (fuel, detached) = (right.limits.fuel, request.details.detached);
        let command = Command::StartChild { child, task: task.clone(), fuel, detached };
        if let Err(refusal) = done(self.decide(command).await?) {
            let _ = reply.send(Err(refusal));
            return Ok(());
        }
        self.shared.gauges.lend_fuel(fuel);
        let inner = Weak::clone(&self.host);
        self.jobs.spawn(async move {
            let started = match inner.upgrade() {
                Some(inner) => Box::pin(start_as(&inner, request, right)).await.map_err(|error| error.to_string()),
                None => Err("the host is shutting down".to_owned()),
            };
            Some(Finding::Child { child, task, started: started.map(|handle| Arc::clone(handle.shared())), reply })
        });
        Ok(())
    }

    /// What the child is to be, and what of this task's it gets.
    fn child_request(
        &self,
        task_type: String,
        input: Value,
        options: Box<ChildOptions>,
    ) -> Result<(StartRequest, Birthright), Refusal> {
        let ChildOptions { key, title, labels, limits, detached, plugin, retry } = *options;
        let own = plugin.as_ref().is_none_or(|plugin| *plugin == self.shared.task.plugin);
        if !own && !self.grants.tasks {
            let message = "starting another plugin's task needs the capability tasks, which was not granted";
            return Err(Refusal::new(RefusalKind::Denied, message));
        }
        let (parent, mut ceiling) = {
            let state = self.shared.state();
            (state.details.clone(), state.limits)
        };
        let tree = self.enter_tree(ceiling.tree, ceiling.tree_depth)?;
        let gauges = &self.shared.gauges;
        let left = gauges.fuel_budget().saturating_sub(gauges.fuel_used());
        ceiling.fuel = limits.fuel.unwrap_or(left / 2);
        if ceiling.fuel == 0 || ceiling.fuel > left {
            let message = format!("a child needs fuel, and at most the {left} units that this task has left");
            return Err(Refusal::new(RefusalKind::TooLarge, message));
        }
        ceiling.timeout = ceiling.timeout.min(self.timers.deadline.left(self.shared.clock.steady()));
        let details = TaskDetails {
            session: parent.session,
            turn: parent.turn,
            title,
            labels,
            parent: Some(self.shared.id),
            detached,
            priority: parent.priority,
            retry,
            approvers: parent.approvers,
            agent: parent.agent,
            user: parent.user,
            trace: parent.trace,
            ..TaskDetails::default()
        };
        let grants = if own { self.grants.clone() } else { Grants::default() };
        let plugin = plugin.unwrap_or_else(|| self.shared.task.plugin.clone());
        let mut request = StartRequest::new(plugin, task_type).input(input).limits(limits).grants(grants);
        (request.key, request.details) = (key, details);
        // The same code as its parent's, whatever the name points to by now.
        let version = own.then(|| self.version.clone());
        Ok((request, Birthright { id: new_id(), limits: ceiling, tree: Some(tree), version }))
    }

    /// A place for one more task in this task's tree, below this task.
    fn enter_tree(&self, most: u32, depth_most: u32) -> Result<TreePlace, Refusal> {
        let too_large = |message: String| Refusal::new(RefusalKind::TooLarge, message);
        let (root, depth) = self.tree.as_ref().map_or((self.shared.id, 0), |place| (place.root, place.depth));
        if depth >= depth_most {
            return Err(too_large(format!("a tree of tasks is at most {depth_most} deep")));
        }
        let full = || too_large(format!("this task's tree has at most {most} tasks at once"));
        self.registry.enter_tree(root, depth + 1, most).ok_or_else(full)
    }

    /// The child lives, or could not be started.
    pub(super) async fn on_child(
        &mut self,
        child: TaskId,
        task: TaskRef,
        started: Result<Arc<Shared>, String>,
        reply: Started,
    ) -> Result<(), Ended> {
        match started {
            Ok(shared) => {
                self.children.insert(child, Arc::clone(&shared));
                self.watched.spawn(async move {
                    let mut head = shared.head.subscribe();
                    // The sender lives in `shared`, so this ends only when the task does.
                    let _ = head.wait_for(|head| head.ended).await;
                    child
                });
                // Whoever asked for this task to stop meant its children too.
                self.stop_children_if_asked();
                let _ = reply.send(Ok((child, task)));
                Ok(())
            }
            Err(error) => {
                self.end_child(child, ChildOutcome::NotStarted, 0).await?;
                let _ = reply.send(Err(Refusal::new(RefusalKind::InvalidArgument, error)));
                Ok(())
            }
        }
    }

    /// A child has its outcome.
    pub(super) async fn on_child_end(&mut self, child: TaskId) -> Result<(), Ended> {
        let Some(shared) = self.children.get(&child) else { return Ok(()) };
        let (outcome, usage) = {
            let state = shared.state();
            (state.outcome.as_ref().map_or(ChildOutcome::Failed, ChildOutcome::from), state.usage)
        };
        self.end_child(child, outcome, usage.fuel).await
    }

    async fn end_child(&mut self, child: TaskId, outcome: ChildOutcome, used: u64) -> Result<(), Ended> {
        let lent = self.shared.state().children.iter().find(|known| known.id == child).map_or(0, |known| known.fuel);
        // First the fuel: with the event the guest goes on, and may give it to the next one at once.
        self.shared.gauges.return_fuel(lent.saturating_sub(used));
        self.decide(Command::ChildEnded { child, outcome, fuel: used.min(lent) }).await.map(drop)
    }

    pub(super) async fn wait_child(
        &mut self,
        child: TaskId,
        timeout: Option<Duration>,
        reply: Reply<Result<Option<Outcome>, Refusal>>,
    ) -> Result<(), Ended> {
        self.parked = Some(Parked::Child(child, reply));
        match self.decide(Command::WaitChild { child, timeout }).await? {
            Answer::Parked => {}
            Answer::ChildOver => self.end_child_wait(self.outcome_of(child)),
            Answer::WaitOver(_)
            | Answer::Done
            | Answer::Unchanged
            | Answer::Signal(..)
            | Answer::Instruction(_)
            | Answer::NoSignal
            | Answer::Notified(_) => self.end_child_wait(Ok(None)),
            Answer::AlreadyEnded => self.end_child_wait(done(Answer::AlreadyEnded).map(|()| None)),
            Answer::Refused(refusal) => self.end_child_wait(Err(refusal)),
        }
        Ok(())
    }

    pub(super) fn outcome_of(&self, child: TaskId) -> Result<Option<Outcome>, Refusal> {
        let outcome = self.children.get(&child).and_then(|shared| shared.outcome());
        let missing = || Refusal::new(RefusalKind::NotFound, "this child could not be started");
        outcome.map(Some).ok_or_else(missing)
    }

    /// Answers the guest's open wait for a child, if it is parked in one.
    pub(super) fn end_child_wait(&mut self, answer: Result<Option<Outcome>, Refusal>) {
        self.timers.child = None;
        if let Some(Parked::Child(_, reply)) = self.parked.take_if(|parked| matches!(parked, Parked::Child(..))) {
            let _ = reply.send(answer);
        }
    }

    /// Asks a child to stop for the guest.
    pub(super) fn cancel_child(
        &mut self,
        child: TaskId,
        reason: String,
        grace: Duration,
        reply: Reply<Result<bool, Refusal>>,
    ) {
        let Some(shared) = self.children.get(&child).cloned() else {
            let _ = reply.send(Err(Refusal::new(RefusalKind::NotFound, "this task has no child of this id")));
            return;
        };
        let request = CancelRequest::new(Party::Task(self.shared.id), reason).grace(grace);
        self.jobs.spawn(async move {
            let running = shared.outcome().is_none();
            cancel(&shared, request).await;
            let _ = reply.send(Ok(running));
            None
        });
    }

    /// The children that have no outcome.
    pub(super) fn running_children(&self) -> Vec<(TaskId, TaskRef)> {
        let state = self.shared.state();
        let live = state.children.iter().filter(|child| child.outcome.is_none());
        live.map(|child| (child.id, child.task.clone())).collect()
    }

    /// Passes a wish that this task stop on to its children.
    pub(super) fn stop_children_if_asked(&mut self) {
        let Some(request) = self.shared.state().cancel.clone() else { return };
        for shared in self.bound_children() {
            let request = request.clone();
            self.jobs.spawn(async move {
                cancel(&shared, request).await;
                None
            });
        }
    }

    /// Stops the children that do not outlive this task.
    pub(super) async fn stop_children(&mut self) {
        // A wish that is on its way to them still is told by whose it is, and not as this task's end.
        let asked = self.shared.state().cancel.clone();
        let ended = || CancelRequest::new(Party::Task(self.shared.id), "the task that started it has ended");
        for shared in self.bound_children() {
            cancel(&shared, asked.clone().unwrap_or_else(ended)).await;
        }
    }

    /// Whether the task that started this one has ended meanwhile, and takes it along.
    pub(super) fn is_left_behind(&self) -> bool {
        let Some(parent) = self.shared.parent.filter(|_| !self.shared.state().details.detached) else { return false };
        self.registry.by_id(parent).is_none_or(|parent| parent.outcome().is_some())
    }

    fn bound_children(&self) -> Vec<Arc<Shared>> {
        let state = self.shared.state();
        let bound = state.children.iter().filter(|child| child.outcome.is_none() && !child.detached);
        // One whose start was not waited for any more is in the books and nowhere else.
        let known = |id: TaskId| self.children.get(&id).cloned().or_else(|| self.registry.by_id(id));
        bound.filter_map(|child| known(child.id)).collect()
    }
}

async fn cancel(task: &Shared, request: CancelRequest) {
    let asked = task.now();
    // A task that is over needs no asking.
    let _ = task.tell(|reply| Control::Cancel { request, asked, reply }).await;
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}
