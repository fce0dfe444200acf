//! What a task spends: its own fuel, what it reports of elsewhere, and what its children get.

use super::ending::finish;
use super::{Refusal, RefusalKind};
use crate::model::children::ChildOutcome;
use crate::model::command::{Answer, Decision};
use crate::model::event::{Budget, EventBody};
use crate::model::ids::{TaskId, TaskRef};
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::snapshot::Usage;
use crate::model::state::TaskState;
use crate::model::text;

/// Bytes of a tool's name.
const TOOL_BYTES_MAX: usize = 256;
/// Bytes of the task's own words that a sentence about it quotes.
const QUOTE_BYTES_MAX: usize = 200;

/// Whether four fifths of a budget are used; nothing is not, however small the budget.
fn is_low(used: u64, limit: u64) -> bool {
    used > 0 && used >= limit - limit / 5
}

pub(super) fn fuel_low(state: &TaskState, used: u64) -> Decision {
    let limit = state.fuel_budget;
    // Told already of this budget; or fuel was added since the cell looked.
    if state.warned_of == Some(limit) || !is_low(used, limit) {
        return Decision::only(Answer::Unchanged);
    }
    Decision::done(EventBody::BudgetLow { budget: Budget::Fuel, used, limit })
}

/// Whether a tool can be called so.
pub(super) fn is_tool(name: &str) -> bool {
    !name.is_empty() && name.len() <= TOOL_BYTES_MAX && !name.chars().any(char::is_control)
}

pub(super) fn record(state: &TaskState, tool: String, tokens: u64, actions: u64, usage: Usage) -> Decision {
    if !is_tool(&tool) {
        let message = format!("a tool's name has 1 to {TOOL_BYTES_MAX} bytes and no control characters");
        return Decision::refused(RefusalKind::InvalidArgument, message);
    }
    let budgets = [
        (Budget::Tokens, "tokens", state.tokens.saturating_add(tokens), state.limits.tokens, state.warned_of_tokens),
        (
            Budget::Actions,
            "actions",
            state.actions.saturating_add(actions),
            state.limits.actions,
            state.warned_of_actions,
        ),
    ];
    let mut events = vec![EventBody::UsageRecorded { tool, tokens, actions }];
    let mut over = None;
    for (budget, name, used, limit, warned) in budgets {
        if !warned && limit < u64::MAX && is_low(used, limit) {
            events.push(EventBody::BudgetLow { budget, used, limit });
        }
        if used > limit || (used == limit && limit < u64::MAX && used > 0) {
            over.get_or_insert((name, used, limit));
        }
    }
    if let Some((name, used, limit)) = over {
        let message = format!("its limit of {limit} {name} is used up: it has recorded {used}");
        let usage = Usage {
            tokens: state.tokens.saturating_add(tokens),
            actions: state.actions.saturating_add(actions),
            ..usage
        };
        events.extend(finish(Outcome::Failed(Failure::at_limit(FailureKind::Budget, name, message)), usage).events);
    }
    Decision { events, answer: Answer::Done }
}

pub(super) fn start_child(state: &TaskState, child: TaskId, task: TaskRef, fuel: u64, detached: bool) -> Decision {
    if state.cancel.is_some() {
        return Decision::refused(RefusalKind::Cancelled, "the task was asked to stop");
    }
    let live = state.children.iter().filter(|child| child.outcome.is_none()).count();
    if live >= state.limits.children as usize {
        let message = format!("a task has at most {} children at once", state.limits.children);
        return Decision::refused(RefusalKind::TooLarge, message);
    }
    if state.children.len() >= state.limits.children_in_all as usize {
        let message = format!("a task starts at most {} children in its life", state.limits.children_in_all);
        return Decision::refused(RefusalKind::TooLarge, message);
    }
    Decision::done(EventBody::ChildStarted { child, task, fuel, detached })
}

pub(super) fn child_ended(state: &TaskState, child: TaskId, outcome: ChildOutcome, fuel: u64) -> Decision {
    let live = state.children.iter().any(|known| known.id == child && known.outcome.is_none());
    if live {
        Decision::done(EventBody::ChildEnded { child, outcome, fuel })
    } else {
        Decision::only(Answer::Unchanged)
    }
}

pub(super) fn idle(state: &TaskState) -> String {
    let last = match &state.progress {
        Some(progress) => {
            let percent = progress.percent.map(|percent| format!(" at {percent} %")).unwrap_or_default();
            format!("its last report{percent} was: {}", text::shortened(&progress.message, QUOTE_BYTES_MAX))
        }
        None => "it has never reported anything".to_owned(),
    };
    format!("the task called nothing for its idle time of {}; {last}", text::duration(state.limits.idle))
}

/// Whether a percent is one.
pub(crate) fn check_percent(percent: Option<u8>) -> Result<(), Refusal> {
    match percent {
        Some(percent @ 101..) => {
            Err(Refusal::new(RefusalKind::InvalidArgument, format!("percent is 0 to 100, not {percent}")))
        }
        Some(0..=100) | None => Ok(()),
    }
}

pub(super) fn progress(
    state: &TaskState,
    message: String,
    percent: Option<u8>,
    restarted: bool,
    merged: u64,
) -> Decision {
    if let Err(refusal) = check_percent(percent) {
        return Decision::only(Answer::Refused(refusal));
    }
    // Progress does not go back unless it begins anew, and a report without a percent says nothing about it.
    let before = state.progress.as_ref().filter(|_| !restarted).and_then(|progress| progress.percent);
    Decision::done(EventBody::Progress { message, percent: percent.max(before), restarted, merged })
}
