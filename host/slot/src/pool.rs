//! What the workers have in common: who wants to run, and what is to be dropped.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use crate::guest::{Cell, Content};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// After this many guests that were woken, one of those that only burn gets its turn, so that nobody starves.
const WOKEN_IN_A_ROW: u32 = 3;

/// The queues. Nothing slow is done under its lock.
#[derive(Default)]
pub(crate) struct Pool {
    queues: Mutex<Queues>,
    work: Condvar,
    graves: Condvar,
}

#[derive(Default)]
struct Queues {
    /// Guests for whom something has happened: they have waited, so they go first.
    woken: VecDeque<Arc<Cell>>,
    /// Guests that used their last turn up.
    busy: VecDeque<Arc<Cell>>,
    woken_in_a_row: u32,
    /// What was taken out of slots.
    corpses: VecDeque<Content>,
    /// Workers that wait for work.
    idle: usize,
    /// Those of them that were woken and have not come yet: nobody wakes them again.
    called: usize,
    /// Workers that there are.
    workers: usize,
    shut: bool,
    reaper_gone: bool,
}

/// What a worker finds to do.
pub(crate) enum Job {
    /// A guest's turn.
    Turn(Arc<Cell>),
    /// Something to drop.
    Burial(Content),
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push_woken(&self, cell: Arc<Cell>) {
        self.push(cell, |queues| &mut queues.woken);
    }

    pub(crate) fn push_busy(&self, cell: Arc<Cell>) {
        self.push(cell, |queues| &mut queues.busy);
    }

    fn push(&self, cell: Arc<Cell>, queue: impl FnOnce(&mut Queues) -> &mut VecDeque<Arc<Cell>>) {
        let mut queues = self.lock();
        if queues.shut {
            drop(queues);
            cell.stop();
            return;
        }
        queue(&mut queues).push_back(cell);
        let asleep = queues.idle > queues.called;
        queues.called += usize::from(asleep);
        drop(queues);
        if asleep {
            self.work.notify_one();
        }
    }

    /// The next thing to do; `None` when there is nothing and the worker shall go. A worker that may `stay` waits.
    pub(crate) fn next(&self, stay: bool) -> Option<Job> {
        let mut queues = self.lock();
        loop {
            if queues.shut {
                return None;
            }
            if let Some(job) = queues.pick() {
                return Some(job);
            }
            if !stay {
                return None;
            }
            queues.idle += 1;
            queues = self.work.wait(queues).unwrap_or_else(PoisonError::into_inner);
            queues.idle -= 1;
            // One that wakes for no reason takes the call of another, who then is called once too often.
            queues.called = queues.called.saturating_sub(1);
        }
    }

    /// Whether guests wait for a worker.
    pub(crate) fn has_work(&self) -> bool {
        let queues = self.lock();
        !queues.woken.is_empty() || !queues.busy.is_empty()
    }

    /// Has the reaper drop this. Whoever calls is never held up by it.
    pub(crate) fn bury(&self, content: Content) {
        let mut queues = self.lock();
        if queues.reaper_gone {
            drop(queues);
            self.bury_here(content);
            return;
        }
        queues.corpses.push_back(content);
        drop(queues);
        self.graves.notify_one();
    }

    /// Drops this now. What a guest held may panic, and that must not end a worker.
    #[expect(clippy::unused_self, reason = "it stands beside its sibling")]
    pub(crate) fn bury_here(&self, content: Content) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(move || drop(content))) {
            // Its own drop may panic too: it is left where it is.
            std::mem::forget(payload);
        }
    }

    /// The reaper's life: drops what was taken out, until the workers are gone.
    pub(crate) fn reap(&self) {
        let mut queues = self.lock();
        loop {
            if let Some(content) = queues.corpses.pop_front() {
                drop(queues);
                self.bury_here(content);
                queues = self.lock();
            } else if queues.shut && queues.workers == 0 {
                queues.reaper_gone = true;
                return;
            } else {
                queues = self.graves.wait(queues).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Nothing begins to run any more. Those who wait for their turn are stopped.
    pub(crate) fn shut(&self) {
        let mut queues = self.lock();
        queues.shut = true;
        let waiting: Vec<Arc<Cell>> = {
            let Queues { woken, busy, .. } = &mut *queues;
            woken.drain(..).chain(busy.drain(..)).collect()
        };
        drop(queues);
        for cell in waiting {
            cell.stop();
        }
        self.work.notify_all();
        self.graves.notify_all();
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.lock().shut
    }

    #[cfg(test)]
    pub(crate) fn workers(&self) -> usize {
        self.lock().workers
    }

    pub(crate) fn worker_came(&self) {
        self.lock().workers += 1;
    }

    pub(crate) fn worker_went(&self) {
        let mut queues = self.lock();
        queues.workers -= 1;
        drop(queues);
        self.graves.notify_all();
    }
}

impl Queues {
    fn pick(&mut self) -> Option<Job> {
        // Freeing comes first: it gives memory back. The reaper may be busy with a large one.
        if let Some(content) = self.corpses.pop_front() {
            return Some(Job::Burial(content));
        }
        let busy_is_due = self.woken_in_a_row >= WOKEN_IN_A_ROW && !self.busy.is_empty();
        if !busy_is_due && let Some(cell) = self.woken.pop_front() {
            self.woken_in_a_row += 1;
            return Some(Job::Turn(cell));
        }
        self.woken_in_a_row = 0;
        self.busy.pop_front().map(Job::Turn)
    }
}
