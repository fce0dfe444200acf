//! Streams of server-sent events: of one task, to its end, and of all of them.

use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::{EventSeq, EventStream, Lagged, Subscription, TaskEvent, TaskHandle};

use super::desk::Desk;
use super::refusal::Refusal;
use super::wire::{Followed, LaggedBy, Problem, event_names};

/// How often something is said to those for whom nothing happens, so that both ends notice when the other has gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Sent = Result<Event, std::convert::Infallible>;

fn answer(stream: impl Stream<Item = Sent> + Send + 'static) -> Response {
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

fn event(name: &str, id: Option<String>, data: &impl Serialize) -> Event {
    let event = Event::default().event(name);
    let event = match id {
        Some(id) => event.id(id),
        None => event,
    };
    event.json_data(data).unwrap_or_default()
}

fn broken(problem: &Problem) -> Event {
    event(event_names::PROBLEM, None, problem)
}

/// What comes next; `None` when the server closes.
async fn unless_closing<T>(desk: &Desk, next: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = desk.closing() => None,
        next = next => Some(next),
    }
}

/// Who follows one task.
struct OfTask {
    desk: Arc<Desk>,
    events: EventStream,
    done: bool,
    _place: OwnedSemaphorePermit,
}

/// One task's events after this one. Ends after the last.
pub(super) fn of_task(desk: Arc<Desk>, task: &TaskHandle, after: EventSeq) -> Result<Response, Refusal> {
    let place = desk.follower()?;
    let following = OfTask { desk, events: task.events(after), done: false, _place: place };
    Ok(answer(stream::unfold(following, |mut following| async move {
        if following.done {
            return None;
        }
        let sent = match unless_closing(&following.desk, following.events.next()).await? {
            Ok(None) => return None,
            Ok(Some(happened)) => event(event_names::EVENT, Some(happened.seq.0.to_string()), &happened),
            Err(error) => {
                following.done = true;
                broken(&Refusal::from(error).problem())
            }
        };
        Some((Ok(sent), following))
    })))
}

/// Who follows all tasks.
struct OfAll {
    desk: Arc<Desk>,
    events: Subscription,
    /// What is said before anything happens.
    first: Vec<Event>,
    _place: OwnedSemaphorePermit,
}

/// All tasks' events, as a subscription has them. `unknown`: whether the client was somewhere that this server does not know.
pub(super) fn of_all(desk: Arc<Desk>, events: Subscription, unknown: bool) -> Result<Response, Refusal> {
    let place = desk.follower()?;
    // So that a client that sees nothing happen knows where it is.
    let here = Some(events.position().to_string());
    let lagged = unknown.then(|| event(event_names::LAGGED, here.clone(), &LaggedBy::default()));
    let first = lagged.into_iter().chain([event(event_names::HERE, here, &serde_json::json!({}))]).rev().collect();
    let following = OfAll { desk, events, first, _place: place };
    Ok(answer(stream::unfold(following, |mut following| async move {
        if let Some(first) = following.first.pop() {
            return Some((Ok(first), following));
        }
        let sent = match unless_closing(&following.desk, following.events.next()).await? {
            Ok(None) => return None,
            Ok(Some(happened)) => followed(&happened),
            Err(Lagged { missed }) => {
                let here = following.events.position().to_string();
                event(event_names::LAGGED, Some(here), &LaggedBy { missed: Some(missed) })
            }
        };
        Some((Ok(sent), following))
    })))
}

fn followed(happened: &TaskEvent) -> Event {
    event(event_names::EVENT, Some(happened.position.to_string()), &Followed::from(happened))
}
