//! Tasks: started, listed, looked at, changed, removed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{IF_MATCH, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::serve::desk::Desk;
use crate::serve::reading::{Body, Named, NamedId, Params, Patience, header};
use crate::serve::refusal::Refusal;
use crate::serve::wire::{ListQuery, PAGE_DEFAULT, ProblemKind, Revised};
use crate::{Party, Phase, Snapshot, StartRequest, TaskHandle, TaskPatch};

use super::path;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A task as it is, with where it is: 200 when it has ended, and 202 while it is under way.
pub(super) fn told(task: &TaskHandle) -> Response {
    let state: Snapshot = task.state();
    let status = if state.phase == Phase::Ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, [(LOCATION, path("tasks", state.id))], Json(state)).into_response()
}

pub(super) async fn start(
    State(desk): State<Arc<Desk>>,
    Patience(wait): Patience,
    headers: HeaderMap,
    Body(mut request): Body<StartRequest>,
) -> Result<Response, Refusal> {
    if let Some(key) = header(&headers, IDEMPOTENCY_KEY)? {
        // As a structured field it is in quotes.
        let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
        let said = request.details.idempotency_key.get_or_insert_with(|| key.to_owned());
        if said != key {
            let detail = "the header Idempotency-Key and the body's details.idempotency_key differ";
            return Err(Refusal::new(ProblemKind::InvalidRequest, detail));
        }
    }
    let task = desk.host.start(request).await?;
    if let Some(time) = wait {
        desk.wait(&task, time).await;
    }
    Ok(told(&task))
}

pub(super) async fn list(State(desk): State<Arc<Desk>>, Params(query): Params<ListQuery>) -> Response {
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if query.full {
        Json(desk.host.list_full(&query.filter, query.cursor, limit)).into_response()
    } else {
        Json(desk.host.list(&query.filter, query.cursor, limit)).into_response()
    }
}

pub(super) async fn show(Named(task): Named, Params(()): Params<()>) -> Json<Snapshot> {
    Json(task.state())
}

pub(super) async fn outcome(
    State(desk): State<Arc<Desk>>,
    Named(task): Named,
    Params(()): Params<()>,
    Patience(wait): Patience,
) -> Response {
    desk.wait(&task, wait.unwrap_or_default()).await;
    let state = task.state();
    match state.outcome {
        Some(outcome) => Json(outcome).into_response(),
        None => (StatusCode::ACCEPTED, Json(state)).into_response(),
    }
}

pub(super) async fn update(
    Named(task): Named,
    headers: HeaderMap,
    Body(patch): Body<TaskPatch>,
) -> Result<Json<Revised>, Refusal> {
    let expected = header(&headers, IF_MATCH.as_str())?.map(revision).transpose()?.flatten();
    let revision = task.update(patch, expected, Party::Person).await?;
    Ok(Json(Revised { revision }))
}

/// The revision in `If-Match: "7"`; none in `*`, which any task matches.
fn revision(text: &str) -> Result<Option<u64>, Refusal> {
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    let bad = || Refusal::new(ProblemKind::InvalidRequest, "the header If-Match is a task's revision in quotes");
    number.map(Some).ok_or_else(bad)
}

pub(super) async fn remove(
    State(desk): State<Arc<Desk>>,
    NamedId(id): NamedId,
    Params(()): Params<()>,
) -> Result<StatusCode, Refusal> {
    desk.host.remove(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
