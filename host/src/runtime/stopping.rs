//! Stopping many tasks at once, and saying how each of them ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::model::ids::{TaskId, TaskRef};
use crate::model::outcome::Outcome;
use crate::model::request::CancelRequest;

use super::handle::TaskHandle;
use super::host::Inner;
use super::registry::Registry;
use super::shared::Shared;

/// How long a task that was stopped by force may take to say so. Only one whose store does not answer takes any of it, and
/// it shall not hold up whoever stops them all.
pub(super) const LAST_WORD: Duration = Duration::from_secs(1);

/// Which tasks to stop: those of them that are alive when it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopScope {
    /// All of them.
    All,
    /// Those of the plugin of this name.
    Plugin(String),
    /// Those of this session.
    Session(String),
    /// Those that were started in this turn of the agent, in a session or in none.
    #[non_exhaustive]
    Turn {
        /// The session.
        session: Option<String>,
        /// The turn.
        turn: String,
    },
    /// Everything below this task: its children, theirs, and so on, detached ones too. The task itself goes on.
    Parent(TaskId),
}

/// What became of the tasks that were to be stopped, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct StopReport {
    /// Each of them; of those that were started after an unload began, no more than 10 000, without their data.
    pub tasks: Vec<Stopped>,
    /// How many more ended than are listed.
    pub more: usize,
}

/// What became of one of them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Stopped {
    /// Its id.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// How it ended; `None` when it has no outcome yet, because its store has not answered. Of a task that was started
    /// after its plugin was to be unloaded or replaced, the result and the details of the error are left out.
    pub outcome: Option<Outcome>,
    /// Whether it was stopped where it was.
    pub forced: bool,
}

impl StopScope {
    /// The tasks of a turn of this session's agent.
    pub fn turn(session: Option<String>, turn: impl Into<String>) -> Self {
        Self::Turn { session, turn: turn.into() }
    }
}

impl StopReport {
    /// How many were stopped where they were.
    pub fn forced(&self) -> usize {
        self.tasks.iter().filter(|task| task.forced).count()
    }

    /// Whether every one of them has its outcome.
    pub fn is_complete(&self) -> bool {
        self.tasks.iter().all(|task| task.outcome.is_some())
    }
}

impl Registry {
    fn is_in(&self, scope: &StopScope, task: &Shared) -> bool {
        match scope {
            StopScope::All => true,
            StopScope::Plugin(name) => task.task.plugin == *name,
            StopScope::Session(session) => task.session.as_ref() == Some(session),
            StopScope::Turn { session, turn } => {
                task.session == *session && task.state().details.turn.as_ref() == Some(turn)
            }
            StopScope::Parent(id) => self.is_below(task.parent, *id),
        }
    }

    /// Whether this ancestor, or one of its own, is the one that is looked for. Those between may have ended.
    pub(super) fn is_below(&self, mut ancestor: Option<TaskId>, of: TaskId) -> bool {
        while let Some(id) = ancestor {
            if id == of {
                return true;
            }
            ancestor = self.by_id(id).and_then(|task| task.parent);
        }
        false
    }
}

impl Inner {
    /// Stops the tasks of a scope, each in its own time, and comes back when all have ended.
    pub(super) async fn stop_all(&self, scope: &StopScope, request: CancelRequest, deadline: Duration) -> StopReport {
        let mut live = self.registry.live();
        live.retain(|task| self.registry.is_in(scope, task));
        let over = self.around.clock.steady().saturating_add(deadline);
        // The guest is told the truth about the time that it has.
        let request = CancelRequest { grace: request.grace.min(deadline), ..request };
        let mut stopping = JoinSet::new();
        for (place, task) in live.into_iter().enumerate() {
            let request = request.clone();
            stopping.spawn_on(async move { (place, stop(task, request, true, over).await) }, &self.runtime);
        }
        let mut stopped = stopping.join_all().await;
        stopped.sort_by_key(|(place, _)| *place);
        StopReport { more: 0, tasks: stopped.into_iter().map(|(_, task)| task).collect() }
    }
}

/// Stops one task: by asking it, unless it is left alone, and at the moment given by force.
pub(super) async fn stop(task: Arc<Shared>, request: CancelRequest, ask: bool, over: Duration) -> Stopped {
    let (id, reference, clock) = (task.id, task.task_ref(), Arc::clone(&task.around.clock));
    let task = TaskHandle::new(task);
    let force = CancelRequest { grace: Duration::ZERO, ..request.clone() };
    let asked = async {
        if ask {
            task.cancel(request).await;
        }
        task.wait().await
    };
    let mut outcome = tokio::select! {
        biased;
        outcome = asked => Some(outcome),
        () = clock.sleep_until(over) => None,
    };
    let forced = async {
        task.cancel(force).await;
        task.wait().await
    };
    if outcome.is_none() {
        outcome = tokio::select! {
            biased;
            outcome = forced => Some(outcome),
            () = clock.sleep_until(over.saturating_add(LAST_WORD)) => None,
        };
    }
    let forced = matches!(outcome, Some(Outcome::Cancelled { forced: true, .. }));
    Stopped { id, task: reference, outcome, forced }
}
