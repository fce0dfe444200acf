//! What a task's actor and everybody who holds a handle to it have in common.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::model::command::Command;
use crate::model::event::{Event, EventSeq};
use crate::model::ids::{SignalKey, TaskId, TaskRef};
use crate::model::outcome::Outcome;
use crate::model::request::CancelRequest;
use crate::model::signal::{NotifyAnswer, Signal};
use crate::model::state::{Phase, Snapshot, TaskState, Usage};
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::gate::Gate;
use crate::ports::gauges::Gauges;
use crate::ports::news::News;
use crate::ports::output::OutputLog;
use crate::ports::store::TaskStore;

use super::dirs::HostDirs;

/// Messages on their way to an actor. A sender waits when there are more.
pub(crate) const CONTROL_QUEUE: usize = 64;

/// What somebody outside wants of a task.
#[derive(Debug)]
pub(crate) enum Control {
    Notify {
        key: SignalKey,
        signal: Signal,
        reply: oneshot::Sender<NotifyAnswer>,
    },
    CancelWait {
        key: SignalKey,
        reply: oneshot::Sender<bool>,
    },
    Cancel {
        request: CancelRequest,
        asked: Moment,
        reply: oneshot::Sender<()>,
    },
    /// A command of the decider's, and whether it changed anything.
    Change {
        command: Command,
        reply: oneshot::Sender<bool>,
    },
}

/// One moment on both clocks: the steady one measures, the date is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) steady: Duration,
    pub(crate) date: Timestamp,
}

/// The moments of a task's life that somebody wants to know later.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moments {
    /// When its cell began to run.
    pub(crate) started: Option<Moment>,
    /// When somebody asked for the first time that it stop.
    pub(crate) asked: Option<Moment>,
    /// When it had its outcome.
    pub(crate) ended: Option<Moment>,
}

/// The common part. The actor is the only one who changes the state.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: TaskId,
    pub(crate) task: TaskRef,
    /// Boxed, because a channel has room for dozens from the beginning, and most tasks are never sent any.
    pub(crate) control: mpsc::Sender<Box<Control>>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) news: Arc<News>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) output: Arc<OutputLog>,
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dirs: Arc<HostDirs>,
    /// The last event that can be read, and whether it is the very last.
    pub(crate) head: watch::Sender<Head>,
    state: Mutex<TaskState>,
    moments: Mutex<Moments>,
    /// When its cell and its directory were gone.
    pub(crate) gone: watch::Sender<Option<Moment>>,
    /// The end of a task whose end could not be stored.
    unstored: Mutex<Option<Event>>,
}

/// How far a task's log goes in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seq: EventSeq,
    pub(crate) ended: bool,
}

/// What a task shares with the rest of its host.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dirs: Arc<HostDirs>,
}

impl Shared {
    pub(crate) fn new(
        id: TaskId,
        task: TaskRef,
        state: TaskState,
        control: mpsc::Sender<Box<Control>>,
        around: Surroundings,
    ) -> Self {
        Self {
            id,
            task,
            control,
            gauges: Arc::default(),
            news: Arc::default(),
            gate: Arc::default(),
            output: Arc::new(OutputLog::new(state.limits.output_bytes)),
            store: around.store,
            clock: around.clock,
            dirs: around.dirs,
            head: watch::Sender::new(Head { seq: state.seq, ended: false }),
            state: Mutex::new(state),
            moments: Mutex::default(),
            gone: watch::Sender::new(None),
            unstored: Mutex::default(),
        }
    }

    /// The state, for a short look. Never held over an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, TaskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Right now, on both clocks.
    pub(crate) fn now(&self) -> Moment {
        Moment { steady: self.clock.steady(), date: self.clock.date() }
    }

    pub(crate) fn moments(&self) -> Moments {
        *self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a moment; one that is noted already stays.
    pub(crate) fn note(&self, which: impl FnOnce(&mut Moments) -> &mut Option<Moment>, at: Moment) {
        which(&mut self.moments.lock().unwrap_or_else(PoisonError::into_inner)).get_or_insert(at);
    }

    pub(crate) fn keep_unstored(&self, event: Event) {
        *self.unstored.lock().unwrap_or_else(PoisonError::into_inner) = Some(event);
    }

    /// The task's end, when it is not in the store.
    pub(crate) fn unstored(&self) -> Option<Event> {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the task has used up to now.
    pub(crate) fn usage(&self) -> Usage {
        let started = self.moments().started;
        self.gauges.usage(started.map_or(Duration::ZERO, |started| self.clock.steady().saturating_sub(started.steady)))
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let usage = self.usage();
        let now = self.clock.date();
        let state = self.state();
        state.snapshot(self.id, usage, now).unwrap_or_else(|| Snapshot {
            id: self.id,
            task: self.task.clone(),
            phase: Phase::Queued,
            progress: None,
            waiting: None,
            paused: None,
            fuel_request: None,
            fuel_budget: state.fuel_budget,
            cancel: None,
            outcome: None,
            artifacts: Vec::new(),
            usage,
            created_at: None,
            started_at: None,
            ended_at: None,
            seq: state.seq,
        })
    }

    /// Bytes that its log, its state and its output hold, about.
    pub(crate) fn kept_bytes(&self) -> u64 {
        let state = self.state();
        let events = state.seq.0.saturating_mul(size_of::<Event>() as u64);
        // What it began and ended with is in the log and in the state.
        self.output
            .bytes()
            .saturating_add(events)
            .saturating_add(state.written_bytes)
            .saturating_add(state.ends_bytes.saturating_mul(2))
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.state().outcome.clone()
    }

    /// Tells the actor something and waits for the answer; `None` when the task is over.
    pub(crate) async fn tell<T>(&self, control: impl FnOnce(oneshot::Sender<T>) -> Control) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.control.send(Box::new(control(reply))).await.ok()?;
        answer.await.ok()
    }

    /// Sends a signal.
    pub(crate) async fn notify(&self, key: SignalKey, signal: Signal) -> NotifyAnswer {
        self.tell(|reply| Control::Notify { key, signal, reply }).await.unwrap_or(NotifyAnswer::NoTask)
    }
}
