//! Which plugins are loaded, which tasks are alive, and who has which key.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::ids::{TaskId, TaskRef};

use super::plugin::Plugin;
use super::shared::Shared;

/// Ended tasks that are kept although nobody holds a handle to them. Protects the host's memory from its own past.
const ENDED_KEPT: usize = 256;

/// The host's books.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    plugins: BTreeMap<String, Plugin>,
    tasks: HashMap<TaskId, Arc<Shared>>,
    /// Live tasks by reference: a key belongs to one of them at a time.
    keys: HashMap<TaskRef, TaskId>,
    /// Ended tasks, oldest first.
    ended: VecDeque<TaskId>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a plugin. Loading the same code again is fine; other code under the same name is not.
    pub(crate) fn add_plugin(&self, plugin: Plugin) -> Result<Plugin, Plugin> {
        match self.lock().plugins.entry(plugin.name().to_owned()) {
            std::collections::btree_map::Entry::Vacant(entry) => Ok(entry.insert(plugin).clone()),
            std::collections::btree_map::Entry::Occupied(entry) if entry.get().digest() == plugin.digest() => {
                Ok(entry.get().clone())
            }
            std::collections::btree_map::Entry::Occupied(entry) => Err(entry.get().clone()),
        }
    }

    pub(crate) fn plugin(&self, name: &str) -> Option<Plugin> {
        self.lock().plugins.get(name).cloned()
    }

    pub(crate) fn plugins(&self) -> Vec<Plugin> {
        self.lock().plugins.values().cloned().collect()
    }

    /// Claims the task's key, before the task exists. `false` when a live task has it.
    pub(crate) fn claim(&self, task: &TaskRef, id: TaskId) -> bool {
        match self.lock().keys.entry(task.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(id);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Gives a key back, if this task has it.
    pub(crate) fn release(&self, task: &TaskRef, id: TaskId) {
        let mut books = self.lock();
        if books.keys.get(task) == Some(&id) {
            books.keys.remove(task);
        }
    }

    /// Enters a task that exists now.
    pub(crate) fn enter(&self, shared: Arc<Shared>) {
        self.lock().tasks.insert(shared.id, shared);
    }

    /// Notes that a task is over, and returns the ids of those that are forgotten for it.
    pub(crate) fn retire(&self, id: TaskId) -> Vec<TaskId> {
        let mut books = self.lock();
        books.ended.push_back(id);
        let mut forgotten = Vec::new();
        for _ in 0..books.ended.len().saturating_sub(ENDED_KEPT) {
            let Some(oldest) = books.ended.pop_front() else { break };
            // Somebody who holds a handle may still want to read: come back to it later.
            if books.tasks.get(&oldest).is_some_and(|shared| Arc::strong_count(shared) > 1) {
                books.ended.push_back(oldest);
            } else {
                books.tasks.remove(&oldest);
                forgotten.push(oldest);
            }
        }
        forgotten
    }

    pub(crate) fn by_id(&self, id: TaskId) -> Option<Arc<Shared>> {
        self.lock().tasks.get(&id).cloned()
    }

    /// The live task of this reference.
    pub(crate) fn by_ref(&self, task: &TaskRef) -> Option<Arc<Shared>> {
        let books = self.lock();
        books.keys.get(task).and_then(|id| books.tasks.get(id)).cloned()
    }

    /// How many tasks are known, ended ones included.
    #[cfg(test)]
    pub(crate) fn known(&self) -> usize {
        self.lock().tasks.len()
    }
}
