//! Stopping many tasks at once.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;

use crate::serve::desk::Desk;
use crate::serve::reading::Body;
use crate::serve::wire::{StopBody, Stops};
use crate::{CancelRequest, Party};

/// When those that still live are stopped where they are, unless the request says otherwise, or its grace is longer: twice the
/// grace that there is without one.
const DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn stop(State(desk): State<Arc<Desk>>, Body(body): Body<StopBody>) -> Json<Stops> {
    let grace = body.grace.unwrap_or(CancelRequest::DEFAULT_GRACE);
    let request = CancelRequest::new(Party::Person, body.reason).grace(grace);
    let deadline = desk.patience(body.deadline.unwrap_or(DEADLINE.max(grace)));
    Json(desk.host.stop_all(&body.scope.into(), request, deadline).await.into())
}
