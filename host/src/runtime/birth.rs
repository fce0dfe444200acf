//! The moment in which a task comes to be: when its first events are stored it lives, whoever waits for it or not.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::oneshot;

use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StreamId};

use super::actor::Actor;
use super::cell::Cell;
use super::delivery::LoopLife;
use super::guard::guarded;
use super::handle::TaskHandle;
use super::host::{Inner, StartError};
use super::keys::Claim;

/// A task that is ready to live as soon as its first events are stored.
pub(super) struct Newborn {
    pub(super) claim: Claim,
    pub(super) actor: Actor,
    pub(super) cell: Cell,
}

impl Newborn {
    /// Has the first events stored, and lets the task live.
    ///
    /// Cancel safety: once the store was asked, everything takes its course: the task lives when the events were stored,
    /// and else nothing is left of it. Nobody could tell which, if the store's answer were thrown away.
    pub(super) async fn be_born(self, inner: &Inner, first: Vec<Record>) -> Result<TaskHandle, StartError> {
        let shared = Arc::clone(&self.actor.shared);
        let (store, stream) = (Arc::clone(&shared.store), StreamId::Task(shared.id));
        let mut stored: BoxFuture<'static, Result<(), CommitError>> = Box::pin(async move {
            let stored = guarded(pin!(async { store.commit(stream, Fence::Absent, first).await })).await;
            stored.unwrap_or(Err(CommitError::Unavailable))
        });
        // A store that answers at once costs no detour.
        match std::future::poll_fn(|cx| Poll::Ready(stored.as_mut().poll(cx))).await {
            Poll::Ready(stored) => {
                stored.map_err(StartError::Store)?;
                inner.spawn(Box::pin(self.live()));
            }
            Poll::Pending => {
                let (tell, told) = oneshot::channel();
                inner.spawn(Box::pin(async move {
                    match stored.await {
                        Ok(()) => {
                            let life = self.live();
                            let _ = tell.send(Ok(()));
                            life.await;
                        }
                        Err(error) => {
                            // The key is free before anybody hears of it.
                            drop(self);
                            let _ = tell.send(Err(error));
                        }
                    }
                }));
                told.await.map_err(|_| StartError::ShuttingDown)?.map_err(StartError::Store)?;
            }
        }
        Ok(TaskHandle::new(shared))
    }

    /// Enters the task into the books, and returns its life.
    fn live(mut self) -> impl Future<Output = ()> + Send + 'static {
        self.actor.registry.enter(Arc::clone(&self.actor.shared));
        self.actor.life = LoopLife::begin(&self.actor.shared);
        self.actor.version.born();
        self.claim.keep();
        // It may ask whether it may begin.
        self.actor.shared.approvals.changed();
        self.actor.run(self.cell)
    }
}
