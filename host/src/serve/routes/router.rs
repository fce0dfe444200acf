//! Which path is which route.

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};

use crate::serve::desk::Desk;
use crate::serve::refusal::Refusal;
use crate::serve::strangers;
use crate::serve::wire::{ProblemKind, V1};

use super::{approvals, controls, events, files, messages, output, plugins, schedules, server, stop, tasks};

/// All of them.
pub(in crate::serve) fn router(desk: Arc<Desk>) -> Router {
    let task = Router::new()
        .route("/", get(tasks::show).patch(tasks::update).delete(tasks::remove))
        .route("/outcome", get(tasks::outcome))
        .route("/output", get(output::read))
        .route("/events", get(events::of_task))
        .route("/after", get(events::after))
        .route("/cancel", post(controls::cancel))
        .route("/pause", post(controls::pause))
        .route("/resume", post(controls::resume))
        .route("/detach", post(controls::detach))
        .route("/signals", post(controls::signal))
        .route("/instructions", post(controls::instruct))
        .route("/fuel", post(controls::fuel))
        .route("/revoke", post(controls::revoke))
        .route("/waits", delete(controls::end_waits))
        .route("/approvals/{number}", post(approvals::decide))
        .route("/artifacts/{number}", get(files::artifact))
        .route("/export", get(files::export));
    let plugin = Router::new()
        .route("/", get(plugins::show).put(plugins::replace).delete(plugins::unload))
        .route("/enable", post(plugins::enable))
        .route("/disable", post(plugins::disable))
        .route("/revoke", post(plugins::revoke));
    let schedule = Router::new()
        .route("/", get(schedules::show).delete(schedules::remove))
        .route("/pause", post(schedules::pause))
        .route("/resume", post(schedules::resume))
        .route("/fire", post(schedules::fire));
    let version = Router::new()
        .route("/", get(server::index))
        .route("/health", get(server::health))
        .route("/gc", post(server::gc))
        .route("/stop", post(stop::stop))
        .route("/tasks", get(tasks::list).post(tasks::start))
        .nest("/tasks/{id}", task)
        .route("/policy/reload", post(server::reload_policy))
        .route("/events", get(events::of_all))
        .route("/approvals", get(approvals::list))
        .route("/plugins", get(plugins::list).post(plugins::add))
        .nest("/plugins/{name}", plugin)
        .route("/schedules", get(schedules::list).post(schedules::add))
        .nest("/schedules/{id}", schedule)
        .route("/messages", get(messages::open))
        .route("/messages/claim", post(messages::claim))
        .route("/messages/ack", post(messages::ack))
        .route("/messages/release", post(messages::release));
    let all = Router::new().nest(V1, version).fallback(nothing).method_not_allowed_fallback(no_method);
    all.layer(axum::middleware::from_fn(strangers::refuse)).with_state(desk)
}

async fn nothing() -> Refusal {
    Refusal::new(ProblemKind::NotFound, format!("there is nothing at this path; {V1} says what there is"))
}

async fn no_method() -> Refusal {
    Refusal::new(ProblemKind::MethodNotAllowed, "this path has other methods; the header Allow has them")
}

/// The path of a thing, for the header `Location`.
pub(super) fn path(kind: &str, id: impl std::fmt::Display) -> String {
    format!("{V1}/{kind}/{id}")
}
