//! Waiting for a task no longer than one wants to.

use std::time::Duration;

use crate::model::outcome::Outcome;
use crate::model::snapshot::Snapshot;

use super::handle::TaskHandle;

/// What waiting for a task came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Waited {
    /// It has its outcome.
    Ended(Outcome),
    /// The time was over first. The task goes on, and this is what was known of it then.
    Running(Box<Snapshot>),
}

impl Waited {
    /// The outcome, if it came in time.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Ended(outcome) => Some(outcome),
            Self::Running(_) => None,
        }
    }
}

impl TaskHandle {
    /// Waits until the task has its outcome, and no longer than this. A time of zero only looks. That the time is over does
    /// nothing to the task.
    ///
    /// ```no_run
    /// # async fn example(task: taskcell::TaskHandle) {
    /// use std::time::Duration;
    /// use taskcell::Waited;
    ///
    /// match task.wait_for(Duration::from_secs(30)).await {
    ///     Waited::Ended(outcome) => println!("{outcome}"),
    ///     Waited::Running(state) => println!("still at it: {:?}", state.progress),
    /// }
    /// # }
    /// ```
    ///
    /// Cancel safety: dropping the future does nothing to the task.
    pub async fn wait_for(&self, time: Duration) -> Waited {
        let clock = &self.shared().around.clock;
        let over = async {
            match clock.steady().checked_add(time) {
                Some(until) => clock.sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            outcome = self.wait() => Waited::Ended(outcome),
            () = over => Waited::Running(Box::new(self.state())),
        }
    }
}
