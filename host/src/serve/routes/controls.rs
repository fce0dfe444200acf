//! What is said to one task.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::serve::desk::Desk;
use crate::serve::reading::{Body, MaybeBody, Named, Params, Patience};
use crate::serve::refusal::Refusal;
use crate::serve::wire::{
    CancelAnswered, CancelBody, Changed, Fuel, InstructBody, Notified, PauseBody, ProblemKind, RevokeBody, SignalBody,
    WaitQuery, WaitsEnded,
};
use crate::{
    CancelAnswer, CancelRequest, ControlAnswer, DetachAnswer, NotifyAnswer, Party, Revocation, RevokeFrom,
    RevokeReport, TaskHandle,
};

pub(super) async fn cancel(
    State(desk): State<Arc<Desk>>,
    Named(task): Named,
    Patience(wait): Patience,
    MaybeBody(body): MaybeBody<CancelBody>,
) -> Result<Json<CancelAnswered>, Refusal> {
    let grace = body.grace.unwrap_or(CancelRequest::DEFAULT_GRACE);
    let answer = task.cancel(CancelRequest::new(Party::Person, body.reason).grace(grace)).await;
    let receipt = tokio::select! {
        biased;
        receipt = task.receipt() => receipt.map(Box::new),
        () = desk.pause(desk.patience(wait.unwrap_or_default())) => None,
        () = desk.closing() => None,
    };
    Ok(Json(match answer {
        CancelAnswer::AlreadyEnded(outcome) => CancelAnswered::AlreadyEnded { outcome, receipt },
        CancelAnswer::Requested => CancelAnswered::Requested { receipt },
        CancelAnswer::NotFound => return Err(Refusal::unknown_task(task.id())),
    }))
}

fn changed(answer: ControlAnswer) -> Result<Json<Changed>, Refusal> {
    match answer {
        ControlAnswer::Done => Ok(Json(Changed { changed: true })),
        ControlAnswer::Unchanged => Ok(Json(Changed { changed: false })),
        ControlAnswer::AlreadyEnded(outcome) => Err(Refusal::ended(outcome)),
    }
}

pub(super) async fn pause(Named(task): Named, MaybeBody(body): MaybeBody<PauseBody>) -> Result<Json<Changed>, Refusal> {
    changed(task.pause(Party::Person, body.reason).await)
}

pub(super) async fn resume(Named(task): Named, Params(()): Params<()>) -> Result<Json<Changed>, Refusal> {
    changed(task.resume(Party::Person).await)
}

pub(super) async fn detach(Named(task): Named, Params(()): Params<()>) -> Result<Json<Changed>, Refusal> {
    match task.detach(Party::Person).await {
        DetachAnswer::Done => Ok(Json(Changed { changed: true })),
        DetachAnswer::AlreadyBackground => Ok(Json(Changed { changed: false })),
        DetachAnswer::NotRunning(outcome) => Err(Refusal::ended(outcome)),
        DetachAnswer::NotFound => Err(Refusal::unknown_task(task.id())),
    }
}

/// What became of a signal, where it can go nowhere any more as a problem.
async fn notified(task: &TaskHandle, answer: NotifyAnswer) -> Result<Json<Notified>, Refusal> {
    match answer {
        NotifyAnswer::Delivered | NotifyAnswer::Buffered => Ok(Json(Notified { answer })),
        NotifyAnswer::NoTask => Err(Refusal::ended(task.wait().await)),
        NotifyAnswer::Full => {
            Err(Refusal::new(ProblemKind::Busy, "the task's mailbox is full; try again when it has taken something"))
        }
    }
}

pub(super) async fn signal(Named(task): Named, Body(body): Body<SignalBody>) -> Result<Json<Notified>, Refusal> {
    let answer = task.notify(body.key, body.payload, Party::Person).await;
    notified(&task, answer).await
}

pub(super) async fn instruct(Named(task): Named, Body(body): Body<InstructBody>) -> Result<Json<Notified>, Refusal> {
    let answer = task.instruct(body.text, Party::Person).await;
    notified(&task, answer).await
}

pub(super) async fn fuel(Named(task): Named, Body(body): Body<Fuel>) -> Result<Json<Changed>, Refusal> {
    changed(match body {
        Fuel::Grant(units) => task.add_fuel(units, Party::Person).await,
        Fuel::Refuse(reason) => task.refuse_fuel(Party::Person, reason).await,
    })
}

pub(super) async fn end_waits(Named(task): Named, Params(query): Params<WaitQuery>) -> Json<WaitsEnded> {
    let ended = match query.key {
        Some(key) => u32::from(task.cancel_wait(key).await),
        None => task.cancel_all_waits().await,
    };
    Json(WaitsEnded { ended })
}

pub(super) async fn revoke(
    State(desk): State<Arc<Desk>>,
    Named(task): Named,
    Body(body): Body<RevokeBody>,
) -> Json<RevokeReport> {
    Json(taken_away(&desk, RevokeFrom::Task(task.id()), body).await)
}

/// Takes a capability away in a person's name.
pub(super) async fn taken_away(desk: &Desk, from: RevokeFrom, body: RevokeBody) -> RevokeReport {
    let RevokeBody { capability, now } = body;
    let wish = Revocation::new(from, capability, Party::Person);
    desk.host.revoke(if now { wish.now() } else { wish }).await
}
