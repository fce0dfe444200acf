//! A moment on the wall clock, as a value.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970 in UTC. For people and records; nothing is decided by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);
