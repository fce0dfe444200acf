//! A task that is over before it is known here.

use std::sync::Arc;

use crate::model::details::TaskDetails;
use crate::model::event::EventBody;
use crate::model::external::{ExternalReport, TOOLS_MAX, ToolUse};
use crate::model::ids::TaskRef;
use crate::model::limits::Limits;
use crate::model::manifest::TaskKind;
use crate::model::signal::Party;
use crate::model::snapshot::Usage;

use super::spending::is_tool;

/// What its whole log is, or what is wrong with its tools.
pub(crate) fn report(
    report: ExternalReport,
    task: Arc<TaskRef>,
    limits: &Limits,
    by: Party,
) -> Result<Vec<EventBody>, &'static str> {
    let ExternalReport { request, outcome, duration, tools } = report;
    if tools.len() > TOOLS_MAX {
        return Err("it names more than 256 tools");
    }
    if !tools.iter().all(|tool| is_tool(&tool.tool)) {
        return Err("a tool's name has 1 to 256 bytes and no control characters");
    }
    let sum = |of: fn(&ToolUse) -> u64| tools.iter().map(of).fold(0, u64::saturating_add);
    let usage = Usage {
        tokens: sum(|tool| tool.tokens),
        actions: sum(|tool| tool.actions),
        wall: duration,
        ..Usage::default()
    };
    let details = Arc::new(TaskDetails { kind: TaskKind::Task, ..request.details });
    let created = EventBody::Created { task, input: Arc::new(request.input), limits: Arc::new(*limits), details };
    let used =
        tools.into_iter().map(|ToolUse { tool, tokens, actions }| EventBody::UsageRecorded { tool, tokens, actions });
    let finished = EventBody::Finished { outcome: outcome.into(), usage, set_by: Some(by) };
    Ok(std::iter::once(created).chain(used).chain([finished]).collect())
}
