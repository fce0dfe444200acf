//! The watchdog's sleep: as long as nobody is in a poll it need not look, and whoever begins one wakes it.

use std::sync::PoisonError;
use std::time::Duration;

use crate::sync::{AtomicBool, Condvar, Mutex, Ordering, fence};

/// Wakes a watchdog that has gone to sleep.
#[derive(Default)]
pub(crate) struct Watch {
    /// Written under the lock, and looked at without it by workers, who nearly always find it awake.
    asleep: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Watch {
    /// Rests until the next look.
    pub(crate) fn rest(&self, time: Duration) {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.wake.wait_timeout(lock, time));
    }

    /// Sleeps until somebody wakes it, if it still `may` once everybody can see that it sleeps.
    pub(crate) fn sleep(&self, may: impl FnOnce() -> bool) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.store(true, Ordering::Relaxed);
        // Its partner is in `wake`: either we see what was done before it, or whoever did that sees us asleep.
        fence(Ordering::SeqCst);
        if may() {
            while self.asleep.load(Ordering::Relaxed) {
                lock = self.wake.wait(lock).unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Wakes it, for something that was done just now.
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.asleep.store(false, Ordering::Relaxed);
            self.wake.notify_all();
        }
    }
}
