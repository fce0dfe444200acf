//! Tasks of a host before this one that nothing works for yet: their plugin is not loaded here, or this host leaves them alone.
//! They lie in the store as that host has left them, and are known like all others.
//!
//! Each has a caretaker, who decides what others want of it while it waits (`idle.rs`). When its plugin is loaded its caretaker
//! is called back, and what becomes of the task is decided as a recovery decides it (`coming.rs`).

mod coming;
mod idle;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::model::grants::Grants;
use crate::model::ids::{PluginDigest, TaskId};

use super::shared::Shared;
use super::start_error::StartError;

pub(super) use coming::Kept;
pub(super) use idle::Caretaker;

/// Whom a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// Its plugin, with this digest.
    Plugin(PluginDigest),
    /// Another host: this one leaves all tasks alone that it did not start.
    Host,
}

impl Shared {
    /// The digest of its plugin, while it waits for that.
    pub(super) fn awaits_plugin(&self) -> Option<PluginDigest> {
        match self.awaits() {
            Some(Awaits::Plugin(digest)) => Some(digest),
            Some(Awaits::Host) | None => None,
        }
    }

    /// Why nobody else can have its key.
    pub(super) fn has_key(&self) -> StartError {
        let task = self.task_ref();
        match self.awaits() {
            Some(Awaits::Plugin(plugin)) => StartError::KeyAwaitsPlugin { task, plugin },
            Some(Awaits::Host) => StartError::KeyAwaitsHost { task },
            None => StartError::KeyInUse { task },
        }
    }

    /// Why nobody here joins it, if so.
    pub(super) fn is_left_alone(&self) -> Option<StartError> {
        match self.awaits() {
            Some(Awaits::Host) => Some(self.has_key()),
            Some(Awaits::Plugin(_)) | None => None,
        }
    }
}

/// The way to a caretaker: who gives back the task, and itself with it.
type Call = oneshot::Sender<oneshot::Sender<Box<Caretaker>>>;

impl fmt::Debug for Caretaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caretaker").field("task", &self.shared().task).finish_non_exhaustive()
    }
}

/// An ended task whose plugin's hook about its end may have to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Untold {
    pub(super) id: TaskId,
    pub(super) plugin: PluginDigest,
    /// What whoever started it let it have; the hook uses its plugin's store if it may.
    pub(super) grants: Option<Grants>,
}

/// Who waits for which plugin, by its name.
#[derive(Debug, Default)]
pub(super) struct AwaitingBook {
    plugins: Mutex<BTreeMap<String, Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The tasks, in the order of their starts.
    tasks: BTreeMap<u64, Call>,
    untold: Vec<Untold>,
}

impl AwaitingBook {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Waiting>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task waits. What is returned is to be kept: it is called there.
    fn enter(&self, task: &Arc<Shared>) -> oneshot::Receiver<oneshot::Sender<Box<Caretaker>>> {
        let (call, called) = oneshot::channel();
        self.lock().entry(task.task.plugin.clone()).or_default().tasks.insert(task.number, call);
        called
    }

    /// It has ended, and waits no more.
    fn leave(&self, task: &Shared) {
        let mut plugins = self.lock();
        let Some(waiting) = plugins.get_mut(&task.task.plugin) else { return };
        waiting.tasks.remove(&task.number);
        if waiting.tasks.is_empty() && waiting.untold.is_empty() {
            plugins.remove(&task.task.plugin);
        }
    }

    /// A task has ended of which its plugin may want to know.
    pub(super) fn note_untold(&self, plugin: &str, of: Untold) {
        self.lock().entry(plugin.to_owned()).or_default().untold.push(of);
    }

    /// The tasks that wait for this plugin, once, in the order of their starts.
    fn take(&self, plugin: &str) -> Vec<Call> {
        let mut plugins = self.lock();
        let Some(waiting) = plugins.get_mut(plugin) else { return Vec::new() };
        let calls = std::mem::take(&mut waiting.tasks).into_values().collect();
        if waiting.untold.is_empty() {
            plugins.remove(plugin);
        }
        calls
    }

    /// What this version of a plugin was not told, once. What another one was not told stays.
    fn take_untold(&self, plugin: &str, digest: PluginDigest) -> Vec<Untold> {
        let mut plugins = self.lock();
        let Some(waiting) = plugins.get_mut(plugin) else { return Vec::new() };
        let (told, others) = std::mem::take(&mut waiting.untold).into_iter().partition(|of| of.plugin == digest);
        waiting.untold = others;
        if waiting.tasks.is_empty() && waiting.untold.is_empty() {
            plugins.remove(plugin);
        }
        told
    }

    /// The plugins that somebody waits for.
    fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }
}
