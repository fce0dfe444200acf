//! The values of waiting for more than one signal, and of reaching more than one task.

use crate::values::{Sender, Signal};

/// What a wait for several signals is for: the keys, and from whom. See [`TaskCtl::wait_any`](crate::TaskCtl::wait_any).
///
/// An array or a slice of keys becomes one that takes signals from everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitFor {
    keys: Vec<String>,
    senders: Vec<Sender>,
}

impl WaitFor {
    /// A signal with one of these keys, from anybody. At least one key, and at most 64.
    pub fn any_of<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self { keys: keys.into_iter().map(Into::into).collect(), senders: Vec::new() }
    }

    /// From such a sender only, and from those that were named before. Signals of others stay for a wait that wants
    /// them.
    #[must_use]
    pub fn from_sender(mut self, sender: Sender) -> Self {
        self.senders.push(sender);
        self
    }

    /// The keys.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// From whom; from everybody when it is empty.
    pub fn senders(&self) -> &[Sender] {
        &self.senders
    }
}

impl<K: Into<String>, const N: usize> From<[K; N]> for WaitFor {
    fn from(keys: [K; N]) -> Self {
        Self::any_of(keys)
    }
}

impl<K: Clone + Into<String>> From<&[K]> for WaitFor {
    fn from(keys: &[K]) -> Self {
        Self::any_of(keys.iter().cloned())
    }
}

/// A signal that was taken by a wait for several keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken<T> {
    /// The key it was sent to.
    pub key: String,
    /// The signal.
    pub signal: Signal<T>,
}

/// Whom a signal is for, when it is not for one task alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The tasks of this task's tree: its oldest ancestor and everything below.
    Tree,
    /// The tasks of this task's session. Needs the capability `signal`.
    Session,
}

/// How many tasks of a scope a signal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The one that has waited longest; when none waits, the one that was started first.
    First,
    /// Each of them.
    All,
}

/// Something that was said to the task while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What was said.
    pub text: String,
    /// Who said it.
    pub sender: Sender,
}
