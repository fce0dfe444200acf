//! Tasks that somebody waits for beside the book, and whose call they answer themselves.
//!
//! Until it is known what came of that, the book withholds what would answer the call or tell of the end: it is told by
//! whoever waits, or by the queues, and never by both.

use crate::model::delivery::{ContinuePolicy, DeliveryMode};
use crate::model::ids::TaskId;

use super::{Entry, ItemBody, Place, SessionBook};

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

impl Entry {
    /// The task's end, for whom nobody waits.
    pub(super) fn notification(&self) -> ItemBody {
        let asks_on = self.continue_policy == ContinuePolicy::RequestContinue && self.delivery == DeliveryMode::ToLoop;
        ItemBody::Result { answers_call: false, asks_on }
    }
}

impl SessionBook {
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

    /// The task goes on in the background, and its turn need not be told.
    fn go_on(&mut self, task: TaskId) {
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
