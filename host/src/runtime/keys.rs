//! How a start comes to its key: it finds it free, is refused, joins who has it, or takes that one's place.

use std::pin::pin;
use std::sync::Arc;

use crate::model::idempotency::{Fingerprint, OnceKey};
use crate::model::ids::{TaskId, TaskRef};
use crate::model::request::{CancelRequest, KeyPolicy, StartRequest};

use super::children::cancel;
use super::host::Inner;
use super::registry::{Held, Once, Registry};
use super::shared::Shared;
use super::start_error::StartError;

/// A key that was claimed for a task that is not alive yet, or is waited for: given back when the start does not come to
/// its end, whether by an error or because nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Claim {
    registry: Arc<Registry>,
    pub(super) task: Arc<TaskRef>,
    pub(super) id: TaskId,
    kept: bool,
    /// The idempotency key that came along.
    once: Option<OnceClaim>,
}

/// An idempotency key for a task that is not alive yet.
#[derive(Debug)]
pub(super) struct OnceClaim {
    registry: Arc<Registry>,
    key: OnceKey,
    print: Fingerprint,
    settled: bool,
}

/// What a start with an idempotency key finds.
pub(super) enum Found {
    /// Nothing; the key is claimed, if there is one.
    Nothing(Option<OnceClaim>),
    /// It was started before.
    Known(Arc<Shared>),
}

impl Claim {
    pub(super) fn new(registry: &Arc<Registry>, task: Arc<TaskRef>, id: TaskId) -> Self {
        Self { registry: Arc::clone(registry), task, id, kept: false, once: None }
    }

    /// The task is alive: the keys are its own now.
    pub(super) fn keep(&mut self) {
        self.kept = true;
        if let Some(once) = self.once.take() {
            once.settle(self.id);
        }
    }

    /// A live task was joined instead: the idempotency key stands for that one.
    pub(super) fn joined(mut self, live: TaskId) {
        if let Some(once) = self.once.take() {
            once.settle(live);
        }
    }

    /// What was asked for with the idempotency key.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        self.once.as_ref().map(OnceClaim::fingerprint)
    }

    /// The idempotency key that came along.
    pub(super) fn once_key(&self) -> Option<&OnceKey> {
        self.once.as_ref().map(|once| &once.key)
    }

    /// With an idempotency key, which goes the way of this claim.
    pub(super) fn with(mut self, once: Option<OnceClaim>) -> Self {
        self.once = once;
        self
    }

    /// Claims the key if it is free.
    pub(super) fn take(&self) -> Result<(), StartError> {
        self.ask(false).map_err(|held| self.in_use(held.live.as_deref()))
    }

    /// Claims the key, or finds the live task that has it. One that is being born is waited for.
    pub(super) async fn take_or_join(&self) -> Result<(), Arc<Shared>> {
        loop {
            match self.ask(false) {
                Ok(()) => return Ok(()),
                Err(Held { live: Some(live), .. }) => return Err(live),
                Err(Held { live: None, changed }) => changed.await,
            }
        }
    }

    /// Claims the key; whoever has it is cancelled. Those that wait for it have it in the order in which they came, and
    /// nobody comes between.
    ///
    /// Cancel safety: when the future is dropped, whoever has the key may have been asked to stop.
    pub(super) async fn take_over(&self, request: &CancelRequest, parent: Option<TaskId>) -> Result<(), StartError> {
        // In line before anybody is asked, so that nobody comes between that one's end and this start.
        while let Err(Held { live, changed }) = self.ask(true) {
            let mut changed = pin!(changed);
            let Some(live) = live else {
                changed.await;
                continue;
            };
            // A child of whoever would have to end has no parent then.
            if self.registry.is_below(parent, live.id) {
                return Err(self.in_use(Some(&live)));
            }
            tokio::select! {
                biased;
                () = &mut changed => {}
                () = cancel(&live, request.clone()) => changed.await,
            }
        }
        Ok(())
    }

    fn ask(&self, waits: bool) -> Result<(), Held> {
        self.registry.claim(&self.task, self.id, waits)
    }

    fn in_use(&self, live: Option<&Shared>) -> StartError {
        live.map_or_else(|| StartError::KeyInUse { task: (*self.task).clone() }, Shared::has_key)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            self.registry.release(&self.task, self.id);
        }
    }
}

impl OnceClaim {
    /// What was asked for with it.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.print
    }

    /// The key stands for this task from now on.
    pub(super) fn settle(mut self, task: TaskId) {
        self.settled = true;
        self.registry.settle_once(&self.key, task);
    }
}

impl Drop for OnceClaim {
    fn drop(&mut self) {
        if !self.settled {
            self.registry.give_up_once(&self.key);
        }
    }
}

/// Claims the request's idempotency key, or finds what was started with it. Who starts with it just now is waited for.
pub(super) async fn once(
    inner: &Inner,
    request: &StartRequest,
    print: impl FnOnce() -> Fingerprint,
    task: &TaskRef,
    id: TaskId,
) -> Result<Found, StartError> {
    let Some(key) = OnceKey::of(request) else { return Ok(Found::Nothing(None)) };
    let print = print();
    loop {
        match inner.registry.once(&key, print, task, id) {
            Once::Mine => {
                let registry = Arc::clone(&inner.registry);
                return Ok(Found::Nothing(Some(OnceClaim { registry, key, print, settled: false })));
            }
            Once::Known(shared) => return shared.is_left_alone().map_or(Ok(Found::Known(shared)), Err),
            Once::Another(task) => return Err(StartError::IdempotencyKeyUsed { task }),
            Once::Wait(changed) => changed.await,
        }
    }
}

/// The wish that a task make room for another start of its key; `None` where nobody shall.
pub(super) fn replacing(policy: KeyPolicy) -> Option<CancelRequest> {
    match policy {
        KeyPolicy::Replace { by, grace } => Some(CancelRequest::new(by, CancelRequest::REPLACED).grace(grace)),
        KeyPolicy::Reject | KeyPolicy::Join => None,
    }
}
