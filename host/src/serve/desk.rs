//! What all requests of a server share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;

use crate::{Clock, Host, PolicyChange, TaskHandle};

use super::bounds::Bounds;
use super::refusal::Refusal;
use super::shelf::Shelf;
use super::wire::{Problem, ProblemKind};

/// Reads the policy again and puts it in force, or says why not.
pub(super) type Reload = Arc<dyn Fn() -> Result<PolicyChange, String> + Send + Sync>;

/// The host that is served, and what is served beside it.
pub(super) struct Desk {
    pub(super) host: Arc<Host>,
    pub(super) shelf: Shelf,
    /// The directory, when what happens is kept there.
    pub(super) data: Option<String>,
    pub(super) bounds: Bounds,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether the server is about to end.
    closing: watch::Sender<bool>,
    followers: Arc<Semaphore>,
    /// What goes on when its client has gone.
    jobs: Mutex<JoinSet<()>>,
    /// What reads the policy again.
    pub(super) reload: Option<Reload>,
    /// Held while the files of plugins are changed.
    pub(super) filing: tokio::sync::Mutex<()>,
}

impl Desk {
    pub(super) fn new(
        host: Arc<Host>,
        shelf: Shelf,
        data: Option<String>,
        bounds: Bounds,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            host,
            shelf,
            data,
            bounds,
            clock,
            closing: watch::Sender::new(false),
            followers: Arc::new(Semaphore::new(bounds.followers)),
            jobs: Mutex::default(),
            reload: None,
            filing: tokio::sync::Mutex::new(()),
        }
    }

    /// Completes when the server is about to end.
    pub(super) fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closing = self.closing.subscribe();
        // When the sender is gone, the server is.
        async move { drop(closing.wait_for(|closing| *closing).await) }
    }

    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Completes when this time is over.
    pub(super) async fn pause(&self, time: Duration) {
        self.clock.sleep_until(self.clock.steady().saturating_add(time)).await;
    }

    /// How long a request may wait that asks for so much.
    pub(super) fn patience(&self, asked: Duration) -> Duration {
        asked.min(self.bounds.wait_time)
    }

    /// Waits for a task's outcome, no longer than this, and no longer than the server is there.
    pub(super) async fn wait(&self, task: &TaskHandle, time: Duration) {
        tokio::select! {
            _ = task.wait_for(self.patience(time)) => {}
            () = self.closing() => {}
        }
    }

    /// A place among those who follow.
    pub(super) fn follower(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.followers).try_acquire_owned().map_err(|_| {
            let max = self.bounds.followers;
            let detail = format!("{max} clients follow events already, and no more may; try again when one has left");
            Problem { max: u64::try_from(max).ok(), ..Problem::new(ProblemKind::Busy, detail) }.into()
        })
    }

    /// Does something to its end, whether its client waits for it or not.
    pub(super) async fn to_the_end<T: Send + 'static>(
        &self,
        job: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (tell, told) = oneshot::channel();
        {
            let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            while jobs.try_join_next().is_some() {}
            jobs.spawn(async move { drop(tell.send(job.await)) });
        }
        told.await.unwrap_or_else(|_| Err(Problem::new(ProblemKind::Internal, "the request broke off").into()))
    }

    /// Waits for what goes on without its clients.
    pub(super) async fn jobs_done(&self) {
        let mut jobs = std::mem::take(&mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner));
        while jobs.join_next().await.is_some() {}
    }
}
