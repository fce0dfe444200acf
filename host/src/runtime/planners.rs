//! Planners: who makes tasks' plans. A function of the host's, or a task of a plugin's.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::model::command::{Command, PlanCommand};
use crate::model::details::TaskDetails;
use crate::model::ids::{TaskId, TaskRef};
use crate::model::machine::Refusal;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::plan::{Plan, PlanError};
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::model::text;
use crate::ports::clock::BoxFuture;
use crate::ports::runner::{CancelNotice, Reply};
use crate::ports::watched::Watched;

use super::actor::{Actor, Ended, Finding};
use super::children::cancel;
use super::guard::guarded;
use super::handle::TaskHandle;
use super::host::Inner;
use super::plans::done;
use super::shared::{Control, Shared};
use super::start::start;
use super::start_error::StartError;

/// How long a planner may take unless somebody says otherwise: a minute, as for a model that thinks.
const TIMEOUT_DEFAULT: Duration = Duration::from_mins(1);
/// How long a first plan's task that finds the host's queue full waits before it tries again: at first, and at most.
const ROOM_WAIT: Duration = Duration::from_millis(100);
const ROOM_WAIT_MAX: Duration = Duration::from_secs(5);
/// Bytes of a planner's error that are kept.
const ERROR_BYTES_MAX: usize = 1 << 10;

/// What a planner is asked: a plan for this task.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PlanAsk {
    /// The task.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// Its input.
    pub input: Value,
    /// The plan that it has. Its completed steps stay, whatever the planner makes.
    pub plan: Option<Plan>,
    /// Why another plan is needed, in the words of whoever asks; empty for the first one. Escape it before showing it.
    pub reason: String,
}

/// Why a planner made no plan. It is written down, and whoever asked is told.
pub type PlannerError = Box<dyn std::error::Error + Send + Sync>;

type Made = BoxFuture<'static, Result<Plan, PlannerError>>;

/// A planner.
#[derive(Clone)]
pub(crate) enum Planner {
    Function(Arc<dyn Fn(PlanAsk) -> Made + Send + Sync>),
    /// A task of this plugin and type.
    Task {
        plugin: String,
        task_type: String,
    },
}

/// A host's planners, and how long each may take.
pub(crate) struct Planners {
    named: BTreeMap<String, Planner>,
    timeout: Duration,
}

impl Default for Planners {
    fn default() -> Self {
        Self { named: BTreeMap::new(), timeout: TIMEOUT_DEFAULT }
    }
}

impl fmt::Debug for Planners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planners").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Planners {
    /// Registers a planner. One of the same name is replaced.
    pub(crate) fn register(&mut self, name: String, planner: Planner) {
        self.named.insert(name, planner);
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Whether there is the planner that a request names, if it names one.
    pub(super) fn check(&self, details: &TaskDetails) -> Result<(), StartError> {
        match &details.planner {
            Some(name) if !self.named.contains_key(name) => {
                Err(StartError::UnknownPlanner { name: name.clone(), known: self.named.keys().cloned().collect() })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Who asked for a plan, and is told what came of it.
#[derive(Debug)]
pub(crate) enum Asker {
    /// Nobody: it is the task's first.
    Nobody,
    /// The task's guest.
    Guest(Reply<Result<Plan, Refusal>>),
    /// Somebody outside.
    Outside(oneshot::Sender<Result<Plan, PlanError>>),
}

impl Asker {
    fn tell(self, made: Result<Plan, PlanError>) {
        match self {
            Self::Nobody => {}
            Self::Guest(reply) => drop(reply.send(made.map_err(Into::into))),
            Self::Outside(reply) => drop(reply.send(made)),
        }
    }
}

/// What came of asking a planner.
#[derive(Debug)]
pub(crate) struct Planned {
    made: Result<Box<Plan>, PlanError>,
    /// The revision of the plan that the planner was shown.
    since: u64,
    by: Party,
    asker: Asker,
}

impl Actor {
    /// Has the first plan made, if the task is to have one before it begins.
    pub(super) async fn see_to_first_plan(&mut self) -> Result<(), Ended> {
        let wanted = {
            let state = self.shared.state();
            state.phase == Some(Phase::Queued) && state.awaits_first_plan() && !self.first_plan_asked
        };
        self.first_plan_asked |= wanted;
        if wanted { self.ask_planner(String::new(), None, Party::Host, Asker::Nobody).await } else { Ok(()) }
    }

    /// Asks the task's planner for a plan. That is a job of the actor's, and dropped with it.
    pub(super) async fn ask_planner(
        &mut self,
        reason: String,
        timeout: Option<Duration>,
        by: Party,
        asker: Asker,
    ) -> Result<(), Ended> {
        let first = matches!(asker, Asker::Nobody);
        let command = PlanCommand::AskPlanner { reason: reason.clone(), by, first };
        let answer = self.decide(Command::Plan(command)).await?;
        if let Err(error) = done(answer) {
            asker.tell(Err(error));
            return Ok(());
        }
        let (ask, since, name) = {
            let state = self.shared.state();
            let (id, task) = (self.shared.id, self.shared.task_ref());
            let since = state.plan.as_ref().map_or(0, |plan| plan.revision);
            let ask = PlanAsk { id, task, input: (*state.input).clone(), plan: state.plan.as_deref().cloned(), reason };
            (ask, since, state.details.planner.clone().unwrap_or_default())
        };
        let (inner, cancelled) = (Weak::clone(&self.host), Arc::clone(&self.cancel));
        self.jobs.spawn(async move {
            let made = match inner.upgrade() {
                Some(inner) => {
                    // A planner can panic even when it is dropped, and whoever waits for it is told then, too.
                    let mut making = Box::pin(make(&inner, &name, ask, timeout, first, cancelled));
                    guarded(making.as_mut()).await.unwrap_or_else(|panic| Err(panicked(&panic)))
                }
                None => Err(PlanError::Planner("the host is shutting down".to_owned())),
            };
            Some(Finding::Planned(Box::new(Planned { made: made.map(Box::new), since, by, asker })))
        });
        Ok(())
    }

    /// A planner has made a plan, or none.
    pub(super) async fn on_planned(&mut self, planned: Planned) -> Result<(), Ended> {
        let Planned { made, since, by, asker } = planned;
        let first = matches!(asker, Asker::Nobody);
        let answer = self.decide(Command::Plan(PlanCommand::Planned { plan: made, since, by, first })).await?;
        asker.tell(self.planned(answer));
        Ok(())
    }
}

impl TaskHandle {
    /// Asks the task's planner ([`StartRequest::planner`](crate::StartRequest::planner)) for another plan, and sets it as
    /// [`TaskHandle::set_plan`] does. Returns the plan that the task has then.
    ///
    /// # Errors
    /// When the task has no planner, that makes no plan or takes too long, or somebody changed the plan meanwhile. The plan
    /// stays as it was then, and an event says why. And when somebody else waits for the planner, and the task has not begun.
    ///
    /// Cancel safety: when the future is dropped, the planner may go on, and its plan may be set.
    pub async fn replan(&self, reason: impl Into<String>, by: Party) -> Result<Plan, PlanError> {
        let reason = reason.into();
        let answer = self.shared.tell(|reply| Control::Replan { reason, by, reply }).await;
        answer.unwrap_or(Err(PlanError::Ended))
    }
}

/// Has a plan made, within the time that there is for it, or until the task shall stop.
async fn make(
    inner: &Arc<Inner>,
    name: &str,
    ask: PlanAsk,
    timeout: Option<Duration>,
    first: bool,
    cancelled: Arc<Watched<Option<CancelNotice>>>,
) -> Result<Plan, PlanError> {
    let planner = inner.planners.named.get(name).cloned();
    // It was there when the task was started.
    let planner = planner.ok_or_else(|| PlanError::Planner(format!("this host has no planner {name:?}")))?;
    let time = timeout.map_or(inner.planners.timeout, |timeout| timeout.min(inner.planners.timeout));
    let clock = &inner.around.clock;
    let over = clock.steady().saturating_add(time);
    // Whoever asks waits for the plan, and so the time for it is theirs. A first plan's task waits for its turn like the
    // task that it plans for, and its time begins with its run.
    let waits_for_room = first && matches!(planner, Planner::Task { .. });
    let called = pin!(async {
        match planner {
            Planner::Function(function) => function(ask).await.map_err(|error| failed(&error.to_string())),
            Planner::Task { plugin, task_type } => by_task(inner, plugin, task_type, &ask, time, first).await,
        }
    });
    tokio::select! {
        biased;
        made = guarded(called) => made.unwrap_or_else(|panic| Err(panicked(&panic))),
        () = cancelled.until(Option::is_some) => Err(PlanError::Cancelled),
        () = clock.sleep_until(over), if !waits_for_room => Err(PlanError::PlannerTimedOut),
    }
}

fn panicked(panic: &str) -> PlanError {
    PlanError::PlannerPanicked(text::shortened(panic, ERROR_BYTES_MAX).into_owned())
}

fn failed(why: &str) -> PlanError {
    PlanError::Planner(text::shortened(why, ERROR_BYTES_MAX).into_owned())
}

/// Has a task make the plan. It is a task of the host's own and no child: the task that it plans for may not have begun, and
/// has no fuel, time or place in a tree to give away then.
async fn by_task(
    inner: &Arc<Inner>,
    plugin: String,
    task_type: String,
    ask: &PlanAsk,
    time: Duration,
    first: bool,
) -> Result<Plan, PlanError> {
    let TaskRef { plugin: of_plugin, task_type: of_type, key } = &ask.task;
    let input = json!({
        "version": 1,
        "task": { "plugin": of_plugin, "task_type": of_type, "key": key.as_str() },
        "id": ask.id,
        "input": ask.input,
        "plan": ask.plan.as_ref().map(Plan::to_json),
        "reason": ask.reason,
    });
    let mut request = StartRequest::new(plugin, task_type).input(input).timeout(time);
    if let Some(shared) = inner.registry.by_id(ask.id) {
        let of_task = &shared.state().details;
        let details = &mut request.details;
        details.session.clone_from(&of_task.session);
        details.user.clone_from(&of_task.user);
        details.agent.clone_from(&of_task.agent);
        details.trace.clone_from(&of_task.trace);
    }
    request.untold = true;
    let task = started(inner, request, first).await.map_err(|error| failed(&error.to_string()))?;
    match TaskHandle::new(Arc::clone(&task.task)).wait().await {
        Outcome::Succeeded { data: Some(data), .. } => Plan::from_json(data),
        Outcome::Succeeded { data: None, .. } => Err(failed("the planning task returned nothing")),
        Outcome::Failed(failure) if failure.kind == FailureKind::Timeout => Err(PlanError::PlannerTimedOut),
        other @ (Outcome::Failed(_) | Outcome::Cancelled { .. }) => Err(failed(&format!("the planning task {other}"))),
    }
}

/// Starts a planning task. The start is a job of the host's, so that one whose asker goes is stopped, and not forgotten half-way.
async fn begun(inner: &Arc<Inner>, request: StartRequest) -> Result<StopsUnwanted, StartError> {
    let (reply, begun) = oneshot::channel();
    let host = Arc::clone(inner);
    inner.spawn(Box::pin(async move {
        let task = Box::pin(start(&host, request, None)).await;
        let inner = Arc::clone(&host);
        // Whoever has gone meanwhile, or goes before taking it, drops it.
        let _ = reply.send(task.map(|task| StopsUnwanted { inner, task: Arc::clone(task.shared()) }));
    }));
    begun.await.unwrap_or(Err(StartError::ShuttingDown))
}

/// Starts a planning task. One for a first plan waits for room in the host's queue: the task that it plans for waits anyway.
async fn started(inner: &Arc<Inner>, request: StartRequest, first: bool) -> Result<StopsUnwanted, StartError> {
    let mut wait = ROOM_WAIT;
    loop {
        match begun(inner, request.clone()).await {
            Err(StartError::QueueFull { .. }) if first => {}
            done => return done,
        }
        let clock = &inner.around.clock;
        clock.sleep_until(clock.steady().saturating_add(wait)).await;
        wait = wait.saturating_mul(2).min(ROOM_WAIT_MAX);
    }
}

/// Stops a planning task that nobody waits for any more.
struct StopsUnwanted {
    inner: Arc<Inner>,
    task: Arc<Shared>,
}

impl Drop for StopsUnwanted {
    fn drop(&mut self) {
        if self.task.outcome().is_some() {
            return;
        }
        let task = Arc::clone(&self.task);
        self.inner.spawn(Box::pin(async move {
            cancel(&task, CancelRequest::new(Party::Host, "nobody waits for this plan any more")).await;
        }));
    }
}
