//! Leaving a host without ending its tasks: the next host on its store goes on with them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::host::{Host, Inner};

/// How long the store has to make safe what was written. On a full disk that would take until there is room.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Whether a host is left as it is. Nothing begins in it from then on, and nothing goes on.
#[derive(Debug)]
pub(crate) struct Suspended {
    shut: AtomicBool,
    /// Whether its store outlives it.
    outlives: bool,
}

impl Suspended {
    pub(crate) fn new(outlives: bool) -> Self {
        Self { shut: AtomicBool::new(false), outlives }
    }

    pub(super) fn is(&self) -> bool {
        self.shut.load(Ordering::SeqCst)
    }

    /// Whether there may be another host on the store of this one.
    pub(super) fn outlives(&self) -> bool {
        self.outlives
    }

    /// Nothing is decided from now on, however long it takes until all who could are gone.
    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    /// Lets whoever decides go on, and never when the host is left: it is as if the process had ended here.
    pub(super) async fn pass(&self) {
        if self.is() {
            std::future::pending::<()>().await;
        }
    }
}

impl Host {
    /// Stops this host and ends none of its tasks: the next host on the same store goes on with them, as if this process had
    /// been killed ([`Host::recover`]). Nothing runs any more when it returns, everything that has happened is in the store, and
    /// nothing can be started. No hook and no function is called. A store that has no room has five seconds to write the rest.
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
        // First of all: they are stopped one by one, and what ends or makes room meanwhile must mean nothing to the others.
        self.around.suspended.shut();
        self.hooks.close();
        self.actors.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        self.jobs_done().await;
        // Now there is nobody left who would end a task because of it.
        self.stop_everything();
        self.around.feed.close();
        self.write_output().await;
        let over = self.around.clock.steady().saturating_add(FLUSH_MAX);
        tokio::select! {
            biased;
            // What a store cannot make safe now it says itself.
            _ = self.around.store.flush() => {}
            () = self.around.clock.sleep_until(over) => {}
        }
    }
}
