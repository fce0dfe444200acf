//! Questions that nobody has decided yet.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::serve::desk::Desk;
use crate::serve::reading::{Body, Named, Numbered, Params};
use crate::serve::refusal::Refusal;
use crate::serve::wire::{ApprovalList, Changed, ProblemKind, Verdict};
use crate::{ApprovalAnswer, ApprovalFilter, ApprovalNumber, Party};

pub(super) async fn list(State(desk): State<Arc<Desk>>, Params(filter): Params<ApprovalFilter>) -> Json<ApprovalList> {
    Json(ApprovalList { approvals: desk.host.approvals(&filter) })
}

pub(super) async fn decide(
    Named(task): Named,
    Numbered(number): Numbered<ApprovalNumber>,
    Body(verdict): Body<Verdict>,
) -> Result<Json<Changed>, Refusal> {
    let answer = match verdict {
        Verdict::Approve { input } => task.approve(number, input, Party::Person).await,
        Verdict::Deny { reason } => task.deny(number, reason, Party::Person).await,
    };
    match answer {
        ApprovalAnswer::Decided => Ok(Json(Changed { changed: true })),
        ApprovalAnswer::NotAsked => {
            let detail = format!("the task asks no question {}, or it was decided already", number.0);
            Err(Refusal::new(ProblemKind::UnknownApproval, detail))
        }
        ApprovalAnswer::NotAllowed(why) => Err(Refusal::new(ProblemKind::NotAllowed, why)),
        ApprovalAnswer::AlreadyEnded(outcome) => Err(Refusal::ended(outcome)),
    }
}
