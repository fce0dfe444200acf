//! What an actor has done on the side. Most actors have nothing done there.

use tokio::task::{AbortHandle, JoinSet};

/// A [`JoinSet`] that is made with its first job.
#[derive(Debug)]
pub(crate) struct Jobs<T>(Option<JoinSet<T>>);

impl<T> Default for Jobs<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Jobs<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(JoinSet::is_empty)
    }

    pub(super) fn spawn(&mut self, job: impl Future<Output = T> + Send + 'static) -> AbortHandle {
        self.0.get_or_insert_default().spawn(job)
    }

    pub(super) fn spawn_blocking(&mut self, job: impl FnOnce() -> T + Send + 'static) -> AbortHandle {
        self.0.get_or_insert_default().spawn_blocking(job)
    }

    /// Completes with what the next job has come to, or `None` when there is none. Cancel safety: nothing is lost.
    pub(super) async fn join_next(&mut self) -> Option<Result<T, tokio::task::JoinError>> {
        match &mut self.0 {
            Some(jobs) => jobs.join_next().await,
            None => None,
        }
    }

    /// Ends them, and waits until they are gone.
    pub(super) async fn shutdown(&mut self) {
        if let Some(jobs) = &mut self.0 {
            jobs.shutdown().await;
        }
    }
}
