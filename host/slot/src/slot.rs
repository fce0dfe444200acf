//! The protocol between a slot's workers, wakers and cancellers: one word decides who may touch what is inside.

use crate::sync::{AtomicU8, Mutex, MutexGuard, Ordering, TryLockError};

/// It is in the run queue, or will be put there by whoever polls it now.
const QUEUED: u8 = 1;
/// Somebody polls it. Never taken back once the content is done.
const RUNNING: u8 = 2;
/// Nobody may begin to poll it any more.
const STOPPED: u8 = 4;

/// A place for one guest.
///
/// Invariant: the content belongs to whoever set `RUNNING` on a slot that was not `STOPPED`, or `STOPPED` on a slot that
/// was not `RUNNING`. So the lock is never waited for; it is there because safe Rust wants one.
#[derive(Debug)]
pub(crate) struct Slot<F> {
    word: AtomicU8,
    content: Mutex<Option<F>>,
}

/// What became of a slot after one turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn<F> {
    /// It wants to go on: put it into the queue again.
    Again,
    /// It waits for a wake-up.
    Parked,
    /// It is over; the content is the caller's to drop.
    Over(F),
    /// It was stopped while it was polled; the same.
    Stopped(F),
    /// It had been emptied before.
    Empty,
}

impl<F> Slot<F> {
    /// A full slot that wants to run: whoever makes it puts it into the queue.
    pub(crate) fn new(content: F) -> Self {
        Self { word: AtomicU8::new(QUEUED), content: Mutex::new(Some(content)) }
    }

    /// Notes a wake-up. Says whether the caller must put the slot into the queue.
    pub(crate) fn wake(&self) -> bool {
        self.word.fetch_or(QUEUED, Ordering::AcqRel) & (QUEUED | RUNNING | STOPPED) == 0
    }

    /// Gives the content one turn. `poll` says whether it is done. Called by whoever took the slot from the queue.
    pub(crate) fn turn(&self, poll: impl FnOnce(&mut F) -> bool) -> Turn<F> {
        // It was queued and not running, so both flip.
        if self.word.fetch_xor(QUEUED | RUNNING, Ordering::AcqRel) & STOPPED != 0 {
            return Turn::Empty;
        }
        // Nobody else has it now; a failure here would be a fault of the protocol, and the model check finds those.
        let Some(mut content) = self.try_lock() else { return Turn::Empty };
        if content.as_mut().is_none_or(poll) {
            // `RUNNING` stays, so that no canceller looks for the content.
            return content.take().map_or(Turn::Empty, Turn::Over);
        }
        drop(content);
        let word = self.word.fetch_and(!RUNNING, Ordering::AcqRel);
        if word & STOPPED != 0 {
            // The canceller saw it running and left it to us.
            return self.take().map_or(Turn::Empty, Turn::Stopped);
        }
        if word & QUEUED == 0 { Turn::Parked } else { Turn::Again }
    }

    /// Stops the slot. Returns the content when nobody polls it; else its worker empties it after the poll. Never waits.
    pub(crate) fn stop(&self) -> Option<F> {
        if self.word.fetch_or(STOPPED, Ordering::AcqRel) & (RUNNING | STOPPED) == 0 { self.take() } else { None }
    }

    fn take(&self) -> Option<F> {
        self.try_lock()?.take()
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<F>>> {
        match self.content.try_lock() {
            Ok(content) => Some(content),
            // A guest that panicked is over, and what is inside is dropped like any other.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
