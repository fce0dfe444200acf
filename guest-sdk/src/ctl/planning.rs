//! Keeping a plan, going through it, and asking for another.

use std::time::Duration;

use super::{TaskCtl, millis_rounded_up};
use crate::error::{Cancelled, RefusalKind, Refused, WaitError};
use crate::plan::{Plan, StepStatus};

impl TaskCtl {
    /// This task's plan, or `None` when it has none. It may have come with the task, or from a planner.
    ///
    /// # Errors
    /// [`Refused`] with `host`, when the host's plan cannot be read.
    pub fn plan(&self) -> Result<Option<Plan>, Refused> {
        self.backend.plan().map(|text| Plan::from_wire(&text)).transpose()
    }

    /// Gives this task a plan, and returns it as it is then: everybody who looks at the task sees it. The first step that has
    /// not begun becomes the current one.
    ///
    /// Of a plan before, what is completed stays, named again or not. The current step stays the current one when the new
    /// plan names it, and is cancelled when not.
    ///
    /// ```
    /// use taskcell_guest::testing::FakeHost;
    /// use taskcell_guest::{Plan, PlanStep, TaskCtl, TaskError};
    ///
    /// fn release(ctl: &TaskCtl, (): ()) -> Result<(), TaskError> {
    ///     let plan = Plan::new("version 7 is out").step(PlanStep::new("build")).step(PlanStep::new("upload"));
    ///     ctl.set_plan(&plan, None)?;
    ///     // … building …
    ///     let plan = ctl.advance("257 files")?;
    ///     assert_eq!(plan.current().map(|step| step.name.as_str()), Some("upload"));
    ///     // … uploading …
    ///     ctl.advance(None)?;
    ///     Ok(())
    /// }
    ///
    /// let host = FakeHost::new();
    /// host.run(release, ())?;
    /// assert!(host.plan().is_some_and(|plan| plan.is_done()));
    /// # Ok::<(), TaskError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`]: `conflict` when the plan is at another revision than `expected`, 0 being no plan; `invalid-argument` or
    /// `too-large` for a plan that cannot be one. The plan stays as it was then.
    pub fn set_plan(&self, plan: &Plan, expected: Option<u64>) -> Result<Plan, Refused> {
        Plan::from_wire(&self.backend.set_plan(&plan.to_wire()?, expected)?)
    }

    /// Completes the current step, if there is one, with a note, and lets the next one begin. Returns the plan.
    ///
    /// When there is no next step and not all are completed or skipped, the host ends the task as failed, with kind `plan`.
    ///
    /// # Errors
    /// [`Refused`]: `not-found` without a plan, `invalid-argument` for a note of more than 4 KiB.
    pub fn advance<'a>(&self, note: impl Into<Option<&'a str>>) -> Result<Plan, Refused> {
        Plan::from_wire(&self.backend.advance(note.into())?)
    }

    /// Ends the current step as completed, failed, skipped or cancelled, with a note. No other begins: go on with
    /// [`advance`](Self::advance), or make another plan. Returns the plan.
    ///
    /// ```
    /// # use taskcell_guest::testing::FakeHost;
    /// # use taskcell_guest::{Plan, PlanStep};
    /// use taskcell_guest::StepStatus;
    ///
    /// # let host = FakeHost::new();
    /// # let ctl = host.ctl();
    /// ctl.set_plan(&Plan::new("").step(PlanStep::new("fetch")).step(PlanStep::new("parse")), None)?;
    /// let plan = ctl.finish_step(StepStatus::Skipped, "it is there already")?;
    /// assert_eq!(plan.current(), None);
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`]: `not-found` when there is no current step, `invalid-argument` when a step does not end so.
    pub fn finish_step<'a>(&self, status: StepStatus, note: impl Into<Option<&'a str>>) -> Result<Plan, Refused> {
        Plan::from_wire(&self.backend.finish_step(status.as_str(), note.into())?)
    }

    /// Asks this task's planner for another plan, and parks the task until there is one. What is completed stays.
    ///
    /// ```
    /// # use taskcell_guest::testing::FakeHost;
    /// # use taskcell_guest::{Plan, PlanStep, StepStatus};
    /// # let host = FakeHost::new();
    /// # let ctl = host.ctl();
    /// ctl.set_plan(&Plan::new("").step(PlanStep::new("download")), None)?;
    /// ctl.finish_step(StepStatus::Failed, "the server is gone")?;
    /// host.planner_makes(Plan::new("").step(PlanStep::new("use the mirror")));
    /// let plan = ctl.replan("the server is gone").unwrap();
    /// assert_eq!(plan.current().unwrap().name, "use the mirror");
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`WaitError::Cancelled`] and [`WaitError::Refused`]: `not-found` when the task has no planner, `failed` (as
    /// [`RefusalKind::Other`]) when that made no plan, `conflict` when the plan was changed meanwhile.
    /// [`WaitError::TimedOut`] when the planner took longer than the host lets it.
    pub fn replan(&self, reason: impl AsRef<str>) -> Result<Plan, WaitError> {
        self.make_plan_anew(reason.as_ref(), None)
    }

    /// Like [`replan`](Self::replan), but not for longer than `timeout`.
    ///
    /// # Errors
    /// As [`replan`](Self::replan).
    pub fn replan_within(&self, reason: impl AsRef<str>, timeout: Duration) -> Result<Plan, WaitError> {
        self.make_plan_anew(reason.as_ref(), Some(timeout))
    }

    fn make_plan_anew(&self, reason: &str, timeout: Option<Duration>) -> Result<Plan, WaitError> {
        match self.backend.replan(reason, timeout.map(millis_rounded_up)) {
            Ok(text) => Ok(Plan::from_wire(&text)?),
            Err(Refused { kind: RefusalKind::TimedOut, .. }) => Err(WaitError::TimedOut),
            Err(refused) => Err(WaitError::from_refusal(refused, || Cancelled::at("stopped while waiting for a plan"))),
        }
    }
}
