//! What a task may touch. Nothing by default; a grant is given by the operator and can only shrink.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A thing that a plugin may ask for and an operator may grant by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// To read folders that the operator names; granted with [`DirGrant`].
    DirRead,
    /// To write folders that the operator names; granted with [`DirGrant`].
    DirWrite,
    /// To send signals to tasks other than itself.
    Signal,
}

impl Capability {
    /// The capability of this name, as a manifest or an operator writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "dir-read" => Some(Self::DirRead),
            "dir-write" => Some(Self::DirWrite),
            "signal" => Some(Self::Signal),
            _ => None,
        }
    }
}

/// What may be done in a granted folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write, create and remove.
    ReadWrite,
}

/// A folder of the host that a task sees under a path of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirGrant {
    /// The folder on the host.
    pub host: PathBuf,
    /// The path under which the task sees it.
    pub guest: String,
    /// What the task may do there.
    pub access: Access,
}

/// Everything a task may touch beyond its own memory and its scratch directory. [`Grants::default`] grants nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Folders.
    pub dirs: Vec<DirGrant>,
    /// Environment variables, which the task sees and nothing else of the host's environment.
    pub env: Vec<(String, String)>,
    /// Whether it may send signals to other tasks.
    pub signal: bool,
}
