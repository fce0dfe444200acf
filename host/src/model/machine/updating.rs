//! Changes to what people see of a task: they change nothing about what it does.

use super::{Refusal, RefusalKind};
use crate::model::command::{Answer, Decision};
use crate::model::event::EventBody;
use crate::model::patch::TaskPatch;
use crate::model::signal::Party;
use crate::model::state::TaskState;

/// Changes the task, if nobody has since the revision that is expected. Holds after the end, too.
pub(crate) fn update(state: &TaskState, expected: Option<u64>, patch: TaskPatch, by: Party) -> Decision {
    if expected.is_some_and(|expected| expected != state.revision) {
        return Decision::only(Answer::Stale(state.revision));
    }
    if let Err(error) = patch.check(state) {
        return Decision::only(Answer::Refused(Refusal::new(RefusalKind::InvalidArgument, error.to_string())));
    }
    if patch.is_empty() {
        return Decision::only(Answer::Updated(state.revision));
    }
    let revision = state.revision + 1;
    Decision { events: vec![EventBody::Updated { revision, patch, by }], answer: Answer::Updated(revision) }
}
