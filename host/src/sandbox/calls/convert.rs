//! Between the contract's values and ours.

use serde_json::Value;

use crate::model::ids::{InvalidKey, SignalKey, TaskKey, TaskRef};
use crate::model::json;
use crate::model::machine::{Refusal, RefusalKind};
use crate::model::signal::{NotifyAnswer, SenderClass, Senders, Signal};
use crate::sandbox::bindings::taskcell::plugin::{signals, types};

impl From<Refusal> for types::Refusal {
    fn from(refusal: Refusal) -> Self {
        Self { kind: refusal.kind.word().to_owned(), message: refusal.message }
    }
}

impl From<InvalidKey> for Refusal {
    fn from(error: InvalidKey) -> Self {
        Self::new(RefusalKind::InvalidArgument, error.to_string())
    }
}

impl From<Signal> for signals::Signal {
    fn from(signal: Signal) -> Self {
        Self {
            payload: signal.payload.map(|value| value.to_string()),
            sender: signal.sender.word().to_owned(),
            sender_task: signal.task.map(|task| types::TaskRef {
                plugin: task.plugin,
                task_type: task.task_type,
                key: task.key.into(),
            }),
        }
    }
}

impl From<NotifyAnswer> for signals::NotifyResult {
    fn from(answer: NotifyAnswer) -> Self {
        match answer {
            NotifyAnswer::Delivered => Self::Delivered,
            NotifyAnswer::Buffered => Self::Buffered,
            NotifyAnswer::NoTask => Self::NoTask,
            NotifyAnswer::Full => Self::Full,
        }
    }
}

pub(super) fn signal_key(text: String) -> Result<SignalKey, Refusal> {
    Ok(SignalKey::new(text)?)
}

pub(super) fn senders(names: &[String]) -> Result<Senders, Refusal> {
    let unknown = |name: &String| {
        let message = format!("{name:?} is no sender: there are person, agent, host, task and self");
        Refusal::new(RefusalKind::InvalidArgument, message)
    };
    let classes: Result<Vec<SenderClass>, Refusal> =
        names.iter().map(|name| SenderClass::from_name(name).ok_or_else(|| unknown(name))).collect();
    Ok(Senders::only(classes?))
}

pub(super) fn task_ref(reference: types::TaskRef) -> Result<TaskRef, Refusal> {
    let types::TaskRef { plugin, task_type, key } = reference;
    Ok(TaskRef { plugin, task_type, key: TaskKey::new(key)? })
}

pub(super) fn json(text: Option<String>) -> Result<Option<Value>, Refusal> {
    text.map(|text| parsed(&text, "the payload")).transpose()
}

/// A value of the guest's, by the name it has in a refusal.
pub(super) fn parsed(text: &str, what: &str) -> Result<Value, Refusal> {
    json::parse(text).map_err(|error| Refusal::new(error.kind(), format!("{what} {error}")))
}

/// Bytes of a list of texts that crossed.
pub(super) fn carried(texts: &[String]) -> usize {
    texts.iter().map(|text| size_of::<String>() + text.len()).sum()
}

/// Bytes of a task's reference that crossed.
pub(super) fn ref_bytes(reference: &types::TaskRef) -> usize {
    let types::TaskRef { plugin, task_type, key } = reference;
    plugin.len() + task_type.len() + key.len()
}

/// A message for people: bounded, so that the log stays readable and small.
pub(super) fn message(text: String) -> Result<String, Refusal> {
    /// Bytes of a progress message, an agent message or a log line. Protects the event log from the guest.
    const MESSAGE_BYTES_MAX: usize = 64 << 10;
    if text.len() <= MESSAGE_BYTES_MAX {
        Ok(text)
    } else {
        let message = format!("a message has at most {MESSAGE_BYTES_MAX} bytes, this one has {}", text.len());
        Err(Refusal::new(RefusalKind::TooLarge, message))
    }
}

/// The beginning of a text that must not be refused.
pub(super) fn clipped(mut text: String) -> String {
    /// Bytes of a panic message or a log line that are kept.
    const CLIP_BYTES: usize = 16 << 10;
    if text.len() > CLIP_BYTES {
        text.truncate(text.floor_char_boundary(CLIP_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_too_many_values_is_too_large_and_one_that_is_none_is_invalid() {
        let list = |length: usize| Some(format!("[{}]", vec!["0"; length].join(",")));
        let refused = json(list(100_000)).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::TooLarge);
        assert_eq!(refused.message, "the payload has more than 100000 values");
        assert!(json(list(99_999)).is_ok());
        let refused = json(Some("{".to_owned())).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::InvalidArgument);
        assert!(refused.message.starts_with("the payload is not JSON: "), "{}", refused.message);
    }
}
