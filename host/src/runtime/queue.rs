//! How many tasks may wait for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The queue's length, and the most it may be. Protects the host's memory from whoever starts tasks.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Arc<AtomicUsize>,
    max: usize,
}

/// A place in the queue, left when this is dropped.
#[derive(Debug)]
pub(crate) struct QueuePlace(Arc<AtomicUsize>);

impl Queue {
    pub(crate) fn new(max: usize) -> Self {
        Self { waiting: Arc::default(), max }
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes a place whether there is one or not: for a task that has waited in a host before this one.
    pub(crate) fn enter_again(&self) -> QueuePlace {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        QueuePlace(Arc::clone(&self.waiting))
    }

    /// Takes a place, if there is one.
    pub(crate) fn enter(&self) -> Option<QueuePlace> {
        let more = |waiting| (waiting < self.max).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(QueuePlace(Arc::clone(&self.waiting)))
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
