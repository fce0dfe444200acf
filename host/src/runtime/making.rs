//! A task's actor as it is made: from a request that was checked, or from what a host before this one has left of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use taskcell_slot::Owner;
use tokio::sync::oneshot;

use crate::model::grants::Grants;
use crate::model::ids::{SignalKey, TaskId, TaskRef};
use crate::model::manifest::Schemas;
use crate::model::outbox::Delivery;
use crate::model::schema::Schema;
use crate::model::state::TaskState;
use crate::ports::mailbox::Mailbox;
use crate::ports::mandate::Settling;
use crate::ports::runner::{CellLink, CellWork};
use crate::ports::watched::Watched;

use super::actor::Actor;
use super::attachments::Attached;
use super::delivery::LoopPlace;
use super::hooks::TaskHooks;
use super::host::Inner;
use super::jobs::Jobs;
use super::pace::Bucket;
use super::policing::Holder;
use super::queue::QueuePlace;
use super::registry::TreePlace;
use super::shared::{CONTROL_QUEUE, Ears, Shared};
use super::terminal::AtEnd;
use super::timers::{Sleep, Timers};
use super::version::VersionUse;

/// A task as others see it, before anything works for it.
pub(super) struct Embryo {
    pub(super) id: TaskId,
    pub(super) task: Arc<TaskRef>,
    /// Its place in the host's order of starts.
    pub(super) number: u64,
    pub(super) state: TaskState,
    /// Its place in its tree: the first of that, and how many are above.
    pub(super) tree: Option<(TaskId, u32)>,
    pub(super) place: Option<LoopPlace>,
}

/// What others may know of a task, and what they want of it.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) shared: Arc<Shared>,
    pub(super) ears: Ears,
}

impl Embryo {
    pub(super) fn embody(self, inner: &Inner) -> Body {
        let (budget, used) = (self.state.fuel_budget, self.state.known_usage());
        let control = Mailbox::new(CONTROL_QUEUE);
        let mut shared = Shared::new(self.id, self.task, self.number, self.state, control, Arc::clone(&inner.around));
        shared.place = self.place;
        shared.tree = self.tree;
        shared.gauges.begin(budget, &used);
        let shared = Arc::new(shared);
        Body { ears: Ears::new(&shared), shared }
    }
}

/// All that an actor is made of.
pub(super) struct Makings {
    pub(super) body: Body,
    pub(super) version: VersionUse,
    /// What whoever started it let it have.
    pub(super) grants: Option<Grants>,
    pub(super) schemas: Schemas,
    pub(super) wanted: Option<Schema>,
    pub(super) at_end: Option<Box<AtEnd>>,
    pub(super) hooks: Option<Box<TaskHooks>>,
    pub(super) tree: Option<TreePlace>,
    pub(super) attached: Option<Attached>,
    pub(super) queued: Option<QueuePlace>,
    pub(super) told_once: HashMap<SignalKey, Delivery>,
}

/// What its code is given when it begins.
pub(super) type Ready = Box<(CellWork, CellLink)>;

/// Makes it. No future of its own, because much is moved here; and boxed, because a future that holds it would hold it once
/// more for each that it waits in.
pub(super) fn make(inner: &Arc<Inner>, of: Makings) -> (Box<Actor>, Ready) {
    let Body { shared, ears } = of.body;
    let (id, task) = (shared.id, Arc::clone(&shared.task));
    let (input, limits, details, paused, ran_ms, granting) = {
        let state = shared.state();
        // Of one that has waited since it was embodied, both may be others by now.
        shared.gauges.begin(state.fuel_budget, &state.known_usage());
        let (input, details) = (Arc::clone(&state.input), Arc::clone(&state.details));
        (input, Arc::clone(&state.limits), details, state.paused.is_some(), state.traces.ran_ms, state.granting.clone())
    };
    let timers = Timers::after(&limits, std::time::Duration::from_millis(ran_ms));
    let (progress_pace, event_pace) =
        (Bucket::even(limits.progress_per_second), Bucket::bursting(limits.events_per_second));
    let cancel = Arc::<Watched<_>>::default();
    let (alive, gone) = oneshot::channel();
    shared.runs(of.version.number);
    if paused {
        shared.gate.shut();
    }
    let (plugin, parent) = (&of.version.plugin, details.parent);
    let mandate = inner
        .policy
        .issue(Holder { id, plugin, task_type: &task.task_type, parent, clock: &inner.around.clock }, of.grants);
    mandate.remember(&granting);
    let owner = Arc::<Owner>::default();
    let link = CellLink {
        cancel: Arc::clone(&cancel),
        gauges: Arc::clone(&shared.gauges),
        news: Arc::clone(&shared.news),
        gate: Arc::clone(&shared.gate),
        output: Arc::clone(&shared.output),
        config: inner.plugins.config(&task.plugin),
        kv: Some(inner.plugins.store(&task.plugin)),
        mandate: Arc::clone(&mandate),
        secrets: Arc::clone(&shared.around.secrets),
        owner: Arc::clone(&owner),
    };
    let scratch = Arc::new(inner.around.dirs.scratch(id));
    let work = CellWork {
        plugin: of.version.plugin.digest(),
        id,
        task,
        input,
        limits,
        attempt: 1,
        fuel_used: 0,
        details,
        scratch: Arc::clone(&scratch),
        attachments: of.attached.as_ref().map(Attached::path),
        alive,
    };
    let again = || Box::new(link.clone());
    let mut actor = Box::new(Actor {
        again: (work.details.retry.attempts > 1).then(again),
        version: of.version,
        desk: Arc::clone(&inner.desk),
        last: None,
        first_plan_asked: false,
        owner,
        gone,
        tree: of.tree,
        shared,
        registry: Arc::clone(&inner.registry),
        runner: Arc::clone(&inner.runner),
        feed: inner.feed.clone(),
        sink: inner.sink.clone(),
        schemas: of.schemas,
        wanted: of.wanted,
        mandate: Settling(mandate),
        host: Arc::downgrade(inner),
        children: HashMap::new(),
        ended_children: VecDeque::new(),
        ended_children_bytes: 0,
        watched: Jobs::default(),
        functions: Arc::clone(&inner.functions),
        ears,
        cancel,
        timers,
        sleep: Sleep::default(),
        progress_pace,
        event_pace,
        parked: None,
        queued: of.queued,
        told_once: of.told_once,
        jobs: Jobs::default(),
        scratch,
        attached: of.attached,
        at_end: of.at_end,
        life: None,
        hooks: of.hooks,
    });
    actor.begin_to_wait();
    (actor, Box::new((work, link)))
}
