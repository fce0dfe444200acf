//! Plans at the command line: read from a flag, shown while their tasks go through them, and summed up at the end.

use std::path::Path;

use anyhow::{Context as _, Error};

use crate::{Plan, PlanEvent, PlanStep, StepStatus};

use super::exit::Exit;
use super::fault::Fault;
use super::{files, text};

/// Bytes of a step's name that are shown.
const NAME_BYTES_MAX: usize = 80;
/// Steps that are not done, and named at the end.
const NAMED_MAX: usize = 8;

/// Reads a plan, from the command line or a file.
pub(super) fn read(given: &str) -> Result<Plan, Fault> {
    let usage = |error: Error| Fault::new(Exit::Usage, error);
    let (given, source) = match given.strip_prefix('@') {
        Some(path) => {
            let read = files::read_text(Path::new(path));
            (read.with_context(|| format!("failed to read the plan from {path}")).map_err(usage)?, path)
        }
        None => (given.to_owned(), "--plan"),
    };
    let hint = r#"for example --plan '{"steps": [{"name": "build"}, {"name": "sign"}]}'; a file needs an @"#;
    let fault = |error: Error, what: &str| usage(error.context(format!("failed to read the plan: {source} {what}")));
    let document = serde_json::from_str(&given).map_err(|error| fault(error.into(), "is not JSON").hint(hint))?;
    Plan::from_json(document).map_err(|error| fault(error.into(), "is no plan").hint(hint))
}

/// Where the task is: `step 2/5 sign`. Not escaped.
pub(super) fn at(plan: &Plan) -> Option<String> {
    let place = plan.steps.iter().position(|step| plan.current() == Some(step))?;
    let name = text::clip(&plan.steps.get(place)?.name, NAME_BYTES_MAX);
    Some(format!("step {}/{} {name}", place + 1, plan.steps.len()))
}

/// What happened to a plan, if it has a line of its own. Not escaped.
pub(super) fn line(change: &PlanEvent) -> Option<String> {
    match change {
        // The end says it for all of them.
        PlanEvent::StepsLeft { .. } => None,
        PlanEvent::Set { .. }
        | PlanEvent::Refused { .. }
        | PlanEvent::StepStarted { .. }
        | PlanEvent::StepFinished { .. }
        | PlanEvent::PlannerCalled { .. }
        | PlanEvent::PlannerFailed { .. } => Some(change.display_message()),
    }
}

/// What became of the plan, in a line. Not escaped.
pub(super) fn closing(plan: &Plan) -> String {
    let (completed, all) = (plan.completed(), plan.steps.len());
    let words = |step: &PlanStep| format!("{} ({})", text::clip(&step.name, NAME_BYTES_MAX), step.status.word());
    let others: Vec<_> = plan.steps.iter().filter(|step| step.status != StepStatus::Completed).collect();
    let mut names: Vec<String> = others.iter().take(NAMED_MAX).map(|step| words(step)).collect();
    if let Some(more @ 1..) = others.len().checked_sub(NAMED_MAX) {
        names.push(format!("{more} more"));
    }
    let names = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    format!("  plan: {completed} of {all} steps completed{names}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(steps: &[(&str, StepStatus)]) -> Plan {
        let step = |(name, status): &(&str, StepStatus)| PlanStep { status: *status, ..PlanStep::new(*name) };
        steps.iter().map(step).fold(Plan::new("g"), Plan::step)
    }

    #[test]
    fn r60_a_plan_is_told_by_where_it_is_and_by_what_became_of_it() {
        let (done, current, failed) = (StepStatus::Completed, StepStatus::Current, StepStatus::Failed);
        let running = plan(&[("build", done), ("sign", current), ("upload", StepStatus::Pending)]);
        assert_eq!(at(&running).unwrap(), "step 2/3 sign");
        let ended = plan(&[("build", done), ("sign", failed), ("upload", StepStatus::Cancelled)]);
        assert_eq!(
            (at(&ended), closing(&ended).as_str()),
            (None, "  plan: 1 of 3 steps completed: sign (failed), upload (cancelled)")
        );
        assert_eq!(closing(&plan(&[("build", done)])), "  plan: 1 of 1 steps completed");
        let long: Vec<String> = (0..20).map(|step| step.to_string()).collect();
        let long: Vec<(&str, StepStatus)> = long.iter().map(|name| (name.as_str(), failed)).collect();
        assert!(closing(&plan(&long)).ends_with("7 (failed), 12 more"));
    }
}
