//! Changing what people see of a task, while it lives and afterwards.

use crate::model::command::Answer;
use crate::model::patch::TaskPatch;
use crate::model::signal::Party;

use super::handle::TaskHandle;
use super::shared::Control;

/// Why a task was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// Somebody has changed it since: look again.
    #[error("the task was changed since it was looked at; it is at revision {current} now")]
    Stale {
        /// Its revision now.
        current: u64,
    },
    /// The change is not fit for a task; or the task's log is full.
    #[error("{0}")]
    Refused(String),
    /// The store did not take it.
    #[error("the change could not be stored")]
    Store,
}

impl TaskHandle {
    /// Changes the task's note, title or labels, while it lives and after its end, and returns its new revision
    /// ([`Snapshot::revision`](crate::Snapshot::revision)). With `expected` only if that is its revision still, so that
    /// nobody undoes what they have not seen.
    ///
    /// ```no_run
    /// # async fn example(task: taskcell::TaskHandle) -> Result<(), taskcell::UpdateError> {
    /// use taskcell::{Party, TaskPatch};
    ///
    /// let seen = task.state().revision;
    /// let patch = TaskPatch::default().note("waits for Ada").label("stage", "review");
    /// task.update(patch, Some(seen), Party::Person).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the task was changed since, or the patch is not fit for it: nothing has changed then. Or when it cannot be stored,
    /// or the store's answer was lost: a later look says whether it was.
    ///
    /// Cancel safety: when the future is dropped, the task may or may not be changed.
    pub async fn update(&self, patch: TaskPatch, expected: Option<u64>, by: Party) -> Result<u64, UpdateError> {
        let told = {
            let patch = Box::new(patch.clone());
            self.shared().tell(|reply| Control::Update { expected, patch, by, reply }).await
        };
        let answer = match told {
            Some(answer) => answer,
            None => self.shared().update_after(expected, patch, by).await,
        };
        if let Answer::Updated(revision) = answer {
            return Ok(revision);
        }
        Err(if let Answer::Stale(current) = answer {
            UpdateError::Stale { current }
        } else if let Answer::Refused(refusal) = answer {
            UpdateError::Refused(refusal.message)
        } else {
            UpdateError::Store
        })
    }
}
