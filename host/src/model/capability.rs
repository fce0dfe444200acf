//! The names of what a plugin may ask for and an operator may grant.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of thing that a task may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Capability {
    /// Folders of the host.
    Fs,
    /// Requests to other machines.
    Http,
    /// Environment variables.
    Env,
    /// Secrets, which the host puts into requests and the guest never sees.
    Secrets,
    /// Other plugins' tasks, as children.
    Tasks,
    /// Tasks outside of its own tree: sending them signals, ending their waits.
    Signal,
    /// Messages to the agent.
    Agent,
    /// The plugin's own store.
    Kv,
    /// The embedding program's functions, each by its name.
    Host,
    /// The time of day.
    ClockWall,
    /// Random numbers that nobody can foretell.
    Random,
}

impl Capability {
    /// All that there are.
    pub const ALL: [Self; 11] = [
        Self::Fs,
        Self::Http,
        Self::Env,
        Self::Secrets,
        Self::Tasks,
        Self::Signal,
        Self::Agent,
        Self::Kv,
        Self::Host,
        Self::ClockWall,
        Self::Random,
    ];

    /// Its name, as manifests and policies write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fs => "fs",
            Self::Http => "http",
            Self::Env => "env",
            Self::Secrets => "secrets",
            Self::Tasks => "tasks",
            Self::Signal => "signal",
            Self::Agent => "agent",
            Self::Kv => "kv",
            Self::Host => "host",
            Self::ClockWall => "clock-wall",
            Self::Random => "random",
        }
    }

    /// The capability of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }

    /// Whether every task has it unless it is taken away: what a program cannot do much harm with, and hardly does without.
    pub fn is_ambient(self) -> bool {
        match self {
            Self::Agent | Self::ClockWall | Self::Random => true,
            Self::Fs | Self::Http | Self::Env | Self::Secrets | Self::Tasks | Self::Signal | Self::Kv | Self::Host => {
                false
            }
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_capability_has_one_name_everywhere() {
        for capability in Capability::ALL {
            assert_eq!(Capability::from_name(capability.name()), Some(capability));
            assert_eq!(serde_json::to_value(capability).unwrap(), capability.name());
        }
        assert_eq!(Capability::from_name("sockets"), None);
    }
}
