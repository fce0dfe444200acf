//! What is kept of a task as a file: what it attached, and its activity written out.

use axum::body::Body as Sent;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::serve::reading::{Named, Numbered, Params};
use crate::serve::refusal::Refusal;
use crate::serve::wire::{ExportQuery, ProblemKind};
use crate::{ExportFormat, TaskHandle};

/// What a file is of whose type nothing fit is said.
const UNKNOWN: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A plugin wrote it: no program is to guess what it is, or to show it by itself.
fn inert(kind: HeaderValue) -> [(HeaderName, HeaderValue); 3] {
    [
        (CONTENT_TYPE, kind),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ]
}

pub(super) async fn artifact(
    Named(task): Named,
    Numbered(number): Numbered<u32>,
    Params(()): Params<()>,
) -> Result<Response, Refusal> {
    let known = task.state().artifacts.into_iter().find(|artifact| artifact.number == number);
    let Some(artifact) = known else {
        return Err(Refusal::new(ProblemKind::UnknownArtifact, format!("the task has no file {number}")));
    };
    let content = task.read_artifact(number).await;
    let content =
        content.map_err(|error| Refusal::new(ProblemKind::Internal, format!("the file cannot be read: {error}")))?;
    let kind = HeaderValue::from_str(&artifact.media_type).unwrap_or(UNKNOWN);
    Ok((inert(kind), content).into_response())
}

pub(super) async fn export(
    axum::extract::State(desk): axum::extract::State<std::sync::Arc<crate::serve::desk::Desk>>,
    Named(task): Named,
    Params(query): Params<ExportQuery>,
) -> Response {
    let export =
        if query.tree { desk.host.export_tree(&task, query.format) } else { TaskHandle::export(&task, query.format) };
    let kind = HeaderValue::from_static(match query.format {
        ExportFormat::JsonLines => "application/jsonl; charset=utf-8",
        ExportFormat::Page => "text/markdown; charset=utf-8",
    });
    // Piece by piece; one that cannot be read ends the answer before its end, which clients notice.
    let pieces = stream::try_unfold(export, |mut export| async move {
        Ok::<_, crate::StoreError>(export.next().await?.map(|piece| (piece, export)))
    });
    (inert(kind), Sent::from_stream(pieces)).into_response()
}
