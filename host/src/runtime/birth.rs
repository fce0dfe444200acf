//! The moment in which a task comes to be: when its first events are stored it lives, whoever waits for it or not.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::oneshot;

use crate::model::event::{Event, EventSeq};
use crate::model::snapshot::Phase;
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StreamId};

use super::actor::Actor;
use super::cell::Cell;
use super::delivery::LoopLife;
use super::feed::EventLane;
use super::guard::guarded;
use super::handle::TaskHandle;
use super::host::{Inner, StartError};
use super::keys::Claim;
use super::orphans::Written;
use super::registry::Registry;
use super::shared::Shared;

/// A task that is ready to live as soon as its first events are stored.
pub(super) struct Newborn {
    pub(super) claim: Claim,
    pub(super) actor: Actor,
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
        let (store, stream) = (Arc::clone(&shared.store), StreamId::Task(shared.id));
        let birth = shared.feed.is_on().then(|| events(&first));
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
        self.actor.life = LoopLife::begin(&self.actor.shared);
        self.actor.version.born();
        self.claim.keep();
        // It may ask whether it may begin.
        self.actor.shared.approvals.changed();
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
            if unseen && self.actor.shared.feed.is_on() {
                announce_stored(&self.actor.shared).await;
            }
            self.actor.run(self.cell).await;
        }
    }
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
    shared.feed.tell(&shared.identity(), phase, EventLane::Task, first);
}

/// The same, when somebody began to follow while the task was being stored. What cannot be read is not told.
async fn announce_stored(shared: &Shared) {
    let last = shared.state().seq;
    let mut after = EventSeq::default();
    while after < last {
        let count = usize::try_from(last.0 - after.0).unwrap_or(usize::MAX);
        let read = async { shared.store.read(StreamId::Task(shared.id), after, count).await };
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
            let _ = registry.orphans.take_back(&*shared.store, shared.id).await;
        }
    }
}
