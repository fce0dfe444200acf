//! What happened to one task, a page at a time or followed; and what happens to all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Event, EventLane, EventSeq, Phase, TaskEvent, TaskId, TaskRef};

use super::query::{BadQuery, Pairs, Query, Said};

/// `GET …/events`: from where on, and how many at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// After this event; after none of them when nothing is said.
    pub after: EventSeq,
    /// How many on a page. Means nothing to those who follow.
    pub limit: Option<usize>,
}

impl Query for EventQuery {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let after = Some(self.after.0).filter(|after| *after > 0);
        Said::default().with("after", after).with("limit", self.limit).0
    }

    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery> {
        Ok(Self { after: EventSeq(pairs.parsed("after")?.unwrap_or(0)), limit: pairs.parsed("limit")? })
    }
}

/// Some of a task's events, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// After which event to read on.
    pub next: EventSeq,
    /// Whether these are the last ones, because the task has ended.
    pub ended: bool,
}

/// Which of a task's two logs an event is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Its own, which ends with `finished`.
    Task,
    /// What came after its end, with numbers of its own.
    After,
}

/// `GET /v1/events`: something that happened to one of the tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Followed {
    /// Its place in the order of everything that happened, for keeping and giving back.
    pub position: String,
    /// To which task.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The turn of the session's agent in which it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// The task that it is a child of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where the task was in its life then.
    pub phase: Phase,
    /// In which of its logs the event is.
    pub lane: Lane,
    /// What happened.
    pub event: Event,
}

impl From<&TaskEvent> for Followed {
    fn from(of: &TaskEvent) -> Self {
        let task = &of.of;
        Self {
            position: of.position.to_string(),
            id: task.id,
            task: task.task.clone(),
            session: task.session.clone(),
            turn: task.turn.clone(),
            parent: task.parent,
            labels: task.labels.clone(),
            phase: of.phase,
            lane: match of.lane {
                EventLane::Task => Lane::Task,
                EventLane::After => Lane::After,
            },
            event: of.event.clone(),
        }
    }
}

/// Events went by that this follower did not see. It goes on with the oldest that is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaggedBy {
    /// How many; nothing is said when nobody knows, because the server was started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
}
