//! A task's children as its own log tells of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{TaskId, TaskKey, TaskRef};
use super::limits::LimitsRequest;
use super::outcome::Outcome;
use super::retry::RetryPolicy;

/// What a guest says about a child beyond what it shall do.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ChildOptions {
    pub(crate) key: Option<TaskKey>,
    pub(crate) title: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) limits: LimitsRequest,
    pub(crate) detached: bool,
    pub(crate) plugin: Option<String>,
    pub(crate) retry: RetryPolicy,
}

/// How a child ended, in a word; its own log has the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChildOutcome {
    /// It did what it was asked to do.
    Succeeded,
    /// It could not.
    Failed,
    /// It was stopped.
    Cancelled,
    /// It could not be started.
    NotStarted,
}

impl From<&Outcome> for ChildOutcome {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded { .. } => Self::Succeeded,
            Outcome::Failed(_) => Self::Failed,
            Outcome::Cancelled { .. } => Self::Cancelled,
        }
    }
}

/// A child of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Child {
    /// Its id.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// Units of fuel that it got of its parent's.
    pub fuel: u64,
    /// Whether it goes on when its parent ends.
    pub detached: bool,
    /// How it ended, once it has.
    pub outcome: Option<ChildOutcome>,
}
