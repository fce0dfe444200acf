//! Whether somebody waits for a task, and where its updates go when nobody does.

use crate::model::command::{Answer, Decision};
use crate::model::delivery::{ContinuePolicy, DeliveryMode};
use crate::model::event::EventBody;
use crate::model::signal::Party;
use crate::model::state::TaskState;

/// A task leaves the foreground once, and does not come back.
pub(super) fn detach(state: &TaskState, by: Party) -> Decision {
    if state.background {
        return Decision::only(Answer::Unchanged);
    }
    Decision::done(EventBody::Detached { by })
}

/// What nobody says anything about stays as it is.
pub(super) fn set_delivery(
    state: &TaskState,
    delivery: Option<DeliveryMode>,
    continue_policy: Option<ContinuePolicy>,
    by: Party,
) -> Decision {
    let now = (state.details.delivery, state.details.continue_policy);
    let then = (delivery.unwrap_or(now.0), continue_policy.unwrap_or(now.1));
    if then == now {
        return Decision::only(Answer::Unchanged);
    }
    Decision::done(EventBody::DeliverySet { delivery: then.0, continue_policy: then.1, by })
}
