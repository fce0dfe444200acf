//! Which tasks have printed something that is not in their files yet.

use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use super::log::OutputLog;

/// The tasks whose output is to be written behind: a host has one of these, and one timer.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    logs: Mutex<Vec<Weak<OutputLog>>>,
    some: Notify,
}

impl Behind {
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<OutputLog>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, log: Weak<OutputLog>) {
        self.lock().push(log);
        self.some.notify_one();
    }

    /// Waits until some task has something to be written.
    ///
    /// Cancel safety: nothing is lost.
    pub(crate) async fn some(&self) {
        while self.lock().is_empty() {
            self.some.notified().await;
        }
    }

    /// Writes it. Blocks. What the disk does not take now is tried again the next time.
    pub(crate) fn write(&self) {
        let logs = std::mem::take(&mut *self.lock());
        for log in logs.iter().filter_map(Weak::upgrade) {
            log.write_behind();
        }
    }
}
