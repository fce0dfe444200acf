//! Whether a host stops: a flag for all who look, and a channel for those who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_utils::CachePadded;
use tokio::sync::watch;

/// Whether a host stops, or is gone. Every start looks at it and every task in each of its turns, on all threads at once, so that
/// it is written to once and lies with nothing that changes.
#[derive(Debug, Default)]
pub(crate) struct Stopping(CachePadded<AtomicBool>);

/// The one that says it.
#[derive(Debug)]
pub(crate) struct Shutdown {
    stopping: Arc<Stopping>,
    /// A look at its value takes a lock that all share.
    told: watch::Sender<bool>,
}

impl Stopping {
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Shutdown {
    pub(super) fn new(stopping: &Arc<Stopping>) -> Self {
        Self { stopping: Arc::clone(stopping), told: watch::Sender::new(false) }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.stopping.is()
    }

    /// From now on whoever looks sees it, and then who waits is told.
    pub(super) fn begin(&self) {
        self.stopping.0.store(true, Ordering::SeqCst);
        self.told.send_replace(true);
    }

    /// For who waits.
    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.told.subscribe()
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        self.stopping.0.store(true, Ordering::SeqCst);
    }
}
