//! Signals: what is sent to a task, by whom, and what became of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{TaskId, TaskRef};

/// Who did something to a task. The host writes it; nobody can claim to be somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Party {
    /// A person, at a terminal or in a browser.
    Person,
    /// The agent that the task works for.
    Agent,
    /// The program that embeds the host.
    Host,
    /// Another task.
    Task(TaskId),
    /// The task itself.
    Itself,
}

impl Party {
    /// Whether it is a guest: the task itself, or another one.
    pub(crate) fn is_guest(self) -> bool {
        match self {
            Self::Task(_) | Self::Itself => true,
            Self::Person | Self::Agent | Self::Host => false,
        }
    }

    /// The word that the contract uses for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Agent => "agent",
            Self::Host => "host",
            Self::Task(_) => "task",
            Self::Itself => "self",
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person => f.write_str("a person"),
            Self::Agent => f.write_str("the agent"),
            Self::Host => f.write_str("the host"),
            Self::Task(id) => write!(f, "task {id}"),
            Self::Itself => f.write_str("the task itself"),
        }
    }
}

/// A signal as it was taken or is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Signal {
    /// What came along. `None` is no payload at all, which is not `Some(Value::Null)`.
    #[serde(default, with = "present", skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Who sent it.
    pub sender: Party,
    /// Which task sent it, when one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRef>,
}

impl Signal {
    /// A signal that no task sent.
    pub(crate) fn new(payload: Option<Value>, sender: Party) -> Self {
        Self { payload, sender, task: None }
    }
}

/// From whom a wait takes signals. The default is from everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Senders(Vec<SenderClass>);

/// A kind of sender, as the contract names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SenderClass {
    /// A person.
    Person,
    /// The agent.
    Agent,
    /// The program that embeds the host.
    Host,
    /// Another task.
    Task,
    /// The task itself.
    #[serde(rename = "self")]
    Itself,
}

impl Senders {
    /// From these only; from everybody when there are none.
    pub fn only(classes: impl IntoIterator<Item = SenderClass>) -> Self {
        Self(classes.into_iter().collect())
    }

    /// Whether a signal of this sender is taken.
    pub fn allow(&self, sender: Party) -> bool {
        let class = match sender {
            Party::Person => SenderClass::Person,
            Party::Agent => SenderClass::Agent,
            Party::Host => SenderClass::Host,
            Party::Task(_) => SenderClass::Task,
            Party::Itself => SenderClass::Itself,
        };
        self.0.is_empty() || self.0.contains(&class)
    }

    /// Whether everybody is allowed.
    pub fn is_everybody(&self) -> bool {
        self.0.is_empty()
    }
}

impl SenderClass {
    /// The class of this name, as the contract writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "person" => Self::Person,
            "agent" => Self::Agent,
            "host" => Self::Host,
            "task" => Self::Task,
            "self" => Self::Itself,
            _ => return None,
        })
    }
}

/// Something that was said to a running task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// What was said.
    pub text: String,
    /// Who said it.
    pub by: Party,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NotifyAnswer {
    /// The task was waiting for it and has it.
    Delivered,
    /// It is kept until the task waits for it.
    Buffered,
    /// There is no such task, or it has ended.
    NoTask,
    /// Too many signals are kept already; this one was not taken.
    Full,
}

pub(crate) mod present {
    //! Tells an absent value from a JSON `null`, which serde's `Option` takes for the same.

    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    #[expect(clippy::ref_option, reason = "the shape serde asks for")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<Value>, to: S) -> Result<S::Ok, S::Error> {
        value.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(from).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_null_and_false_stay_three_things() {
        for payload in [None, Some(Value::Null), Some(Value::Bool(false))] {
            let signal = Signal::new(payload, Party::Host);
            let text = serde_json::to_string(&signal).unwrap();
            assert_eq!(serde_json::from_str::<Signal>(&text).unwrap(), signal, "{text}");
        }
    }
}
