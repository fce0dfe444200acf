//! What a task's actor and everybody who holds a handle to it have in common.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::model::event::EventSeq;
use crate::model::ids::{SignalKey, TaskId, TaskRef};
use crate::model::outcome::Outcome;
use crate::model::request::CancelRequest;
use crate::model::signal::{NotifyAnswer, Signal};
use crate::model::state::{Phase, Snapshot, TaskState, Usage};
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
    Notify { key: SignalKey, signal: Signal, reply: oneshot::Sender<NotifyAnswer> },
    CancelWait { key: SignalKey, reply: oneshot::Sender<bool> },
    Cancel { request: CancelRequest, reply: oneshot::Sender<()> },
}

/// The common part. The actor is the only one who changes the state.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: TaskId,
    pub(crate) task: TaskRef,
    pub(crate) control: mpsc::Sender<Control>,
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
    /// When its cell began to run, on the steady clock.
    started: Mutex<Option<Duration>>,
}

/// How far a task's log goes.
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
        control: mpsc::Sender<Control>,
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
            started: Mutex::default(),
        }
    }

    /// The state, for a short look. Never held over an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, TaskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn mark_started(&self) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.steady());
    }

    /// What the task has used up to now.
    pub(crate) fn usage(&self) -> Usage {
        let started = *self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let wall = started.map_or(Duration::ZERO, |started| self.clock.steady().saturating_sub(started));
        self.gauges.usage(wall)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let usage = self.usage();
        let state = self.state();
        state.snapshot(self.id, usage).unwrap_or_else(|| Snapshot {
            id: self.id,
            task: self.task.clone(),
            phase: Phase::Queued,
            progress: None,
            waiting: None,
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

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.state().outcome.clone()
    }

    /// Tells the actor something and waits for the answer; `None` when the task is over.
    pub(crate) async fn tell<T>(&self, control: impl FnOnce(oneshot::Sender<T>) -> Control) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.control.send(control(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Sends a signal.
    pub(crate) async fn notify(&self, key: SignalKey, signal: Signal) -> NotifyAnswer {
        self.tell(|reply| Control::Notify { key, signal, reply }).await.unwrap_or(NotifyAnswer::NoTask)
    }
}
