//! What a host needs to go on with a task after it was itself started again, and no event tells.

use serde::{Deserialize, Serialize};

use super::grants::Grants;
use super::idempotency::{Fingerprint, OnceKey};
use super::ids::PluginDigest;

/// A task's papers: written with its first event, and told to nobody. They hold what its events do not, because whoever
/// follows a task need not see it: the values of environment variables, for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskPapers {
    /// Whose code it runs. No other code goes on with it.
    pub plugin: PluginDigest,
    /// What it may touch, as far as whoever started it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Box<Grants>>,
    /// What was asked for with its idempotency key, which is in its details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<Fingerprint>,
    /// That key with its session, where the details say another one: those of a child have its parent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) once: Option<OnceKey>,
    /// The number of the place where its attachments are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attachments: Option<u64>,
    /// Whether it works for somebody who went with the host: it makes a plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) untold: bool,
}

impl TaskPapers {
    /// The papers of a task that runs this code and may touch nothing.
    pub fn new(plugin: PluginDigest) -> Self {
        Self { plugin, grants: None, fingerprint: None, once: None, attachments: None, untold: false }
    }
}
