//! What happens to a plan, and what becomes of it then. Nothing is decided here; `machine/planning.rs` does that.

use serde::{Deserialize, Serialize};

use super::{ActionId, Plan, PlanError, PlanStep, StepStatus};
use crate::model::outcome::Outcome;
use crate::model::signal::Party;

/// What can happen to a task's plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PlanEvent {
    /// The task has this plan from now on.
    #[non_exhaustive]
    Set {
        /// The whole plan, with what was done before.
        plan: Box<Plan>,
        /// Who set it, or had it made.
        by: Party,
        /// The planner that made it, when one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        planner: Option<String>,
    },
    /// Somebody wanted to set a plan that cannot be one. Nothing changes.
    #[non_exhaustive]
    Refused {
        /// Who.
        by: Party,
        /// What is wrong with it.
        why: String,
    },
    /// The task is at this step from now on.
    #[non_exhaustive]
    StepStarted {
        /// Its place in the plan, counted from 1.
        step: u32,
        /// Its name.
        name: String,
        /// The action that begins. All events carry it until the step is finished, or the attempt has ended.
        action: ActionId,
    },
    /// The step that the task was at is over.
    #[non_exhaustive]
    StepFinished {
        /// Its place in the plan, counted from 1.
        step: u32,
        /// Its name.
        name: String,
        /// How it ended.
        status: StepStatus,
        /// What was said about that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// Who says so: the host, when it is the task's end that ends it.
        by: Party,
    },
    /// The steps that had not begun will not be, because the task ends.
    #[non_exhaustive]
    StepsLeft {
        /// What becomes of them.
        status: StepStatus,
        /// Why.
        note: String,
    },
    /// A planner is asked for a plan. Written before it is.
    #[non_exhaustive]
    PlannerCalled {
        /// Its name.
        planner: String,
        /// Why, in the words of whoever asks; empty for the first plan.
        reason: String,
        /// Who asks: the host, for the first plan.
        by: Party,
    },
    /// No plan came of that.
    #[non_exhaustive]
    PlannerFailed {
        /// Its name.
        planner: String,
        /// Why not.
        why: String,
        /// Who asked.
        by: Party,
    },
}

impl PlanEvent {
    /// Who made this happen; nobody when it only follows from something else.
    fn by(&self) -> Option<Party> {
        match self {
            Self::Set { by, .. }
            | Self::Refused { by, .. }
            | Self::StepFinished { by, .. }
            | Self::PlannerCalled { by, .. }
            | Self::PlannerFailed { by, .. } => Some(*by),
            Self::StepStarted { .. } | Self::StepsLeft { .. } => None,
        }
    }

    /// Whether the task's code made this happen, so that it counts against its limits.
    pub(crate) fn is_by_guest(&self) -> bool {
        self.by() == Some(Party::Itself)
    }

    /// Whether others make such events as often as they like.
    pub(crate) fn is_by_others(&self) -> bool {
        self.by().is_some_and(|by| by != Party::Itself)
    }

    /// Keeps the list of those who wait for the planner beside the host.
    pub(crate) fn note_caller(&self, waiting: &mut Vec<Party>) {
        match self {
            Self::PlannerCalled { by, .. } if *by != Party::Host => waiting.push(*by),
            Self::Set { planner: Some(_), by, .. } | Self::PlannerFailed { by, .. } => {
                if let Some(place) = waiting.iter().position(|caller| caller == by) {
                    waiting.remove(place);
                }
            }
            Self::Set { .. }
            | Self::Refused { .. }
            | Self::StepStarted { .. }
            | Self::StepFinished { .. }
            | Self::StepsLeft { .. }
            | Self::PlannerCalled { .. } => {}
        }
    }

    /// Bytes of its texts, and what a plan takes up beside them.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Set { plan, planner, .. } => plan.weight() + planner.as_ref().map_or(0, String::len),
            Self::Refused { why: text, .. }
            | Self::StepStarted { name: text, .. }
            | Self::StepsLeft { note: text, .. } => text.len(),
            Self::StepFinished { name, note, .. } => name.len() + note.as_ref().map_or(0, String::len),
            Self::PlannerCalled { planner, reason: text, .. } | Self::PlannerFailed { planner, why: text, .. } => {
                planner.len() + text.len()
            }
        }
    }

    /// The action that an event of this kind begins, or `None` when it ends the one before; else that stays.
    pub(crate) fn action_after(&self, before: Option<ActionId>) -> Option<ActionId> {
        match self {
            Self::StepStarted { action, .. } => Some(*action),
            Self::StepFinished { .. } => None,
            Self::Set { .. }
            | Self::Refused { .. }
            | Self::StepsLeft { .. }
            | Self::PlannerCalled { .. }
            | Self::PlannerFailed { .. } => before,
        }
    }
}

/// What becomes of the current step, and of those that have not begun, when the task ends so.
pub(crate) fn left_by(outcome: &Outcome) -> (StepStatus, StepStatus) {
    match outcome {
        Outcome::Succeeded { .. } => (StepStatus::Skipped, StepStatus::Skipped),
        Outcome::Failed(_) => (StepStatus::Failed, StepStatus::Cancelled),
        Outcome::Cancelled { .. } => (StepStatus::Cancelled, StepStatus::Cancelled),
    }
}

impl Plan {
    /// This plan after what was done of the one before: what is completed stays, and so does what was skipped and is not
    /// named again; it comes first. The step that the task is at stays the current one when it is named again and not
    /// said to be over. Whatever else there was is no longer planned.
    pub(crate) fn after(self, before: Option<&Self>) -> Result<Self, PlanError> {
        self.check()?;
        let nothing = Self::default();
        let before = before.unwrap_or(&nothing);
        let named = |name: &str| self.steps.iter().find(|step| step.name == name);
        let stays = |step: &&PlanStep| match step.status {
            StepStatus::Completed => true,
            StepStatus::Skipped => named(&step.name).is_none(),
            StepStatus::Pending | StepStatus::Current | StepStatus::Failed | StepStatus::Cancelled => false,
        };
        let kept: Vec<PlanStep> = before.steps.iter().filter(stays).cloned().collect();
        let is_kept = |name: &str| kept.iter().any(|step| step.name == name);
        let new = self.steps.iter().filter(|step| !is_kept(&step.name)).map(|step| {
            let was = before.steps.iter().find(|was| was.name == step.name);
            let is_current = was.is_some_and(|was| was.status == StepStatus::Current);
            let status = match step.status {
                StepStatus::Pending | StepStatus::Current if is_current => StepStatus::Current,
                StepStatus::Pending | StepStatus::Current => StepStatus::Pending,
                over @ (StepStatus::Completed | StepStatus::Failed | StepStatus::Skipped | StepStatus::Cancelled) => {
                    over
                }
            };
            let action_id = was.and_then(|was| was.action_id).filter(|_| status != StepStatus::Pending);
            PlanStep { status, action_id, ..step.clone() }
        });
        let steps = kept.iter().cloned().chain(new).collect();
        let plan = Self { goal: self.goal.clone(), revision: before.revision + 1, steps };
        plan.check()?;
        Ok(plan)
    }

    /// The place of the step that the task is at, counted from 1, and the step.
    pub(crate) fn current_place(&self) -> Option<(u32, &PlanStep)> {
        self.first(StepStatus::Current)
    }

    /// The place of the step that comes next, and the step.
    pub(crate) fn next_place(&self) -> Option<(u32, &PlanStep)> {
        self.first(StepStatus::Pending)
    }

    fn first(&self, status: StepStatus) -> Option<(u32, &PlanStep)> {
        (1..).zip(&self.steps).find(|(_, step)| step.status == status)
    }

    /// Takes one more event in. A plan that is set is the caller's business.
    pub(crate) fn apply(&mut self, event: &PlanEvent) {
        match event {
            PlanEvent::StepStarted { step, action, .. } => {
                if let Some(step) = self.at(*step) {
                    (step.status, step.action_id, step.note) = (StepStatus::Current, Some(*action), None);
                }
                self.revision += 1;
            }
            PlanEvent::StepFinished { step, status, note, .. } => {
                if let Some(step) = self.at(*step) {
                    (step.status, step.note) = (*status, note.clone());
                }
                self.revision += 1;
            }
            PlanEvent::StepsLeft { status, note } => {
                for step in self.steps.iter_mut().filter(|step| step.status == StepStatus::Pending) {
                    (step.status, step.note) = (*status, Some(note.clone()));
                }
                self.revision += 1;
            }
            PlanEvent::Set { plan, .. } => *self = (**plan).clone(),
            PlanEvent::Refused { .. } | PlanEvent::PlannerCalled { .. } | PlanEvent::PlannerFailed { .. } => {}
        }
    }

    fn at(&mut self, place: u32) -> Option<&mut PlanStep> {
        self.steps.get_mut((place as usize).checked_sub(1)?)
    }

    /// An attempt is over: the next one tries again what is not done.
    pub(crate) fn begin_again(&mut self) {
        for step in self.steps.iter_mut().filter(|step| !step.status.is_done()) {
            (step.status, step.action_id) = (StepStatus::Pending, None);
        }
        self.revision += 1;
    }

    /// The task is over, and nobody could write down what becomes of its steps: that which always does.
    pub(crate) fn close(&mut self, outcome: &Outcome) {
        let (current, pending) = left_by(outcome);
        for step in self.steps.iter_mut().filter(|step| !step.status.is_over()) {
            step.status = if step.status == StepStatus::Current { current } else { pending };
        }
    }
}
