//! The four steps of a build, in their order: the task's plan.

use taskcell_guest::{Plan, PlanStep, StepStatus, TaskCtl, TaskError};

/// What is done one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Lists the files.
    Scan,
    /// Measures each in a child task.
    Measure,
    /// Asks whether the report may be published.
    Review,
    /// Writes the report and attaches it.
    Publish,
}

impl Step {
    /// All of them, in their order.
    pub(crate) const ALL: [Self; 4] = [Self::Scan, Self::Measure, Self::Review, Self::Publish];

    /// Its name, for people and for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Measure => "measure",
            Self::Review => "review",
            Self::Publish => "publish",
        }
    }

    /// Percent of the work that is done when it begins. Nearly all of it is in the children.
    pub(crate) fn percent(self) -> u8 {
        match self {
            Self::Scan => 0,
            Self::Measure => 5,
            Self::Review => 85,
            Self::Publish => 90,
        }
    }

    /// What it is about.
    fn description(self) -> &'static str {
        match self {
            Self::Scan => "list the files of the folder",
            Self::Measure => "measure each file in a child task",
            Self::Review => "ask whether the report may be published",
            Self::Publish => "write the report and attach it",
        }
    }

    /// Makes them the task's plan, and begins the first.
    pub(crate) fn plan(ctl: &TaskCtl, folder: &str) -> Result<(), TaskError> {
        let empty = Plan::new(format!("a report of {folder}"));
        let step = |step: Self| PlanStep::new(step.name()).description(step.description());
        let plan = Self::ALL.into_iter().map(step).fold(empty, Plan::step);
        ctl.set_plan(&plan, None)?;
        Self::Scan.doing(ctl, &format!("looking for files in {folder}"))
    }

    /// Ends the step before it, with a note, and begins it.
    pub(crate) fn begin(self, ctl: &TaskCtl, before: &str, doing: &str) -> Result<(), TaskError> {
        ctl.checkpoint()?;
        ctl.advance(before)?;
        self.doing(ctl, doing)
    }

    /// Ends the last one.
    pub(crate) fn finish(ctl: &TaskCtl, done: &str) -> Result<(), TaskError> {
        ctl.finish_step(StepStatus::Completed, done)?;
        ctl.report_progress(done, 100)?;
        Ok(())
    }

    fn doing(self, ctl: &TaskCtl, doing: &str) -> Result<(), TaskError> {
        ctl.checkpoint()?;
        ctl.report_progress(doing, self.percent())?;
        Ok(())
    }
}
