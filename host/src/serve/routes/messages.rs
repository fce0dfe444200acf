//! Messages of tasks to their agents that nobody has taken yet.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::serve::desk::Desk;
use crate::serve::reading::{Body, MaybeBody, Params, Patience};
use crate::serve::refusal::Refusal;
use crate::serve::wire::{
    Ack, Acknowledged, Claim, Claimed, ClaimedList, OpenMessages, ProblemKind, Release, Released,
};
use crate::{AckAnswer, ClaimToken, MessageFilter};

/// Messages of one claim. Protects the server's memory.
const CLAIM_MAX: usize = 1000;

pub(super) async fn open(State(desk): State<Arc<Desk>>, Params(filter): Params<MessageFilter>) -> Json<OpenMessages> {
    Json(OpenMessages { open: desk.host.messages().open(&filter) })
}

pub(super) async fn claim(
    State(desk): State<Arc<Desk>>,
    Patience(wait): Patience,
    MaybeBody(claim): MaybeBody<Claim>,
) -> Json<ClaimedList> {
    let mut filter = MessageFilter::default();
    (filter.session, filter.task) = (claim.session, claim.task);
    let (messages, most) = (desk.host.messages(), claim.most.min(CLAIM_MAX));
    let claimed = tokio::select! {
        biased;
        claimed = messages.next(&filter, most, claim.time) => claimed,
        () = desk.pause(desk.patience(wait.unwrap_or_default())) => Vec::new(),
        () = desk.closing() => Vec::new(),
    };
    Json(ClaimedList { messages: claimed.into_iter().map(Claimed::from).collect() })
}

fn token(text: &str) -> Result<ClaimToken, Refusal> {
    text.parse().map_err(|error| Refusal::new(ProblemKind::InvalidRequest, format!("the token is none: {error}")))
}

pub(super) async fn ack(State(desk): State<Arc<Desk>>, Body(ack): Body<Ack>) -> Result<Json<Acknowledged>, Refusal> {
    match desk.host.messages().ack(token(&ack.token)?).await {
        AckAnswer::Acknowledged => Ok(Json(Acknowledged { acknowledged: true })),
        AckAnswer::Stale => Ok(Json(Acknowledged { acknowledged: false })),
        AckAnswer::NotStored => {
            Err(Refusal::new(ProblemKind::Store, "it could not be written down; the claim is as it was"))
        }
    }
}

pub(super) async fn release(
    State(desk): State<Arc<Desk>>,
    Body(release): Body<Release>,
) -> Result<Json<Released>, Refusal> {
    Ok(Json(Released { released: desk.host.messages().release(token(&release.token)?) }))
}
