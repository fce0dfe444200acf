//! From a request to a running task: checked first, claimed, written down, and only then alive.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use serde_json::Value;

use crate::model::admission::Applicant;
use crate::model::attachment;
use crate::model::daemon::limits_of;
use crate::model::details::TaskDetails;
use crate::model::grants::DirGrant;
use crate::model::idempotency::{Fingerprint, OnceKey};
use crate::model::ids::{ScheduleId, TaskId, TaskKey, TaskRef};
use crate::model::json::{self, VALUES_MAX};
use crate::model::limits::{Limits, LimitsRequest};
use crate::model::load_limits::LoadLimits;
use crate::model::manifest::{Schemas, TaskKind};
use crate::model::request::{KeyPolicy, StartRequest};
use crate::model::schema::Schema;
use crate::model::scratch::ScratchPolicy;
use crate::ports::clock::BoxFuture;
use crate::ports::runner::Permit;

use super::attachments::{Attached, attach_all};
use super::beside::Beside;
use super::birth::{create, first_events};
use super::daemons::{daemon_key, see_daemon, set_daemon_key};
use super::effects::forget;
use super::handle::TaskHandle;
use super::hooks::TaskHooks;
use super::host::Inner;
use super::keys::{Claim, Found, once, replacing};
use super::queue::QueuePlace;
use super::registry::TreePlace;
use super::shared::{Control, Shared};
use super::start_error::StartError;
use super::terminal::{AtEnd, OnTerminal};
use super::version::VersionUse;

/// Bytes of a request's own schema for its result. It is kept in the log, and takes time to compile.
const OUTPUT_SCHEMA_BYTES_MAX: usize = 64 << 10;

/// A request that has been checked.
pub(super) struct Checked {
    pub(super) version: VersionUse,
    kind: TaskKind,
    restartable: bool,
    pub(super) schemas: Schemas,
    pub(super) limits: Limits,
    /// The request's own schema of the result.
    pub(super) wanted: Option<Schema>,
    pub(super) at_end: Option<Box<AtEnd>>,
    pub(super) hooks: Option<Box<TaskHooks>>,
    /// Its place in its tree, for a child.
    pub(super) tree: Option<TreePlace>,
    /// Who waits for it, and answers its call.
    pub(super) beside: Option<Arc<Beside>>,
}

/// A task whose start cannot be refused any more, unless by its store, or the parent that it is to have.
pub(crate) struct Prepared {
    pub(super) request: Box<StartRequest>,
    pub(super) checked: Checked,
    pub(super) claim: Claim,
    pub(super) turn: Turn,
    pub(super) attached: Option<Attached>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("claim", &self.claim).finish_non_exhaustive()
    }
}

/// What a child gets of its parent's.
pub(super) struct Birthright {
    pub(super) id: TaskId,
    /// What it stays below.
    pub(super) limits: Limits,
    /// Its place in its tree.
    pub(super) tree: Option<TreePlace>,
    /// The parent's own code, for a child of the same plugin.
    pub(super) version: Option<VersionUse>,
}

impl Birthright {
    /// What the child is called.
    pub(super) fn task(&self, request: &StartRequest) -> TaskRef {
        task_ref(request, self.id)
    }
}

pub(super) fn task_ref(request: &StartRequest, id: TaskId) -> TaskRef {
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
pub(super) fn start(
    inner: &Arc<Inner>,
    request: StartRequest,
    on_terminal: Option<OnTerminal>,
) -> impl Future<Output = Result<TaskHandle, StartError>> + Send {
    // It is large, and handed on often until the task lives.
    let started = start_or_join(inner, Box::new(request), on_terminal, None);
    async move { started.await.map(|begun| begun.task) }
}

/// What a start came to.
pub(super) struct Begun {
    pub(super) task: TaskHandle,
    /// Whether it was there before: joined by its key, or started by the same request.
    pub(super) joined: bool,
}

/// The same, and says whether there was such a task already. With `beside`, somebody waits for a new one.
pub(super) async fn start_or_join(
    inner: &Arc<Inner>,
    mut request: Box<StartRequest>,
    on_terminal: Option<OnTerminal>,
    beside: Option<Arc<Beside>>,
) -> Result<Begun, StartError> {
    let joined = |task| Ok(Begun { task, joined: true });
    let started = |task| Begun { task, joined: false };
    // Before any key is touched: those of the tasks that are to be taken over are not entered yet.
    if !inner.standby.is_over() {
        return Err(StartError::NotRecovered);
    }
    request.details.check()?;
    if request.details.schedule.is_some() {
        return Err(StartError::Schedule);
    }
    // Looked up once, unless a task is waited for before it is used: another version may have come by then.
    let version = match OnceKey::of(&request) {
        None => inner.registry.use_version(&request.plugin).ok(),
        Some(_) => None,
    };
    set_key(inner, version.as_ref(), &mut request)?;
    let id = new_id();
    let task = Arc::new(task_ref(&request, id));
    let once = match once(inner, &request, || Fingerprint::of(&request), &task, id).await? {
        Found::Known(shared) => return joined(TaskHandle::new(shared)),
        Found::Nothing(once) => once,
    };
    set_moment(inner, &mut request);
    let parent = parent(inner, &mut request)?;
    let mut checked = match check(inner, &request, version, on_terminal) {
        Err(StartError::UnknownPlugin { .. }) if let Some(live) = waits_for_plugin(inner, &task) => {
            if request.on_key_in_use != KeyPolicy::Join {
                return Err(live.has_key());
            }
            if let Some(once) = once {
                once.settle(live.id);
            }
            return joined(TaskHandle::new(live));
        }
        checked => checked?,
    };
    see_daemon(&request, checked.kind)?;
    checked.beside = beside;
    if let Some(parent) = &parent {
        checked.tree = Some(parent.expect_child(&inner.registry, &request, id, &task)?);
    }
    let claim = Claim::new(&inner.registry, task, id).with(once);
    let prepared = match Box::pin(prepare(inner, request, checked, claim)).await? {
        Ready::Joined(handle) => return joined(handle),
        Ready::Prepared(prepared) => prepared,
    };
    let Some(parent) = parent else { return Box::pin(create(inner, prepared)).await.map(started) };
    let adopted = parent.tell(|reply| Control::Adopt { child: prepared, reply }).await;
    adopted.unwrap_or(Err(StartError::ParentGone { parent: parent.id })).map(started)
}

/// The task that has this key and waits for the plugin that it needs too.
fn waits_for_plugin(inner: &Inner, task: &TaskRef) -> Option<Arc<Shared>> {
    inner.registry.by_ref(task).filter(|live| live.awaits_plugin().is_some())
}

/// The moment at which the task may begin: the later one of a date and a time from now.
fn set_moment(inner: &Inner, request: &mut StartRequest) {
    let Some(after) = request.run_after else { return };
    let at = inner.around.clock.date().after(after);
    request.details.run_at = request.details.run_at.max(Some(at));
}

/// The live task that the new one is to be a child of. What the request leaves open is as it is there.
fn parent(inner: &Inner, request: &mut StartRequest) -> Result<Option<Arc<Shared>>, StartError> {
    let Some(id) = request.details.parent else { return Ok(None) };
    let live = inner.registry.by_id(id).filter(|parent| parent.outcome().is_none());
    let parent = live.ok_or(StartError::ParentGone { parent: id })?;
    request.details.inherit(&parent.state().details);
    Ok(Some(parent))
}

/// Starts a daemon of this version for the host.
pub(super) async fn start_daemon(
    inner: &Arc<Inner>,
    mut request: StartRequest,
    version: VersionUse,
) -> Result<TaskHandle, StartError> {
    let checked = check(inner, &request, Some(version), None)?;
    request.key = daemon_key(&request.task_type);
    start_with_id(inner, Box::new(request), checked, new_id()).await
}

/// Starts a schedule's task, with the id that was written down for it. A task that has this id already stays as it is, and
/// the store says so: [`CommitError::Fenced`](crate::ports::store::CommitError::Fenced).
pub(super) async fn start_scheduled(
    inner: &Arc<Inner>,
    mut request: StartRequest,
    id: TaskId,
) -> Result<TaskHandle, StartError> {
    set_key(inner, None, &mut request)?;
    let checked = check(inner, &request, None, None)?;
    see_daemon(&request, checked.kind)?;
    start_with_id(inner, Box::new(request), checked, id).await
}

/// Gives a daemon its key. With `version` it is looked for there, and else in the one that the plugin's name points to.
fn set_key(inner: &Inner, version: Option<&VersionUse>, request: &mut StartRequest) -> Result<(), StartError> {
    match version {
        Some(version) => set_daemon_key(Some(&version.plugin), request),
        None => set_daemon_key(inner.registry.version(&request.plugin).as_ref().map(|of| &of.plugin), request),
    }
}

/// Whether a request could be fulfilled as things are now. Starts nothing.
pub(super) fn check_only(inner: &Inner, request: &StartRequest) -> Result<(), StartError> {
    check(inner, request, None, None).map(drop)
}

async fn start_with_id(
    inner: &Arc<Inner>,
    request: Box<StartRequest>,
    checked: Checked,
    id: TaskId,
) -> Result<TaskHandle, StartError> {
    let claim = Claim::new(&inner.registry, Arc::new(task_ref(&request, id)), id);
    match Box::pin(prepare(inner, request, checked, claim)).await? {
        Ready::Joined(handle) => Ok(handle),
        Ready::Prepared(prepared) => Box::pin(create(inner, prepared)).await,
    }
}

/// Starts a child.
pub(super) async fn start_as(
    inner: &Arc<Inner>,
    request: StartRequest,
    right: Birthright,
) -> Result<TaskHandle, StartError> {
    let mut checked = check(inner, &request, right.version, None)?;
    if checked.kind == TaskKind::Daemon {
        return Err(StartError::DaemonChild { name: request.task_type });
    }
    checked.tree = right.tree;
    checked.lower_to(&right.limits);
    start_with_id(inner, Box::new(request), checked, right.id).await
}

impl Checked {
    fn lower_to(&mut self, limits: &Limits) {
        self.limits = self.limits.lowered_to(LimitsRequest::from(*limits));
    }
}

impl Prepared {
    pub(super) fn id(&self) -> TaskId {
        self.claim.id
    }

    pub(super) fn task(&self) -> &TaskRef {
        &self.claim.task
    }

    /// Starts it as a child that stays below these limits.
    pub(super) async fn start_below(
        mut self: Box<Self>,
        inner: &Arc<Inner>,
        limits: &Limits,
    ) -> Result<TaskHandle, StartError> {
        self.checked.lower_to(limits);
        Box::pin(create(inner, self)).await
    }
}

/// How far a request has come that was not refused.
enum Ready {
    /// A live task has its key, and is joined.
    Joined(TaskHandle),
    Prepared(Box<Prepared>),
}

/// Sees what can be refused, and then takes the key and a turn.
async fn prepare(
    inner: &Arc<Inner>,
    mut request: Box<StartRequest>,
    checked: Checked,
    claim: Claim,
) -> Result<Ready, StartError> {
    (request.details.kind, request.details.restartable) = (checked.kind, checked.restartable);
    if let Some(grants) = &mut request.grants {
        if let Some(guest) = grants.clash() {
            return Err(StartError::GuestPath { guest: guest.to_owned() });
        }
        if !grants.dirs.is_empty() {
            let dirs = std::mem::take(&mut grants.dirs);
            let opened = tokio::task::spawn_blocking(move || real_dirs(dirs)).await;
            grants.dirs = opened.map_err(|_| StartError::ShuttingDown)??;
        }
        if checked.tree.is_none() {
            inner.policy.check(&checked.version.plugin, grants)?;
        }
    }
    let attached = attach_all(&inner.around.dirs, &mut request, &checked.limits).await?;
    // Written down with the task, so that nobody has to ask the host later.
    let policy = request.details.scratch.unwrap_or(inner.scratch_policy);
    request.details.scratch = Some(policy).filter(|policy| *policy != ScratchPolicy::default());
    if !request.signals.is_empty() || request.plan.is_some() {
        // Whether they fit is seen by trying.
        let own = (Arc::new(request.input.clone()), Arc::new(request.details.clone()));
        first_events(inner, &request, own, &checked, &claim.task)?;
    }
    let turn = match replacing(request.on_key_in_use) {
        None if request.on_key_in_use == KeyPolicy::Join => match claim.take_or_join().await {
            Ok(()) => Turn::take(inner, &checked, &request)?,
            Err(live) => {
                if let Some(error) = live.is_left_alone() {
                    return Err(error);
                }
                claim.joined(live.id);
                return Ok(Ready::Joined(TaskHandle::new(live)));
            }
        },
        None => {
            claim.take()?;
            Turn::take(inner, &checked, &request)?
        }
        Some(wish) => {
            // Nobody is asked to make room for a task that finds none.
            let turn = Turn::take(inner, &checked, &request)?;
            claim.take_over(&wish, request.details.parent).await?;
            turn
        }
    };
    if inner.shutdown.has_begun() {
        return Err(StartError::ShuttingDown);
    }
    sweep(inner);
    Ok(Ready::Prepared(Box::new(Prepared { request, checked, claim, turn, attached })))
}

/// Whose turn a task takes.
pub(super) fn applicant(plugin: &str, details: &TaskDetails) -> Applicant {
    Applicant { plugin: plugin.to_owned(), session: details.session.clone(), parent: details.parent }
}

/// Forgets ended tasks whose time is over; what is left of them goes in the background, and of starts that were refused.
fn sweep(inner: &Inner) {
    if !inner.registry.orphans.is_empty() {
        let (registry, store) = (Arc::clone(&inner.registry), Arc::clone(&inner.around.store));
        inner.spawn(Box::pin(async move { registry.orphans.take_all_back(&*store).await }));
    }
    let forgotten = inner.registry.sweep(inner.around.clock.steady());
    if !forgotten.is_empty() {
        let around = inner.around.clone();
        inner.spawn(Box::pin(async move { forget(&around, forgotten).await }));
    }
}

/// The task's turn: come already, or waited for in the queue.
pub(super) struct Turn {
    /// `None` when its moment has not come.
    pub(super) admission: Option<BoxFuture<'static, Permit>>,
    pub(super) queued: Option<QueuePlace>,
}

impl Turn {
    /// Asks for room. Only who has to wait for it needs a place in the queue.
    fn take(inner: &Inner, checked: &Checked, request: &StartRequest) -> Result<Self, StartError> {
        let plans = request.details.planner.is_some() && request.plan.is_none();
        let waits = plans || request.approval.is_some() || request.details.run_at.is_some();
        let (who, priority) = (applicant(&request.plugin, &request.details), request.details.priority);
        let full = || StartError::QueueFull { max: inner.queue.max() };
        if waits {
            return Ok(Self { admission: None, queued: Some(inner.queue.enter().ok_or_else(full)?) });
        }
        let desk = Arc::clone(&inner.desk);
        let mut admission = desk.admit(Arc::clone(&inner.runner), checked.version.plugin.digest(), who, priority);
        // Whoever gets the turn polls it again, and is woken then.
        match admission.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Ok(Self { admission: Some(Box::pin(std::future::ready(permit))), queued: None }),
            Poll::Pending => {
                let place = inner.queue.enter().ok_or_else(full)?;
                Ok(Self { admission: Some(admission), queued: Some(place) })
            }
        }
    }
}

/// With `version` that one's task is started, and else that of the version that the plugin's name points to.
fn check(
    inner: &Inner,
    request: &StartRequest,
    version: Option<VersionUse>,
    on_terminal: Option<OnTerminal>,
) -> Result<Checked, StartError> {
    if inner.shutdown.has_begun() || inner.around.suspended.is() {
        return Err(StartError::ShuttingDown);
    }
    if !inner.standby.is_over() {
        return Err(StartError::NotRecovered);
    }
    request.details.check()?;
    if request.key.as_ref().is_some_and(TaskKey::is_like_an_id) {
        return Err(StartError::KeyLikeId);
    }
    if !request.details.permission.approve.is_within(&inner.approve_in_advance) {
        return Err(StartError::Permission);
    }
    let version = match version {
        Some(version) => version,
        None => inner.registry.use_version(&request.plugin)?,
    };
    let plugin = version.plugin.clone();
    let task_type = plugin.manifest().task_type(&request.task_type);
    let (task_type, schemas) =
        task_type.zip(plugin.schemas(&request.task_type)).ok_or_else(|| StartError::UnknownTaskType {
            name: request.task_type.clone(),
            known: plugin.manifest().tasks.iter().map(|task| task.name.clone()).collect(),
        })?;
    let unlimited = LimitsRequest::default();
    let for_plugin = inner.plugin_limits.get(plugin.name()).unwrap_or(&unlimited);
    let (kind, restartable) = (task_type.kind, task_type.restartable);
    let operator = inner.policy.limits(&inner.limits, plugin.name());
    let limits = if request.limits.is_empty() {
        limits_of(kind, &operator, for_plugin, &task_type.limits)
    } else {
        limits_of(kind, &operator, for_plugin, &request.limits.or(task_type.limits))
    };
    let size = json::length(&request.input);
    if size > limits.input_bytes {
        return Err(StartError::InputTooLarge { size, max: limits.input_bytes });
    }
    attachment::check(&request.attachments, &limits)?;
    if json::has_too_many(&request.input) {
        return Err(StartError::TooManyValues { max: VALUES_MAX });
    }
    schemas.input.check(&request.input).map_err(|faults| StartError::InvalidInput { faults })?;
    inner.planners.check(&request.details)?;
    let at_end = inner.on_terminals.of(&request.details, on_terminal)?;
    let hooks = inner.task_hooks(&plugin, &request.task_type, request.grants.as_ref());
    let wanted = request.details.output_schema.as_ref().map(wanted).transpose()?;
    let schemas = schemas.clone();
    Ok(Checked { version, kind, restartable, schemas, limits, wanted, at_end, hooks, tree: None, beside: None })
}

/// The schema that a request has for its result, under the rules for a plugin's.
pub(super) fn wanted(schema: &Value) -> Result<Schema, StartError> {
    let depth = LoadLimits::default().schema_depth;
    Schema::new_within(schema, depth, OUTPUT_SCHEMA_BYTES_MAX).map_err(StartError::OutputSchema)
}

/// Opens each granted folder once, so that a wrong path is an error of the request and not of the task; and finds out
/// which one it is, whatever links lead there.
fn real_dirs(dirs: Vec<DirGrant>) -> Result<Vec<DirGrant>, StartError> {
    let real = |dir: DirGrant| {
        let failed = |source| StartError::GrantedDir { path: dir.host.clone(), source };
        cap_std::fs::Dir::open_ambient_dir(&dir.host, cap_std::ambient_authority()).map_err(failed)?;
        Ok(DirGrant { host: dir.host.canonicalize().map_err(failed)?, ..dir })
    };
    dirs.into_iter().map(real).collect()
}
