//! Which tasks there are, in the order in which they were started, and by what people look for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, RandomState};

use foldhash::fast::RandomState as Quick;

use crate::model::filter::TaskFilter;
use crate::model::ids::TaskId;

use super::shared::Shared;

/// The known tasks by their number in the host's order of starts. Not the truth about any of them: who looks something up
/// asks the task itself whether it is meant.
#[derive(Debug, Default)]
pub(super) struct Index {
    all: BTreeMap<u64, TaskId>,
    live: BTreeSet<u64>,
    plugins: Groups<String>,
    sessions: Groups<String>,
    parents: Groups<TaskId, Quick>,
}

/// The tasks that have the same of something.
#[derive(Debug)]
struct Groups<K, S = RandomState>(HashMap<K, BTreeSet<u64>, S>);

impl<K, S: Default> Default for Groups<K, S> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: Eq + Hash + Clone, S: BuildHasher> Groups<K, S> {
    fn add(&mut self, group: Option<&K>, number: u64) {
        let Some(group) = group else { return };
        match self.0.get_mut(group) {
            Some(numbers) => drop(numbers.insert(number)),
            None => drop(self.0.insert(group.clone(), BTreeSet::from([number]))),
        }
    }

    fn remove(&mut self, group: Option<&K>, number: u64) {
        let Some(group) = group else { return };
        let Some(numbers) = self.0.get_mut(group) else { return };
        numbers.remove(&number);
        if numbers.is_empty() {
            self.0.remove(group);
        }
    }
}

impl Index {
    /// A task exists.
    pub(super) fn enter(&mut self, task: &Shared) {
        self.all.insert(task.number, task.id);
        self.live.insert(task.number);
        self.plugins.add(Some(&task.task.plugin), task.number);
        self.sessions.add(task.session.as_ref(), task.number);
        self.parents.add(task.parent.as_ref(), task.number);
    }

    /// It has its outcome.
    pub(super) fn end(&mut self, task: &Shared) {
        self.live.remove(&task.number);
    }

    /// It is forgotten.
    pub(super) fn forget(&mut self, task: &Shared) {
        self.end(task);
        self.all.remove(&task.number);
        self.plugins.remove(Some(&task.task.plugin), task.number);
        self.sessions.remove(task.session.as_ref(), task.number);
        self.parents.remove(task.parent.as_ref(), task.number);
    }

    /// Whether it has no outcome.
    pub(super) fn lives(&self, task: &Shared) -> bool {
        self.live.contains(&task.number)
    }

    /// Those without an outcome, oldest first.
    pub(super) fn live(&self) -> impl Iterator<Item = TaskId> {
        self.live.iter().filter_map(|number| self.all.get(number)).copied()
    }

    /// At most so many tasks that may be meant and are older than this number, newest first, with their numbers.
    pub(super) fn older(&self, filter: &TaskFilter, before: u64, limit: usize) -> Vec<(u64, TaskId)> {
        let known = |number: &u64| Some((*number, *self.all.get(number)?));
        let newest = |numbers: &BTreeSet<u64>| numbers.range(..before).rev().take(limit).filter_map(known).collect();
        // The narrowest first.
        if let Some(parent) = &filter.parent {
            self.parents.0.get(parent).map_or_else(Vec::new, newest)
        } else if let Some(session) = &filter.session {
            self.sessions.0.get(session).map_or_else(Vec::new, newest)
        } else if filter.is_live_only() {
            newest(&self.live)
        } else if let Some(plugin) = &filter.plugin {
            self.plugins.0.get(plugin).map_or_else(Vec::new, newest)
        } else {
            self.all.range(..before).rev().take(limit).map(|(number, id)| (*number, *id)).collect()
        }
    }

    /// Whether it keeps nothing at all.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
            && self.live.is_empty()
            && self.plugins.0.is_empty()
            && self.sessions.0.is_empty()
            && self.parents.0.is_empty()
    }
}
