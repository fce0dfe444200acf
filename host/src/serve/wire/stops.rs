//! Stopping many tasks at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::wire::maybe_millis;
use crate::{Outcome, StopReport, StopScope, TaskId, TaskRef};

/// Which tasks to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum StopScopeBody {
    /// All of them.
    All,
    /// Those of the plugin of this name.
    Plugin(String),
    /// Those of this session.
    Session(String),
    /// Those that were started in this turn of an agent.
    Turn {
        /// The session; none for those in none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        /// The turn.
        turn: String,
    },
    /// Everything below this task.
    Parent(TaskId),
}

impl From<StopScopeBody> for StopScope {
    fn from(scope: StopScopeBody) -> Self {
        match scope {
            StopScopeBody::All => Self::All,
            StopScopeBody::Plugin(name) => Self::Plugin(name),
            StopScopeBody::Session(session) => Self::Session(session),
            StopScopeBody::Turn { session, turn } => Self::turn(session, turn),
            StopScopeBody::Parent(id) => Self::Parent(id),
        }
    }
}

/// `POST /v1/stop`: which tasks, why, and in what time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopBody {
    /// Which; there is no default, so that nobody stops all of them by a slip.
    pub scope: StopScopeBody,
    /// Why; may be empty.
    #[serde(default)]
    pub reason: String,
    /// How long they may take to end by themselves.
    #[serde(default, rename = "grace_ms", with = "maybe_millis", skip_serializing_if = "Option::is_none")]
    pub grace: Option<Duration>,
    /// When those that still live are stopped where they are. Default ten seconds, or the grace if that is longer; never later
    /// than a request is waited for ([`Bounds::wait_time`](crate::serve::Bounds::wait_time)).
    #[serde(default, rename = "deadline_ms", with = "maybe_millis", skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
}

/// What became of the tasks that were to be stopped, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stops {
    /// Each of them.
    pub tasks: Vec<StoppedTask>,
    /// How many more ended than are listed.
    #[serde(default)]
    pub more: usize,
}

/// What became of one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoppedTask {
    /// Its id.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// How it ended; left out when it has no outcome yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Whether it was stopped where it was.
    pub forced: bool,
}

impl From<StopReport> for Stops {
    fn from(report: StopReport) -> Self {
        let task =
            |of: crate::Stopped| StoppedTask { id: of.id, task: of.task, outcome: of.outcome, forced: of.forced };
        Self { tasks: report.tasks.into_iter().map(task).collect(), more: report.more }
    }
}
