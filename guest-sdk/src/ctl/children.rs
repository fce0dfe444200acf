//! Starting other tasks, and waiting for their ends.

use std::time::Duration;

use serde::Serialize;

use super::{TaskCtl, millis_rounded_up};
use crate::children::{Child, ChildState, TaskEnd, TaskOptions};
use crate::error::{Cancelled, Refused, WaitError};

impl TaskCtl {
    /// Starts a task as a child of this one, and returns when it exists. It runs beside this task.
    ///
    /// The child's fuel is taken from this task's budget, and what it does not burn comes back at its end; without a
    /// limit of its own it gets half of what is left. It is asked to stop when this task is, and when this task ends,
    /// unless it is [detached](TaskOptions::detached).
    ///
    /// ```
    /// use serde_json::json;
    /// use taskcell_guest::testing::FakeHost;
    /// use taskcell_guest::{TaskCtl, TaskEnd, TaskError, TaskOptions};
    ///
    /// /// The lengths of all pages, read side by side.
    /// fn lengths(ctl: &TaskCtl, pages: Vec<String>) -> Result<u64, TaskError> {
    ///     let share = ctl.fuel_remaining() / (pages.len() as u64 + 1);
    ///     let start = |page| ctl.start_task("length", page, TaskOptions::new().limit("fuel", share));
    ///     let children: Vec<_> = pages.iter().map(start).collect::<Result<_, _>>()?;
    ///     let mut sum = 0;
    ///     for child in &children {
    ///         sum += ctl.wait_task(child)?.data::<u64>()?;
    ///     }
    ///     Ok(sum)
    /// }
    ///
    /// let host = FakeHost::new();
    /// host.child_ends(TaskEnd::succeeded(300));
    /// host.child_ends(TaskEnd::succeeded(400));
    /// assert_eq!(host.run(lengths, vec!["a".to_owned(), "b".to_owned()]), Ok(700));
    /// assert_eq!(host.started_tasks()[1].input, json!("b"));
    /// ```
    ///
    /// # Errors
    /// [`Refused`]: `too-large` when there is not so much fuel left, or a limit of children or of the tree is reached;
    /// `invalid-argument` for an input or options that do not fit; `denied` for another plugin's task without the
    /// capability `tasks`.
    pub fn start_task(&self, task_type: &str, input: &impl Serialize, options: TaskOptions) -> Result<Child, Refused> {
        let input = serde_json::to_string(input)
            .map_err(|error| Refused::invalid(format!("the child's input is not JSON: {error}")))?;
        self.backend.start_task(task_type, &input, options)
    }

    /// Parks the task until a child has its outcome.
    ///
    /// # Errors
    /// [`WaitError::Cancelled`], and [`WaitError::Refused`] with `not-found` for what is no child of this task.
    pub fn wait_task(&self, child: &Child) -> Result<TaskEnd, WaitError> {
        self.child_end(child, None)?.ok_or(WaitError::TimedOut)
    }

    /// Like [`wait_task`](Self::wait_task), but not for longer than `timeout`: then the answer is `None`. A timeout of
    /// zero only looks.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use taskcell_guest::{TaskEnd, TaskOptions};
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// host.child_ends_after(Duration::from_secs(90), TaskEnd::failed("too hard"));
    /// let child = ctl.start_task("think", &(), TaskOptions::new())?;
    /// if ctl.wait_task_within(&child, Duration::from_secs(60))?.is_none() {
    ///     ctl.cancel_task(&child, "it takes too long", Duration::from_secs(1))?;
    /// }
    /// assert!(matches!(ctl.wait_task(&child)?, TaskEnd::Cancelled { .. }));
    /// # Ok::<(), taskcell_guest::WaitError>(())
    /// ```
    ///
    /// # Errors
    /// As [`wait_task`](Self::wait_task).
    pub fn wait_task_within(&self, child: &Child, timeout: Duration) -> Result<Option<TaskEnd>, WaitError> {
        self.child_end(child, Some(timeout))
    }

    fn child_end(&self, child: &Child, timeout: Option<Duration>) -> Result<Option<TaskEnd>, WaitError> {
        let end = self.backend.wait_task(&child.id, timeout.map(millis_rounded_up));
        let end = end.map_err(|refused| {
            WaitError::from_refusal(refused, || Cancelled::at("stopped while waiting for a child"))
        })?;
        Ok(end.as_deref().map(TaskEnd::from_wire).transpose()?)
    }

    /// Asks a child to stop, and everything below it; it is stopped by force after `grace`. Says whether it was running.
    ///
    /// # Errors
    /// [`Refused`] with `not-found` for what is no child of this task.
    pub fn cancel_task(&self, child: &Child, reason: &str, grace: Duration) -> Result<bool, Refused> {
        self.backend.cancel_task(&child.id, reason, millis_rounded_up(grace))
    }

    /// How a child is doing: how far it is and what it waits for. It returns at once.
    ///
    /// ```
    /// # use taskcell_guest::TaskOptions;
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// let child = ctl.start_task("think", &(), TaskOptions::new())?;
    /// let state = ctl.task_state(&child)?;
    /// assert!(!state.is_ended());
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`] with `not-found` for what is no child of this task.
    pub fn task_state(&self, child: &Child) -> Result<ChildState, Refused> {
        ChildState::from_wire(&self.backend.task_state(&child.id)?)
    }

    /// The children that have no outcome yet, in the order they were started.
    pub fn running_tasks(&self) -> Vec<Child> {
        self.backend.running_tasks()
    }
}
