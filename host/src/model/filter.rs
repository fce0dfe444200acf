//! Which tasks somebody means.

use std::collections::BTreeMap;

use super::ids::{TaskId, TaskRef};
use super::snapshot::Phase;
use super::state::TaskState;

/// Which tasks are meant: those for which everything holds that is said here. Without anything said, all of them.
///
/// ```
/// use taskcell::TaskFilter;
///
/// let builds = TaskFilter::session("s1").of_type("builder", "build").label("branch", "main").live();
/// assert_ne!(builds, TaskFilter::default());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskFilter {
    /// This task.
    pub id: Option<TaskId>,
    /// Tasks of the plugin of this name.
    pub plugin: Option<String>,
    /// Tasks of the type of this name, of whatever plugin.
    pub task_type: Option<String>,
    /// Tasks of this session.
    pub session: Option<String>,
    /// Tasks that were started in this turn of an agent.
    pub turn: Option<String>,
    /// The children of this task; not theirs.
    pub parent: Option<TaskId>,
    /// Tasks that have all of these labels, with these values.
    pub labels: BTreeMap<String, String>,
    /// Tasks that are somewhere of this in their life; empty for anywhere.
    pub phases: Vec<Phase>,
}

impl TaskFilter {
    /// This task.
    pub fn task(id: TaskId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// Tasks of this session.
    pub fn session(session: impl Into<String>) -> Self {
        Self { session: Some(session.into()), ..Self::default() }
    }

    /// Tasks of the plugin of this name.
    pub fn plugin(plugin: impl Into<String>) -> Self {
        Self { plugin: Some(plugin.into()), ..Self::default() }
    }

    /// The children of this task; not theirs.
    pub fn children_of(parent: TaskId) -> Self {
        Self { parent: Some(parent), ..Self::default() }
    }

    /// Of them only tasks of this type of this plugin.
    #[must_use]
    pub fn of_type(mut self, plugin: impl Into<String>, task_type: impl Into<String>) -> Self {
        (self.plugin, self.task_type) = (Some(plugin.into()), Some(task_type.into()));
        self
    }

    /// Of them only those that were started in this turn of an agent.
    #[must_use]
    pub fn turn(mut self, turn: impl Into<String>) -> Self {
        self.turn = Some(turn.into());
        self
    }

    /// Of them only those with this label, beside those that were named before.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Of them only those that have no outcome yet.
    #[must_use]
    pub fn live(mut self) -> Self {
        self.phases = vec![Phase::Held, Phase::Delayed, Phase::Queued, Phase::Running];
        self
    }

    /// Of them only those that have their outcome.
    #[must_use]
    pub fn ended(mut self) -> Self {
        self.phases = vec![Phase::Ended];
        self
    }

    /// Whether only tasks without an outcome are meant.
    pub(crate) fn is_live_only(&self) -> bool {
        !self.phases.is_empty() && !self.phases.contains(&Phase::Ended)
    }

    /// Whether this task is meant.
    pub(crate) fn takes(&self, task: Seen<'_>) -> bool {
        let is = |wanted: &Option<String>, has: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| has.is_some_and(|has| has == wanted))
        };
        self.id.is_none_or(|wanted| wanted == task.id)
            && is(&self.plugin, Some(&task.task.plugin))
            && is(&self.task_type, Some(&task.task.task_type))
            && is(&self.session, task.session)
            && is(&self.turn, task.turn)
            && self.parent.is_none_or(|parent| task.parent == Some(parent))
            && self.labels.iter().all(|(name, value)| task.labels.get(name) == Some(value))
            && (self.phases.is_empty() || self.phases.contains(&task.phase))
    }
}

/// What of a task a filter looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    id: TaskId,
    task: &'a TaskRef,
    session: Option<&'a str>,
    turn: Option<&'a str>,
    parent: Option<TaskId>,
    labels: &'a BTreeMap<String, String>,
    phase: Phase,
}

impl<'a> Seen<'a> {
    pub(crate) fn of(id: TaskId, task: &'a TaskRef, state: &'a TaskState) -> Self {
        let details = &state.details;
        Self {
            id,
            task,
            session: details.session.as_deref(),
            turn: details.turn.as_deref(),
            parent: details.parent,
            labels: &details.labels,
            phase: state.phase.unwrap_or(Phase::Queued),
        }
    }
}

/// Which task something is about: what tasks are told apart and found by.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskIdentity {
    /// Its id.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// The session it belongs to.
    pub session: Option<String>,
    /// The turn of the session's agent in which it was started.
    pub turn: Option<String>,
    /// The task that it is a child of.
    pub parent: Option<TaskId>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl TaskIdentity {
    pub(crate) fn of(id: TaskId, task: &TaskRef, state: &TaskState) -> Self {
        let details = &state.details;
        Self {
            id,
            task: task.clone(),
            session: details.session.clone(),
            turn: details.turn.clone(),
            parent: details.parent,
            labels: details.labels.clone(),
        }
    }

    /// Bytes of its texts.
    pub(crate) fn bytes(&self) -> u64 {
        let names = [Some(&self.task.plugin), Some(&self.task.task_type), self.session.as_ref(), self.turn.as_ref()];
        let names = names.into_iter().flatten().map(String::len).sum::<usize>();
        let labels = self.labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        (names + labels + self.task.key.as_str().len()) as u64
    }

    /// What a filter looks at, when the task is there in its life.
    pub(crate) fn seen(&self, phase: Phase) -> Seen<'_> {
        Seen {
            id: self.id,
            task: &self.task,
            session: self.session.as_deref(),
            turn: self.turn.as_deref(),
            parent: self.parent,
            labels: &self.labels,
            phase,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::TaskKey;
    use super::*;

    #[test]
    fn r41_everything_that_is_said_must_hold() {
        let (id, other) = (TaskId::from_random(1), TaskId::from_random(2));
        let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::from(id) };
        let task = TaskIdentity {
            id,
            task,
            session: Some("s".into()),
            turn: Some("1".into()),
            parent: Some(other),
            labels: BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]),
        };
        let takes = |filter: TaskFilter| filter.takes(task.seen(Phase::Running));
        let fits = [
            TaskFilter::default(),
            TaskFilter::task(id),
            TaskFilter::plugin("p"),
            TaskFilter::session("s").turn("1").of_type("p", "t").label("a", "1").label("b", "").live(),
            TaskFilter::children_of(other),
        ];
        let does_not = [
            TaskFilter::task(other),
            TaskFilter::plugin("t"),
            TaskFilter::session("s").turn("2"),
            TaskFilter::session("s").of_type("p", "p"),
            TaskFilter::session("S"),
            TaskFilter::session("s").label("a", "2"),
            TaskFilter::session("s").label("c", ""),
            TaskFilter::children_of(id),
            TaskFilter::default().ended(),
        ];
        assert!(fits.into_iter().all(takes));
        assert!(!does_not.into_iter().any(takes));
    }
}
