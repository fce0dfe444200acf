//! A task's plan, as the task makes and reads it.

use serde::{Deserialize, Serialize};

use crate::error::{RefusalKind, Refused};
use crate::json;

/// What a task is about to do, step by step, and how far it has come. See [`TaskCtl::set_plan`](crate::TaskCtl::set_plan).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Plan {
    /// What it is for; may be empty.
    pub goal: String,
    /// Grows with each change. The host counts it.
    pub revision: u64,
    /// In the order in which they are done.
    pub steps: Vec<PlanStep>,
}

/// A step of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PlanStep {
    /// What it is called. No two steps of a plan have the same name.
    pub name: String,
    /// What it is about; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What is to be done; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// How one sees that it is done; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub validation: String,
    /// Where it is.
    pub status: StepStatus,
    /// What was said when it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The number that the events of the step carry, from when it became the current one on. The host gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_id: Option<u64>,
}

/// Where a step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepStatus {
    /// It has not begun.
    #[default]
    Pending,
    /// The task is at it. At most one step is.
    Current,
    /// It is done.
    Completed,
    /// It was tried, and is not done.
    Failed,
    /// It was not needed, which is done too.
    Skipped,
    /// It was called off.
    Cancelled,
    /// Something that this version of the SDK does not know.
    #[serde(other)]
    Other,
}

impl StepStatus {
    /// The contract's word, such as `completed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Current => "current",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Other => "other",
        }
    }

    /// Whether nothing is left to do about it: it is completed or skipped.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Completed | Self::Skipped)
    }
}

impl Plan {
    /// A plan without steps yet.
    pub fn new(goal: impl Into<String>) -> Self {
        Self { goal: goal.into(), ..Self::default() }
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: PlanStep) -> Self {
        self.steps.push(step);
        self
    }

    /// The step that the task is at.
    pub fn current(&self) -> Option<&PlanStep> {
        self.steps.iter().find(|step| step.status == StepStatus::Current)
    }

    /// Whether every step is completed or skipped.
    pub fn is_done(&self) -> bool {
        self.steps.iter().all(|step| step.status.is_done())
    }

    pub(crate) fn to_wire(&self) -> Result<String, Refused> {
        serde_json::to_string(self).map_err(|error| Refused::invalid(format!("the plan is not JSON: {error}")))
    }

    pub(crate) fn from_wire(text: &str) -> Result<Self, Refused> {
        json::read(text).map_err(|misfit| Refused {
            kind: RefusalKind::Host,
            message: format!("the host's plan cannot be read: {}", misfit.sentence()),
        })
    }
}

impl PlanStep {
    /// A step that is to be done.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Says what it is about.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Says what is to be done.
    #[must_use]
    pub fn action(mut self, text: impl Into<String>) -> Self {
        self.action = text.into();
        self
    }

    /// Says how one sees that it is done.
    #[must_use]
    pub fn validation(mut self, text: impl Into<String>) -> Self {
        self.validation = text.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_a_later_host_is_read() {
        let text = r#"{"version": 1, "goal": "g", "revision": 2, "new": 1,
            "steps": [{"name": "a", "status": "blocked", "new": 1}, {"name": "b", "status": "current", "action_id": 7}]}"#;
        let plan = Plan::from_wire(text).unwrap();
        assert_eq!(
            (plan.steps[0].status, plan.current().and_then(|step| step.action_id)),
            (StepStatus::Other, Some(7))
        );
        assert!(!plan.is_done());
        assert_eq!(Plan::from_wire("[").unwrap_err().kind, RefusalKind::Host);
    }
}
