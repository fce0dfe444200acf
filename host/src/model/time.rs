//! A moment on the wall clock, as a value.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970 in UTC. For people and records; nothing is decided by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment so much later.
    pub(crate) fn after(self, time: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time from another moment to this one; none when this is the earlier one.
    pub(crate) fn since(self, then: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(then.0))
    }
}
