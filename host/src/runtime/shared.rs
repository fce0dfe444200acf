//! What a task's actor and everybody who holds a handle to it have in common.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::approval::{ApprovalDecision, ApprovalNumber, ApprovalRuling};
use crate::model::command::{Answer, Command, PlanCommand};
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::filter::TaskIdentity;
use crate::model::ids::{SignalKey, TaskId, TaskRef};
use crate::model::manifest::TaskKind;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::patch::TaskPatch;
use crate::model::plan::{Plan, PlanError};
use crate::model::request::CancelRequest;
use crate::model::signal::{Instruction, NotifyAnswer, Party, Signal};
use crate::model::snapshot::{Snapshot, Usage};
use crate::model::state::TaskState;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::gate::Gate;
use crate::ports::gauges::Gauges;
use crate::ports::mailbox::Mailbox;
use crate::ports::news::News;
use crate::ports::output::OutputLog;
use crate::ports::secrets::Secrets;
use crate::ports::store::TaskStore;
use crate::ports::watched::Watched;

use super::after::AfterLane;
use super::approvals::ApprovalDesk;
use super::awaiting::Awaits;
use super::delivery::LoopPlace;
use super::dirs::HostDirs;
use super::feed::Feed;
use super::handle::TaskHandle;
use super::outbox::OutboxDesk;
use super::shutdown::Stopping;
use super::spill::OutputFile;
use super::start::Prepared;
use super::start_error::StartError;
use super::suspending::Suspended;

/// Messages on their way to an actor. A sender waits when there are more.
pub(super) const CONTROL_QUEUE: usize = 64;

/// What somebody outside wants of a task.
#[derive(Debug)]
pub(crate) enum Control {
    Notify {
        key: SignalKey,
        signal: Signal,
        to: Addressee,
        reply: oneshot::Sender<NotifyAnswer>,
    },
    CancelWait {
        key: Option<SignalKey>,
        reply: oneshot::Sender<bool>,
    },
    Instruct {
        instruction: Instruction,
        reply: oneshot::Sender<NotifyAnswer>,
    },
    DecideApproval {
        number: ApprovalNumber,
        decision: ApprovalDecision,
        ruling: ApprovalRuling,
        reply: oneshot::Sender<Answer>,
    },
    Cancel {
        request: CancelRequest,
        asked: Moment,
        reply: oneshot::Sender<()>,
    },
    /// Somebody outside starts a child of this task.
    Adopt {
        child: Box<Prepared>,
        reply: oneshot::Sender<Result<TaskHandle, StartError>>,
    },
    /// What people see of the task is to be changed.
    Update {
        expected: Option<u64>,
        patch: Box<TaskPatch>,
        by: Party,
        reply: oneshot::Sender<Answer>,
    },
    /// Somebody changes the task's plan, and gets what it is then.
    Plan {
        command: PlanCommand,
        reply: oneshot::Sender<Result<Plan, PlanError>>,
    },
    /// Somebody wants the task's planner to make another plan.
    Replan {
        reason: String,
        by: Party,
        reply: oneshot::Sender<Result<Plan, PlanError>>,
    },
    /// A command of the decider's, and whether it changed anything.
    Change {
        command: Command,
        reply: oneshot::Sender<bool>,
    },
}

impl Control {
    /// Whether somebody who is no guest wants something of this one. A question was its own wish, whoever decides about it.
    pub(crate) fn is_outside_wish(&self) -> bool {
        match self {
            Self::Notify { signal, .. } => !signal.sender.is_guest(),
            Self::Instruct { instruction, .. } => !instruction.by.is_guest(),
            Self::CancelWait { .. }
            | Self::DecideApproval { .. }
            | Self::Cancel { .. }
            | Self::Adopt { .. }
            | Self::Update { .. }
            | Self::Plan { .. }
            | Self::Replan { .. }
            | Self::Change { .. } => false,
        }
    }
}

/// Whether a task is meant in any case, or only if it waits for the signal: of several that wait, each signal wakes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addressee {
    Any,
    Waiting,
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
    pub(crate) task: Arc<TaskRef>,
    /// Its place in the host's order of starts.
    pub(crate) number: u64,
    /// Which version of its plugin it runs; 0 while nothing does.
    version: AtomicU64,
    /// Whom it waits for that this host does not have.
    awaits: Mutex<Option<Awaits>>,
    pub(crate) kind: TaskKind,
    pub(crate) session: Option<String>,
    pub(crate) parent: Option<TaskId>,
    /// The first task of its tree, and how many are above it; `None` for the first.
    pub(crate) tree: Option<(TaskId, u32)>,
    /// The wall time that it has used in hosts before this one.
    wall_before: Duration,
    /// The number of the wait that it is parked in, in the host's order.
    pub(crate) waiting_since: AtomicU64,
    /// What its actor is told, which is called with the bell of `news`.
    control: Mailbox<Box<Control>>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) news: Arc<News>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) output: Arc<OutputLog>,
    pub(crate) around: Arc<Surroundings>,
    /// Its place in its session's book.
    pub(crate) place: Option<LoopPlace>,
    /// How far it is, all of it in one: whoever waits looks at what it waits for.
    pub(crate) head: Watched<Head>,
    state: Mutex<TaskState>,
    /// What it is found by, once somebody follows it.
    identity: Mutex<Option<Arc<TaskIdentity>>>,
    moments: Mutex<Moments>,
    /// The bytes of its scratch directory, if that was kept.
    pub(crate) kept_scratch: OnceLock<u64>,
    /// Whether the host has forgotten it: nothing is written down about it any more.
    pub(crate) forgotten: AtomicBool,
    /// Signals that came after the end, and were written down.
    pub(crate) late_signals: AtomicU32,
    /// Held by whoever writes something down that happened after the end, so that they take turns.
    pub(super) after: tokio::sync::Mutex<AfterLane>,
    /// The last event after the end that those who follow were told.
    pub(super) told_after: Mutex<EventSeq>,
    /// The end of a task whose end could not be stored.
    unstored: Mutex<Option<Box<Event>>>,
}

/// How far a task is, for whoever waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The last event that can be read.
    pub(crate) seq: EventSeq,
    /// Whether it is the very last.
    pub(crate) ended: bool,
    /// When its cell and its directory were gone.
    pub(crate) gone: Option<Moment>,
}

/// What a task shares with the rest of its host: one thing, because each task counts on it.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dirs: Arc<HostDirs>,
    pub(crate) outbox: Arc<OutboxDesk>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) approvals: Arc<ApprovalDesk>,
    /// Whether the host is left as it is.
    pub(crate) suspended: Arc<Suspended>,
    /// Whether it stops.
    pub(crate) stopping: Arc<Stopping>,
    /// What is hidden wherever a task's words are kept.
    pub(crate) secrets: Arc<Secrets>,
}

/// Whoever listens to what a task is told, by its guest and by others: its actor, or who keeps it while it has none. When it is
/// dropped nobody listens any more, and whoever has said something meanwhile finds that out at once.
#[derive(Debug)]
pub(super) struct Ears(Arc<Shared>);

impl Ears {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }

    /// Completes with what it is told next. Cancel safety: nothing is lost.
    pub(super) async fn control(&self) -> Box<Control> {
        self.0.news.called(|| self.0.control.take()).await
    }

    /// Nobody listens any more.
    pub(super) fn close(&self) {
        self.0.control.close();
        self.0.news.hang_up();
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Blocks if a host before this one left output of the task.
    pub(crate) fn new(
        id: TaskId,
        task: Arc<TaskRef>,
        number: u64,
        state: TaskState,
        control: Mailbox<Box<Control>>,
        around: Arc<Surroundings>,
    ) -> Self {
        let output = OutputFile::log(&around.dirs, id, &state.limits);
        output.hide(&around.secrets);
        Self {
            id,
            task,
            number,
            version: AtomicU64::new(0),
            awaits: Mutex::default(),
            kind: state.details.kind,
            session: state.details.session.clone(),
            parent: state.details.parent,
            tree: None,
            wall_before: state.known_usage().wall,
            waiting_since: AtomicU64::new(u64::MAX),
            control,
            gauges: Arc::default(),
            news: Arc::default(),
            gate: Arc::default(),
            output,
            around,
            place: None,
            head: Watched::new(Head { seq: state.seq, ..Head::default() }),
            state: Mutex::new(state),
            identity: Mutex::default(),
            moments: Mutex::default(),
            kept_scratch: OnceLock::new(),
            forgotten: AtomicBool::new(false),
            late_signals: AtomicU32::new(0),
            after: tokio::sync::Mutex::default(),
            told_after: Mutex::default(),
            unstored: Mutex::default(),
        }
    }

    /// Which task it is, for somebody who keeps it.
    pub(super) fn task_ref(&self) -> TaskRef {
        (*self.task).clone()
    }

    /// Its code runs in this version of its plugin.
    pub(super) fn runs(&self, version: u64) {
        self.version.store(version, Ordering::Relaxed);
    }

    /// Which version of its plugin it runs; 0 while nothing does.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Whom it waits for, that this host does not have.
    pub(super) fn awaits(&self) -> Option<Awaits> {
        *self.awaits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_awaits(&self, awaits: Option<Awaits>) {
        *self.awaits.lock().unwrap_or_else(PoisonError::into_inner) = awaits;
    }

    /// The state, for a short look. Never held over an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, TaskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened after its end was found in the store, up to this event.
    pub(super) fn left_after(&mut self, lane: AfterLane, seq: EventSeq) {
        self.after = tokio::sync::Mutex::new(lane);
        self.told_after = Mutex::new(seq);
    }

    /// What it is found by.
    pub(super) fn identity(&self) -> Arc<TaskIdentity> {
        let mut known = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(TaskIdentity::of(self.id, &self.task, &self.state()));
        Arc::clone(known.get_or_insert_with(made))
    }

    /// Its labels may have changed.
    pub(super) fn renew_identity(&self) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Tells whoever waits which event is the last that can be read, and whether it is the very last.
    pub(super) fn set_head(&self, seq: EventSeq, ended: bool) {
        self.head.change(|head| (head.seq, head.ended) = (seq, ended));
    }

    /// Tells whoever waits that its cell and its directory are gone.
    pub(super) fn set_gone(&self, at: Moment) {
        self.head.change(|head| head.gone = Some(at));
    }

    /// Right now, on both clocks.
    pub(crate) fn now(&self) -> Moment {
        Moment { steady: self.around.clock.steady(), date: self.around.clock.date() }
    }

    pub(crate) fn moments(&self) -> Moments {
        *self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a moment; one that is noted already stays.
    pub(crate) fn note(&self, which: impl FnOnce(&mut Moments) -> &mut Option<Moment>, at: Moment) {
        which(&mut self.moments.lock().unwrap_or_else(PoisonError::into_inner)).get_or_insert(at);
    }

    /// The end of a task whose events cannot be stored: kept here, because its log does not have it.
    pub(super) fn end_unstored(&self, why: String) -> Event {
        let outcome = Outcome::Failed(Failure::new(FailureKind::Host, why));
        let body = EventBody::Finished { outcome: outcome.into(), usage: self.usage(), set_by: None };
        let end = {
            let state = self.state();
            Event { action: state.action(), ..Event::new(state.seq.next(), self.around.clock.date(), body) }
        };
        *self.unstored.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(end.clone()));
        end
    }

    /// The task's end, when it is not in the store.
    pub(crate) fn unstored(&self) -> Option<Event> {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner).as_deref().cloned()
    }

    /// Whether this host cannot go on with it, and the next one will: its end here is none.
    pub(crate) fn is_left(&self) -> bool {
        self.around.suspended.outlives() && self.unstored().is_some()
    }

    /// What the task has used up to now.
    pub(crate) fn usage(&self) -> Usage {
        let started = self.moments().started;
        let since = started.map_or(Duration::ZERO, |started| self.around.clock.steady().saturating_sub(started.steady));
        self.gauges.usage(self.wall_before.saturating_add(since))
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let usage = self.usage();
        let now = self.around.clock.date();
        let state = self.state();
        let nothing = || Snapshot { usage, seq: state.seq, ..Snapshot::of_nothing(self.id, self.task_ref()) };
        let snapshot = state.snapshot(self.id, usage, now).unwrap_or_else(nothing);
        Snapshot { awaits_plugin: self.awaits_plugin(), ..snapshot }
    }

    /// Bytes that its log, its state and its output hold, about: what whoever holds the task has of it.
    pub(crate) fn held_bytes(&self) -> u64 {
        let state = self.state();
        let events = state.seq.0.saturating_mul(size_of::<Event>() as u64);
        // What it began and ended with is there once, for the log and the state.
        self.output
            .bytes()
            .saturating_add(events)
            .saturating_add(state.written_bytes)
            .saturating_add(state.ends_bytes)
            .saturating_add(state.plan.as_ref().map_or(0, |plan| plan.weight() as u64))
    }

    /// The same with its artifacts and a kept scratch directory, which go when the host forgets the task, whoever holds it.
    pub(crate) fn kept_bytes(&self) -> u64 {
        let held = self.held_bytes();
        let artifacts = self.state().artifacts.iter().fold(held, |sum, artifact| sum.saturating_add(artifact.size));
        artifacts.saturating_add(self.kept_scratch.get().copied().unwrap_or_default())
    }

    pub(crate) fn outcome(&self) -> Option<Arc<Outcome>> {
        self.state().outcome.clone()
    }

    /// The same for somebody who keeps it.
    pub(crate) fn known_outcome(&self) -> Option<Outcome> {
        self.outcome().map(Arc::unwrap_or_clone)
    }

    /// The outcome of a task that is over. One whose life was torn off has none of its own.
    pub(crate) fn final_outcome(&self) -> Outcome {
        let lost = || Failure::new(FailureKind::Host, "the task ended without an outcome");
        self.known_outcome().unwrap_or_else(|| Outcome::Failed(lost()))
    }

    /// Tells the actor something and waits for the answer; `None` when the task is over.
    pub(crate) async fn tell<T>(&self, control: impl FnOnce(oneshot::Sender<T>) -> Control) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        if !self.control.send(Box::new(control(reply))).await {
            return None;
        }
        self.news.ring();
        answer.await.ok()
    }

    /// Ends the wait for a key, or whatever wait there is. Says whether there was one.
    pub(crate) async fn cancel_wait(&self, key: Option<SignalKey>) -> bool {
        self.tell(|reply| Control::CancelWait { key, reply }).await.unwrap_or(false)
    }

    /// Sends a signal.
    pub(crate) async fn notify(&self, key: SignalKey, signal: Signal) -> NotifyAnswer {
        let (name, sender) = (key.clone(), signal.sender);
        let to = Addressee::Any;
        if let Some(answer) = self.tell(|reply| Control::Notify { key, signal, to, reply }).await {
            return answer;
        }
        self.note_late(name, sender).await;
        NotifyAnswer::NoTask
    }

    /// Sends a signal if the task waits for it now. Says whether it did.
    pub(crate) async fn wake(&self, key: SignalKey, signal: Signal) -> bool {
        let to = Addressee::Waiting;
        self.tell(|reply| Control::Notify { key, signal, to, reply }).await == Some(NotifyAnswer::Delivered)
    }
}
