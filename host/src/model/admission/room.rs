//! What has room for so many at once, and who stands aside because it has none.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use super::Applicant;

/// Who comes before whom: the more important, then who has fewer running, then whose turn was longer ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    priority: Reverse<i32>,
    running: u32,
    /// No two have the same.
    turn: u64,
}

impl Rank {
    pub(super) fn new(priority: i32, running: u32, turn: u64) -> Self {
        Self { priority: Reverse(priority), running, turn }
    }
}

/// Those who wait, the first first.
pub(super) type Queue = BTreeMap<Rank, Arc<Applicant>>;

/// Plugins, sessions or parents, each with room for as many. Those whose names callers may choose need a hash that withstands them.
#[derive(Debug)]
pub(super) struct Room<K, S = RandomState> {
    most: u32,
    running: HashMap<K, u32, S>,
    aside: HashMap<K, Queue, S>,
}

impl<K: Eq + Hash + Clone, S: BuildHasher + Default> Room<K, S> {
    pub(super) fn new(most: u32) -> Self {
        Self { most, running: HashMap::default(), aside: HashMap::default() }
    }

    pub(super) fn is_full(&self, key: &K) -> bool {
        self.running.get(key).copied().unwrap_or(0) >= self.most
    }

    pub(super) fn add(&mut self, key: &K) {
        match self.running.get_mut(key) {
            Some(count) => *count += 1,
            None => drop(self.running.insert(key.clone(), 1)),
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(count) = self.running.get_mut(key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.running.remove(key);
            }
        }
    }

    pub(super) fn set_aside(&mut self, key: &K, rank: Rank, who: Arc<Applicant>) {
        match self.aside.get_mut(key) {
            Some(queue) => drop(queue.insert(rank, who)),
            None => drop(self.aside.insert(key.clone(), Queue::from([(rank, who)]))),
        }
    }

    /// One that stood aside does so no more.
    pub(super) fn take_back(&mut self, key: &K, rank: Rank) {
        let Some(queue) = self.aside.get_mut(key) else { return };
        queue.remove(&rank);
        if queue.is_empty() {
            self.aside.remove(key);
        }
    }

    /// Takes the first of those that stand aside, if there is room now.
    pub(super) fn call_back(&mut self, key: &K) -> Option<(Rank, Arc<Applicant>)> {
        if self.is_full(key) {
            return None;
        }
        let queue = self.aside.get_mut(key)?;
        let first = queue.pop_first();
        if queue.is_empty() {
            self.aside.remove(key);
        }
        first
    }
}
