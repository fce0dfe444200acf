//! Sending a task to the background, and saying what becomes of its updates there.

use std::sync::Arc;

use crate::model::command::Command;
use crate::model::delivery::{ContinuePolicy, DeliveryMode};
use crate::model::outcome::Outcome;
use crate::model::signal::Party;

use super::handle::{ControlAnswer, TaskHandle};

/// What became of a wish to detach a task.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DetachAnswer {
    /// It is in the background from now on.
    Done,
    /// It was there already.
    AlreadyBackground,
    /// It had its outcome already.
    NotRunning(Outcome),
    /// The loop's session has no such task, or it is forgotten. A handle never says so.
    NotFound,
}

impl DetachAnswer {
    /// The outcome of a task that had one already.
    pub(super) fn outcome(self) -> Option<Outcome> {
        match self {
            Self::NotRunning(outcome) => Some(outcome),
            Self::Done | Self::AlreadyBackground | Self::NotFound => None,
        }
    }
}

impl TaskHandle {
    /// Sends a task to the background that somebody waits for: [`Host::run`](crate::Host::run) answers
    /// [`Started::Pending`](crate::Started::Pending), and its turn tells that it was detached, and is not held up by it any
    /// more. The task itself notices nothing. Its result comes once more, as a notification ([`AgentLoop`](crate::AgentLoop)).
    ///
    /// One that waits for its turn can be detached too. There is no way back.
    ///
    /// Cancel safety: when the future is dropped, the task may or may not be detached.
    pub async fn detach(&self, by: Party) -> DetachAnswer {
        match self.change(Command::Detach { by }).await {
            ControlAnswer::Done => DetachAnswer::Done,
            ControlAnswer::Unchanged => DetachAnswer::AlreadyBackground,
            ControlAnswer::AlreadyEnded(outcome) => DetachAnswer::NotRunning(outcome),
        }
    }

    /// Says where the task's updates go when nobody waits for it. What its log has for it already is not told again.
    ///
    /// [`ControlAnswer::AlreadyEnded`] when the task has its outcome: where that went is decided.
    ///
    /// Cancel safety: when the future is dropped, it may or may not be set.
    pub async fn set_delivery(&self, delivery: DeliveryMode, by: Party) -> ControlAnswer {
        self.change(Command::SetDelivery { delivery: Some(delivery), continue_policy: None, by }).await
    }

    /// Says whether the task's result asks the agent to take another turn, when nobody waits for it.
    ///
    /// [`ControlAnswer::AlreadyEnded`] when the task has its outcome.
    ///
    /// ```no_run
    /// # async fn example(task: taskcell::TaskHandle) {
    /// use taskcell::{ContinuePolicy, Party};
    ///
    /// task.set_continue_policy(ContinuePolicy::RequestContinue, Party::Person).await;
    /// # }
    /// ```
    ///
    /// Cancel safety: when the future is dropped, it may or may not be set.
    pub async fn set_continue_policy(&self, policy: ContinuePolicy, by: Party) -> ControlAnswer {
        self.change(Command::SetDelivery { delivery: None, continue_policy: Some(policy), by }).await
    }

    /// Completes when nobody waits for it any more; at once for a task that began in the background.
    ///
    /// Cancel safety: dropping the future does nothing.
    pub(super) async fn detached(&self) {
        let shared = Arc::clone(self.shared());
        loop {
            // Looked at before the state, so that a change in between is not slept through.
            let ((), seen) = shared.head.look(|_| ());
            if shared.state().background {
                return;
            }
            shared.head.changed(seen).await;
        }
    }
}
