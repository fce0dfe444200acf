//! What things are called: ids, keys and references, each a type of its own.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest key, in bytes: enough for a path or a URL, too short to be used as storage.
const KEY_BYTES_MAX: usize = 256;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, read where $somebody_reads:meta) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "uuid::serde::simple")] uuid::Uuid);

        impl $name {
            /// Makes an id of 128 bits that the caller took from a good source of randomness.
            pub(crate) fn from_random(bits: u128) -> Self {
                Self(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
            }

            /// One of its random bytes: what goes by it is spread evenly.
            pub(crate) fn any_byte(self) -> u8 {
                let [.., last] = self.0.into_bytes();
                last
            }

            /// Reads one; it is written in one way only.
            #[cfg($somebody_reads)]
            pub(crate) fn parse(text: &str) -> Option<Self> {
                uuid::Uuid::parse_str(text).ok().map(Self).filter(|id| id.to_string() == text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.simple().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

id! {
    /// Names one run of a task. It cannot be guessed (128 bits, 122 of them random), and knowing it authorises nothing.
    TaskId, read where all()
}
id! {
    /// Names a schedule. It cannot be guessed, and knowing it authorises nothing.
    ScheduleId, read where any(test, feature = "fuzzing", feature = "serve")
}

/// A key that is empty, too long, or holds control characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key has 1 to {KEY_BYTES_MAX} bytes and no control characters; this one {what}")]
pub struct InvalidKey {
    what: &'static str,
}

fn check_key(text: &str) -> Result<(), InvalidKey> {
    let what = if text.is_empty() {
        "is empty"
    } else if text.len() > KEY_BYTES_MAX {
        "is longer"
    } else if text.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Ok(());
    };
    Err(InvalidKey { what })
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text and makes a key of it.
            ///
            /// # Errors
            /// When the text is empty, longer than 256 bytes, or holds control characters.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidKey> {
                let text = text.into();
                check_key(&text)?;
                Ok(Self(text))
            }

            /// The key's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidKey;
            fn try_from(text: String) -> Result<Self, InvalidKey> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(key: $name) -> String {
                key.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

key! {
    /// What a task waits for and what a signal is sent to.
    SignalKey
}
key! {
    /// The name a caller gives to a task within its type; one task at a time may have it.
    TaskKey
}

impl TaskKey {
    /// Whether it is written as an id is: such keys are kept for tasks that are started without one.
    pub(crate) fn is_like_an_id(&self) -> bool {
        self.0.len() == 32 && self.0.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    }

    /// The id of the task that was started without a key, if this is the key of one.
    pub(crate) fn as_id(&self) -> Option<TaskId> {
        self.is_like_an_id().then(|| TaskId::parse(&self.0)).flatten()
    }
}

impl From<TaskId> for TaskKey {
    /// The key of a task that was started without one.
    fn from(id: TaskId) -> Self {
        Self(id.to_string())
    }
}

/// Which task is meant. The parts are compared one by one and never joined, so ("a", "b:c") is not ("a:b", "c").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskRef {
    /// The plugin's name.
    pub plugin: String,
    /// The task type's name.
    pub task_type: String,
    /// The task's key.
    pub key: TaskKey,
}

impl fmt::Display for TaskRef {
    /// For people only: the text is not unique and is never parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} [{}]", self.plugin, self.task_type, self.key)
    }
}

/// The SHA-256 of a plugin's file: what a grant or a compiled artifact is bound to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginDigest([u8; 32]);

impl PluginDigest {
    /// Hashes the bytes of a plugin file.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    pub(crate) fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for PluginDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Serialize for PluginDigest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PluginDigest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        super::wire::sha256(from).map(Self)
    }
}

impl fmt::Debug for PluginDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PluginDigest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked() {
        assert!(SignalKey::new("approval").is_ok());
        assert!(SignalKey::new("ключ: α/β").is_ok());
        assert!(SignalKey::new("").is_err());
        assert!(SignalKey::new("a\nb").is_err());
        assert!(SignalKey::new("a".repeat(256)).is_ok());
        assert!(SignalKey::new("a".repeat(257)).is_err());
    }

    /// Two references whose parts join to the same text are two references.
    #[test]
    fn f12_parts_are_never_joined() {
        let one = TaskRef { plugin: "a".into(), task_type: "b:c".into(), key: TaskKey::new("k").unwrap() };
        let two = TaskRef { plugin: "a:b".into(), task_type: "c".into(), key: TaskKey::new("k").unwrap() };
        assert_ne!(one, two);
    }
}
