//! One loaded version of a plugin: what its tasks hold on to, and who waits for the last of them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::model::hook::Told;
use crate::ports::runner::CodeHold;
use crate::ports::watched::Watched;

use super::daemons::DaemonPhase;
use super::plugin::Plugin;

/// Whether tasks of a version can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They can.
    Enabled,
    /// Not before somebody enables the plugin.
    Disabled,
    /// The plugin's name points to it no more. Only its own tasks still start children.
    Leaving,
}

/// Who uses a version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tasks that are not gone yet, starts that are under way, and keepers of daemons.
    pub(crate) users: usize,
    /// Tasks that have come to be.
    pub(crate) born: u64,
    /// The starts among the users.
    pub(crate) unborn: usize,
}

/// A loaded version. Its code is given back with the last who holds this.
pub(crate) struct Version {
    pub(crate) plugin: Plugin,
    /// Which of all that the host has loaded.
    pub(crate) number: u64,
    standing: watch::Sender<Standing>,
    tally: Watched<Tally>,
    /// What it was told with its hooks. Held while one of them runs, by jobs of the host's own only.
    pub(super) told: tokio::sync::Mutex<Told>,
    /// How its daemons do, by their types' names.
    daemons: Mutex<BTreeMap<String, DaemonPhase>>,
    _code: CodeHold,
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version")
            .field("plugin", &self.plugin.name())
            .field("number", &self.number)
            .field("standing", &*self.standing.borrow())
            .finish_non_exhaustive()
    }
}

impl Version {
    pub(crate) fn new(plugin: Plugin, code: CodeHold, number: u64, standing: Standing) -> Self {
        Self {
            plugin,
            number,
            standing: watch::Sender::new(standing),
            tally: Watched::default(),
            told: tokio::sync::Mutex::default(),
            daemons: Mutex::default(),
            _code: code,
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Changes it; says whether that was a change. Only the registry does, under its lock.
    pub(super) fn stand(&self, standing: Standing) -> bool {
        self.standing.send_if_modified(|now| std::mem::replace(now, standing) != standing)
    }

    pub(super) fn watch_standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    pub(super) fn tally(&self) -> &Watched<Tally> {
        &self.tally
    }

    pub(super) fn note_daemon(&self, task_type: &str, phase: DaemonPhase) {
        self.daemons.lock().unwrap_or_else(PoisonError::into_inner).insert(task_type.to_owned(), phase);
    }

    pub(super) fn daemons(&self) -> BTreeMap<String, DaemonPhase> {
        self.daemons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A use of a version, over when this is dropped.
pub(crate) struct VersionUse {
    version: Arc<Version>,
    /// Whether it is that of a start that has not come to a task.
    unborn: AtomicBool,
}

impl VersionUse {
    pub(super) fn new(version: Arc<Version>) -> Self {
        version.tally.change(|tally| tally.users += 1);
        Self { version, unborn: AtomicBool::new(false) }
    }

    /// The use of a start, which may come to nothing.
    pub(super) fn starting(version: Arc<Version>) -> Self {
        version.tally.change(|tally| {
            tally.users += 1;
            tally.unborn += 1;
        });
        Self { version, unborn: AtomicBool::new(true) }
    }

    /// A task of the version has come to be.
    pub(super) fn born(&self) {
        let unborn = usize::from(self.unborn.swap(false, Ordering::Relaxed));
        self.version.tally.change(|tally| {
            tally.born += 1;
            tally.unborn = tally.unborn.saturating_sub(unborn);
        });
    }
}

impl Clone for VersionUse {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.version))
    }
}

impl Deref for VersionUse {
    type Target = Version;

    fn deref(&self) -> &Version {
        &self.version
    }
}

impl Drop for VersionUse {
    fn drop(&mut self) {
        let unborn = usize::from(self.unborn.swap(false, Ordering::Relaxed));
        self.version.tally.change(|tally| {
            tally.users = tally.users.saturating_sub(1);
            tally.unborn = tally.unborn.saturating_sub(unborn);
        });
    }
}

impl fmt::Debug for VersionUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.version.fmt(f)
    }
}
