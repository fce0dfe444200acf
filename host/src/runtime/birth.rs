//! The moment in which a task comes to be: when its first events are stored it lives, whoever waits for it or not.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::model::command::{Answer, Command, PlanCommand};
use crate::model::details::TaskDetails;
use crate::model::event::{Event, EventSeq};
use crate::model::idempotency::OnceKey;
use crate::model::ids::TaskRef;
use crate::model::machine::step;
use crate::model::papers::TaskPapers;
use crate::model::request::StartRequest;
use crate::model::signal::{NotifyAnswer, Party};
use crate::model::snapshot::Phase;
use crate::model::state::TaskState;
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StreamId};

use super::actor::Actor;
use super::attachments::Attached;
use super::cell::Cell;
use super::delivery::{LoopLife, LoopPlace};
use super::feed::EventLane;
use super::guard::guarded;
use super::handle::TaskHandle;
use super::host::Inner;
use super::keys::Claim;
use super::making::{Embryo, Makings, make};
use super::orphans::Written;
use super::registry::Registry;
use super::shared::Shared;
use super::start::{Checked, Prepared};
use super::start_error::StartError;

/// A task that is ready to live as soon as its first events are stored.
pub(super) struct Newborn {
    pub(super) claim: Claim,
    pub(super) actor: Box<Actor>,
    pub(super) cell: Cell,
}

impl Newborn {
    /// Has the first events stored, and lets the task live.
    ///
    /// When the store's answer is lost, the events may be stored all the same. They are taken back, because whoever is told
    /// that nothing was started may start it again.
    ///
    /// Cancel safety: once the store was asked, everything takes its course: the task lives when the events were stored,
    /// and else nothing is left of it. Nobody could tell which, if the store's answer were thrown away.
    pub(super) async fn be_born(mut self, inner: &Inner, first: Vec<Record>) -> Result<TaskHandle, StartError> {
        if inner.around.suspended.is() {
            self.discard();
            return Err(StartError::ShuttingDown);
        }
        if let Some(attached) = &mut self.actor.attached {
            attached.entrust();
        }
        let (shared, registry) = (Arc::clone(&self.actor.shared), Arc::clone(&self.actor.registry));
        let (store, stream) = (Arc::clone(&shared.around.store), StreamId::Task(shared.id));
        let birth = shared.around.feed.is_on().then(|| events(&first));
        let written = Written::of(&first);
        let mut stored: BoxFuture<'static, Result<(), CommitError>> = Box::pin(async move {
            let stored = guarded(pin!(async { store.commit(stream, Fence::Absent, first).await })).await;
            stored.unwrap_or(Err(CommitError::Unavailable))
        });
        // A store that answers at once costs no detour.
        match std::future::poll_fn(|cx| Poll::Ready(stored.as_mut().poll(cx))).await {
            Poll::Ready(Ok(())) => inner.spawn(Box::pin(self.live(birth))),
            Poll::Ready(Err(error)) => {
                undo(&registry, &shared, error, written).await;
                self.discard();
                return Err(StartError::Store(error));
            }
            Poll::Pending => {
                let (tell, told) = oneshot::channel();
                let shared = Arc::clone(&shared);
                inner.spawn(Box::pin(async move {
                    match stored.await {
                        Ok(()) => {
                            let life = self.live(birth);
                            let _ = tell.send(Ok(()));
                            life.await;
                        }
                        Err(error) => {
                            undo(&registry, &shared, error, written).await;
                            // The key is free before anybody hears of it.
                            self.discard();
                            let _ = tell.send(Err(error));
                        }
                    }
                }));
                told.await.map_err(|_| StartError::ShuttingDown)?.map_err(StartError::Store)?;
            }
        }
        Ok(TaskHandle::new(shared))
    }

    /// Nothing is left of it.
    fn discard(mut self) {
        if let Some(attached) = self.actor.attached.take() {
            attached.remove();
        }
    }

    /// Enters a task into the books that a host before this one has left, and returns its life.
    pub(super) fn live_again(mut self) -> impl Future<Output = ()> + Send + 'static {
        self.enter();
        self.actor.run(self.cell)
    }

    fn enter(&mut self) {
        self.actor.registry.enter(Arc::clone(&self.actor.shared));
        self.claim.keep();
        self.actor.life = LoopLife::begin(&self.actor.shared);
        self.actor.version.born();
        // It may ask whether it may begin.
        self.actor.shared.around.approvals.changed();
    }

    /// Enters the task into the books, and returns its life.
    ///
    /// `birth`: what it began with, if somebody wanted to know before it was stored.
    fn live(mut self, birth: Option<Vec<Event>>) -> impl Future<Output = ()> + Send + 'static {
        self.enter();
        let unseen = birth.is_none();
        if let Some(first) = birth {
            announce(&self.actor.shared, &first);
        }
        async move {
            if unseen && self.actor.shared.around.feed.is_on() {
                announce_stored(&self.actor.shared).await;
            }
            self.actor.run(self.cell).await;
        }
    }
}

/// Lets a task come to be that can only be refused by its store.
pub(super) async fn create(inner: &Arc<Inner>, prepared: Box<Prepared>) -> Result<TaskHandle, StartError> {
    let (newborn, first) = newborn(inner, prepared)?;
    newborn.be_born(inner, first).await
}

/// All that the task is, before it lives; and what is to be written down first. No future of its own, because much is moved here.
fn newborn(inner: &Arc<Inner>, prepared: Box<Prepared>) -> Result<(Newborn, Vec<Record>), StartError> {
    let Prepared { mut request, checked, claim, turn, attached } = *prepared;
    let (id, task) = (claim.id, Arc::clone(&claim.task));
    let details = inner.registry.lately.details(&request.details);
    let input = Arc::new(std::mem::take(&mut request.input));
    let (state, mut first) = first_events(inner, &request, (input, Arc::clone(&details)), &checked, &task)?;

    let place = LoopPlace::new(&inner.loops, id, &details, request.untold, checked.beside);
    first.push(Record::Papers(Box::new(TaskPapers {
        plugin: checked.version.plugin.digest(),
        grants: request.grants.clone().map(Box::new),
        fingerprint: claim.fingerprint(),
        once: claim.once_key().cloned().filter(|key| OnceKey::of_details(&details).as_ref() != Some(key)),
        attachments: attached.as_ref().map(Attached::place),
        untold: request.untold,
    })));
    let tree = checked.tree.as_ref().map(|place| (place.root, place.depth));
    let embryo = Embryo { id, task, number: inner.registry.next_number(), state, tree, place };
    let makings = Makings {
        body: embryo.embody(inner),
        version: checked.version,
        grants: request.grants,
        schemas: checked.schemas,
        wanted: checked.wanted,
        at_end: checked.at_end,
        hooks: checked.hooks,
        tree: checked.tree,
        attached,
        queued: turn.queued,
        told_once: HashMap::new(),
    };
    let (actor, ready) = make(inner, makings);
    let cell = match turn.admission {
        Some(admission) => Cell::Queued { admission, ready },
        None => Cell::Idle { ready },
    };
    Ok((Newborn { claim, actor, cell }, first))
}

/// What is to be written down first: the task, with the plan and the signals that it is born with.
pub(super) fn first_events(
    inner: &Inner,
    request: &StartRequest,
    (input, details): (Arc<Value>, Arc<TaskDetails>),
    checked: &Checked,
    task: &Arc<TaskRef>,
) -> Result<(TaskState, Vec<Record>), StartError> {
    let create = Command::Create {
        task: Arc::clone(task),
        input,
        limits: inner.registry.lately.limits(&checked.limits),
        details,
        approval: request.approval.clone().map(Box::new),
    };
    let signals =
        request.signals.iter().map(|(key, signal)| Command::Notify { key: key.clone(), signal: signal.clone() });
    let plan = request
        .plan
        .clone()
        .map(|plan| Command::Plan(PlanCommand::Set { plan: Ok(Box::new(plan)), expected: None, by: Party::Host }));
    let at = inner.around.clock.date();
    let mut state = TaskState::blank();
    // Most have one event and their papers.
    let mut records = Vec::with_capacity(2);
    for command in std::iter::once(create).chain(plan).chain(signals) {
        let decision = step(&state, command);
        if decision.answer == Answer::Notified(NotifyAnswer::Full) {
            return Err(StartError::TooManySignals { count: request.signals.len() });
        }
        if let Answer::PlanRefused(error) = decision.answer {
            return Err(StartError::Plan(error));
        }
        for event in state.numbered(at, decision.events) {
            state.apply(&event);
            records.push(Record::Event(event));
        }
    }
    Ok((state, records))
}

/// The events among the first records.
fn events(first: &[Record]) -> Vec<Event> {
    let event = |record: &Record| match record {
        Record::Event(event) => Some(event.clone()),
        Record::Forget(_) | Record::Papers(_) => None,
    };
    first.iter().filter_map(event).collect()
}

/// Tells those who follow what happens that there is a task.
fn announce(shared: &Shared, first: &[Event]) {
    let phase = shared.state().phase.unwrap_or(Phase::Queued);
    shared.around.feed.tell(&shared.identity(), phase, EventLane::Task, first);
}

/// The same, when somebody began to follow while the task was being stored. What cannot be read is not told.
async fn announce_stored(shared: &Shared) {
    let last = shared.state().seq;
    let mut after = EventSeq::default();
    while after < last {
        let count = usize::try_from(last.0 - after.0).unwrap_or(usize::MAX);
        let read = async { shared.around.store.read(StreamId::Task(shared.id), after, count).await };
        let Ok(Ok(page)) = guarded(pin!(read)).await else { return };
        let Some(end) = page.last() else { return };
        after = end.seq;
        announce(shared, &page);
    }
}

/// Sees to it that nothing is left of a task that was not stored, as far as anybody knows. While the store does not work
/// that is put off to a later start.
async fn undo(registry: &Registry, shared: &Shared, error: CommitError, written: Written) {
    match error {
        // Another host has started it under this id.
        // Or nothing was written.
        CommitError::Fenced | CommitError::Full => {}
        CommitError::Unavailable => {
            registry.orphans.note(shared.id, written);
            let _ = registry.orphans.take_back(&*shared.around.store, shared.id).await;
        }
    }
}
