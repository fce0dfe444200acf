//! A value that anybody reads at any moment, and that some wait for.
//!
//! `tokio::sync::watch` is made for many who wait, in eight lists, all of which are looked at with each change. A short task
//! changes a dozen such values, and is nearly always followed by one reader or by nobody.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The value, and whoever waits until it is another one.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    now: Mutex<Now<T>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Now<T> {
    value: T,
    changes: u64,
}

/// Which change somebody has seen last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen(u64);

impl<T> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { now: Mutex::new(Now { value, changes: 0 }), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Now<T>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the value, and wakes all who wait.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        {
            let mut now = self.lock();
            change(&mut now.value);
            now.changes += 1;
        }
        self.changed.notify_waiters();
    }

    /// What `read` makes of the value. Nobody changes it meanwhile.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock().value)
    }

    /// The same, and what [`Watched::changed`] takes to wait for another value.
    pub(crate) fn look<R>(&self, read: impl FnOnce(&T) -> R) -> (R, Seen) {
        let now = self.lock();
        (read(&now.value), Seen(now.changes))
    }

    /// Completes when the value was changed after it was seen; at once if it was.
    ///
    /// Cancel safety: dropping the future does nothing.
    pub(crate) async fn changed(&self, seen: Seen) {
        loop {
            // Before looking, so that a change in between is not slept through.
            let changed = self.changed.notified();
            if self.lock().changes != seen.0 {
                return;
            }
            changed.await;
        }
    }

    /// Completes when `holds` says so of the value; at once if it does already.
    ///
    /// Cancel safety: dropping the future does nothing.
    pub(crate) async fn until(&self, mut holds: impl FnMut(&T) -> bool) {
        loop {
            let changed = self.changed.notified();
            if holds(&self.lock().value) {
                return;
            }
            changed.await;
        }
    }
}

impl<T: Copy> Watched<T> {
    pub(crate) fn get(&self) -> T {
        self.lock().value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn a_change_between_looking_and_waiting_is_not_slept_through() {
        let watched = Watched::new(1);
        let (value, seen) = watched.look(|value| *value);
        assert_eq!(value, 1);
        let waits = async || {
            tokio::select! { biased; () = watched.changed(seen) => false, () = std::future::ready(()) => true }
        };
        assert!(waits().await);
        // To the same value: it is a change.
        watched.change(|value| *value = 1);
        assert!(!waits().await);
        assert_eq!(watched.get(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_who_wait_are_told() {
        let watched = Arc::new(Watched::new(0_u32));
        let mut waiting = JoinSet::new();
        for least in 1..=100 {
            let watched = Arc::clone(&watched);
            waiting.spawn(async move {
                watched.until(|value| *value >= least).await;
                watched.get() >= least
            });
        }
        for _ in 0..100 {
            watched.change(|value| *value += 1);
            tokio::task::yield_now().await;
        }
        assert!(waiting.join_all().await.into_iter().all(|is_there| is_there));
    }
}
