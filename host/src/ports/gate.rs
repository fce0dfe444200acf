//! A gate in a guest's way: shut while its task is paused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Shut by the task's actor, looked at by its cell. One cell waits at it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    shut: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Gate {
    /// Shuts the gate. The guest goes on to the end of its slice of fuel, or of its call, and then waits.
    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    /// Opens the gate and lets the guest go on.
    pub(crate) fn open(&self) {
        self.shut.store(false, Ordering::SeqCst);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::SeqCst)
    }

    /// Ready when the gate is open; else the waker is kept until it opens.
    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_shut() {
            return Poll::Ready(());
        }
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        // Opened in between: whoever opened it may have found no waker.
        if self.is_shut() { Poll::Pending } else { Poll::Ready(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn who_waits_at_a_shut_gate_goes_on_when_it_opens() {
        let gate = Gate::default();
        poll_fn(|cx| gate.poll_open(cx)).await;
        gate.shut();
        let mut waiting = pin!(poll_fn(|cx| gate.poll_open(cx)));
        let first = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
        assert!(first.is_pending());
        gate.open();
        waiting.await;
    }
}
