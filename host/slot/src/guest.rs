//! One guest: the future in its slot, and the handle that its owner holds.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::oneshot;

use crate::owner::{Conduct, Owner};
use crate::pool::Pool;
use crate::slot::{Slot, Turn};

/// What lies in a slot: a guest's life.
pub(crate) trait Life: Send {
    /// Gives the guest one poll. Says whether it is over, and then it is polled no more.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool;

    /// Tells whoever waits for a guest that is over what it came to, once.
    fn tell(&mut self);
}

pub(crate) type Content = Box<dyn Life>;

/// What a guest came to: its result, or a panic's payload.
type End<T> = Result<T, Box<dyn Any + Send>>;

/// A guest among the others.
pub(crate) struct Cell {
    slot: Slot<Content>,
    pool: Arc<Pool>,
    /// Where it may have turns beside those of the workers.
    beside: Option<Beside>,
}

/// An owner beside whom a guest may have turns, and what is known of the guest.
pub(crate) struct Beside {
    pub(crate) owner: Arc<Owner>,
    pub(crate) conduct: Arc<dyn Conduct>,
}

impl Cell {
    pub(crate) fn new(content: Content, pool: Arc<Pool>, beside: Option<Beside>) -> Self {
        Self { slot: Slot::new(content), pool, beside }
    }

    /// Gives the guest one turn on a worker, and puts it where it belongs afterwards.
    pub(crate) fn turn(self: Arc<Self>) {
        match self.polled() {
            Turn::Again => {
                let pool = Arc::clone(&self.pool);
                pool.push_busy(self);
            }
            Turn::Over(content) => self.pool.end(content),
            Turn::Stopped(content) => self.pool.bury_here(content),
            Turn::Parked | Turn::Empty => {}
        }
    }

    /// Gives the guest that has asked for it one turn beside its owner. One that wants to go on does so on the workers.
    pub(crate) fn turn_beside_owner(self: Arc<Self>, is_last: bool) {
        self.pool.leave_owner();
        if self.pool.is_shut() {
            self.stop();
            return;
        }
        let mut wants_more = false;
        let mut turn = || match self.polled() {
            Turn::Again => wants_more = true,
            Turn::Over(content) => self.pool.end_here(content),
            Turn::Stopped(content) => self.pool.bury_here(content),
            Turn::Parked | Turn::Empty => {}
        };
        match &self.beside {
            Some(beside) => beside.conduct.around(is_last, &mut turn),
            None => turn(),
        }
        if wants_more {
            let pool = Arc::clone(&self.pool);
            pool.push_burning(self);
        }
    }

    fn polled(self: &Arc<Self>) -> Turn<Content> {
        let waker = Waker::from(Arc::clone(self));
        let mut cx = Context::from_waker(&waker);
        self.slot.turn(|content| content.poll(&mut cx))
    }

    /// Asks for a turn, which is due to it: beside its owner, if it may, or from the workers.
    fn ask_for_turn(self: Arc<Self>) {
        let Some(beside) = &self.beside else { return self.have_worker() };
        if !beside.conduct.may_stay() || !self.pool.join_owner() {
            return self.have_worker();
        }
        let owner = Arc::clone(&beside.owner);
        if let Err(refused) = owner.ask(self) {
            refused.go_to_the_workers();
        }
    }

    /// Asks the workers for the turn that it cannot have from its owner.
    pub(crate) fn go_to_the_workers(self: Arc<Self>) {
        self.pool.leave_owner();
        self.have_worker();
    }

    fn have_worker(self: Arc<Self>) {
        let pool = Arc::clone(&self.pool);
        pool.push_woken(self);
    }

    /// Stops the guest. Never waits for it.
    pub(crate) fn stop(&self) {
        if let Some(content) = self.slot.stop() {
            self.pool.bury(content);
        }
    }
}

impl Wake for Cell {
    fn wake(self: Arc<Self>) {
        if self.slot.wake() {
            self.ask_for_turn();
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.slot.wake() {
            Arc::clone(self).ask_for_turn();
        }
    }
}

/// A guest that was handed to the workers; a future of its result.
///
/// Dropping it stops the guest: at once when it is parked or waits for its turn, else when the poll that is under way
/// ends. What the guest held is then dropped by the reaper or a worker, and not by whoever dropped this; only when the
/// workers are gone is there nobody else.
pub struct Guest<T> {
    cell: Arc<Cell>,
    end: oneshot::Receiver<End<T>>,
}

/// Why a guest has no result.
pub enum GuestEnd {
    /// It panicked, with this payload.
    Panicked(Box<dyn Any + Send>),
    /// It was stopped, or the workers are gone.
    Stopped,
}

impl fmt::Debug for GuestEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panicked(_) => "Panicked",
            Self::Stopped => "Stopped",
        })
    }
}

impl<T> fmt::Debug for Guest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").finish_non_exhaustive()
    }
}

impl<T> Guest<T> {
    pub(crate) fn new<F>(future: F, pool: &Arc<Pool>) -> Self
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        Self::perhaps_beside(future, pool, None)
    }

    /// One that may have turns beside its owner.
    pub(crate) fn perhaps_beside<F>(future: F, pool: &Arc<Pool>, beside: Option<Beside>) -> Self
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (tell, end) = oneshot::channel();
        let content = Guarded { future: Box::pin(future), end: None, tell: Some(tell) };
        let cell = Arc::new(Cell::new(Box::new(content), Arc::clone(pool), beside));
        Arc::clone(&cell).ask_for_turn();
        Self { cell, end }
    }
}

impl<T> Future for Guest<T> {
    type Output = Result<T, GuestEnd>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.end).poll(cx).map(|end| match end {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(payload)) => Err(GuestEnd::Panicked(payload)),
            Err(_) => Err(GuestEnd::Stopped),
        })
    }
}

impl<T> Drop for Guest<T> {
    fn drop(&mut self) {
        self.cell.stop();
    }
}

/// A guest's future whose panics stay within it.
struct Guarded<F: Future> {
    /// Boxed, so that it can be pinned without unsafe code.
    future: Pin<Box<F>>,
    end: Option<End<F::Output>>,
    tell: Option<oneshot::Sender<End<F::Output>>>,
}

impl<F: Future<Output: Send> + Send> Life for Guarded<F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        // A future that panicked is never polled again, so nobody sees what it left half done.
        let end = match catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(result)) => Ok(result),
            Err(payload) => Err(payload),
        };
        self.end = Some(end);
        true
    }

    fn tell(&mut self) {
        if let (Some(tell), Some(end)) = (self.tell.take(), self.end.take()) {
            // Nobody waits for it any more: then it was stopped.
            let _ = tell.send(end);
        }
    }
}
