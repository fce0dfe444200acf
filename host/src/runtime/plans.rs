//! A task's plan, as its guest and whoever holds a handle see it and change it.

use crate::model::command::{Answer, Command, PlanCommand};
use crate::model::plan::{Plan, PlanError, StepStatus};
use crate::model::signal::Party;
use crate::model::snapshot::Usage;

use super::actor::{Actor, Ended};
use super::calls::Last;
use super::cell::Cell;
use super::handle::TaskHandle;
use super::shared::Control;

impl Actor {
    /// Changes the plan for whoever asks, who gets what it is then.
    pub(super) async fn change_plan(&mut self, mut change: PlanCommand) -> Result<Result<Plan, PlanError>, Ended> {
        if let PlanCommand::Advance { usage, .. } = &mut change {
            // It may be the end.
            *usage = self.shared.usage();
        }
        let answer = self.decide(Command::Plan(change)).await?;
        Ok(self.planned(answer))
    }

    /// Changes it for somebody outside. What the task itself came to stands, if it was there first; and what it reported is
    /// told before an end.
    pub(super) async fn change_plan_outside(
        &mut self,
        change: PlanCommand,
        cell: &mut Cell,
    ) -> Result<Result<Plan, PlanError>, Ended> {
        if matches!(change, PlanCommand::Advance { .. }) {
            if matches!(cell, Cell::Running(_))
                && let Some(step) = cell.advanced(&mut self.last).await
            {
                self.on_cell(step, cell).await?;
            }
            if self.is_last_before(Command::Plan(change.clone())) == Last::Yes {
                self.write_progress(Last::Yes).await?;
            }
        }
        self.change_plan(change).await
    }

    /// What whoever changes the plan is told.
    pub(super) fn planned(&self, answer: Answer) -> Result<Plan, PlanError> {
        done(answer)?;
        self.shared.state().plan.as_deref().cloned().ok_or(PlanError::NoPlan)
    }
}

/// Whether it was refused.
pub(super) fn done(answer: Answer) -> Result<(), PlanError> {
    if let Answer::PlanRefused(error) = answer { Err(error) } else { Ok(()) }
}

impl TaskHandle {
    /// The task's plan right now. Its events say how it came to that ([`PlanEvent`](crate::PlanEvent)).
    pub fn plan(&self) -> Option<Plan> {
        self.shared.state().plan.as_deref().cloned()
    }

    /// Gives the task another plan: what is done of the one before stays, and it goes on with the rest of the new one. With
    /// `expected` only if its plan is at this revision now; 0 is no plan. Returns the plan that it has then.
    ///
    /// What is completed stays in the plan, named again or not. The step that the task is at stays the current one if the
    /// new plan has it, and is cancelled if not. A step that failed, or was skipped or cancelled, is tried again when it is
    /// named again. The guest is not told; it sees the new plan when it looks, or goes on to the next step.
    ///
    /// ```no_run
    /// # async fn example(task: taskcell::TaskHandle) -> Result<(), taskcell::PlanError> {
    /// use taskcell::{Party, Plan, PlanStep};
    ///
    /// let before = task.plan().unwrap_or_default();
    /// let plan = Plan::new(before.goal).step(PlanStep::new("sign")).step(PlanStep::new("upload"));
    /// let plan = task.set_plan(plan, Some(before.revision), Party::Person).await?;
    /// println!("{} of {} steps are completed", plan.completed(), plan.steps.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When it cannot be the task's plan, which is an event too, or the task has another by now. Nothing changes then.
    ///
    /// Cancel safety: when the future is dropped, the task may or may not have the plan.
    pub async fn set_plan(&self, plan: Plan, expected: Option<u64>, by: Party) -> Result<Plan, PlanError> {
        self.change_plan(PlanCommand::Set { plan: Ok(Box::new(plan)), expected, by }).await
    }

    /// Completes the step that the task is at, if it is at one, and lets the next one begin. When there is no next one and
    /// not all are done, the task fails with kind `plan`. Returns the plan as it is then.
    ///
    /// # Errors
    /// When the task has no plan, does not run, or is over, by this too.
    ///
    /// Cancel safety: when the future is dropped, it may or may not have gone on.
    pub async fn advance(&self, note: Option<String>, by: Party) -> Result<Plan, PlanError> {
        let usage = Usage::default();
        self.change_plan(PlanCommand::Advance { note, by, usage }).await
    }

    /// Ends the step that the task is at: completed, failed, skipped or cancelled. No other begins before somebody advances
    /// or sets another plan. Returns the plan as it is then.
    ///
    /// # Errors
    /// When the task is at no step, or a step does not end so.
    ///
    /// Cancel safety: when the future is dropped, the step may or may not have ended.
    pub async fn finish_step(&self, status: StepStatus, note: Option<String>, by: Party) -> Result<Plan, PlanError> {
        self.change_plan(PlanCommand::FinishStep { status, note, by }).await
    }

    async fn change_plan(&self, command: PlanCommand) -> Result<Plan, PlanError> {
        let answer = self.shared.tell(|reply| Control::Plan { command, reply }).await;
        answer.unwrap_or(Err(PlanError::Ended))
    }
}
