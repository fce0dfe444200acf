//! The books of all sessions whose tasks have something to tell their agent's loop.
//!
//! Tasks' actors write into them, before anybody is told of an event; loops take out. A session's book is there while one of its
//! tasks lives, something lies ready, or somebody has a handle to its loop. A task without a session has no place here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::delivery::book::{Entrant, SessionBook};
use crate::model::details::TaskDetails;
use crate::model::event::{Event, EventBody};
use crate::model::ids::TaskId;

use super::beside::Beside;
use super::effects::changes_questions;
use super::shared::Shared;

/// The books, by session.
#[derive(Debug, Default)]
pub(crate) struct LoopDesk {
    sessions: Mutex<HashMap<String, Session>>,
}

#[derive(Debug, Default)]
struct Session {
    book: SessionBook,
    /// Changes with the book.
    changes: watch::Sender<()>,
    /// How many handles there are to its loop.
    handles: usize,
}

impl Session {
    fn is_over(&self) -> bool {
        self.handles == 0 && self.book.is_empty()
    }
}

impl LoopDesk {
    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks into a session's book, and takes out of it; `None` when there is none.
    pub(super) fn look<T>(&self, session: &str, look: impl FnOnce(&mut SessionBook) -> T) -> Option<T> {
        let mut sessions = self.sessions();
        let found = sessions.get_mut(session)?;
        let seen = look(&mut found.book);
        if found.is_over() {
            sessions.remove(session);
        }
        Some(seen)
    }

    /// Changes a session's book, if there is one, and wakes whoever waits for that.
    pub(super) fn change<T>(&self, session: &str, change: impl FnOnce(&mut SessionBook) -> T) -> Option<T> {
        let mut sessions = self.sessions();
        let found = sessions.get_mut(session)?;
        let changed = change(&mut found.book);
        found.changes.send_replace(());
        if found.is_over() {
            sessions.remove(session);
        }
        Some(changed)
    }

    /// Takes a task in that lives from now on.
    fn enter(&self, session: &str, mut entrant: Entrant, beside: Option<&Beside>) {
        let mut sessions = self.sessions();
        let found = sessions.entry(session.to_owned()).or_default();
        // Whoever does not wait any more has said so before it took the books, or settles it after this.
        entrant.beside = beside.is_some_and(Beside::is_waiting);
        found.book.enter(entrant);
        found.changes.send_replace(());
    }

    /// One more handle to a session's loop, and whether it is the first. It is given back with [`LoopDesk::leave`].
    pub(super) fn attend(&self, session: &str) -> (watch::Receiver<()>, bool) {
        let mut sessions = self.sessions();
        let found = sessions.entry(session.to_owned()).or_default();
        found.handles += 1;
        (found.changes.subscribe(), found.handles == 1)
    }

    /// One handle less.
    pub(super) fn leave(&self, session: &str) {
        let mut sessions = self.sessions();
        let Some(found) = sessions.get_mut(session) else { return };
        found.handles = found.handles.saturating_sub(1);
        if found.is_over() {
            sessions.remove(session);
        }
    }

    /// How many sessions there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.sessions().len()
    }
}

/// A task's place in its session's book.
#[derive(Debug)]
pub(crate) struct LoopPlace {
    desk: Arc<LoopDesk>,
    session: String,
    task: TaskId,
    /// Whether its updates are the loop's. A child that nobody routed is its parent's alone, and a planning task that of the
    /// task that it plans for.
    told: bool,
    /// Who waits for it beside the book.
    beside: Option<Arc<Beside>>,
}

impl LoopPlace {
    /// The place of a task that is about to be; `None` without a session.
    pub(super) fn new(
        desk: &Arc<LoopDesk>,
        task: TaskId,
        details: &TaskDetails,
        untold: bool,
        beside: Option<Arc<Beside>>,
    ) -> Option<Self> {
        let session = details.session.clone()?;
        let told = !untold && (details.parent.is_none() || details.routing.is_some());
        if let Some(beside) = &beside {
            beside.wait_for(session.clone(), task);
        }
        Some(Self { desk: Arc::clone(desk), session, task, told, beside })
    }

    fn change(&self, change: impl FnOnce(&mut SessionBook, TaskId)) {
        if self.told {
            self.desk.change(&self.session, |book| change(book, self.task));
        }
    }
}

/// The host forgets the task, and with it what nobody has taken.
impl Drop for LoopPlace {
    fn drop(&mut self) {
        self.change(|book, task| {
            book.end(task);
            book.forget(task);
        });
    }
}

/// A task's life, as its session sees it. Its end tells the session of the task's, should nobody have done so: a life that is
/// torn off, by a panic or because its runtime goes, leaves nobody waiting.
#[derive(Debug)]
pub(crate) struct LoopLife(Arc<Shared>);

impl LoopLife {
    /// The task lives from now on.
    pub(super) fn begin(shared: &Arc<Shared>) -> Option<Self> {
        let place = shared.place.as_ref().filter(|place| place.told)?;
        let (entrant, open) = {
            let state = shared.state();
            let entrant = Entrant {
                task: shared.id,
                turn: state.details.turn.clone(),
                foreground: !state.background,
                beside: false,
                delivery: state.details.delivery,
                continue_policy: state.details.continue_policy,
            };
            (entrant, state.open_numbers())
        };
        place.desk.enter(&place.session, entrant, place.beside.as_deref());
        if !open.is_empty() {
            // It may ask whether it may begin.
            place.change(|book, task| book.ask(task, &open));
        }
        Some(Self(Arc::clone(shared)))
    }
}

impl Drop for LoopLife {
    fn drop(&mut self) {
        // One that goes on with the next host has not ended.
        if let Some(place) = self.0.place.as_ref().filter(|_| !self.0.is_left()) {
            place.change(SessionBook::end);
        }
    }
}

impl Shared {
    /// Tells its session's loop what happened, as far as it wants to know. The state shows it already.
    pub(super) fn tell_loop(&self, events: &[Event]) {
        let Some(place) = self.place.as_ref().filter(|place| place.told) else { return };
        for event in events {
            if let EventBody::Finished { .. } = &event.body {
                place.change(SessionBook::end);
            } else if changes_questions(&event.body) {
                let open = self.state().open_numbers();
                place.change(|book, task| book.ask(task, &open));
            } else if let EventBody::Detached { .. } = &event.body {
                place.change(SessionBook::detach);
            } else if let EventBody::DeliverySet { delivery, continue_policy, .. } = &event.body {
                place.change(|book, task| book.set_delivery(task, *delivery, *continue_policy));
            }
        }
    }

    /// There is a message of its that asks the agent to act, and that can be claimed from now on.
    pub(super) fn call_loop(&self) {
        if let Some(place) = &self.place {
            place.desk.change(&place.session, SessionBook::call);
        }
    }
}
