//! A task's plan, by the manual.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Reference, Said};
use crate::model::command::PlanCommand;
use crate::model::machine::RefusalKind;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::plan::{Plan, PlanError, StepStatus};
use crate::model::signal::Party;
use crate::model::snapshot::Phase;

/// A step's name, and where it is.
pub(super) type Step = (String, StepStatus);

fn is_done((_, status): &Step) -> bool {
    matches!(status, StepStatus::Completed | StepStatus::Skipped)
}

/// It has steps, each with a name of its own, and is at one of them at most.
fn is_plan(plan: &Plan) -> bool {
    let names: BTreeSet<&String> = plan.steps.iter().map(|step| &step.name).collect();
    let current = plan.steps.iter().filter(|step| step.status == StepStatus::Current).count();
    !plan.steps.is_empty() && names.len() == plan.steps.len() && current <= 1
}

impl Reference {
    pub(super) fn planned(&mut self, command: &PlanCommand) -> Said {
        let by = match command {
            PlanCommand::Set { by, .. } | PlanCommand::Advance { by, .. } | PlanCommand::FinishStep { by, .. } => *by,
            PlanCommand::AskPlanner { reason, by, first } => return self.asks_planner(reason, *by, *first),
            PlanCommand::Planned { plan, since, by, first } => return self.planner_made(plan, *since, *by, *first),
        };
        if by == Party::Itself && self.own_is_full() || by != Party::Itself && self.others_are_full(by) {
            return Said::Refused(RefusalKind::TooLarge);
        }
        match command {
            PlanCommand::Set { expected: Some(expected), .. } if *expected != self.view.revision => {
                Said::Refused(RefusalKind::Conflict)
            }
            PlanCommand::Set { plan, .. } => {
                self.counts_plan(by);
                self.plan_set(plan, by)
            }
            PlanCommand::FinishStep { status: StepStatus::Pending | StepStatus::Current, .. } => {
                Said::Refused(RefusalKind::InvalidArgument)
            }
            _ if self.view.plan.is_none() || self.view.phase != Phase::Running => Said::Refused(RefusalKind::NotFound),
            PlanCommand::FinishStep { status, .. } => {
                if self.ends_step(*status, by) {
                    Said::Done
                } else {
                    Said::Refused(RefusalKind::NotFound)
                }
            }
            _ => self.goes_on(by),
        }
    }

    fn asks_planner(&mut self, reason: &str, by: Party, first: bool) -> Said {
        let full = if by == Party::Itself { self.own_is_full() } else { self.others_are_full(by) };
        if full && !first {
            return Said::Refused(RefusalKind::TooLarge);
        }
        if !self.made.planner {
            return Said::Refused(RefusalKind::NotFound);
        }
        if self.view.cancel.is_some() {
            return Said::Refused(RefusalKind::Cancelled);
        }
        // Before it runs, one of them at a time.
        if !first && self.view.attempt == 0 && !self.planner_calls.is_empty() {
            return Said::Refused(RefusalKind::Conflict);
        }
        if reason.len() > 4096 {
            return Said::Refused(RefusalKind::InvalidArgument);
        }
        self.planner_calls.extend(Some(by).filter(|by| *by != Party::Host));
        self.counts_plan(by);
        Said::Done
    }

    fn planner_made(&mut self, plan: &Result<Box<Plan>, PlanError>, since: u64, by: Party, first: bool) -> Said {
        if let Some(place) = self.planner_calls.iter().position(|asked| *asked == by) {
            self.planner_calls.remove(place);
        }
        self.counts_plan(by);
        let wrong = match plan {
            Err(_) => RefusalKind::TimedOut,
            // Somebody has changed the plan that it was shown.
            Ok(_) if since != self.view.revision => RefusalKind::Conflict,
            Ok(plan) if !is_plan(plan) => RefusalKind::Failed,
            Ok(_) => return self.plan_set(plan, by),
        };
        if first && self.view.plan.is_none() && self.view.attempt == 0 && self.made.planner {
            self.over(Outcome::Failed(Failure::new(FailureKind::Plan, String::new())));
        }
        Said::Refused(wrong)
    }

    pub(super) fn counts_plan(&mut self, by: Party) {
        *(if by == Party::Itself { &mut self.own } else { &mut self.others }) += 1;
    }

    fn plan_set(&mut self, plan: &Result<Box<Plan>, PlanError>, by: Party) -> Said {
        let Ok(plan) = plan else { return Said::Refused(RefusalKind::InvalidArgument) };
        if !is_plan(plan) {
            return Said::Refused(RefusalKind::InvalidArgument);
        }
        let names: BTreeSet<&String> = plan.steps.iter().map(|step| &step.name).collect();
        let before = self.view.plan.take().unwrap_or_default();
        let stays = |(name, status): &&Step| {
            *status == StepStatus::Completed || *status == StepStatus::Skipped && !names.contains(name)
        };
        let mut steps: Vec<Step> = before.iter().filter(stays).cloned().collect();
        let at = before.iter().find(|(_, status)| *status == StepStatus::Current).map(|(name, _)| name.clone());
        for step in &plan.steps {
            if steps.iter().any(|(name, _)| *name == step.name) {
                continue;
            }
            let status = match step.status {
                StepStatus::Pending | StepStatus::Current if at.as_ref() == Some(&step.name) => StepStatus::Current,
                StepStatus::Pending | StepStatus::Current => StepStatus::Pending,
                over => over,
            };
            steps.push((step.name.clone(), status));
        }
        if at.is_some() && !steps.iter().any(|(_, status)| *status == StepStatus::Current) {
            // Its end is told.
            self.counts_plan(by);
        }
        self.view.plan = Some(steps);
        self.view.revision += 1;
        self.begins_step();
        Said::Done
    }

    /// The first step that has not begun is the current one, while the task runs and is at none. Says whether it is at one.
    pub(super) fn begins_step(&mut self) -> bool {
        let (runs, Some(steps)) = (self.view.phase == Phase::Running, &mut self.view.plan) else { return false };
        if steps.iter().any(|(_, status)| *status == StepStatus::Current) {
            return true;
        }
        match steps.iter_mut().find(|(_, status)| *status == StepStatus::Pending) {
            Some((_, status)) if runs => {
                *status = StepStatus::Current;
                self.view.revision += 1;
                true
            }
            Some(_) | None => false,
        }
    }

    fn ends_step(&mut self, end: StepStatus, by: Party) -> bool {
        let mut steps = self.view.plan.iter_mut().flatten();
        let Some((_, status)) = steps.find(|(_, status)| *status == StepStatus::Current) else { return false };
        *status = end;
        self.view.revision += 1;
        self.counts_plan(by);
        true
    }

    fn goes_on(&mut self, by: Party) -> Said {
        let ended = self.ends_step(StepStatus::Completed, by);
        let begun = self.begins_step();
        if !begun && !self.view.plan.iter().flatten().all(is_done) {
            let failure = self.unfinished(false);
            return self.over(Outcome::Failed(failure));
        }
        if ended || begun { Said::Done } else { Said::Unchanged }
    }

    fn unfinished(&self, retryable: bool) -> Failure {
        let steps = self.view.plan.iter().flatten();
        let names: Vec<&String> = steps.filter(|step| !is_done(step)).map(|(name, _)| name).collect();
        let error = Some(json!({ "unfinished": names }));
        Failure { error, retryable, ..Failure::new(FailureKind::Plan, String::new()) }
    }

    /// What a task ends as that says it succeeded.
    pub(super) fn held_against_plan(&self, outcome: Outcome) -> Outcome {
        let done = self.view.plan.iter().flatten().all(is_done);
        match (outcome, &self.view.cancel) {
            (Outcome::Succeeded { message, data }, Some(asked)) if self.made.enforced && !done => {
                let (by, reason) = (asked.by, asked.reason.clone());
                Outcome::Cancelled { by, reason, forced: false, begun: true, message, data }
            }
            (Outcome::Succeeded { .. }, None) if self.made.enforced && !done => Outcome::Failed(self.unfinished(true)),
            (outcome, _) => outcome,
        }
    }

    /// Another attempt goes through whatever is not done.
    pub(super) fn plan_again(&mut self) {
        if let Some(steps) = &mut self.view.plan {
            steps.iter_mut().filter(|step| !is_done(step)).for_each(|(_, status)| *status = StepStatus::Pending);
            self.view.revision += 1;
        }
    }

    /// No step is left open.
    pub(super) fn plan_over(&mut self, outcome: &Outcome) {
        let (at, left) = match outcome {
            Outcome::Succeeded { .. } => (StepStatus::Skipped, StepStatus::Skipped),
            Outcome::Failed(_) => (StepStatus::Failed, StepStatus::Cancelled),
            Outcome::Cancelled { .. } => (StepStatus::Cancelled, StepStatus::Cancelled),
        };
        for (open, end) in [(StepStatus::Current, at), (StepStatus::Pending, left)] {
            let mut steps = self.view.plan.iter_mut().flatten().filter(|(_, status)| *status == open).peekable();
            self.view.revision += u64::from(steps.peek().is_some());
            steps.for_each(|(_, status)| *status = end);
        }
    }
}
