//! What a host tells of what it found.

use serde::Serialize;

use crate::model::ids::{PluginDigest, TaskId, TaskRef};

/// What a host did with what it found in its store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recovery {
    /// How many tasks had ended, and are there again until their time is over.
    pub ended: usize,
    /// Those that had not begun, or waited for another attempt, and go on waiting.
    pub went_on: Vec<TaskId>,
    /// Those that ran, and begin again.
    pub restarted: Vec<TaskId>,
    /// Those that could not go on, and have failed.
    pub lost: Vec<LostTask>,
    /// Those that stay as they are: their plugin is not loaded, and they wait for it.
    pub waiting: Vec<WaitingTask>,
    /// Those that had been asked to stop, and are cancelled.
    pub cancelled: Vec<TaskId>,
    /// Those that cannot be read. They are left in the store as they are, and their keys are free. Also those whose outcome
    /// stands and of which only what came after cannot be read; they count as `ended` too, and nobody is called.
    pub quarantined: Vec<Quarantined>,
    /// Those of which not even the id can be read: their places in the order in which tasks came into the store. They are
    /// left there too.
    pub unnamed: Vec<u64>,
    /// How many functions and hooks are called about tasks that had ended, or that this ends, because nobody wrote down that
    /// they were.
    pub effects: usize,
}

impl Recovery {
    /// Whether there was nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A task that failed because its host had stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LostTask {
    /// Its id.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// Why it could not go on, in a sentence.
    pub why: String,
}

/// A task that stays as a host before this one has left it, until its plugin is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WaitingTask {
    /// Its id.
    pub id: TaskId,
    /// Its reference, with the name of its plugin.
    pub task: TaskRef,
    /// The digest of its plugin. No other code goes on with it: of a plugin of that name with another one it is lost.
    /// `None` when nobody knows it, which only [`Host::leave_tasks`](crate::Host::leave_tasks) leaves so.
    pub plugin: Option<PluginDigest>,
}

/// A task whose records cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Quarantined {
    /// Its id.
    pub id: TaskId,
    /// What is wrong, in a sentence.
    pub why: String,
}
