//! What a task printed and logged.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::serve::desk::Desk;
use crate::serve::reading::{Named, Params};
use crate::{OutputQuery, OutputText, OutputWait};

/// Bytes of text in an answer. Protects the server's memory.
const BYTES_MAX: usize = 4 << 20;
/// Lines of a tail, for the same reason: an empty one takes room too.
const LINES_MAX: usize = 100_000;

pub(super) async fn read(
    State(desk): State<Arc<Desk>>,
    Named(task): Named,
    Params(mut query): Params<OutputQuery>,
) -> Json<OutputText> {
    query.bytes_max = query.bytes_max.min(BYTES_MAX);
    query.timeout = desk.patience(query.timeout);
    if let crate::OutputFrom::Tail(lines) = &mut query.from {
        *lines = (*lines).min(LINES_MAX);
    }
    let at_once = OutputQuery { wait: OutputWait::No, ..query.clone() };
    tokio::select! {
        text = task.read_output(query) => Json(text),
        () = desk.closing() => Json(task.read_output(at_once).await),
    }
}
