//! The fake host's part in plans: kept by the contract's rules.

use std::collections::{BTreeSet, VecDeque};

use serde_json::Value;

use super::fake_host::FakeHost;
use super::pages::Pages;
use super::state::State;
use crate::backend::PlanPage;
use crate::error::{RefusalKind, Refused};
use crate::plan::{Plan, PlanStep, StepStatus};

/// Steps of one plan.
const STEPS_MAX: usize = 256;
/// Bytes of a step's name.
const NAME_BYTES_MAX: usize = 256;

/// The task's plan, and what its planner makes.
#[derive(Debug, Default)]
pub(super) struct Planning {
    plan: Option<Plan>,
    actions: u64,
    made: VecDeque<Result<Plan, Refused>>,
    /// Why the task asked its planner.
    asked: Vec<String>,
}

impl FakeHost {
    /// Gives the task a plan, as a request or a person does.
    ///
    /// # Errors
    /// When it cannot be the task's plan.
    pub fn give_plan(&self, plan: Plan) -> Result<(), Refused> {
        self.state.borrow_mut().planning.set(plan)
    }

    /// The task's plan as it is now.
    pub fn plan(&self) -> Option<Plan> {
        self.state.borrow().planning.plan.clone()
    }

    /// What the task's planner makes when it is asked next. More are for the times after it; without any, the task has no
    /// planner.
    pub fn planner_makes(&self, plan: Plan) {
        self.state.borrow_mut().planning.made.push_back(Ok(plan));
    }

    /// The task's planner makes no plan when it is asked next, and says why. See [`planner_makes`](Self::planner_makes).
    pub fn planner_fails(&self, why: &str) {
        let refused = Refused { kind: RefusalKind::Other("failed".to_owned()), message: why.to_owned() };
        self.state.borrow_mut().planning.made.push_back(Err(refused));
    }

    /// Why the task asked its planner for another plan, each time.
    pub fn asked_planner(&self) -> Vec<String> {
        self.state.borrow().planning.asked.clone()
    }
}

fn not_found(message: &str) -> Refused {
    Refused { kind: RefusalKind::NotFound, message: message.to_owned() }
}

impl Planning {
    fn set(&mut self, plan: Plan) -> Result<(), Refused> {
        check(&plan)?;
        let before = self.plan.clone().unwrap_or_default();
        let named = |name: &str| plan.steps.iter().any(|step| step.name == name);
        let stays = |step: &&PlanStep| {
            step.status == StepStatus::Completed || step.status == StepStatus::Skipped && !named(&step.name)
        };
        let mut steps: Vec<PlanStep> = before.steps.iter().filter(stays).cloned().collect();
        for step in &plan.steps {
            if steps.iter().any(|kept| kept.name == step.name) {
                continue;
            }
            let was = before.current().filter(|current| current.name == step.name);
            let open = matches!(step.status, StepStatus::Pending | StepStatus::Current);
            let (status, action_id) = match was {
                Some(was) if open => (StepStatus::Current, was.action_id),
                Some(_) | None if open => (StepStatus::Pending, None),
                Some(_) | None => (step.status, None),
            };
            steps.push(PlanStep { status, action_id, ..step.clone() });
        }
        if steps.len() > STEPS_MAX {
            return Err(Refused { kind: RefusalKind::TooLarge, message: "the plan has too many steps".to_owned() });
        }
        self.plan = Some(Plan { goal: plan.goal, revision: before.revision + 1, steps });
        self.begin_next();
        Ok(())
    }

    /// The first step that has not begun becomes the current one, unless there is one. Says whether there is one then.
    fn begin_next(&mut self) -> bool {
        let Some(plan) = &mut self.plan else { return false };
        if plan.current().is_some() {
            return true;
        }
        let next = plan.steps.iter_mut().find(|step| step.status == StepStatus::Pending);
        let Some(step) = next else { return false };
        self.actions += 1;
        (step.status, step.action_id, step.note) = (StepStatus::Current, Some(self.actions), None);
        plan.revision += 1;
        true
    }

    /// Ends the current step. Says whether there was one.
    fn end(&mut self, status: StepStatus, note: Option<&str>) -> Result<bool, Refused> {
        let plan = self.plan.as_mut().ok_or_else(|| not_found("the task has no plan"))?;
        let Some(step) = plan.steps.iter_mut().find(|step| step.status == StepStatus::Current) else {
            return Ok(false);
        };
        (step.status, step.note) = (status, note.map(str::to_owned));
        plan.revision += 1;
        Ok(true)
    }

    fn document(&self) -> Result<String, Refused> {
        self.plan.as_ref().ok_or_else(|| not_found("the task has no plan"))?.to_wire()
    }
}

fn check(plan: &Plan) -> Result<(), Refused> {
    let mut names = BTreeSet::new();
    for step in &plan.steps {
        let name = &step.name;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) || !names.insert(name) {
            return Err(Refused::invalid("a step's name is 1 to 256 bytes without control characters, and its own"));
        }
    }
    let current = plan.steps.iter().filter(|step| step.status == StepStatus::Current).count();
    if plan.steps.is_empty() || current > 1 {
        return Err(Refused::invalid("a plan has at least one step, and at most one is the current one"));
    }
    Ok(())
}

impl State {
    fn replan(&mut self, reason: &str) -> Result<String, Refused> {
        let Some(made) = self.planning.made.pop_front() else { return Err(not_found("the task has no planner")) };
        if self.cancel_request().is_some() {
            let message = "the task was asked to stop".to_owned();
            return Err(Refused { kind: RefusalKind::Cancelled, message });
        }
        self.planning.asked.push(reason.to_owned());
        self.planning.set(made?)?;
        self.planning.document()
    }
}

impl PlanPage for Pages {
    fn plan(&self) -> Option<String> {
        self.state.borrow().planning.document().ok()
    }

    fn set_plan(&self, plan: &str, expected_revision: Option<u64>) -> Result<String, Refused> {
        let planning = &mut self.state.borrow_mut().planning;
        let is = planning.plan.as_ref().map_or(0, |plan| plan.revision);
        if expected_revision.is_some_and(|expected| expected != is) {
            let message = format!("the plan is at revision {is}");
            return Err(Refused { kind: RefusalKind::Conflict, message });
        }
        let plan: Value = serde_json::from_str(plan).map_err(|error| Refused::invalid(error.to_string()))?;
        planning.set(serde_json::from_value(plan).map_err(|error| Refused::invalid(error.to_string()))?)?;
        planning.document()
    }

    fn advance(&self, note: Option<&str>) -> Result<String, Refused> {
        let planning = &mut self.state.borrow_mut().planning;
        planning.end(StepStatus::Completed, note)?;
        if !planning.begin_next() && planning.plan.as_ref().is_some_and(|plan| !plan.is_done()) {
            // The real host ends the task here.
            let message = "the plan has no next step, and is not done".to_owned();
            return Err(Refused { kind: RefusalKind::Ended, message });
        }
        planning.document()
    }

    fn finish_step(&self, status: &str, note: Option<&str>) -> Result<String, Refused> {
        let ends = [StepStatus::Completed, StepStatus::Failed, StepStatus::Skipped, StepStatus::Cancelled];
        let Some(status) = ends.into_iter().find(|end| end.as_str() == status) else {
            return Err(Refused::invalid("a step ends as completed, failed, skipped or cancelled"));
        };
        let planning = &mut self.state.borrow_mut().planning;
        if !planning.end(status, note)? {
            return Err(not_found("the task is at no step of its plan"));
        }
        planning.document()
    }

    fn replan(&self, reason: &str, _: Option<u64>) -> Result<String, Refused> {
        self.state.borrow_mut().replan(reason)
    }
}
