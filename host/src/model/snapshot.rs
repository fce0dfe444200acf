//! What anybody may know about a task at one moment.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::approval::{ApprovalAsk, ApprovalNumber, PendingApproval};
use super::children::Child;
use super::details::TaskDetails;
use super::event::EventSeq;
use super::ids::{PluginDigest, SignalKey, TaskId, TaskRef};
use super::outcome::Outcome;
use super::plan::Plan;
use super::request::CancelRequest;
use super::signal::{Party, Senders};
use super::time::Timestamp;
use super::wire::{maybe_millis, millis};

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Phase {
    /// `created` with `approval-requested`: it may not begin before somebody has approved of it.
    Held,
    /// `created` with a moment to begin at, or `attempt-ended`: it waits for its moment.
    Delayed,
    /// `created`, or `due`: it waits for a free cell.
    Queued,
    /// `started`: its cell runs, or is parked in a wait.
    Running,
    /// `finished`: it has its outcome.
    Ended,
}

/// How far a task is, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// What it is doing.
    pub message: String,
    /// 0 to 100, when it knows.
    pub percent: Option<u8>,
    /// How long it still takes from now on, if it goes on as it went. `None` until two reports with a rising percent
    /// allow to tell, and while the task stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "eta_ms", with = "maybe_millis")]
    pub eta: Option<Duration>,
}

/// A task that stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pause {
    /// Who wanted it.
    pub by: Party,
    /// Why; may be empty.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// A request for fuel that a task is parked in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FuelRequest {
    /// How many units it asks for.
    pub units: u64,
    /// What for, in its words: escape them before showing them.
    pub reason: String,
    /// Its number among the task's questions: it can be decided like one of kind [`ApprovalAsk::FUEL`].
    #[serde(default)]
    pub number: ApprovalNumber,
    /// Since when.
    #[serde(default)]
    pub since: Timestamp,
    /// How long the task waits at most.
    #[serde(default, rename = "timeout_ms", with = "maybe_millis", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

impl FuelRequest {
    /// The request as a question for approval.
    pub(crate) fn question(&self) -> PendingApproval {
        let summary = format!("{} units of fuel more", self.units);
        let ask = ApprovalAsk {
            metadata: Some(serde_json::json!({ "units": self.units })),
            timeout: self.timeout,
            ..ApprovalAsk::new(ApprovalAsk::FUEL, self.reason.clone(), summary)
        };
        PendingApproval { number: self.number, ask, since: self.since }
    }
}

/// A wait that a task is parked in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WaitPoint {
    /// Which of its waits this is, counted from 1.
    pub wait: u64,
    /// What it waits for: a signal with one of these keys.
    pub keys: Vec<SignalKey>,
    /// From whom.
    #[serde(default, skip_serializing_if = "Senders::is_everybody")]
    pub senders: Senders,
}

/// A file that a task attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Artifact {
    /// Its number among the task's artifacts, counted from 1.
    pub number: u32,
    /// The name people see. It comes from the guest: escape it before showing it, never use it as a path unchecked.
    pub name: String,
    /// Its media type, as the guest gave it.
    pub media_type: String,
    /// The SHA-256 of its content, 64 lower-case hex digits.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// What a task has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// Units of fuel.
    pub fuel: u64,
    /// The most bytes of linear memory it had at once.
    pub memory_peak_bytes: u64,
    /// Calls it made of the contract's functions; WASI is not counted.
    pub host_calls: u64,
    /// Units of fuel that its children used, and theirs.
    #[serde(default)]
    pub children_fuel: u64,
    /// Tokens that it said it spent elsewhere.
    #[serde(default)]
    pub tokens: u64,
    /// Actions that it said it did elsewhere.
    #[serde(default)]
    pub actions: u64,
    /// Wall time from its start, waiting included.
    #[serde(rename = "wall_ms", with = "millis")]
    pub wall: Duration,
}

/// Everything there is to know about a task at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its id.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whose it is, and how it shall be treated.
    #[serde(default)]
    pub details: TaskDetails,
    /// Which attempt runs or ran last, counted from 1; 0 before the first.
    #[serde(default)]
    pub attempt: u32,
    /// How far it is.
    pub progress: Option<Progress>,
    /// Its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The questions that nobody has decided yet, a request for fuel among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<PendingApproval>,
    /// Its children, in the order they were started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Child>,
    /// Whether it is parked until somebody says something to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_instruction: bool,
    /// The child that it is parked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits_child: Option<TaskId>,
    /// The digest of its plugin, when it waits for that: a host before this one had the plugin, and this one has not loaded it.
    /// Everything else is as that host has left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits_plugin: Option<PluginDigest>,
    /// The wait it is parked in.
    pub waiting: Option<WaitPoint>,
    /// The pause it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// The request for fuel it is parked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel_request: Option<FuelRequest>,
    /// Units of fuel it was given in all.
    #[serde(default)]
    pub fuel_budget: u64,
    /// Whether it is a daemon that has burnt its fuel for this hour, and stands still until the next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hour_used_up: bool,
    /// Whether nobody waits for it, from its start on or since it was detached.
    #[serde(default)]
    pub background: bool,
    /// What somebody wants to be seen beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How often its note, title or labels were changed: whoever changes them says which revision they saw.
    #[serde(default)]
    pub revision: u64,
    /// The wish that it stop, if somebody had one.
    pub cancel: Option<CancelRequest>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// The files it attached.
    pub artifacts: Vec<Artifact>,
    /// What it has used so far.
    pub usage: Usage,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When its cell began to run.
    pub started_at: Option<Timestamp>,
    /// When it got its outcome.
    pub ended_at: Option<Timestamp>,
    /// The last event that this snapshot has seen.
    pub seq: EventSeq,
}

impl Snapshot {
    /// What the task's parent may know of it, as the contract describes it.
    pub(crate) fn for_parent(&self) -> Value {
        let waits_for = if self.waiting.is_some() {
            Some("signal")
        } else if self.fuel_request.is_some() {
            Some("fuel")
        } else if !self.approvals.is_empty() {
            Some("approval")
        } else if self.awaits_instruction {
            Some("message")
        } else if self.awaits_child.is_some() {
            Some("task")
        } else {
            None
        };
        let progress = self.progress.as_ref();
        json!({
            "version": 1,
            "phase": self.phase,
            "percent": progress.and_then(|progress| progress.percent),
            "message": progress.map(|progress| progress.message.as_str()),
            "note": self.note,
            "waits_for": waits_for,
            "paused": self.paused.is_some(),
            "attempt": self.attempt,
            "fuel_used": self.usage.fuel,
        })
    }

    /// A task that nothing is known about.
    pub(crate) fn of_nothing(id: TaskId, task: TaskRef) -> Self {
        Self {
            id,
            task,
            phase: Phase::Queued,
            details: TaskDetails::default(),
            attempt: 0,
            progress: None,
            plan: None,
            approvals: Vec::new(),
            children: Vec::new(),
            awaits_instruction: false,
            awaits_child: None,
            awaits_plugin: None,
            waiting: None,
            paused: None,
            fuel_request: None,
            fuel_budget: 0,
            hour_used_up: false,
            background: true,
            note: None,
            revision: 0,
            cancel: None,
            outcome: None,
            artifacts: Vec::new(),
            usage: Usage::default(),
            created_at: None,
            started_at: None,
            ended_at: None,
            seq: EventSeq::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::TaskKey;
    use super::*;

    #[test]
    fn r18_a_parent_is_told_how_far_its_child_is_and_what_it_waits_for() {
        let id = TaskId::from_random(1);
        let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::from(id) };
        let mut child = Snapshot::of_nothing(id, task);
        assert_eq!(child.for_parent()["phase"], "queued");
        assert_eq!(child.for_parent()["waits_for"], Value::Null);
        child.phase = Phase::Running;
        child.progress = Some(Progress { message: "half".into(), percent: Some(50), eta: None });
        child.note = Some("uses the cache".into());
        child.waiting = Some(WaitPoint { wait: 1, keys: Vec::new(), senders: Senders::default() });
        let told = child.for_parent();
        assert_eq!(
            (&told["percent"], &told["message"], &told["note"]),
            (&json!(50), &json!("half"), &json!("uses the cache"))
        );
        assert_eq!(
            (&told["waits_for"], &told["paused"], &told["version"]),
            (&json!("signal"), &json!(false), &json!(1))
        );
        child.waiting = None;
        child.awaits_child = Some(id);
        assert_eq!(child.for_parent()["waits_for"], "task");
        child.awaits_child = None;
        child.awaits_instruction = true;
        assert_eq!(child.for_parent()["waits_for"], "message");
    }
}
