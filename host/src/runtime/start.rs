//! From a request to a running task: checked first, claimed, written down, and only then alive.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::model::admission::Applicant;
use crate::model::command::{Answer, Command};
use crate::model::details::TaskDetails;
use crate::model::event::{Event, EventSeq};
use crate::model::grants::Grants;
use crate::model::ids::{ScheduleId, TaskId, TaskKey, TaskRef};
use crate::model::json::{self, VALUES_MAX};
use crate::model::limits::{Limits, LimitsRequest};
use crate::model::machine::step;
use crate::model::manifest::Schemas;
use crate::model::request::StartRequest;
use crate::model::signal::NotifyAnswer;
use crate::model::state::TaskState;
use crate::ports::clock::BoxFuture;
use crate::ports::runner::{CellLink, CellWork, Permit};
use crate::ports::store::Record;

use super::actor::{Actor, CALL_QUEUE};
use super::birth::Newborn;
use super::cell::Cell;
use super::effects::forget;
use super::handle::TaskHandle;
use super::host::{Inner, StartError};
use super::pace::Bucket;
use super::queue::QueuePlace;
use super::registry::{Registry, TreePlace};
use super::shared::{CONTROL_QUEUE, Shared};
use super::terminal::{AtEnd, OnTerminal};
use super::timers::Timers;

/// A request that has been checked.
struct Checked {
    plugin: crate::model::ids::PluginDigest,
    schemas: Schemas,
    limits: Limits,
    at_end: Option<Box<AtEnd>>,
    /// Its place in its tree, for a child.
    tree: Option<TreePlace>,
}

/// What a child gets of its parent's.
pub(super) struct Birthright {
    pub(super) id: TaskId,
    /// What it stays below.
    pub(super) limits: Limits,
    /// Its place in its tree.
    pub(super) tree: Option<TreePlace>,
}

impl Birthright {
    /// What the child is called.
    pub(super) fn task(&self, request: &StartRequest) -> TaskRef {
        task_ref(request, self.id)
    }
}

fn task_ref(request: &StartRequest, id: TaskId) -> TaskRef {
    TaskRef {
        plugin: request.plugin.clone(),
        task_type: request.task_type.clone(),
        key: request.key.clone().unwrap_or_else(|| TaskKey::from(id)),
    }
}

/// An id that nobody can guess.
pub(super) fn new_id() -> TaskId {
    TaskId::from_random(uuid::Uuid::new_v4().as_u128())
}

/// The same for a schedule.
pub(super) fn new_schedule_id() -> ScheduleId {
    ScheduleId::from_random(uuid::Uuid::new_v4().as_u128())
}

/// Starts a task. With `on_terminal`, that is called when it has its outcome.
pub(super) async fn start(
    inner: &Arc<Inner>,
    request: StartRequest,
    on_terminal: Option<OnTerminal>,
) -> Result<TaskHandle, StartError> {
    if request.details.parent.is_some() {
        return Err(StartError::Parent);
    }
    if request.details.schedule.is_some() {
        return Err(StartError::Schedule);
    }
    let checked = check(inner, &request, on_terminal)?;
    begin(inner, request, checked, new_id()).await
}

/// Starts a schedule's task, with the id that was written down for it. A task that has this id already stays as it is, and
/// the store says so: [`CommitError::Fenced`](crate::ports::store::CommitError::Fenced).
pub(super) async fn start_scheduled(
    inner: &Arc<Inner>,
    request: StartRequest,
    id: TaskId,
) -> Result<TaskHandle, StartError> {
    let checked = check(inner, &request, None)?;
    begin(inner, request, checked, id).await
}

/// Whether a request could be fulfilled as things are now. Starts nothing.
pub(super) fn check_only(inner: &Inner, request: &StartRequest) -> Result<(), StartError> {
    check(inner, request, None).map(drop)
}

/// Starts a child.
pub(super) async fn start_as(
    inner: &Arc<Inner>,
    request: StartRequest,
    right: Birthright,
) -> Result<TaskHandle, StartError> {
    let mut checked = check(inner, &request, None)?;
    checked.limits = checked.limits.lowered_to(LimitsRequest::from(right.limits));
    checked.tree = right.tree;
    begin(inner, request, checked, right.id).await
}

async fn begin(
    inner: &Arc<Inner>,
    request: StartRequest,
    checked: Checked,
    id: TaskId,
) -> Result<TaskHandle, StartError> {
    if let Some(guest) = request.grants.clash() {
        return Err(StartError::GuestPath { guest: guest.to_owned() });
    }
    if !request.grants.dirs.is_empty() {
        let grants = request.grants.clone();
        let opened = tokio::task::spawn_blocking(move || open_dirs(&grants)).await;
        opened.map_err(|_| StartError::ShuttingDown)??;
    }

    let task = task_ref(&request, id);
    if !inner.registry.claim(&task, id) {
        return Err(StartError::KeyInUse { task });
    }
    let claim = Claim { registry: Arc::clone(&inner.registry), task, id, kept: false };
    let turn = Turn::take(inner, &checked, &request).await?;
    sweep(inner);
    create(inner, request, checked, claim, turn).await
}

/// Whose turn a task takes.
pub(super) fn applicant(plugin: &str, details: &TaskDetails) -> Applicant {
    Applicant { plugin: plugin.to_owned(), session: details.session.clone(), parent: details.parent }
}

/// Forgets ended tasks whose time is over; what is left of them goes in the background.
fn sweep(inner: &Inner) {
    let forgotten = inner.registry.sweep(inner.around.clock.steady());
    if !forgotten.is_empty() {
        let around = inner.around.clone();
        inner.spawn(Box::pin(async move { forget(&*around.store, &around.dirs, forgotten).await }));
    }
}

/// The task's turn: come already, or waited for in the queue.
struct Turn {
    /// `None` when its moment has not come.
    admission: Option<BoxFuture<'static, Permit>>,
    queued: Option<QueuePlace>,
}

impl Turn {
    /// Asks for room. Only who has to wait for it needs a place in the queue.
    async fn take(inner: &Inner, checked: &Checked, request: &StartRequest) -> Result<Self, StartError> {
        let waits = request.approval.is_some() || request.details.run_at.is_some();
        let (who, priority) = (applicant(&request.plugin, &request.details), request.details.priority);
        let full = || StartError::QueueFull { max: inner.queue.max() };
        if waits {
            return Ok(Self { admission: None, queued: Some(inner.queue.enter().ok_or_else(full)?) });
        }
        let desk = Arc::clone(&inner.desk);
        let mut admission = desk.admit(Arc::clone(&inner.runner), checked.plugin, who, priority);
        let now = std::future::poll_fn(|cx| Poll::Ready(admission.as_mut().poll(cx))).await;
        match now {
            Poll::Ready(permit) => Ok(Self { admission: Some(Box::pin(std::future::ready(permit))), queued: None }),
            Poll::Pending => {
                let place = inner.queue.enter().ok_or_else(full)?;
                Ok(Self { admission: Some(admission), queued: Some(place) })
            }
        }
    }
}

/// A key that was claimed for a task that is not alive yet: given back when the start does not come to its end, whether
/// by an error or because nobody waits for it any more.
pub(super) struct Claim {
    registry: Arc<Registry>,
    task: TaskRef,
    id: TaskId,
    kept: bool,
}

impl Claim {
    /// The task is alive: the key is its own now.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            self.registry.release(&self.task, self.id);
        }
    }
}

fn check(inner: &Inner, request: &StartRequest, on_terminal: Option<OnTerminal>) -> Result<Checked, StartError> {
    if *inner.shutdown.borrow() {
        return Err(StartError::ShuttingDown);
    }
    request.details.check()?;
    let plugin = inner.registry.plugin(&request.plugin).ok_or_else(|| StartError::UnknownPlugin {
        name: request.plugin.clone(),
        loaded: inner.registry.plugins().iter().map(|plugin| plugin.name().to_owned()).collect(),
    })?;
    let task_type = plugin.manifest().task_type(&request.task_type);
    let (task_type, schemas) =
        task_type.zip(plugin.schemas(&request.task_type)).ok_or_else(|| StartError::UnknownTaskType {
            name: request.task_type.clone(),
            known: plugin.manifest().tasks.iter().map(|task| task.name.clone()).collect(),
        })?;
    let for_plugin = inner.plugin_limits.get(plugin.name()).copied().unwrap_or_default();
    let limits = inner.limits.lowered_to(for_plugin).lowered_to(request.limits.or(task_type.limits));
    let size = request.input.to_string().len() as u64;
    if size > limits.input_bytes {
        return Err(StartError::InputTooLarge { size, max: limits.input_bytes });
    }
    if json::has_too_many(&request.input) {
        return Err(StartError::TooManyValues { max: VALUES_MAX });
    }
    schemas.input.check(&request.input).map_err(|faults| StartError::InvalidInput { faults })?;
    let at_end = inner.on_terminals.of(&request.details, on_terminal)?;
    Ok(Checked { plugin: plugin.digest(), schemas: schemas.clone(), limits, at_end, tree: None })
}

/// Opens each granted folder once, so that a wrong path is an error of the request and not of the task.
fn open_dirs(grants: &Grants) -> Result<(), StartError> {
    for dir in &grants.dirs {
        cap_std::fs::Dir::open_ambient_dir(&dir.host, cap_std::ambient_authority())
            .map_err(|source| StartError::GrantedDir { path: dir.host.clone(), source })?;
    }
    Ok(())
}

async fn create(
    inner: &Arc<Inner>,
    request: StartRequest,
    checked: Checked,
    claim: Claim,
    turn: Turn,
) -> Result<TaskHandle, StartError> {
    let (id, task) = (claim.id, claim.task.clone());
    let (state, first) = first_events(inner, &request, &checked, &task)?;

    let (control_tx, control) = mpsc::channel(CONTROL_QUEUE);
    let (calls_tx, calls) = mpsc::channel(CALL_QUEUE);
    let (cancel, cancel_rx) = watch::channel(None);
    let (alive, gone) = oneshot::channel();
    let shared =
        Arc::new(Shared::new(id, task.clone(), inner.registry.next_number(), state, control_tx, inner.around.clone()));
    let link = CellLink {
        calls: calls_tx,
        cancel: cancel_rx,
        gauges: Arc::clone(&shared.gauges),
        news: Arc::clone(&shared.news),
        gate: Arc::clone(&shared.gate),
        output: Arc::clone(&shared.output),
        config: inner.plugins.config(&task.plugin),
        kv: request.grants.kv.then(|| inner.plugins.store(&task.plugin)),
    };
    link.gauges.set_fuel_budget(checked.limits.fuel);
    let scratch = Arc::new(inner.around.dirs.scratch(id));
    let work = CellWork {
        plugin: checked.plugin,
        id,
        task: task.clone(),
        input: request.input,
        limits: checked.limits,
        attempt: 1,
        fuel_used: 0,
        details: request.details,
        scratch: Arc::clone(&scratch),
        alive,
        grants: request.grants,
    };
    let again = || Box::new(link.clone());
    let mut actor = Actor {
        again: (work.details.retry.attempts > 1).then(again),
        plugin: checked.plugin,
        desk: Arc::clone(&inner.desk),
        tidied: None,
        gone,
        tree: checked.tree,
        shared,
        registry: Arc::clone(&inner.registry),
        runner: Arc::clone(&inner.runner),
        sink: inner.sink.clone(),
        schemas: checked.schemas,
        grants: work.grants.clone(),
        host: Arc::downgrade(inner),
        children: HashMap::new(),
        watched: JoinSet::new(),
        functions: Arc::clone(&inner.functions),
        control,
        calls,
        cancel,
        shutdown: inner.shutdown.subscribe(),
        timers: Timers::new(&checked.limits),
        progress_pace: Bucket::even(checked.limits.progress_per_second),
        event_pace: Bucket::bursting(checked.limits.events_per_second),
        parked: None,
        queued: turn.queued,
        told_once: HashMap::new(),
        jobs: JoinSet::new(),
        scratch,
        at_end: checked.at_end,
    };
    actor.begin_to_wait();
    let ready = Box::new((work, link));
    let cell = match turn.admission {
        Some(admission) => Cell::Queued { admission, ready },
        None => Cell::Idle { ready },
    };
    Newborn { claim, actor, cell }.be_born(inner, first).await
}

/// What is to be written down first: the task, with the signals that it is born with.
fn first_events(
    inner: &Inner,
    request: &StartRequest,
    checked: &Checked,
    task: &TaskRef,
) -> Result<(TaskState, Vec<Record>), StartError> {
    let create = Command::Create {
        task: task.clone(),
        input: request.input.clone(),
        limits: Box::new(checked.limits),
        details: Box::new(request.details.clone()),
        approval: request.approval.clone().map(Box::new),
    };
    let signals =
        request.signals.iter().map(|(key, signal)| Command::Notify { key: key.clone(), signal: signal.clone() });
    let at = inner.around.clock.date();
    let mut state = TaskState::default();
    let mut records = Vec::new();
    for command in std::iter::once(create).chain(signals) {
        let decision = step(&state, command);
        if decision.answer == Answer::Notified(NotifyAnswer::Full) {
            return Err(StartError::TooManySignals { count: request.signals.len() });
        }
        for body in decision.events {
            let event = Event { seq: EventSeq(state.seq.0 + 1), at, body };
            state.apply(&event);
            records.push(Record::Event(event));
        }
    }
    Ok((state, records))
}
