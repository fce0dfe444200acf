//! What a task may touch. Nothing by default; a grant is given by the operator and can only shrink.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::attachment::ATTACHMENTS;

/// A thing that a plugin may ask for and an operator may grant by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Capability {
    /// To read folders that the operator names; granted with [`DirGrant`].
    DirRead,
    /// To write folders that the operator names; granted with [`DirGrant`].
    DirWrite,
    /// To reach tasks outside of its own tree: to send them signals, and to end their waits.
    Signal,
    /// To use the plugin's own store.
    Kv,
    /// To start other plugins' tasks.
    Tasks,
}

impl Capability {
    /// The capability of this name, as a manifest or an operator writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "dir-read" => Some(Self::DirRead),
            "dir-write" => Some(Self::DirWrite),
            "signal" => Some(Self::Signal),
            "kv" => Some(Self::Kv),
            "tasks" => Some(Self::Tasks),
            _ => None,
        }
    }
}

/// Where a task finds its own directory.
pub(crate) const SCRATCH: &str = "/scratch";

/// What may be done in a granted folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write, create and remove.
    ReadWrite,
}

/// A folder of the host that a task sees under a path of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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
#[serde(default)]
#[non_exhaustive]
pub struct Grants {
    /// Folders.
    pub dirs: Vec<DirGrant>,
    /// Environment variables, which the task sees and nothing else of the host's environment.
    pub env: Vec<(String, String)>,
    /// Whether it may reach tasks outside of its own tree.
    pub signal: bool,
    /// Whether it may use its plugin's store.
    pub kv: bool,
    /// Whether it may start other plugins' tasks as its children. Its own plugin's it may always.
    pub tasks: bool,
    /// The names of the host's functions that it may call.
    pub functions: BTreeSet<String>,
}

impl Grants {
    /// Grants a folder of the host, which the task sees under the given path.
    ///
    /// ```
    /// use taskcell::{Access, Grants};
    ///
    /// let grants = Grants::default().dir("/srv/docs", "/docs", Access::Read).env("LANG", "C").signal();
    /// assert_eq!(grants.dirs.len(), 1);
    /// ```
    #[must_use]
    pub fn dir(mut self, host: impl Into<PathBuf>, guest: impl Into<String>, access: Access) -> Self {
        self.dirs.push(DirGrant { host: host.into(), guest: guest.into(), access });
        self
    }

    /// Gives it an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Lets it reach tasks outside of its own tree.
    #[must_use]
    pub fn signal(mut self) -> Self {
        self.signal = true;
        self
    }

    /// Lets it use its plugin's store.
    #[must_use]
    pub fn kv(mut self) -> Self {
        self.kv = true;
        self
    }

    /// Lets it start other plugins' tasks.
    #[must_use]
    pub fn tasks(mut self) -> Self {
        self.tasks = true;
        self
    }

    /// Lets it call the host's function of this name.
    #[must_use]
    pub fn function(mut self, name: impl Into<String>) -> Self {
        self.functions.insert(name.into());
        self
    }

    /// What a task's child may touch: as much as the task itself when it is of the same plugin, and else nothing.
    pub(crate) fn of_child(&self, same_plugin: bool) -> Self {
        if same_plugin { self.clone() } else { Self::default() }
    }

    /// The first guest path that cannot be: empty, given twice, or that of the scratch directory or the attachments.
    pub(crate) fn clash(&self) -> Option<&str> {
        let mut seen = std::collections::HashSet::new();
        let reserved = [SCRATCH, ATTACHMENTS].map(parts);
        let mut paths = self.dirs.iter().map(|dir| dir.guest.as_str());
        paths.find(|path| {
            let parts = parts(path);
            // What lies below one of the host's own would hide what is there.
            let strange = path.is_empty() || parts.contains(&"..");
            strange || reserved.iter().any(|own| parts.starts_with(own)) || !seen.insert(parts)
        })
    }
}

/// What a path comes to: its names, without what changes nothing about it.
fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".").collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether one gives nothing that the other does not.
    fn is_within(one: &Grants, other: &Grants) -> bool {
        let Grants { dirs, env, signal, kv, tasks, functions } = one;
        dirs.iter().all(|dir| other.dirs.contains(dir))
            && env.iter().all(|variable| other.env.contains(variable))
            && (!signal || other.signal)
            && (!kv || other.kv)
            && (!tasks || other.tasks)
            && functions.is_subset(&other.functions)
    }

    fn any_grants() -> impl Strategy<Value = Grants> {
        let access = prop_oneof![Just(Access::Read), Just(Access::ReadWrite)];
        let dir =
            ("[a-c]", "/[a-c]", access).prop_map(|(host, guest, access)| DirGrant { host: host.into(), guest, access });
        let dirs = prop::collection::vec(dir, 0..3);
        let env = prop::collection::vec(("[A-C]", "[a-c]"), 0..3);
        let functions = prop::collection::btree_set("[a-c]", 0..3);
        (dirs, env, any::<(bool, bool, bool)>(), functions)
            .prop_map(|(dirs, env, (signal, kv, tasks), functions)| Grants { dirs, env, signal, kv, tasks, functions })
    }

    proptest! {
        #[test]
        fn r18_no_chain_of_children_may_touch_more_than_the_task_that_began_it(
            first in any_grants(),
            chain in prop::collection::vec(any::<bool>(), 1..6),
        ) {
            let mut above = first.clone();
            for same_plugin in chain {
                let below = above.of_child(same_plugin);
                prop_assert!(is_within(&below, &above) && is_within(&below, &first));
                prop_assert!(same_plugin || below == Grants::default(), "another plugin was granted nothing");
                above = below;
            }
        }
    }

    #[test]
    fn guest_paths_do_not_clash() {
        let grants = |paths: &[&str]| Grants {
            dirs: paths
                .iter()
                .map(|path| DirGrant { host: "h".into(), guest: (*path).to_owned(), access: Access::Read })
                .collect(),
            ..Grants::default()
        };
        assert_eq!(grants(&["/a", "/b", "/"]).clash(), None);
        assert_eq!(grants(&["/a", "/a/"]).clash(), Some("/a/"));
        assert_eq!(grants(&["/scratch"]).clash(), Some("/scratch"));
        assert_eq!(grants(&["/attachments/"]).clash(), Some("/attachments/"));
        for below in
            ["/attachments/a", "//attachments", "attachments", "/attachments/.", "/./scratch/x", "/a/../scratch", ""]
        {
            assert_eq!(grants(&[below]).clash(), Some(below), "{below:?}");
        }
        assert_eq!(grants(&["/attachment", "/scratchpad", "/a/attachments"]).clash(), None);
    }
}
