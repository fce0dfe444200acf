//! What the workers have in common: who wants to run, and what is to be dropped.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use crate::guest::{Cell, Content};
use crate::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering};

/// After this many guests that were woken, one of those that only burn gets its turn, so that nobody starves.
const WOKEN_IN_A_ROW: u32 = 3;

/// So many guests' ends are told together while others that were woken wait for their turns: most of those are short. An end wakes
/// the host's threads, and these go first: told one by one, each costs two changes between threads.
const TOLD_TOGETHER: usize = 8;

/// So many guests at most wait for turns beside their owners: the others have theirs from the workers, whose priority is low. Else
/// guests without number, each with a short turn, would keep the owners' threads from everything else.
const BESIDE_OWNERS: usize = 32;

/// The queues. Nothing slow is done under its lock.
#[derive(Default)]
pub(crate) struct Pool {
    queues: Mutex<Queues>,
    work: Condvar,
    graves: Condvar,
    /// Guests that wait for turns beside their owners.
    beside_owners: AtomicUsize,
    /// Whether nothing begins to run any more. Written under the lock: whoever has looked there goes on before it.
    shut: AtomicBool,
}

#[derive(Default)]
struct Queues {
    /// Guests for whom something has happened: they have waited, so they go first.
    woken: VecDeque<Arc<Cell>>,
    /// Guests that used their last turn up.
    busy: VecDeque<Arc<Cell>>,
    woken_in_a_row: u32,
    /// Guests that are over, and nobody has been told.
    ended: Vec<Content>,
    /// What was taken out of slots.
    corpses: VecDeque<Content>,
    /// Workers that wait for work.
    idle: usize,
    /// Those of them that were woken and have not come yet: nobody wakes them again.
    called: usize,
    /// Workers that there are.
    workers: usize,
    reaper_gone: bool,
}

/// What a worker finds to do.
pub(crate) enum Job {
    /// A guest's turn.
    Turn(Arc<Cell>),
    /// Guests that are over: to tell, and then to drop.
    Ends(Vec<Content>),
    /// Something to drop.
    Burial(Content),
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push_woken(&self, cell: Arc<Cell>) {
        self.push(cell, 0, |queues| &mut queues.woken);
    }

    /// Takes back one that burns on, from the worker whose turn with it is over and who looks for the next job now. So nobody
    /// is called for that one alone: each turn would wake a worker that finds nothing.
    pub(crate) fn push_busy(&self, cell: Arc<Cell>) {
        self.push(cell, 1, |queues| &mut queues.busy);
    }

    /// Takes one that burns on from whoever is no worker.
    pub(crate) fn push_burning(&self, cell: Arc<Cell>) {
        self.push(cell, 0, |queues| &mut queues.busy);
    }

    /// One more guest wants a turn beside its owner. Says whether it may; then it leaves when that begins, or cannot be had.
    pub(crate) fn join_owner(&self) -> bool {
        let may = self.beside_owners.fetch_add(1, Ordering::Relaxed) < BESIDE_OWNERS;
        if !may {
            self.leave_owner();
        }
        may
    }

    pub(crate) fn leave_owner(&self) {
        self.beside_owners.fetch_sub(1, Ordering::Relaxed);
    }

    /// `hands` are the workers that come by themselves.
    fn push(&self, cell: Arc<Cell>, hands: usize, queue: impl FnOnce(&mut Queues) -> &mut VecDeque<Arc<Cell>>) {
        let mut queues = self.lock();
        if self.is_shut() {
            drop(queues);
            cell.stop();
            return;
        }
        queue(&mut queues).push_back(cell);
        self.call(queues, hands);
    }

    /// A worker that goes leaves its turn to others: nobody was called for what it has pushed last.
    pub(crate) fn leave_turn(&self) {
        self.call(self.lock(), 0);
    }

    /// Wakes a worker, if there is more to do than these hands can, and one that sleeps and was not called.
    fn call(&self, mut queues: MutexGuard<'_, Queues>, hands: usize) {
        let asleep = queues.woken.len() + queues.busy.len() > hands && queues.idle > queues.called;
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
            if queues.are_ends_due() {
                return Some(Job::Ends(std::mem::take(&mut queues.ended)));
            }
            if self.is_shut() {
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

    /// A guest is over. Its worker looks for its next job then, or tells the ends before it goes.
    pub(crate) fn end(&self, content: Content) {
        self.lock().ended.push(content);
    }

    /// Tells these ends, and drops what is left of the guests.
    pub(crate) fn tell_here(&self, mut ended: Vec<Content>) {
        tell(&mut ended);
        for content in ended {
            self.bury_here(content);
        }
    }

    /// Tells this one's end, and drops what is left of it.
    pub(crate) fn end_here(&self, mut content: Content) {
        tell(std::slice::from_mut(&mut content));
        self.bury_here(content);
    }

    /// Tells the ends that wait for more: for the watchdog, because all workers may be in long polls, and for a worker that
    /// goes. What is left of the guests is the reaper's.
    pub(crate) fn tell_ends(&self) {
        let mut ended = std::mem::take(&mut self.lock().ended);
        tell(&mut ended);
        for content in ended {
            self.bury(content);
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
        contained(move || drop(content));
    }

    /// The reaper's life: drops what was taken out, until the workers are gone.
    pub(crate) fn reap(&self) {
        let mut queues = self.lock();
        loop {
            if let Some(content) = queues.corpses.pop_front() {
                drop(queues);
                self.bury_here(content);
                queues = self.lock();
            } else if self.is_shut() && queues.workers == 0 {
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
        self.shut.store(true, Ordering::Release);
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
        self.shut.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(crate) fn idle_and_called(&self) -> (usize, usize) {
        let queues = self.lock();
        (queues.idle, queues.called)
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

/// Tells what these guests came to. All of them before any is dropped: whoever waits for the last does not wait for that.
fn tell(ended: &mut [Content]) {
    for content in ended {
        contained(|| content.tell());
    }
}

/// Whatever panics in there stays there.
fn contained(act: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(act)) {
        // Its own drop may panic too: it is left where it is.
        std::mem::forget(payload);
    }
}

impl Queues {
    fn pick(&mut self) -> Option<Job> {
        // Freeing comes first: it gives memory back. The reaper may be busy with a large one.
        if let Some(content) = self.corpses.pop_front() {
            return Some(Job::Burial(content));
        }
        if self.is_woken_next()
            && let Some(cell) = self.woken.pop_front()
        {
            self.woken_in_a_row += 1;
            return Some(Job::Turn(cell));
        }
        self.woken_in_a_row = 0;
        self.busy.pop_front().map(Job::Turn)
    }

    /// Whether the ends are to be told now: before the turn of one that burns, and before anybody sleeps or goes.
    fn are_ends_due(&self) -> bool {
        !self.ended.is_empty() && (self.ended.len() >= TOLD_TOGETHER || !self.is_woken_next())
    }

    fn is_woken_next(&self) -> bool {
        let busy_is_due = self.woken_in_a_row >= WOKEN_IN_A_ROW && !self.busy.is_empty();
        self.corpses.is_empty() && !busy_is_due && !self.woken.is_empty()
    }
}
