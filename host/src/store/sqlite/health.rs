//! How a store is.

use std::fmt;

use tokio::sync::watch;

use crate::model::time::Timestamp;

/// How a store in a file is. It changes while the store is open: see [`SqliteStore::health`](super::SqliteStore::health).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreHealth {
    /// It writes.
    Working,
    /// There is no room on the disk: what belongs to streams that exist waits, and new streams are refused. It goes on by
    /// itself when there is room.
    Full {
        /// Since when.
        since: Timestamp,
    },
    /// It cannot write any more, and must be opened anew: the disk has failed, or was made read-only. What was answered before
    /// is as safe as it was; whoever was not answered does not know.
    Failed {
        /// What the system says.
        why: String,
    },
}

impl fmt::Display for StoreHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Working => f.write_str("the store works"),
            Self::Full { .. } => f.write_str("the disk has no room; the store goes on by itself when there is some"),
            Self::Failed { why } => write!(f, "the store has failed and must be opened anew: {why}"),
        }
    }
}

/// Where the writer says how it is.
#[derive(Debug)]
pub(super) struct Pulse(watch::Sender<StoreHealth>);

impl Pulse {
    pub(super) fn new() -> (Self, watch::Receiver<StoreHealth>) {
        let (pulse, health) = watch::channel(StoreHealth::Working);
        (Self(pulse), health)
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(*self.0.borrow(), StoreHealth::Failed { .. })
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(*self.0.borrow(), StoreHealth::Full { .. })
    }

    pub(super) fn works(&self) {
        self.0.send_if_modified(|health| match health {
            StoreHealth::Full { .. } => {
                *health = StoreHealth::Working;
                true
            }
            StoreHealth::Working | StoreHealth::Failed { .. } => false,
        });
    }

    pub(super) fn full(&self, since: Timestamp) {
        self.0.send_if_modified(|health| match health {
            StoreHealth::Working => {
                *health = StoreHealth::Full { since };
                true
            }
            StoreHealth::Full { .. } | StoreHealth::Failed { .. } => false,
        });
    }

    /// The first reason is the one that counts.
    pub(super) fn failed(&self, why: &str) {
        self.0.send_if_modified(|health| match health {
            StoreHealth::Working | StoreHealth::Full { .. } => {
                *health = StoreHealth::Failed { why: why.to_owned() };
                true
            }
            StoreHealth::Failed { .. } => false,
        });
    }
}
