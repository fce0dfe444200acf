//! What a cancel came to: for a person in a few lines, for a program as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::text;
use crate::{CancelReceipt, Effect};

/// Effects that are listed. All of them are in `--json`.
const EFFECTS_MAX: usize = 10;
/// Bytes of a message that are shown.
const MESSAGE_BYTES_MAX: usize = 100;

/// When it was asked for, when it was done, and what had been done before. All of it is indented.
pub(in crate::cli) fn lines(receipt: &CancelReceipt) -> Vec<String> {
    let (outcome, gone) = (text::elapsed(receipt.to_outcome), text::elapsed(receipt.to_gone));
    let by = receipt.request.by;
    let mut lines = vec![format!("  asked by {by}; the outcome stood after {outcome}, the cell was gone after {gone}")];
    let effects = &receipt.effects;
    lines.push(match (effects.is_empty(), receipt.effects_complete) {
        (true, true) => "  it had done nothing outside its cell".to_owned(),
        (true, false) => "  what it had done outside its cell cannot be read".to_owned(),
        (false, true) => "  done before, and not undone:".to_owned(),
        (false, false) => "  done before, and not undone (there may be more, which cannot be read):".to_owned(),
    });
    lines.extend(effects.iter().take(EFFECTS_MAX).map(|effect| format!("    {}", words(effect))));
    match effects.len().saturating_sub(EFFECTS_MAX) {
        0 => {}
        more => lines.push(format!("    … and {more} more; --json writes them all")),
    }
    lines
}

fn words(effect: &Effect) -> String {
    match effect {
        Effect::AgentMessage { message, .. } => {
            format!("a message to the agent: {}", text::clip(message, MESSAGE_BYTES_MAX))
        }
        Effect::SignalSent { target, key, .. } => format!("the signal `{key}` to {target}"),
        Effect::HostCalled { name, .. } => format!("a call of `{name}`"),
        Effect::ArtifactAttached { artifact, .. } => {
            format!("the file {} ({})", text::clip(&artifact.name, MESSAGE_BYTES_MAX), text::bytes(artifact.size))
        }
    }
}

/// The receipt for a program. The outcome is beside it.
pub(super) fn document(receipt: &CancelReceipt) -> Value {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    json!({
        "by": receipt.request.by,
        "reason": receipt.request.reason,
        "grace_ms": millis(receipt.request.grace),
        "asked_at": receipt.asked_at,
        "outcome_at": receipt.outcome_at,
        "gone_at": receipt.gone_at,
        "to_outcome_ms": millis(receipt.to_outcome),
        "to_gone_ms": millis(receipt.to_gone),
        "effects": receipt.effects,
        "effects_complete": receipt.effects_complete,
    })
}

#[cfg(test)]
mod tests {
    use crate::{CancelRequest, EventSeq, Outcome, Party, Timestamp};

    use super::*;

    fn receipt(effects: Vec<Effect>) -> CancelReceipt {
        CancelReceipt {
            request: CancelRequest::new(Party::Person, "Ctrl-C"),
            asked_at: Timestamp(1000),
            outcome: Outcome::Succeeded { message: String::new(), data: None },
            outcome_at: Timestamp(6000),
            gone_at: Timestamp(6010),
            to_outcome: Duration::from_millis(5003),
            to_gone: Duration::from_millis(5110),
            effects,
            effects_complete: true,
        }
    }

    fn message(number: usize) -> Effect {
        Effect::AgentMessage { seq: EventSeq(1), message: format!("message {number}") }
    }

    #[test]
    fn the_moments_and_the_effects_are_told() {
        assert_eq!(
            lines(&receipt(Vec::new())),
            [
                "  asked by a person; the outcome stood after 5.0s, the cell was gone after 5.1s",
                "  it had done nothing outside its cell",
            ]
        );
        let told = lines(&receipt(vec![message(1)]));
        assert_eq!(told[1..], ["  done before, and not undone:", "    a message to the agent: message 1"]);
    }

    #[test]
    fn many_effects_are_cut_for_a_person_and_not_for_a_program() {
        let many = receipt((0..25).map(message).collect());
        let told = lines(&many);
        assert_eq!((told.len(), told.last().unwrap().as_str()), (13, "    … and 15 more; --json writes them all"));
        let document = document(&many);
        assert_eq!((document["effects"].as_array().unwrap().len(), &document["to_gone_ms"]), (25, &json!(5110)));
        assert_eq!(document["effects"][0]["effect"], "agent-message");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let unread = CancelReceipt { effects_complete: false, ..receipt(Vec::new()) };
        assert!(lines(&unread)[1].contains("cannot be read"));
    }
}
