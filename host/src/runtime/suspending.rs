//! Leaving a host without ending its tasks: the next host on its store goes on with them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use super::host::{Host, Inner};

/// Whether a host is left as it is. Nothing begins in it from then on, and nothing goes on.
#[derive(Debug, Default)]
pub(crate) struct Suspended(AtomicBool);

impl Suspended {
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Host {
    /// Stops this host and ends none of its tasks: the next host on the same store goes on with them, as if this process had
    /// been killed ([`Host::recover`]). Nothing runs any more when it returns, everything that has happened is in the store, and
    /// nothing can be started. No hook and no function is called.
    ///
    /// On a host in memory the tasks are lost with it: [`Host::shutdown`] ends them.
    ///
    /// Cancel safety: when the future is dropped after it was polled, some tasks may go on; call it again.
    pub async fn suspend(&self) {
        self.inner().suspend().await;
    }
}

impl Inner {
    pub(super) async fn suspend(self: &Arc<Self>) {
        self.suspended.0.store(true, Ordering::SeqCst);
        self.hooks.close();
        self.actors.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        self.jobs_done().await;
        // Now there is nobody left who would end a task because of it.
        self.shutdown.send_replace(true);
        self.around.feed.close();
        self.write_output().await;
        // What a store cannot make safe now it says itself.
        let _ = self.around.store.flush().await;
    }
}
