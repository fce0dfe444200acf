//! Letters for one reader, who takes them when it gets to it.
//!
//! A channel of tokio's makes room for 32 letters at once and carries its own way of waking. A task has two boxes and one
//! reader, its actor; most tasks are never sent anything.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

/// A box with room for so many letters. Whoever sends one wakes the reader: the boxes of a task have one bell.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    kept: Mutex<Kept<T>>,
    room: Semaphore,
    /// How much room there is when nothing lies here.
    most: usize,
}

#[derive(Debug)]
struct Kept<T> {
    letters: VecDeque<T>,
    is_closed: bool,
}

impl<T> Mailbox<T> {
    /// With room for so many.
    pub(crate) fn new(room: usize) -> Self {
        let kept = Mutex::new(Kept { letters: VecDeque::new(), is_closed: false });
        Self { kept, room: Semaphore::new(room), most: room }
    }

    /// One that nobody reads.
    pub(crate) fn closed() -> Self {
        let mailbox = Self::new(0);
        mailbox.close();
        mailbox
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a letter in, once there is room. Says whether it lies there, where somebody reads; its reader may
    /// go before it comes to it.
    ///
    /// Cancel safety: when the future is dropped, the letter was not put in.
    pub(crate) async fn send(&self, letter: T) -> bool {
        // An error means that it is closed.
        let Ok(room) = self.room.acquire().await else { return false };
        let mut kept = self.lock();
        if kept.is_closed {
            return false;
        }
        // Whoever takes the letter gives the room back.
        room.forget();
        kept.letters.push_back(letter);
        true
    }

    /// Takes the oldest letter.
    pub(crate) fn take(&self) -> Option<T> {
        // Nearly always there is none. A letter takes its room before it is put in, and its sender rings after that.
        if self.room.available_permits() == self.most {
            return None;
        }
        let letter = self.lock().letters.pop_front()?;
        self.room.add_permits(1);
        Some(letter)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().letters.is_empty()
    }

    /// Nobody reads any more: what lies there is thrown away, and whoever waits for room hears of it.
    pub(crate) fn close(&self) {
        self.room.close();
        let unread = {
            let mut kept = self.lock();
            kept.is_closed = true;
            std::mem::take(&mut kept.letters)
        };
        // Dropped without the lock: with a letter goes the way back for its answer, and somebody may wake by that.
        drop(unread);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn is_ready<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match pin!(future).poll(&mut cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn letters_come_in_order_and_whoever_finds_no_room_waits() {
        let mailbox = Mailbox::new(2);
        assert_eq!([is_ready(mailbox.send(1)), is_ready(mailbox.send(2))], [Some(true), Some(true)]);
        assert_eq!(is_ready(mailbox.send(3)), None);
        assert_eq!(mailbox.take(), Some(1));
        assert_eq!(is_ready(mailbox.send(4)), Some(true), "what was not put in took no room");
        assert_eq!([mailbox.take(), mailbox.take(), mailbox.take()], [Some(2), Some(4), None]);
        assert!(mailbox.is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_for_room_hears_that_nobody_reads_any_more() {
        let mailbox = Mailbox::new(1);
        assert!(mailbox.send(1).await);
        let (sent, ()) = tokio::join!(mailbox.send(2), async { mailbox.close() });
        assert!(!sent);
        assert!(!mailbox.send(3).await);
        assert_eq!(mailbox.take(), None);
        assert!(!Mailbox::closed().send(4).await);
    }
}
