//! Reaching several tasks, and ending other tasks' waits.

use serde::Serialize;

use super::{TaskCtl, payload_text};
use crate::error::Refused;
use crate::values::TaskRef;
use crate::waiting::{Reach, Scope};

impl TaskCtl {
    /// Sends a signal to the tasks of a scope that wait for its key: to the one that has waited longest, or to each.
    /// When none waits, the task that was started first, or each, keeps it. Returns how many took or kept it; this task
    /// is not among them.
    ///
    /// ```
    /// use taskcell_guest::{Reach, Scope};
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    ///
    /// // One of the workers below this task may go on.
    /// ctl.notify_scope(Scope::Tree, Reach::First, "go", None::<&()>)?;
    /// // All of them shall know.
    /// host.answer_notify_scope(Ok(3));
    /// assert_eq!(ctl.notify_scope(Scope::Tree, Reach::All, "enough", Some(&"found"))?, 3);
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`]: `denied` for [`Scope::Session`] without the capability `signal`, else as [`notify`](Self::notify).
    pub fn notify_scope(
        &self,
        scope: Scope,
        reach: Reach,
        key: &str,
        payload: Option<&impl Serialize>,
    ) -> Result<u32, Refused> {
        self.backend.notify_scope(scope, reach, key, payload_text(payload)?.as_deref())
    }

    /// Ends the wait of another task for this key: it gets [`WaitError::WaitCancelled`](crate::WaitError::WaitCancelled)
    /// and goes on. Says whether there was such a wait. A task of this task's tree is always allowed, others need the
    /// capability `signal`.
    ///
    /// ```
    /// # use taskcell_guest::TaskRef;
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// let worker = TaskRef::new("pages", "fetch", "page-7");
    /// assert!(ctl.cancel_wait(&worker, "go")?);
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`] with `denied`, and with `invalid-argument` for a bad key.
    pub fn cancel_wait(&self, target: &TaskRef, key: &str) -> Result<bool, Refused> {
        Ok(self.backend.cancel_wait(target, Some(key))? > 0)
    }

    /// Ends all waits of another task, and says how many there were. See [`cancel_wait`](Self::cancel_wait).
    ///
    /// # Errors
    /// [`Refused`] with `denied`.
    pub fn cancel_all_waits(&self, target: &TaskRef) -> Result<u32, Refused> {
        self.backend.cancel_wait(target, None)
    }
}
