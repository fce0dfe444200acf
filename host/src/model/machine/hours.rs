//! A daemon's fuel: so much for each hour of its life. What it does not burn it does not keep, and when all is burnt it
//! stands still until the next hour.

use crate::model::command::{Answer, Decision};
use crate::model::event::EventBody;
use crate::model::manifest::TaskKind;
use crate::model::state::TaskState;

/// Its tank is empty.
pub(super) fn fuel_out(state: &TaskState, used: u64) -> Decision {
    // Told already; or fuel was added since the cell looked.
    if !is_daemon(state) || state.hour_used_up || used < state.fuel_budget {
        return Decision::only(Answer::Unchanged);
    }
    Decision::done(EventBody::HourUsedUp { used })
}

pub(super) fn new_hour(state: &TaskState, used: u64) -> Decision {
    match renewed(state, used) {
        Some(renewed) if is_daemon(state) => Decision::done(renewed),
        // One that burnt nothing has what it needs, and its log stays short.
        Some(_) | None => Decision::only(Answer::Unchanged),
    }
}

/// What lets a daemon go on that stands still, so that it can end by itself when it is asked to.
pub(super) fn to_end_with(state: &TaskState, used: u64) -> Option<EventBody> {
    if state.hour_used_up { renewed(state, used) } else { None }
}

/// Fuel for an hour again, of which some may be left.
fn renewed(state: &TaskState, used: u64) -> Option<EventBody> {
    let units = used.saturating_add(state.limits.fuel).saturating_sub(state.fuel_budget);
    (units > 0).then_some(EventBody::FuelRenewed { units })
}

fn is_daemon(state: &TaskState) -> bool {
    state.details.kind == TaskKind::Daemon
}
