//! A waker that many may ring, in the steps of the crate `atomic-waker`, with loom's atomics.
//!
//! Loom's own lets no other thread run while it registers or takes: two would never meet there, and what the crate does then
//! would never be tried.

use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use loom::sync::atomic::{AtomicU8, Ordering};
use loom::thread;

const WAITING: u8 = 0;
const REGISTERING: u8 = 1;
const WAKING: u8 = 2;

#[derive(Default)]
pub(crate) struct AtomicWaker {
    word: AtomicU8,
    /// The word says who may touch it, so loom need not look into it.
    waker: Mutex<Option<Waker>>,
}

impl AtomicWaker {
    fn set(&self, waker: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut *self.waker.lock().unwrap_or_else(PoisonError::into_inner), waker)
    }

    pub(crate) fn register(&self, waker: &Waker) {
        if self.word.compare_exchange(WAITING, REGISTERING, Ordering::Acquire, Ordering::Acquire).is_err() {
            // Somebody is about to wake whoever was here before, and may not have seen this one.
            waker.wake_by_ref();
            // Woken by itself, the task comes again and again until the other goes on.
            thread::yield_now();
            return;
        }
        drop(self.set(Some(waker.clone())));
        if self.word.compare_exchange(REGISTERING, WAITING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            let waker = self.set(None);
            self.word.swap(WAITING, Ordering::AcqRel);
            // Somebody came meanwhile and left it to us.
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = self.take() {
            waker.wake();
        }
    }

    pub(crate) fn take(&self) -> Option<Waker> {
        if self.word.fetch_or(WAKING, Ordering::AcqRel) != WAITING {
            return None;
        }
        let waker = self.set(None);
        self.word.fetch_and(!WAKING, Ordering::Release);
        waker
    }
}
