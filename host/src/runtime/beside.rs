//! Waiting for a task beside its session's book: whoever does so answers its call, and not the loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::model::delivery::book::beside::Settled;
use crate::model::ids::TaskId;

use super::delivery::LoopDesk;

/// The mark of somebody who waits, made before the task is there.
#[derive(Debug)]
pub(super) struct Beside {
    desk: Arc<LoopDesk>,
    /// The session and the task, as soon as there is one.
    task: OnceLock<(String, TaskId)>,
    over: AtomicBool,
}

impl Beside {
    /// Whether somebody still waits. Asked while the books are locked.
    pub(super) fn is_waiting(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }

    /// This is the task.
    pub(super) fn wait_for(&self, session: String, task: TaskId) {
        let _ = self.task.set((session, task));
    }
}

/// Somebody who waits. When this is dropped, the book is told what came of it.
#[derive(Debug)]
pub(super) struct Waiter {
    mark: Arc<Beside>,
    pub(super) settled: Settled,
}

impl Waiter {
    pub(super) fn new(desk: &Arc<LoopDesk>) -> Self {
        let mark = Beside { desk: Arc::clone(desk), task: OnceLock::new(), over: AtomicBool::new(false) };
        Self { mark: Arc::new(mark), settled: Settled::GivenUp }
    }

    pub(super) fn mark(&self) -> Arc<Beside> {
        Arc::clone(&self.mark)
    }

    /// Takes over a task that was there already, if its turn still has to answer. Says whether it is so.
    pub(super) fn take_over(&self, session: &str, task: TaskId) -> bool {
        let taken = self.mark.desk.change(session, |book| book.await_beside(task)).unwrap_or_default();
        if taken {
            self.mark.wait_for(session.to_owned(), task);
        }
        taken
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.mark.over.store(true, Ordering::SeqCst);
        if let Some((session, task)) = self.mark.task.get() {
            self.mark.desk.change(session, |book| book.settle(*task, self.settled));
        }
    }
}
