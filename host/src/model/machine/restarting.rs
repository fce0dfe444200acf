//! What becomes of an unfinished task whose host was started again. Nothing happens between hosts, so this is decided before
//! anything else, once for each restart.

use super::ending::{cancelled, finish};
use super::granting;
use crate::model::command::{Answer, Decision, HostFit};
use crate::model::event::EventBody;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::plan::PlanEvent;
use crate::model::snapshot::Phase;
use crate::model::state::TaskState;
use crate::model::time::Timestamp;

/// Restarts in a row after which a task is not begun again: it may be what stops the host.
const IN_ROW_MAX: u32 = 10;

pub(super) fn host_restarted(state: &TaskState, fit: HostFit, now: Timestamp) -> Decision {
    if let Some(request) = &state.cancel {
        return finish(cancelled(request, true, state.attempt > 0), state.known_usage());
    }
    match fit {
        HostFit::Whole => {}
        // It stays as it is until then.
        HostFit::NoPlugin => return Decision::only(Answer::Unchanged),
        HostFit::Unfit(why) => return lost(state, why),
    }
    if state.phase != Some(Phase::Running) {
        return waits_on(state);
    }
    if !state.details.restartable {
        return lost(
            state,
            "its host stopped while it ran, and nobody knows how far it had come; its type is not restartable",
        );
    }
    if state.traces.restarts_with(now) > IN_ROW_MAX {
        let why = format!("its host stopped {} times soon after it began; it may be the cause", IN_ROW_MAX + 1);
        return lost(state, why);
    }
    let failure = Failure::new(FailureKind::Lost, "its host stopped while it ran, and was started again").into();
    let (attempt, usage, pause) = (state.attempt, state.known_usage(), std::time::Duration::ZERO);
    let ended = EventBody::AttemptEnded { attempt, failure, usage, pause };
    // Nobody can say yes any more to what the lost attempt was about to do.
    let events = granting::open(state).chain([ended, EventBody::Due]).collect();
    Decision { events, answer: Answer::Done }
}

fn lost(state: &TaskState, why: impl Into<String>) -> Decision {
    finish(Outcome::Failed(Failure::new(FailureKind::Lost, why)), state.known_usage())
}

/// A task that does not run waits on. Only those are gone who waited for its planner.
fn waits_on(state: &TaskState) -> Decision {
    let planner = state.details.planner.clone().unwrap_or_default();
    let gone = |by: &_| PlanEvent::PlannerFailed { planner: planner.clone(), why: "its host stopped".into(), by: *by };
    let events: Vec<_> = state.planner_callers.iter().map(|by| EventBody::Plan { change: gone(by) }).collect();
    let answer = if events.is_empty() { Answer::Unchanged } else { Answer::Done };
    Decision { events, answer }
}
