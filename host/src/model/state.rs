//! What a task's log adds up to.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Event, EventBody, EventSeq};
use super::ids::{SignalKey, TaskId, TaskRef};
use super::limits::Limits;
use super::outcome::Outcome;
use super::progress::Estimate;
use super::request::CancelRequest;
use super::signal::{Party, Signal};
use super::time::Timestamp;
use super::wire::{maybe_millis, millis};

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Phase {
    /// `created`: it waits for a free cell.
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
}

/// A wait that a task is parked in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WaitPoint {
    /// Which of its waits this is, counted from 1.
    pub wait: u64,
    /// What it waits for.
    pub key: SignalKey,
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
    /// How far it is.
    pub progress: Option<Progress>,
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

/// A task's state: its log, folded. Only [`TaskState::apply`] changes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TaskState {
    pub(crate) task: Option<TaskRef>,
    pub(crate) limits: Limits,
    pub(crate) phase: Option<Phase>,
    /// What it reported last; its `eta` is not kept but made for each look.
    pub(crate) progress: Option<Progress>,
    pub(crate) estimate: Estimate,
    pub(crate) waiting: Option<WaitPoint>,
    pub(crate) paused: Option<Pause>,
    pub(crate) fuel_request: Option<FuelRequest>,
    pub(crate) fuel_budget: u64,
    /// What it got of `fuel_on_request`.
    pub(crate) fuel_on_request: u64,
    /// The budget of which the task was last told that it runs low.
    pub(crate) warned_of: Option<u64>,
    /// Since when it is paused or parked in a request for fuel.
    pub(crate) still_since: Option<Timestamp>,
    pub(crate) waits: u64,
    pub(crate) mailbox: BTreeMap<SignalKey, VecDeque<Signal>>,
    pub(crate) kept_signals: u32,
    pub(crate) kept_bytes: u64,
    pub(crate) cancel: Option<CancelRequest>,
    pub(crate) panic: Option<(String, String)>,
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) usage: Usage,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) seq: EventSeq,
    /// Bytes of texts and payloads in the log.
    pub(crate) written_bytes: u64,
    /// What of the log is progress: events, and bytes of their messages.
    pub(crate) progress_events: u64,
    pub(crate) progress_bytes: u64,
    /// Bytes of the input and of what the outcome carries, which the log holds as well.
    pub(crate) ends_bytes: u64,
}

impl TaskState {
    /// Whether the guest has written as much about its progress as it may.
    pub(crate) fn is_full_of_progress(&self) -> bool {
        self.progress_events >= self.limits.log_events || self.progress_bytes >= self.limits.log_bytes
    }

    /// Whether the guest has written as much of everything else as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.seq.0.saturating_sub(self.progress_events) >= self.limits.log_events
            || self.written_bytes.saturating_sub(self.progress_bytes) >= self.limits.log_bytes
    }

    /// Takes one more event in. Folding a task's whole log from the default state gives the task's state.
    pub(crate) fn apply(&mut self, event: &Event) {
        self.seq = event.seq;
        let bytes = written_bytes(&event.body);
        self.written_bytes += bytes;
        if matches!(event.body, EventBody::Progress { .. }) {
            self.progress_events += 1;
            self.progress_bytes += bytes;
        }
        match &event.body {
            EventBody::Created { task, limits, input } => {
                self.ends_bytes = payload_bytes(Some(input));
                self.task = Some(task.clone());
                self.limits = **limits;
                self.fuel_budget = limits.fuel;
                self.phase = Some(Phase::Queued);
                self.created_at = Some(event.at);
            }
            EventBody::Started => {
                self.phase = Some(Phase::Running);
                self.started_at = Some(event.at);
            }
            EventBody::Progress { message, percent, restarted, .. } => {
                self.progress = Some(Progress { message: message.clone(), percent: *percent, eta: None });
                self.estimate.report(event.at, *percent, *restarted);
            }
            EventBody::WaitStarted { wait, key, .. } => {
                self.waits = *wait;
                self.waiting = Some(WaitPoint { wait: *wait, key: key.clone() });
            }
            EventBody::WaitEnded { .. } => self.waiting = None,
            EventBody::SignalReceived { key, signal } => {
                self.kept_signals += 1;
                self.kept_bytes += payload_bytes(signal.payload.as_ref());
                self.mailbox.entry(key.clone()).or_default().push_back(signal.clone());
            }
            EventBody::SignalTaken { key } => {
                if self.waiting.as_ref().is_some_and(|point| point.key == *key) {
                    self.waiting = None;
                }
                self.take(key);
            }
            EventBody::AgentMessage { .. } | EventBody::SignalSent { .. } | EventBody::Stalled { .. } => {}
            EventBody::Paused { by, reason } => {
                self.paused = Some(Pause { by: *by, reason: reason.clone(), since: event.at });
            }
            EventBody::Resumed { .. } => self.paused = None,
            EventBody::FuelRequested { units, reason, .. } => {
                if self.has_on_request(*units) {
                    self.fuel_on_request += units;
                }
                self.fuel_request = Some(FuelRequest { units: *units, reason: reason.clone() });
            }
            EventBody::FuelAdded { units, .. } => {
                self.fuel_budget = self.fuel_budget.saturating_add(*units);
                self.fuel_request = None;
            }
            EventBody::FuelRefused { .. } | EventBody::FuelRequestEnded { .. } => self.fuel_request = None,
            EventBody::BudgetLow { limit, .. } => self.warned_of = Some(*limit),
            EventBody::ArtifactAttached(artifact) => self.artifacts.push(artifact.clone()),
            EventBody::Panicked { message, place } => self.panic = Some((message.clone(), place.clone())),
            EventBody::CancelRequested(request) => self.cancel = Some(request.clone()),
            EventBody::Finished { outcome, usage } => {
                self.phase = Some(Phase::Ended);
                self.outcome = Some(outcome.clone());
                self.ends_bytes += outcome_bytes(outcome);
                self.usage = *usage;
                self.ended_at = Some(event.at);
                // Nobody can take them any more.
                self.mailbox.clear();
                self.waiting = None;
                self.paused = None;
                self.fuel_request = None;
            }
        }
        self.note_stillness(event.at);
    }

    /// Takes the time that the task stood still out of how fast it was.
    fn note_stillness(&mut self, now: Timestamp) {
        match (self.still_since, self.stands_still()) {
            (None, true) => self.still_since = Some(now),
            (Some(since), false) => {
                self.still_since = None;
                self.estimate.stood_still(now.0.saturating_sub(since.0));
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// Whether somebody else has to do something before the task can go on: then its time does not run.
    pub(crate) fn stands_still(&self) -> bool {
        self.paused.is_some() || self.fuel_request.is_some()
    }

    /// Whether its deadline comes nearer.
    pub(crate) fn deadline_runs(&self) -> bool {
        self.phase == Some(Phase::Running) && !self.stands_still()
    }

    /// Whether its silence is its own: a task that is parked cannot call.
    pub(crate) fn idle_runs(&self) -> bool {
        self.deadline_runs() && self.waiting.is_none()
    }

    /// Whether so many units are left of what the task gets without anybody being asked.
    pub(crate) fn has_on_request(&self, units: u64) -> bool {
        self.fuel_on_request.checked_add(units).is_some_and(|sum| sum <= self.limits.fuel_on_request)
    }

    /// The oldest kept signal of a key.
    pub(crate) fn oldest(&self, key: &SignalKey) -> Option<&Signal> {
        self.mailbox.get(key)?.front()
    }

    fn take(&mut self, key: &SignalKey) {
        let Some(kept) = self.mailbox.get_mut(key) else { return };
        if let Some(signal) = kept.pop_front() {
            self.kept_signals -= 1;
            self.kept_bytes -= payload_bytes(signal.payload.as_ref());
        }
        if kept.is_empty() {
            self.mailbox.remove(key);
        }
    }

    /// The public view of this state.
    pub(crate) fn snapshot(&self, id: TaskId, usage: Usage, now: Timestamp) -> Option<Snapshot> {
        let eta = self.deadline_runs().then(|| self.estimate.left(now)).flatten();
        Some(Snapshot {
            id,
            task: self.task.clone()?,
            phase: self.phase?,
            progress: self.progress.clone().map(|progress| Progress { eta, ..progress }),
            waiting: self.waiting.clone(),
            paused: self.paused.clone(),
            fuel_request: self.fuel_request.clone(),
            fuel_budget: self.fuel_budget,
            cancel: self.cancel.clone(),
            outcome: self.outcome.clone(),
            artifacts: self.artifacts.clone(),
            usage: if self.outcome.is_some() { self.usage } else { usage },
            created_at: self.created_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            seq: self.seq,
        })
    }
}

/// What a payload weighs: its length as JSON text.
pub(crate) fn payload_bytes(payload: Option<&Value>) -> u64 {
    payload.map_or(0, |value| value.to_string().len() as u64)
}

/// What an outcome carries.
fn outcome_bytes(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Succeeded { message, data } | Outcome::Cancelled { message, data, .. } => {
            message.len() as u64 + payload_bytes(data.as_ref())
        }
        Outcome::Failed(failure) => failure.message.len() as u64 + payload_bytes(failure.error.as_ref()),
    }
}

/// What an event weighs beyond its fixed size, when somebody outside chose what it says.
fn written_bytes(body: &EventBody) -> u64 {
    match body {
        EventBody::Progress { message, .. } | EventBody::AgentMessage { message, .. } => message.len() as u64,
        EventBody::SignalReceived { key, signal } => key.as_str().len() as u64 + payload_bytes(signal.payload.as_ref()),
        EventBody::SignalTaken { key } | EventBody::WaitStarted { key, .. } => key.as_str().len() as u64,
        EventBody::SignalSent { target, key } => {
            let TaskRef { plugin, task_type, key: task_key } = target;
            (plugin.len() + task_type.len() + task_key.as_str().len() + key.as_str().len()) as u64
        }
        EventBody::FuelRequested { reason, .. }
        | EventBody::Paused { reason, .. }
        | EventBody::FuelRefused { reason, .. } => reason.len() as u64,
        EventBody::ArtifactAttached(artifact) => (artifact.name.len() + artifact.media_type.len()) as u64,
        EventBody::Created { .. }
        | EventBody::Started
        | EventBody::WaitEnded { .. }
        | EventBody::Resumed { .. }
        | EventBody::FuelAdded { .. }
        | EventBody::FuelRequestEnded { .. }
        | EventBody::BudgetLow { .. }
        | EventBody::Stalled { .. }
        | EventBody::Panicked { .. }
        | EventBody::CancelRequested(_)
        | EventBody::Finished { .. } => 0,
    }
}
