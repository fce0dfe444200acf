//! Tasks that somebody waits for beside the book, and whose call they answer themselves.
//!
//! Until it is known what came of that, the book withholds what would answer the call or tell of the end: it is told by
//! whoever waits, or by the queues, and never by both.

use crate::model::delivery::{ContinuePolicy, DeliveryMode};
use crate::model::ids::TaskId;

use super::{Entry, Item, ItemBody, Place, SessionBook};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The call was told how the task ended.
    Ended,
    /// The call was told that the task goes on in the background.
    GoesOn,
    /// Nothing was told to anybody.
    GivenUp,
}

/// Who tells what is still to come of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its turn, and that answers its call.
    Turn,
    /// The loop, and its call is answered.
    Loop,
    /// Nothing is to come, or whoever waits beside the book tells it.
    #[default]
    Nobody,
}

impl Entry {
    /// The task's end, for whom nobody waits.
    pub(super) fn notification(&self) -> ItemBody {
        let asks_on = self.continue_policy == ContinuePolicy::RequestContinue && self.delivery == DeliveryMode::ToLoop;
        ItemBody::Result { answers_call: false, asks_on }
    }
}

impl SessionBook {
    /// Who tells what is still to come of a task.
    pub(crate) fn standing(&self, task: TaskId) -> Standing {
        let Some(entry) = self.tasks.get(&task).filter(|entry| entry.beside.is_none()) else { return Standing::Nobody };
        let queue = entry.turn.as_ref().and_then(|turn| self.turns.get(turn)).map(|turn| &turn.queue);
        let in_turn = |place| queue.and_then(|queue| queue.get(place));
        let answers = |item: &Item| matches!(item.body, ItemBody::Detached | ItemBody::Result { .. });
        if entry.place == Place::Foreground || entry.items.iter().filter_map(in_turn).any(answers) {
            return Standing::Turn;
        }
        match entry.place {
            Place::Background => Standing::Loop,
            Place::Ended if !entry.items.is_empty() => Standing::Loop,
            Place::Foreground | Place::Interrupted | Place::Ended => Standing::Nobody,
        }
    }

    /// Somebody waits beside the book for a task that is there already, if its turn still has to answer: what lies ready of
    /// that is withheld. Says whether it is so.
    pub(crate) fn await_beside(&mut self, task: TaskId) -> bool {
        if self.standing(task) != Standing::Turn {
            return false;
        }
        let answers = self.take_back(task, |body| matches!(body, ItemBody::Detached | ItemBody::Result { .. }));
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.beside = Some(answers.iter().map(|item| item.body).collect());
        }
        true
    }

    /// Nobody waits for the task beside the book any more. Only the first time counts.
    pub(crate) fn settle(&mut self, task: TaskId, settled: Settled) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let Some(withheld) = entry.beside.take() else { return };
        match settled {
            Settled::Ended => {}
            Settled::GoesOn => {
                let notification = entry.notification();
                self.go_on(task);
                if withheld.iter().any(|body| matches!(body, ItemBody::Result { .. })) {
                    self.put(task, notification);
                }
            }
            Settled::GivenUp => {
                let interrupted = entry.place == Place::Interrupted;
                for body in withheld {
                    self.put(task, body);
                }
                if interrupted {
                    // Whoever interrupted was not to tell of it.
                    self.leave_turn(task, Place::Foreground);
                }
            }
        }
        match self.tasks.get(&task).map(|entry| entry.place) {
            Some(Place::Foreground) => self.count(task),
            Some(Place::Background | Place::Interrupted | Place::Ended) => self.uncount(task),
            None => {}
        }
        self.drop_if_done(task);
    }

    /// The task goes on in the background. What it still asks is told to the loop.
    pub(super) fn go_on(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get(&task) else { return };
        match entry.place {
            Place::Background | Place::Ended => return,
            Place::Foreground | Place::Interrupted => {}
        }
        let questions = self.take_back(task, |body| matches!(body, ItemBody::Question(_)));
        self.leave_turn(task, Place::Background);
        for question in questions {
            self.put(task, question.body);
        }
    }
}
