//! A task's children: started in its name, with its fuel, and stopped with it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::model::children::{ChildOptions, ChildOutcome};
use crate::model::command::{Answer, Command};
use crate::model::details::TaskDetails;
use crate::model::grants::touch::Touch;
use crate::model::ids::{TaskId, TaskRef};
use crate::model::limits::Limits;
use crate::model::machine::{Refusal, RefusalKind, step};
use crate::model::outcome::Outcome;
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::ports::runner::Reply;

use super::actor::{Actor, Ended, Finding, Parked};
use super::calls::done;
use super::handle::TaskHandle;
use super::host::Inner;
use super::registry::{Registry, TreePlace};
use super::shared::{Control, Shared};
use super::start::{Birthright, Prepared, new_id, start_as};
use super::start_error::StartError;

/// Bytes of ended children that a live task keeps, about: for their results, which it may ask for later.
const ENDED_BYTES_MAX: u64 = 64 << 20;

/// The way back to a guest for a child that it started.
pub(crate) type Started = Reply<Result<(TaskId, TaskRef), Refusal>>;

/// Who started a child, and is told what came of it.
#[derive(Debug)]
pub(crate) enum Starter {
    /// This task's guest.
    Guest(Started),
    /// Somebody outside, who has the answer already and may go on when this is dropped.
    Outside(#[expect(dead_code, reason = "it is dropped, and nothing else")] oneshot::Sender<()>),
}

impl Actor {
    /// Starts a child for the guest. It is written down first, so that a crash in between does not lose it.
    pub(super) async fn start_child(
        &mut self,
        task_type: String,
        input: Value,
        options: Box<ChildOptions>,
        reply: Started,
    ) -> Result<(), Ended> {
        let (request, right) = match self.child_request(task_type, input, options).await? {
            Ok(ready) => ready,
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
                return Ok(());
            }
        };
        let (child, task) = (right.id, right.task(&request));
        let (fuel, detached) = (right.limits.fuel, request.details.detached);
        let command = Command::StartChild { child, task: task.clone(), fuel, detached };
        if let Err(refusal) = self.write_child(command, fuel).await? {
            let _ = reply.send(Err(refusal));
            return Ok(());
        }
        let (inner, reply) = (Weak::clone(&self.host), Starter::Guest(reply));
        self.jobs.spawn(async move {
            let started = match inner.upgrade() {
                Some(inner) => Box::pin(start_as(&inner, request, right)).await,
                None => Err(StartError::ShuttingDown),
            };
            let started = started.map_err(|error| error.to_string());
            Some(Finding::Child { child, task, started, reply })
        });
        Ok(())
    }

    /// Starts a child for somebody outside, which has its key, its turn and its place in the tree already.
    pub(super) async fn adopt(
        &mut self,
        newcomer: Box<Prepared>,
        reply: oneshot::Sender<Result<TaskHandle, StartError>>,
    ) -> Result<(), Ended> {
        let parent = self.shared.id;
        let refused = |refusal: Refusal| StartError::ParentRefuses { parent, reason: refusal.message };
        let ceiling = match self.ceiling(newcomer.request.limits.fuel) {
            Ok(ceiling) => ceiling,
            Err(refusal) => {
                let _ = reply.send(Err(refused(refusal)));
                return Ok(());
            }
        };
        let (child, task, fuel) = (newcomer.id(), newcomer.task().clone(), ceiling.fuel);
        let detached = newcomer.request.details.detached;
        let command = Command::StartChild { child, task: task.clone(), fuel, detached };
        if let Err(refusal) = self.write_child(command, fuel).await? {
            let _ = reply.send(Err(refused(refusal)));
            return Ok(());
        }
        let Some(inner) = self.host.upgrade() else {
            let _ = reply.send(Err(StartError::ShuttingDown));
            return Ok(());
        };
        let (host, shared) = (Arc::clone(&inner), Arc::clone(&self.shared));
        let (find, found) = oneshot::channel();
        // Not this task's own job, which ends with it: whoever asked for the child hears of it, whatever becomes of this task.
        inner.spawn(Box::pin(async move {
            let started = Box::pin(newcomer.start_below(&host, &ceiling)).await;
            let (seen, is_seen) = oneshot::channel();
            let (told, answer) = match started {
                Ok(handle) => (Ok(handle.clone()), Ok(handle)),
                Err(error) => (Err(error.to_string()), Err(error)),
            };
            let _ = find.send((told, Starter::Outside(seen)));
            // It is in this task's books before anybody else acts on it, unless those are closed.
            tokio::select! {
                _ = is_seen => {}
                () = shared.head.until(|head| head.ended) => {}
            }
            let _ = reply.send(answer);
        }));
        self.jobs.spawn(async move {
            let (started, reply) = found.await.ok()?;
            Some(Finding::Child { child, task, started, reply })
        });
        Ok(())
    }

    /// Writes a child down that is to be started, with the fuel that is lent to it.
    async fn write_child(&mut self, command: Command, fuel: u64) -> Result<Result<(), Refusal>, Ended> {
        // Lent before the store is asked: what the child gets, this task's guest cannot burn meanwhile.
        self.shared.gauges.lend_fuel(fuel);
        let written = done(self.decide(command).await?);
        if written.is_err() {
            self.shared.gauges.return_fuel(fuel);
        }
        Ok(written)
    }

    /// What a child stays below: the fuel that is lent to it, and the time that this task has left.
    fn ceiling(&self, fuel: Option<u64>) -> Result<Limits, Refusal> {
        let fuel = self.shared.fuel_for_child(fuel)?;
        let limits = Arc::clone(&self.shared.state().limits);
        let timeout = limits.timeout.min(self.timers.deadline.left(self.shared.around.clock.steady()));
        Ok(Limits { fuel, timeout, ..*limits })
    }

    /// What the child is to be, and what of this task's it gets.
    async fn child_request(
        &mut self,
        task_type: String,
        input: Value,
        options: Box<ChildOptions>,
    ) -> Result<Result<(StartRequest, Birthright), Refusal>, Ended> {
        let own = options.plugin.as_ref().is_none_or(|plugin| *plugin == self.shared.task.plugin);
        if let Some(other) = options.plugin.as_ref().filter(|_| !own)
            && let Err(refusal) = self.may(&Touch::Tasks(other.clone())).await?
        {
            return Ok(Err(refusal));
        }
        Ok(self.permitted_child(own, task_type, input, options))
    }

    fn permitted_child(
        &self,
        own: bool,
        task_type: String,
        input: Value,
        options: Box<ChildOptions>,
    ) -> Result<(StartRequest, Birthright), Refusal> {
        let ChildOptions { key, title, labels, limits, detached, plugin, retry } = *options;
        let plugin = plugin.unwrap_or_else(|| self.shared.task.plugin.clone());
        let tree = self.shared.enter_tree(&self.registry)?;
        let ceiling = self.ceiling(limits.fuel)?;
        let parent = Some(self.shared.id);
        let mut details = TaskDetails { title, labels, parent, detached, retry, ..TaskDetails::default() };
        details.inherit(&self.shared.state().details);
        let mut request = StartRequest::new(plugin, task_type).input(input).limits(limits);
        request.grants = Some(self.mandate.of_child(own));
        (request.key, request.details) = (key, details);
        // The same code as its parent's, whatever the name points to by now.
        let version = own.then(|| self.version.clone());
        Ok((request, Birthright { id: new_id(), limits: ceiling, tree: Some(tree), version }))
    }

    /// The child lives, or could not be started.
    pub(super) async fn on_child(
        &mut self,
        child: TaskId,
        task: TaskRef,
        started: Result<TaskHandle, String>,
        reply: Starter,
    ) -> Result<(), Ended> {
        match started {
            Ok(handle) => {
                self.watch_child(Arc::clone(handle.shared()));
                // Whoever asked for this task to stop meant its children too.
                self.stop_children_if_asked();
                match reply {
                    Starter::Guest(reply) => drop(reply.send(Ok((child, task)))),
                    Starter::Outside(_) => {}
                }
                Ok(())
            }
            Err(error) => {
                self.end_child(child, ChildOutcome::NotStarted, 0).await?;
                match reply {
                    Starter::Guest(reply) => {
                        drop(reply.send(Err(Refusal::new(RefusalKind::InvalidArgument, error))));
                    }
                    Starter::Outside(_) => {}
                }
                Ok(())
            }
        }
    }

    /// Has the child in this task's books, and waits for its end.
    fn watch_child(&mut self, shared: Arc<Shared>) {
        let child = shared.id;
        self.children.insert(child, Arc::clone(&shared));
        self.watched.spawn(async move {
            shared.head.until(|head| head.ended).await;
            child
        });
    }

    /// The children that were left without an outcome when the host before this one stopped belong to this task again. One
    /// that was written down and never stored has ended before it began.
    pub(super) async fn take_children_back(&mut self) -> Result<(), Ended> {
        let open = self.running_children();
        for (child, _) in open {
            if let Some(shared) = self.registry.by_id(child) {
                self.watch_child(shared);
                continue;
            }
            let is_set_aside = self.host.upgrade().is_some_and(|host| host.standby.is_set_aside(child));
            let outcome = if is_set_aside { ChildOutcome::Failed } else { ChildOutcome::NotStarted };
            self.end_child(child, outcome, 0).await?;
        }
        Ok(())
    }

    /// A child has its outcome.
    pub(super) async fn on_child_end(&mut self, child: TaskId) -> Result<(), Ended> {
        let Some(shared) = self.children.get(&child) else { return Ok(()) };
        let (outcome, usage) = {
            let state = shared.state();
            (state.outcome.as_deref().map_or(ChildOutcome::Failed, ChildOutcome::from), state.usage)
        };
        let bytes = shared.held_bytes();
        self.end_child(child, outcome, usage.fuel).await?;
        self.let_go(child, bytes);
        Ok(())
    }

    /// An ended child is kept for its result as long as those of all children are not too much. Others may still find it
    /// in the host's books.
    fn let_go(&mut self, child: TaskId, bytes: u64) {
        self.ended_children.push_back((child, bytes));
        self.ended_children_bytes = self.ended_children_bytes.saturating_add(bytes);
        // The newest stays in any case: it may be the one that is waited for.
        while self.ended_children_bytes > ENDED_BYTES_MAX && self.ended_children.len() > 1 {
            let Some((oldest, bytes)) = self.ended_children.pop_front() else { return };
            self.ended_children_bytes = self.ended_children_bytes.saturating_sub(bytes);
            self.children.remove(&oldest);
        }
    }

    /// One of this task's children, while somebody has it.
    fn child(&self, id: TaskId) -> Option<Arc<Shared>> {
        self.children.get(&id).cloned().or_else(|| self.registry.by_id(id))
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
        if !self.park(Parked::Child(child, reply)) {
            return Ok(());
        }
        match self.decide(Command::WaitChild { child, timeout }).await? {
            Answer::Parked => {}
            Answer::ChildOver => self.end_child_wait(self.outcome_of(child)),
            Answer::WaitOver(_)
            | Answer::Done
            | Answer::Unchanged
            | Answer::Signal(..)
            | Answer::Instruction(_)
            | Answer::NoSignal
            | Answer::Updated(_)
            | Answer::Stale(_)
            | Answer::Notified(_) => self.end_child_wait(Ok(None)),
            Answer::AlreadyEnded => self.end_child_wait(done(Answer::AlreadyEnded).map(|()| None)),
            Answer::PlanRefused(error) => self.end_child_wait(Err(error.into())),
            Answer::Refused(refusal) => self.end_child_wait(Err(refusal)),
        }
        Ok(())
    }

    pub(super) fn outcome_of(&self, child: TaskId) -> Result<Option<Outcome>, Refusal> {
        let outcome = self.child(child).and_then(|shared| shared.outcome());
        outcome.map(|outcome| Some((*outcome).clone())).ok_or_else(|| {
            let state = self.shared.state();
            let known = state.children.iter().find(|known| known.id == child).and_then(|known| known.outcome);
            let why = match known {
                Some(ChildOutcome::NotStarted) | None => "this child could not be started",
                Some(ChildOutcome::Succeeded | ChildOutcome::Failed | ChildOutcome::Cancelled) => {
                    "this child has ended, and its result is not kept any more: wait for children in the order of their ends"
                }
            };
            Refusal::new(RefusalKind::NotFound, why)
        })
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
        let is_own = self.shared.state().children.iter().any(|known| known.id == child);
        let Some(shared) = self.child(child).filter(|_| is_own) else {
            // One that is forgotten has ended.
            let unknown = || Refusal::new(RefusalKind::NotFound, "this task has no child of this id");
            let _ = reply.send(if is_own { Ok(false) } else { Err(unknown()) });
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

    /// How a child is doing, as the contract describes it.
    pub(super) fn child_state(&self, child: TaskId) -> Result<Value, Refusal> {
        let is_own = self.shared.state().children.iter().any(|known| known.id == child);
        let shared = self.child(child).filter(|_| is_own);
        let gone = || Refusal::new(RefusalKind::NotFound, "this task has no child of this id, or it is forgotten");
        shared.map(|shared| shared.snapshot().for_parent()).ok_or_else(gone)
    }

    /// The children that have no outcome.
    pub(super) fn running_children(&self) -> Vec<(TaskId, TaskRef)> {
        let state = self.shared.state();
        let live = state.children.iter().filter(|child| child.outcome.is_none());
        live.map(|child| (child.id, child.task.clone())).collect()
    }

    /// Passes a wish that this task stop on to its children.
    pub(super) fn stop_children_if_asked(&mut self) {
        let Some(request) = self.shared.state().cancel.as_deref().cloned() else { return };
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
        self.shared.stop_bound(self.bound_children()).await;
    }

    /// Whether the task that started this one has ended meanwhile, and takes it along.
    pub(super) fn is_left_behind(&self) -> bool {
        self.shared.is_left_behind(&self.registry)
    }

    /// Why a task whose parent is not alive does not begin.
    pub(super) fn why_left_behind(&self) -> &'static str {
        why_left_behind(&self.shared, self.host.upgrade().as_deref())
    }

    fn bound_children(&self) -> Vec<Arc<Shared>> {
        // One whose start was not waited for any more is in the books and nowhere else.
        self.shared.bound_children().into_iter().filter_map(|child| self.child(child)).collect()
    }
}

/// Why a task whose parent is not alive does not begin.
pub(super) fn why_left_behind(shared: &Shared, host: Option<&Inner>) -> &'static str {
    let is_set_aside = |parent| host.is_some_and(|host| host.standby.is_set_aside(parent));
    if shared.parent.is_some_and(is_set_aside) {
        "the records of the task that started it cannot be read, so that nobody goes on with it"
    } else {
        "the task that started it has ended"
    }
}

impl Shared {
    /// Whether the task that started this one has ended meanwhile, and takes it along.
    pub(super) fn is_left_behind(&self, registry: &Registry) -> bool {
        let Some(parent) = self.parent.filter(|_| !self.state().details.detached) else { return false };
        registry.by_id(parent).is_none_or(|parent| parent.outcome().is_some())
    }

    /// The children without an outcome that do not outlive it.
    pub(super) fn bound_children(&self) -> Vec<TaskId> {
        let state = self.state();
        let bound = state.children.iter().filter(|child| child.outcome.is_none() && !child.detached);
        bound.map(|child| child.id).collect()
    }

    /// Stops the children that do not outlive it, and says whose wish that is.
    pub(super) async fn stop_bound(&self, children: Vec<Arc<Self>>) {
        // A wish that is on its way to them still is told by whose it is, and not as this task's end.
        let asked = self.state().cancel.as_deref().cloned();
        let ended = || CancelRequest::new(Party::Task(self.id), "the task that started it has ended");
        for child in children {
            cancel(&child, asked.clone().unwrap_or_else(ended)).await;
        }
    }

    /// A place for one more task in this task's tree, below this task.
    fn enter_tree(&self, registry: &Arc<Registry>) -> Result<TreePlace, Refusal> {
        let Limits { tree: most, tree_depth: depth_most, .. } = *self.state().limits;
        let too_large = |message: String| Refusal::new(RefusalKind::TooLarge, message);
        let (root, depth) = self.tree.unwrap_or((self.id, 0));
        if depth >= depth_most {
            return Err(too_large(format!("a tree of tasks is at most {depth_most} deep")));
        }
        let full = || too_large(format!("this task's tree has at most {most} tasks at once"));
        registry.enter_tree(root, depth + 1, most).ok_or_else(full)
    }

    /// The fuel for a child: as much as it wants of what is left, or half of that.
    fn fuel_for_child(&self, wish: Option<u64>) -> Result<u64, Refusal> {
        let left = self.gauges.fuel_budget().saturating_sub(self.gauges.fuel_used());
        let fuel = wish.unwrap_or(left / 2);
        if fuel == 0 || fuel > left {
            let message = format!("a child needs fuel, and at most the {left} units that this task has left");
            return Err(Refusal::new(RefusalKind::TooLarge, message));
        }
        Ok(fuel)
    }

    /// Whether this task may have the child that somebody outside starts, and the child's place in the tree. It is asked
    /// itself later, and may have changed then; but what it would refuse now is refused before anything happens.
    pub(super) fn expect_child(
        &self,
        registry: &Arc<Registry>,
        request: &StartRequest,
        child: TaskId,
        task: &TaskRef,
    ) -> Result<TreePlace, StartError> {
        let refused = |refusal: Refusal| StartError::ParentRefuses { parent: self.id, reason: refusal.message };
        let fuel = self.fuel_for_child(request.limits.fuel).map_err(refused)?;
        let command = Command::StartChild { child, task: task.clone(), fuel, detached: request.details.detached };
        done(step(&self.state(), command).answer).map_err(refused)?;
        self.enter_tree(registry).map_err(refused)
    }
}

pub(super) async fn cancel(task: &Shared, request: CancelRequest) {
    let asked = task.now();
    // A task that is over needs no asking.
    let _ = task.tell(|reply| Control::Cancel { request, asked, reply }).await;
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}
