//! What becomes of a task's scratch directory when the task is over.

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;

/// Whether a task's scratch directory stays after its end, for people to look at. It goes with the task then, at the
/// latest with the host. What is in it comes from the guest: its names and links are not to be trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScratchPolicy {
    /// It goes with the cell, whatever the end.
    #[default]
    Remove,
    /// It stays when the task did not succeed.
    KeepOnFailure,
    /// It stays.
    Keep,
}

impl ScratchPolicy {
    /// Whether it stays after this end.
    pub(crate) fn keeps(self, outcome: Option<&Outcome>) -> bool {
        match self {
            Self::Remove => false,
            Self::KeepOnFailure => !matches!(outcome, Some(Outcome::Succeeded { .. })),
            Self::Keep => true,
        }
    }
}
