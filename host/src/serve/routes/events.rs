//! What happened, a page at a time or followed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::serve::desk::Desk;
use crate::serve::reading::{Named, Params, header};
use crate::serve::refusal::Refusal;
use crate::serve::sse;
use crate::serve::wire::{EventPage, EventQuery, PAGE_DEFAULT, ProblemKind};
use crate::{EventPosition, EventSeq, Phase, TaskFilter, TaskHandle};

/// Events on a page. Protects the server's memory: an event has a few hundred bytes, and some have much more.
const PAGE_MAX: usize = 1000;

/// Where a client was that comes back.
fn last_seen(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    Ok(header(headers, "last-event-id")?.filter(|id| !id.is_empty()))
}

fn wants_stream(headers: &HeaderMap) -> Result<bool, Refusal> {
    Ok(header(headers, ACCEPT.as_str())?.is_some_and(|kinds| kinds.contains("text/event-stream")))
}

pub(super) async fn of_task(
    State(desk): State<Arc<Desk>>,
    Named(task): Named,
    Params(query): Params<EventQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if !wants_stream(&headers)? {
        let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        return Ok(Json(page(&task, query.after, limit).await?).into_response());
    }
    let after = match last_seen(&headers)? {
        Some(id) => id.parse().map(EventSeq).map_err(|_| {
            Refusal::new(
                ProblemKind::InvalidRequest,
                "the header Last-Event-ID is the number of one of the task's events",
            )
        })?,
        None => query.after,
    };
    let state = task.state();
    if state.phase == Phase::Ended && after >= state.seq {
        // A client that follows by the rules does not come again.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    sse::of_task(desk, &task, after)
}

/// The events that there are now.
async fn page(task: &TaskHandle, after: EventSeq, limit: usize) -> Result<EventPage, Refusal> {
    let state = task.state();
    let (mut stream, mut next, mut events) = (task.events(after), after, Vec::new());
    while events.len() < limit && next < state.seq {
        let Some(event) = stream.next().await? else { break };
        next = event.seq;
        events.push(event);
    }
    Ok(EventPage { events, next, ended: state.phase == Phase::Ended && next >= state.seq })
}

pub(super) async fn after(Named(task): Named, Params(()): Params<()>) -> Result<Json<EventPage>, Refusal> {
    let events = task.after_events().await?;
    let next = events.last().map_or(EventSeq::default(), |event| event.seq);
    // Something may always come after the end.
    Ok(Json(EventPage { events, next, ended: false }))
}

pub(super) async fn of_all(
    State(desk): State<Arc<Desk>>,
    Params(filter): Params<TaskFilter>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let position = last_seen(&headers)?.map(str::parse::<EventPosition>).transpose();
    let position = position.map_err(|_| {
        Refusal::new(ProblemKind::InvalidRequest, "the header Last-Event-ID is no place in what happened")
    })?;
    let (events, unknown) = match position {
        None => (desk.host.subscribe(filter), false),
        // Of a server before this one: nobody knows what went by.
        Some(position) => match desk.host.subscribe_after(filter.clone(), position) {
            Ok(events) => (events, false),
            Err(_) => (desk.host.subscribe(filter), true),
        },
    };
    sse::of_all(desk, events, unknown)
}
