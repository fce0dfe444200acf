//! The server itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

#[cfg(feature = "sqlite")]
use crate::StoreHealth;
use crate::serve::desk::Desk;
use crate::serve::reading::{Body, Params};
use crate::serve::refusal::Refusal;
use crate::serve::wire::{API, Gc, Health, Index, ProblemKind, Removed, V1};
use crate::{ApprovalFilter, Host, MessageFilter, PolicyChange, RemoveError, TaskFilter};

/// Tasks that are looked at at a time.
const PAGE: usize = 1000;
/// What there is.
const LINKS: [&str; 8] = ["tasks", "events", "approvals", "plugins", "schedules", "messages", "health", "stop"];

pub(super) async fn index(State(desk): State<Arc<Desk>>, Params(()): Params<()>) -> Json<Index> {
    Json(Index {
        name: "taskcell".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: API,
        process: std::process::id(),
        data: desk.data.clone(),
        links: LINKS.iter().map(|name| ((*name).to_owned(), format!("{V1}/{name}"))).collect(),
    })
}

pub(super) async fn health(State(desk): State<Arc<Desk>>, Params(()): Params<()>) -> Json<Health> {
    let host = &desk.host;
    let (status, detail) = store(host);
    Json(Health {
        status: status.to_owned(),
        detail,
        live: host.running().len(),
        approvals: host.approvals(&ApprovalFilter::default()).len(),
        messages: host.messages().open(&MessageFilter::default()),
        plugins: host.plugins().len(),
    })
}

/// How the host's store is: a word, and a sentence when it does not work.
#[cfg(feature = "sqlite")]
fn store(host: &Host) -> (&'static str, Option<String>) {
    let health = host.store_health().map(|health| health.borrow().clone());
    match health {
        None | Some(StoreHealth::Working) => ("ok", None),
        Some(health @ StoreHealth::Full { .. }) => ("disk-full", Some(health.to_string())),
        Some(health @ StoreHealth::Failed { .. }) => ("store-failed", Some(health.to_string())),
    }
}

#[cfg(not(feature = "sqlite"))]
fn store(_: &Host) -> (&'static str, Option<String>) {
    ("ok", None)
}

pub(super) async fn reload_policy(
    State(desk): State<Arc<Desk>>,
    Params(()): Params<()>,
) -> Result<Json<PolicyChange>, Refusal> {
    let without = "this server has no policy; start it again with one, as in `taskcell serve --policy FILE`";
    let reload = desk.reload.clone().ok_or_else(|| Refusal::new(ProblemKind::Refused, without))?;
    let broken = |_| Refusal::new(ProblemKind::Internal, "the server's threads are gone");
    let done = tokio::task::spawn_blocking(move || reload()).await.map_err(broken)?;
    done.map(Json).map_err(|why| Refusal::new(ProblemKind::Refused, why))
}

pub(super) async fn gc(State(desk): State<Arc<Desk>>, Body(gc): Body<Gc>) -> Result<Json<Removed>, Refusal> {
    let mut filter = TaskFilter::default().ended();
    (filter.plugin, filter.session) = (gc.plugin, gc.session);
    let (mut counted, mut after) = (Removed::default(), None);
    loop {
        let page = desk.host.list(&filter, after, PAGE);
        let now = desk.clock.date();
        for task in page.tasks {
            let age = now.since(task.ended_at.unwrap_or(now));
            if age < gc.older_than {
                counted.left += 1;
                continue;
            }
            match desk.host.remove(task.id).await {
                Ok(()) => counted.removed += 1,
                // Somebody else was faster.
                Err(RemoveError::Unknown(_)) => {}
                Err(error @ RemoveError::Running(_)) => return Err(error.into()),
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(Json(counted));
        }
    }
}
