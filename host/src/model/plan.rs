//! A task's plan: what it is about to do, step by step, and how far it has come.

mod change;
mod wire;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use change::PlanEvent;
pub(crate) use change::left_by;

/// Steps of one plan. Protects the host, and whoever reads the plan, from the task.
const STEPS_MAX: usize = 256;
/// Bytes of a step's name.
const NAME_BYTES_MAX: usize = 256;
/// Bytes of each other text of a plan: its goal, and a step's description, action, validation and note.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// Bytes of all texts of a plan. Protects the task's log, which holds the plan each time that it is set.
const PLAN_BYTES_MAX: usize = 256 << 10;
/// What a step takes up beside itself and its texts, about: an allocation for each text.
const STEP_HEAP: usize = 64;

/// The number of an action: one time that a step was the current one. Counted from 1 over the task's whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub u64);

/// Where a step is.
///
/// *Done* are `Completed` and `Skipped`; all others are not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepStatus {
    /// Set, and not begun.
    #[default]
    Pending,
    /// `step-started`: the task is at it. At most one step of a plan is.
    Current,
    /// `step-finished`: it is done.
    Completed,
    /// `step-finished`: it was tried, and is not done.
    Failed,
    /// `step-finished`, or `steps-left` when the task succeeded without it: it was not needed.
    Skipped,
    /// `step-finished`, or `steps-left`: it was called off.
    Cancelled,
}

impl StepStatus {
    /// The word that stands for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Current => "current",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status that this word stands for.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Pending, Self::Current, Self::Completed, Self::Failed, Self::Skipped, Self::Cancelled];
        all.into_iter().find(|status| status.word() == word)
    }

    /// Whether the step is behind the task, well or badly.
    pub fn is_over(self) -> bool {
        match self {
            Self::Pending | Self::Current => false,
            Self::Completed | Self::Failed | Self::Skipped | Self::Cancelled => true,
        }
    }

    /// Whether nothing is left to do about it.
    pub fn is_done(self) -> bool {
        match self {
            Self::Completed | Self::Skipped => true,
            Self::Pending | Self::Current | Self::Failed | Self::Cancelled => false,
        }
    }
}

/// A step of a plan. Its texts come from whoever made the plan: escape them before showing them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PlanStep {
    /// What it is called: one line of 1 to 256 bytes, and no two steps of a plan have the same.
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
    /// The action in which it was, or is, the current step; `None` before it was. Only the host gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_id: Option<ActionId>,
}

impl PlanStep {
    /// A step that is to be done.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// With what it is about.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// With what is to be done.
    #[must_use]
    pub fn action(mut self, text: impl Into<String>) -> Self {
        self.action = text.into();
        self
    }

    /// With how one sees that it is done.
    #[must_use]
    pub fn validation(mut self, text: impl Into<String>) -> Self {
        self.validation = text.into();
        self
    }

    fn texts(&self) -> [(&'static str, &str); 4] {
        [
            ("description", &self.description),
            ("action", &self.action),
            ("validation", &self.validation),
            ("note", self.note.as_deref().unwrap_or_default()),
        ]
    }
}

/// A task's plan.
///
/// ```
/// use taskcell::{Plan, PlanStep};
///
/// let plan = Plan::new("the site is up to date")
///     .step(PlanStep::new("build").validation("the build's log ends with `done`"))
///     .step(PlanStep::new("upload"));
/// assert_eq!(plan.check(), Ok(()));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Plan {
    /// What it is for; may be empty.
    pub goal: String,
    /// Grows with each change, so that whoever changes it can say what they believe it to be. The host counts it.
    pub revision: u64,
    /// In the order in which they are done.
    pub steps: Vec<PlanStep>,
}

impl Plan {
    /// A plan without steps yet.
    pub fn new(goal: impl Into<String>) -> Self {
        Self { goal: goal.into(), ..Self::default() }
    }

    /// With one more step.
    #[must_use]
    pub fn step(mut self, step: PlanStep) -> Self {
        self.steps.push(step);
        self
    }

    /// The step that the task is at.
    pub fn current(&self) -> Option<&PlanStep> {
        self.steps.iter().find(|step| step.status == StepStatus::Current)
    }

    /// The steps that are not done: neither completed nor skipped.
    pub fn unfinished(&self) -> impl Iterator<Item = &PlanStep> {
        self.steps.iter().filter(|step| !step.status.is_done())
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.unfinished().next().is_none()
    }

    /// How many steps are completed. Skipped ones are not.
    pub fn completed(&self) -> usize {
        self.steps.iter().filter(|step| step.status == StepStatus::Completed).count()
    }

    /// Bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        let step = |step: &PlanStep| step.name.len() + step.texts().iter().map(|(_, text)| text.len()).sum::<usize>();
        self.goal.len() + self.steps.iter().map(step).sum::<usize>()
    }

    /// Bytes that it takes up, about: small steps are larger than their texts.
    pub(crate) fn weight(&self) -> usize {
        self.bytes() + self.steps.len() * (size_of::<PlanStep>() + STEP_HEAP)
    }

    /// Whether it can be a task's plan.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.steps.is_empty() {
            return Err(PlanError::NoSteps);
        }
        if self.steps.len() > STEPS_MAX {
            return Err(PlanError::TooManySteps { steps: self.steps.len() });
        }
        check_text("goal", &self.goal)?;
        let mut names = BTreeSet::new();
        for (step, number) in self.steps.iter().zip(1..) {
            let name = &step.name;
            if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
                return Err(PlanError::Name { step: number });
            }
            if !names.insert(name) {
                return Err(PlanError::SameName { name: name.clone() });
            }
            step.texts().iter().try_for_each(|(what, text)| check_text(what, text))?;
        }
        if self.steps.iter().filter(|step| step.status == StepStatus::Current).count() > 1 {
            return Err(PlanError::TwoCurrent);
        }
        if self.bytes() > PLAN_BYTES_MAX {
            return Err(PlanError::TooLarge { bytes: self.bytes() });
        }
        Ok(())
    }
}

/// Whether a text of a plan is short enough.
pub(crate) fn check_text(what: &'static str, text: &str) -> Result<(), PlanError> {
    if text.len() > TEXT_BYTES_MAX { Err(PlanError::Text { what, bytes: text.len() }) } else { Ok(()) }
}

/// Why a plan was not set, or not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It is no plan at all.
    #[error("this is no plan: {0}")]
    NotAPlan(String),
    /// It has no steps.
    #[error("a plan has at least one step")]
    NoSteps,
    /// It has too many steps, those that are done already counted too.
    #[error("a plan has at most {STEPS_MAX} steps, and this one has {steps}")]
    TooManySteps {
        /// How many it has.
        steps: usize,
    },
    /// A step has no name, or one that is no name.
    #[error("step {step}: a step's name has 1 to {NAME_BYTES_MAX} bytes and no control characters")]
    Name {
        /// Which step, counted from 1.
        step: u32,
    },
    /// Two steps have the same name.
    #[error("two steps of a plan cannot both be called {name:?}")]
    SameName {
        /// The name.
        name: String,
    },
    /// Two steps are the current one.
    #[error("at most one step of a plan is the current one")]
    TwoCurrent,
    /// A text is too long.
    #[error("a plan's {what} has at most {TEXT_BYTES_MAX} bytes, and this one has {bytes}")]
    Text {
        /// Which text.
        what: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// All texts together are too long.
    #[error("a plan's texts have at most {PLAN_BYTES_MAX} bytes together, and these have {bytes}")]
    TooLarge {
        /// How long they are.
        bytes: usize,
    },
    /// Somebody else has changed the plan meanwhile. 0 is no plan.
    #[error("the plan is at revision {is}, and not at {expected}: look at it again")]
    Stale {
        /// The revision that whoever changes it believed in.
        expected: u64,
        /// The revision that it has.
        is: u64,
    },
    /// The task has no plan.
    #[error("the task has no plan")]
    NoPlan,
    /// The task does not run, so it is at no step.
    #[error("the task does not run now, so it is at no step of its plan")]
    NotRunning,
    /// The task is at no step of its plan.
    #[error("the task is at no step of its plan: advance to the next, or set another plan")]
    NoCurrent,
    /// A step does not end with this.
    #[error("a step ends as completed, failed, skipped or cancelled, and not as {}", .0.word())]
    NotAnEnd(StepStatus),
    /// The task has no planner.
    #[error("the task has no planner")]
    NoPlanner,
    /// The planner made no plan, or one that cannot be one.
    #[error("the planner made no plan: {0}")]
    Planner(String),
    /// The planner panicked, with this text. The guest is not told it.
    #[error("the planner panicked")]
    PlannerPanicked(String),
    /// Somebody else waits for the planner already, and the task has not begun.
    #[error("the planner is making a plan already, and the task has not begun")]
    PlannerBusy,
    /// The planner took too long.
    #[error("the planner made no plan in time")]
    PlannerTimedOut,
    /// The task was asked to stop, and needs no plan any more.
    #[error("the task was asked to stop")]
    Cancelled,
    /// The task's log holds as much as it may.
    #[error("the task's log takes no more of this")]
    LogFull,
    /// The task has its outcome, and its plan stays as it is.
    #[error("the task has its outcome already")]
    Ended,
}

impl PlanError {
    /// What the log says of a planner, more than its guest is told.
    pub(crate) fn in_full(&self) -> String {
        if let Self::Planner(why) = self {
            return why.clone();
        }
        if let Self::PlannerPanicked(why) = self { format!("it panicked: {why}") } else { self.to_string() }
    }
}
