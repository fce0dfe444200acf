//! A guest's turns beside its owner: in the task that handed it over, on whatever thread that runs.
//!
//! Handing a guest to a worker and its answers back is two changes between threads, which cost more than most turns do. So a
//! guest may have its short turns where its owner is. It is still in its slot, and whoever needs longer ones goes to the
//! workers.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

use crate::guest::Cell;
use crate::sync::{AtomicU8, AtomicWaker, Mutex, MutexGuard, Ordering};

/// Turns that a guest has beside its owner before all others of the runtime have theirs.
pub(crate) const TURNS: u32 = 8;

/// What is known of a guest that may have turns beside its owner, and what has to be done around them.
pub trait Conduct: Send + Sync {
    /// Whether its next turn may be there.
    fn may_stay(&self) -> bool;

    /// Calls `turn`, once: for instance, within an async runtime's context, and with a look at how long it takes.
    ///
    /// `is_last`: whether the owner gives way after it, because its guest has wanted so many turns one after the other.
    fn around(&self, is_last: bool, turn: &mut dyn FnMut());
}

/// It is being polled, with its guest's turns.
const POLLED: u8 = 1;
/// It has been woken since the present poll, or the last one, began to look.
const WOKEN: u8 = 2;

/// One whose guest may have turns beside it.
#[derive(Default)]
pub struct Owner {
    place: Mutex<Place>,
    /// Owner and guest wake each other all the time, in one poll. It looks again then, and its runtime need not hear of it.
    word: AtomicU8,
    waker: AtomicWaker,
}

#[derive(Default)]
enum Place {
    #[default]
    Free,
    /// A guest that wants its turn.
    Taken(Arc<Cell>),
    /// The owner's life is over.
    Gone,
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}

impl Owner {
    /// Lives the owner's life, and gives its guest the turns that it wants meanwhile. Whatever the owner waits for, its guest
    /// does not wait with it.
    ///
    /// Cancel safety: that of `life`. A guest that wants a turn then, or later, has it from the workers.
    pub fn live<F: Future>(self: Arc<Self>, life: F) -> Life<F> {
        Life { owner: Leaving(self), life }
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Arc<Cell>> {
        let mut place = self.lock();
        match std::mem::take(&mut *place) {
            Place::Free => None,
            Place::Taken(guest) => Some(guest),
            Place::Gone => {
                *place = Place::Gone;
                None
            }
        }
    }

    /// Whether a guest waits for a turn. Asked within a poll of the owner's life: the guest has it in this same poll, when the
    /// life was polled, unless the life ends.
    pub fn is_asked(&self) -> bool {
        matches!(*self.lock(), Place::Taken(_))
    }

    /// Asks for a turn. Gives the guest back when there is nobody to give it, or another waits already.
    pub(crate) fn ask(&self, guest: Arc<Cell>) -> Result<(), Arc<Cell>> {
        {
            let mut place = self.lock();
            match *place {
                Place::Free => *place = Place::Taken(guest),
                Place::Taken(_) | Place::Gone => return Err(guest),
            }
        }
        self.call();
        Ok(())
    }

    /// Has the owner look: once more, if it is looking, else by its runtime.
    fn call(&self) {
        if self.word.fetch_or(WOKEN, Ordering::AcqRel) & POLLED == 0 {
            self.waker.wake();
        }
    }
}

impl Wake for Owner {
    fn wake(self: Arc<Self>) {
        self.call();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.call();
    }
}

pin_project! {
    /// An owner's life, with its guest's turns; see [`Owner::live`].
    #[must_use = "nobody lives who is not polled"]
    pub struct Life<F> {
        owner: Leaving,
        #[pin]
        life: F,
    }
}

impl<F> fmt::Debug for Life<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").finish_non_exhaustive()
    }
}

impl<F: Future> Future for Life<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let (Leaving(owner), mut life) = (this.owner, this.life);
        let waker = Waker::from(Arc::clone(owner));
        let mut inner = Context::from_waker(&waker);
        // Before looking, so that whoever comes in between is not slept through.
        owner.waker.register(cx.waker());
        for turn in 1..=TURNS {
            // Whoever wakes it from here on is seen below, and what was there before is seen by this poll.
            owner.word.swap(POLLED, Ordering::AcqRel);
            if let Poll::Ready(end) = life.as_mut().poll(&mut inner) {
                return Poll::Ready(end);
            }
            if let Some(guest) = owner.next() {
                guest.turn_beside_owner(turn == TURNS);
            }
            if owner.word.compare_exchange(POLLED, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Poll::Pending;
            }
        }
        owner.word.swap(0, Ordering::AcqRel);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Sees to whoever waits for an owner that goes.
struct Leaving(Arc<Owner>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let place = std::mem::replace(&mut *self.0.lock(), Place::Gone);
        if let Place::Taken(guest) = place {
            guest.go_to_the_workers();
        }
        // Nothing of its task is kept.
        drop(self.0.waker.take());
    }
}
