//! One thing that a guest is about to do and that has to be granted.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::capability::Capability;

use super::Access;
use super::http::HttpTouch;

/// What a guest is about to do: a capability, and what it is to be used on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Touch {
    /// To read a folder, or to write it.
    Dir { host: PathBuf, guest: String, access: Access },
    /// To send a request.
    Http(HttpTouch),
    /// To read this environment variable.
    Env(String),
    /// To have this secret put into a request.
    Secret(String),
    /// To start a task of this plugin.
    Tasks(String),
    /// To reach tasks outside of its own tree.
    Signal,
    /// To tell the agent something.
    Agent,
    /// To use its plugin's store.
    Kv,
    /// To call this function of the embedding program's.
    Function(String),
    /// To learn the time of day.
    ClockWall,
    /// To get random numbers.
    Random,
}

impl Touch {
    pub(crate) fn capability(&self) -> Capability {
        match self {
            Self::Dir { .. } => Capability::Fs,
            Self::Http(_) => Capability::Http,
            Self::Env(_) => Capability::Env,
            Self::Secret(_) => Capability::Secrets,
            Self::Tasks(_) => Capability::Tasks,
            Self::Signal => Capability::Signal,
            Self::Agent => Capability::Agent,
            Self::Kv => Capability::Kv,
            Self::Function(_) => Capability::Host,
            Self::ClockWall => Capability::ClockWall,
            Self::Random => Capability::Random,
        }
    }

    /// What the capability is to be used on, as a guest may know it: empty when it is one thing only.
    pub(crate) fn scope(&self) -> String {
        match self {
            Self::Dir { guest, access, .. } => match access {
                Access::Read => format!("read {guest}"),
                Access::ReadWrite => format!("write {guest}"),
            },
            Self::Http(request) => request.to_string(),
            Self::Env(name) | Self::Secret(name) | Self::Function(name) => name.clone(),
            Self::Tasks(plugin) => plugin.clone(),
            Self::Signal | Self::Agent | Self::Kv | Self::ClockWall | Self::Random => String::new(),
        }
    }
}

impl fmt::Display for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (capability, scope) = (self.capability(), self.scope());
        if capability == Capability::Host {
            return write!(f, "host:{scope}");
        }
        if scope.is_empty() { write!(f, "{capability}") } else { write!(f, "{capability} {scope}") }
    }
}
