//! The four steps of a build, in their order. Whatever says where the task is, or will be, reads it here.

use taskcell_guest::{TaskCtl, TaskError};

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

    /// Begins it, unless the task shall stop: the task's note names it, and so does its progress.
    pub(crate) fn begin(self, ctl: &TaskCtl, doing: &str) -> Result<(), TaskError> {
        ctl.checkpoint()?;
        let number = Self::ALL.iter().take_while(|step| **step != self).count() + 1;
        ctl.set_note(format!("step {number} of {}: {}", Self::ALL.len(), self.name()).as_str())?;
        ctl.report_progress(doing, self.percent())?;
        Ok(())
    }
}
