//! The end of what a task printed, for a model.

use std::collections::VecDeque;

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
    let (mut pieces, mut kept, mut lost, mut cut, mut cursor) = (VecDeque::new(), 0, 0, false, after);
    loop {
        let page = task.output(cursor).await;
        if page.is_empty() {
            break;
        }
        (cursor, lost) = (page.next, lost + page.lost);
        for OutputChunk { source, text } in page.chunks {
            kept += text.len();
            pieces.push_back((source, text));
            // What is before the last bytes is not shown, whatever it takes in the answer.
            while pieces.front().is_some_and(|(_, first): &(_, String)| kept - first.len() >= bytes) {
                kept -= pieces.pop_front().map_or(0, |(_, first)| first.len());
                cut = true;
            }
        }
    }
    let (mut shown, mut left) = (Vec::new(), bytes);
    for (source, text) in pieces.iter().rev() {
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
        .with_some("pieces_lost", (lost > 0).then_some(lost))
        .with("next", serde_json::to_value(cursor).unwrap_or_default())
        .done()
}

fn name(source: &OutputSource) -> String {
    match source {
        OutputSource::Stdout => "stdout".to_owned(),
        OutputSource::Stderr => "stderr".to_owned(),
        OutputSource::Log { level, target } => format!("log {level} {}", head(target, TARGET_BYTES_MAX)),
    }
}
