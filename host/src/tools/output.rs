//! The end of what a task printed, for a model.

use serde_json::{Value, json};

use crate::{OutputChunk, OutputCursor, OutputSource, TaskHandle};

use super::answer::{Fields, head, tail};

/// Bytes of output that a model gets when it does not say how many.
pub(super) const TAIL_BYTES_DEFAULT: u32 = 4_000;
/// The most that it gets at once.
pub(super) const TAIL_BYTES_MAX: u32 = 32_000;
/// Bytes that each piece takes beside its text: short writes count, too.
const PIECE_BYTES: usize = 32;
/// Bytes of the name of a part of the plugin that logs.
const TARGET_BYTES_MAX: usize = 64;

/// What came after the cursor, the last of it.
pub(super) async fn end_of(task: &TaskHandle, after: OutputCursor, bytes: u32) -> Value {
    let bytes = usize::try_from(bytes.min(TAIL_BYTES_MAX)).unwrap_or(usize::MAX);
    // A task may print faster than it is read: what comes from now on is for the next call.
    let (page, mut cut) = task.last_output(after, bytes).await;
    let (mut shown, mut left) = (Vec::new(), bytes);
    for OutputChunk { source, text } in page.chunks.iter().rev() {
        let (end, used) = tail(text, left.saturating_sub(PIECE_BYTES));
        cut |= end.len() < text.len();
        if end.is_empty() {
            break;
        }
        left = left.saturating_sub(used + PIECE_BYTES);
        shown.push(json!({ "from": name(source), "text": end }));
    }
    shown.reverse();
    Fields::default()
        .with("task", task.id().to_string())
        .with("output", shown)
        .with_some("earlier_left_out", cut.then_some(true))
        .with_some("pieces_lost", (page.lost > 0).then_some(page.lost))
        .with("next", serde_json::to_value(page.next).unwrap_or_default())
        .done()
}

fn name(source: &OutputSource) -> String {
    match source {
        OutputSource::Stdout => "stdout".to_owned(),
        OutputSource::Stderr => "stderr".to_owned(),
        OutputSource::Log { level, target } => format!("log {level} {}", head(target, TARGET_BYTES_MAX)),
    }
}
