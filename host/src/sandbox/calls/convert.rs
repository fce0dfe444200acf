//! Between the contract's values and ours.

use serde_json::Value;

use crate::model::ids::{InvalidKey, SignalKey, TaskKey, TaskRef};
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
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| Refusal::new(RefusalKind::InvalidArgument, format!("the payload is not JSON: {error}")))
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
