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

    /// The moment as jiff has it; `None` when it is too far away for that.
    pub(crate) fn instant(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_millisecond(i64::try_from(self.0).ok()?).ok()
    }

    /// A moment of jiff's; `None` before 1970.
    pub(crate) fn of_instant(at: jiff::Timestamp) -> Option<Self> {
        u64::try_from(at.as_millisecond()).ok().map(Self)
    }
}
