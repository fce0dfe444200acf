//! Where tasks wait for their turn: the fair queue, and whoever sleeps in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::model::admission::{Admission, Applicant, Concurrency};
use crate::model::ids::PluginDigest;
use crate::ports::clock::BoxFuture;
use crate::ports::runner::{Permit, Runner};

/// The desk at which every task gets its turn.
#[derive(Debug)]
pub(crate) struct Desk {
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    admission: Admission,
    next_ticket: u64,
    sleepers: HashMap<u64, oneshot::Sender<()>>,
}

/// A turn, over when this is dropped.
#[derive(Debug)]
pub(crate) struct DeskPlace {
    desk: Arc<Desk>,
    who: Applicant,
    ticket: u64,
    priority: i32,
    /// Whether its turn has come.
    called: bool,
}

impl Desk {
    pub(crate) fn new(limits: Concurrency) -> Self {
        let books = Books { admission: Admission::new(limits), next_ticket: 0, sleepers: HashMap::new() };
        Self { books: Mutex::new(books) }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn. It is in the queue from now on, and not only when it is polled.
    ///
    /// Cancel safety: dropping the future gives its place up.
    pub(crate) fn turn(self: Arc<Self>, who: Applicant, priority: i32) -> impl Future<Output = DeskPlace> + Send {
        let (place, called) = {
            let mut books = self.lock();
            let ticket = books.next_ticket;
            books.next_ticket += 1;
            let at_once = books.admission.enter_at_once(&who);
            let called = (!at_once).then(|| {
                let (call, called) = oneshot::channel();
                books.admission.enter(ticket, who.clone(), priority);
                books.sleepers.insert(ticket, call);
                books.call();
                called
            });
            (DeskPlace { desk: Arc::clone(&self), who, ticket, priority, called: at_once }, called)
        };
        async move {
            let mut place = place;
            if let Some(called) = called {
                // The sender is dropped only with the desk, which this place keeps.
                let _ = called.await;
                place.called = true;
            }
            place
        }
    }

    /// Waits for a turn, and then for room for a cell of this plugin.
    ///
    /// Cancel safety: dropping the future gives its place up.
    pub(crate) fn admit(
        self: Arc<Self>,
        runner: Arc<dyn Runner>,
        plugin: PluginDigest,
        who: Applicant,
        priority: i32,
    ) -> BoxFuture<'static, Permit> {
        let turn = self.turn(who, priority);
        Box::pin(async move {
            let place = turn.await;
            let room = runner.admit(plugin).await;
            Box::new((room, place)) as Permit
        })
    }
}

impl Books {
    /// Wakes everybody whose turn it is.
    fn call(&mut self) {
        while let Some(ticket) = self.admission.next() {
            if let Some(sleeper) = self.sleepers.remove(&ticket) {
                // Whoever does not listen any more gives its turn back when its place is dropped.
                let _ = sleeper.send(());
            }
        }
    }
}

impl Drop for DeskPlace {
    fn drop(&mut self) {
        let mut books = self.desk.lock();
        let waited = !self.called && books.admission.leave(self.ticket, &self.who, self.priority);
        if waited {
            books.sleepers.remove(&self.ticket);
        } else {
            books.admission.release(&self.who);
        }
        books.call();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(session: &str) -> Applicant {
        Applicant { plugin: "p".to_owned(), session: Some(session.to_owned()), parent: None }
    }

    #[tokio::test]
    async fn r17_a_turn_is_given_on_when_it_is_over() {
        let desk = Arc::new(Desk::new(Concurrency::of(1)));
        let first = Arc::clone(&desk).turn(who("a"), 0).await;
        let mut second = Box::pin(Arc::clone(&desk).turn(who("a"), 0));
        let third = Arc::clone(&desk).turn(who("b"), 0);
        assert!(futures_poll(&mut second).is_none());
        drop(first);
        // The lanes are served in the order in which they came.
        drop(second.await);
        drop(third.await);
    }

    #[tokio::test]
    async fn r17_whoever_gives_up_leaves_nothing_behind_even_when_it_was_called_just_then() {
        let desk = Arc::new(Desk::new(Concurrency::of(1)));
        let first = Arc::clone(&desk).turn(who("a"), 0).await;
        let waiting = Arc::clone(&desk).turn(who("a"), 0);
        let called = Arc::clone(&desk).turn(who("a"), 0);
        drop(waiting);
        drop(first);
        // Called, and never looked.
        drop(called);
        drop(Arc::clone(&desk).turn(who("b"), 0).await);
        assert!(desk.lock().sleepers.is_empty());
    }

    fn futures_poll<T>(future: &mut std::pin::Pin<Box<impl Future<Output = T>>>) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
