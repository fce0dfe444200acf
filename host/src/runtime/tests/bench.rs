//! A runtime whose guests are scripts, on a clock that the test moves.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::model::admission::Concurrency;
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::hook::{HookLimits, Hooks};
use crate::model::ids::{PluginDigest, SignalKey};
use crate::model::limits::Limits;
use crate::model::manifest::{Manifest, TaskKind, TaskType};
use crate::model::outbox::OutboxLimits;
use crate::model::outcome::{CellEnd, Failure, GuestOutcome};
use crate::model::permission::ApprovalKinds;
use crate::model::request::StartRequest;
use crate::model::scratch::ScratchPolicy;
use crate::model::signal::Senders;
use crate::ports::clock::{BoxFuture, SimulatedClock};
use crate::ports::hooks::HookWork;
use crate::ports::runner::{CellLink, CellWork, GuestCall, NoSignal, Permit, Runner};
use crate::ports::store::TaskStore;
use crate::runtime::approvals::ApprovalDesk;
use crate::runtime::belongings::Belongings;
use crate::runtime::daemons::Daemons;
use crate::runtime::desk::Desk;
use crate::runtime::dirs::HostDirs;
use crate::runtime::feed::{Feed, FeedLimits, FeedWriter};
use crate::runtime::handle::TaskHandle;
use crate::runtime::hooks::HookRules;
use crate::runtime::host::Inner;
use crate::runtime::outbox::OutboxDesk;
use crate::runtime::plugin::Plugin;
use crate::runtime::policing::PolicyDesk;
use crate::runtime::queue::Queue;
use crate::runtime::recovery::Standby;
use crate::runtime::registry::{Keep, Registry};
use crate::runtime::shared::Surroundings;
use crate::runtime::shutdown::{Shutdown, Stopping};
use crate::runtime::suspending::Suspended;
use crate::runtime::turns::Turns;
use crate::runtime::version::{Standing, Version};
use crate::sandbox::identify::FileKind;
use crate::sandbox::load::LoadedPlugin;
use crate::store::memory::MemoryStore;

/// What a scripted guest does.
pub(super) type Script = Arc<dyn Fn(CellLink) -> BoxFuture<'static, CellEnd> + Send + Sync>;

/// What the hooks of the plugin `hooked` do.
pub(super) type HookScript = Arc<dyn Fn(HookWork) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// What scripted guests leave behind.
#[derive(Debug, Default)]
pub(super) struct Cells {
    /// Whether each writes a file `attempt` into its scratch directory.
    pub(super) write: bool,
    /// Whether the cells stay when their guests have ended, and those that did.
    pub(super) linger: bool,
    pub(super) left: Vec<CellWork>,
}

/// Runs scripts instead of wasm.
struct ScriptedRunner {
    script: Script,
    inputs: Arc<Mutex<Vec<Value>>>,
    codes: Arc<Mutex<Vec<PluginDigest>>>,
    places: Arc<Semaphore>,
    hooks: Arc<Mutex<HookScript>>,
    cells: Arc<Mutex<Cells>>,
}

impl fmt::Debug for ScriptedRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedRunner")
    }
}

impl Runner for ScriptedRunner {
    fn admit(&self, _: PluginDigest) -> BoxFuture<'static, Permit> {
        let places = Arc::clone(&self.places);
        Box::pin(async move { Box::new(places.acquire_owned().await.unwrap()) as Permit })
    }

    fn run(&self, work: CellWork, link: CellLink, permit: Permit) -> BoxFuture<'static, CellEnd> {
        self.inputs.lock().unwrap().push((*work.input).clone());
        self.codes.lock().unwrap().push(work.plugin);
        let cells = Arc::clone(&self.cells);
        if cells.lock().unwrap().write {
            work.scratch.open().unwrap().write("attempt", work.attempt.to_string()).unwrap();
        }
        let running = (self.script)(link);
        Box::pin(async move {
            let end = running.await;
            drop(permit);
            let mut cells = cells.lock().unwrap();
            if cells.linger {
                cells.left.push(work);
            }
            end
        })
    }

    fn hook(&self, work: HookWork) -> BoxFuture<'static, Result<(), Failure>> {
        (self.hooks.lock().unwrap())(work)
    }
}

/// The runtime under test.
pub(super) struct Bench {
    pub(super) inner: Arc<Inner>,
    pub(super) clock: Arc<SimulatedClock>,
    /// What the guests were given, in the order in which they began.
    pub(super) inputs: Arc<Mutex<Vec<Value>>>,
    /// Room for guests.
    pub(super) places: Arc<Semaphore>,
    /// What its plugins' hooks do: nothing, unless a test says otherwise.
    pub(super) hooks: Arc<Mutex<HookScript>>,
    /// What they leave behind: nothing, unless a test says otherwise.
    pub(super) cells: Arc<Mutex<Cells>>,
    /// Whose code they were.
    pub(super) codes: Arc<Mutex<Vec<PluginDigest>>>,
}

impl Bench {
    pub(super) fn new(script: Script) -> Self {
        Self::with(script, 16, Arc::new(MemoryStore::new()))
    }

    pub(super) fn with(script: Script, places: usize, store: Arc<dyn TaskStore>) -> Self {
        Self::within(Arc::new(HostDirs::new(None).unwrap()), script, places, store)
    }

    /// One that shares its directory with others: for tests that need very many.
    pub(super) fn within(dirs: Arc<HostDirs>, script: Script, places: usize, store: Arc<dyn TaskStore>) -> Self {
        let clock = Arc::new(SimulatedClock::new());
        let (inputs, codes, cells) = (Arc::default(), Arc::default(), Arc::default());
        let places = Arc::new(Semaphore::new(places));
        let registry = Arc::new(Registry::new(Keep { tasks: 256, time: Duration::from_hours(1), bytes: 64 << 20 }));
        for name in ["scripted", "other"] {
            let number = registry.next_number();
            let version = Version::new(plugin(name, Hooks::default()), Arc::new(()), number, Standing::Enabled);
            registry.add_version(Arc::new(version)).unwrap();
        }
        let nothing: HookScript = Arc::new(|_| Box::pin(std::future::ready(Ok(()))));
        let hooks = Arc::new(Mutex::new(nothing));
        let feed = Arc::new(Feed::new(FeedLimits { events: 256, bytes: 1 << 20 }));
        let stopping = Arc::new(Stopping::default());
        let inner = Arc::new(Inner {
            policy: PolicyDesk::default(),
            feed: FeedWriter::new(&feed),
            registry,
            #[cfg(feature = "sqlite")]
            health: None,
            runner: Arc::new(ScriptedRunner {
                script,
                inputs: Arc::clone(&inputs),
                codes: Arc::clone(&codes),
                places: Arc::clone(&places),
                hooks: Arc::clone(&hooks),
                cells: Arc::clone(&cells),
            }),
            around: Arc::new(Surroundings {
                store,
                clock: Arc::clone(&clock) as _,
                dirs,
                approvals: Arc::new(ApprovalDesk::new(None)),
                feed,
                suspended: Arc::new(Suspended::new(false)),
                stopping: Arc::clone(&stopping),
                secrets: Arc::default(),
                outbox: Arc::new(OutboxDesk::new(OutboxLimits { messages: 10_000, bytes: 64 << 20 })),
            }),
            sink: None,
            limits: Limits::default(),
            approve_in_advance: ApprovalKinds::default(),
            scratch_policy: ScratchPolicy::default(),
            plugin_limits: std::collections::HashMap::new(),
            functions: Arc::default(),
            on_terminals: crate::runtime::terminal::OnTerminals::default(),
            planners: crate::runtime::planners::Planners::default(),
            routing: crate::runtime::routing::RoutingPolicy::default(),
            loops: Arc::default(),
            daemons: Daemons { start: true, grants: std::collections::HashMap::new() },
            turns: Turns::default(),
            plugins: Belongings::new(std::collections::HashMap::new(), None, 1 << 20, Arc::new(MemoryStore::new())),
            hooks: HookRules::new(HookLimits::default(), std::collections::HashSet::new()),
            queue: Queue::new(4),
            desk: Arc::new(Desk::new(Concurrency::of(u32::MAX))),
            schedules: crate::runtime::schedules::Scheduling::new(4),
            standby: Standby::new(false).into(),
            shutdown: Shutdown::new(&stopping),
            runtime: tokio::runtime::Handle::current(),
            actors: Mutex::new(JoinSet::new()),
            shutdowns: Mutex::new(JoinSet::new()),
            shutting_down: tokio::sync::Mutex::default(),
        });
        Self { inner, clock, inputs, places, hooks, cells, codes }
    }

    /// The host, before its first task.
    pub(super) fn inner_mut(&mut self) -> &mut Inner {
        Arc::get_mut(&mut self.inner).unwrap()
    }

    /// What its tasks will share with it, before the first.
    pub(super) fn around_mut(&mut self) -> &mut Surroundings {
        Arc::make_mut(&mut self.inner_mut().around)
    }

    pub(super) async fn start(&self) -> TaskHandle {
        self.inner.start(request()).await.unwrap()
    }

    /// Moves time on, after whoever is about to sleep on it has done so.
    pub(super) async fn advance(&self, by: Duration) {
        settle().await;
        self.clock.advance(by);
        settle().await;
    }
}

/// Lets everything that can happen without time passing happen. Works on the single-threaded test runtime, where each
/// yield gives every ready future a turn.
pub(super) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

pub(super) fn request() -> StartRequest {
    StartRequest::new("scripted", "script")
}

/// A plugin of this name, with these hooks.
pub(super) fn plugin(name: &str, hooks: Hooks) -> Plugin {
    version_with(name, "1", &[("script", TaskKind::Task)], hooks)
}

/// A plugin's version with these task types. Other versions are other code.
pub(super) fn version_of(name: &str, version: &str, types: &[(&str, TaskKind)]) -> Plugin {
    version_with(name, version, types, Hooks::default())
}

/// A plugin's version with these task types and hooks.
pub(super) fn version_with(name: &str, version: &str, types: &[(&str, TaskKind)], hooks: Hooks) -> Plugin {
    let task = |(task_type, kind): &(&str, TaskKind)| TaskType {
        name: (*task_type).to_owned(),
        description: None,
        input: Some(serde_json::json!({ "type": "object" })),
        output: Some(serde_json::json!({ "type": ["string", "object", "null"] })),
        limits: crate::model::limits::LimitsRequest::default(),
        routing: None,
        kind: *kind,
        requests: Vec::new(),
        read_only: false,
        concurrent_safe: false,
        restartable: task_type.starts_with("again"),
    };
    let tasks: Vec<TaskType> = types.iter().map(task).collect();
    let manifest = Manifest {
        manifest: 1,
        name: name.to_owned(),
        version: version.to_owned(),
        author: None,
        description: None,
        url: None,
        requests: Vec::new(),
        tasks,
    };
    Plugin::new(LoadedPlugin {
        digest: PluginDigest::of(format!("{name} {version}").as_bytes()),
        schemas: manifest.schemas(32).unwrap(),
        manifest,
        // They ask for whatever they are granted.
        imports: ["host", "kv", "signals", "tasks"].map(|name| format!("taskcell:plugin/{name}")).into(),
        exports: Vec::new(),
        size: 0,
        kind: FileKind::Component,
        hooks,
        signed: crate::model::publisher::Signed::Not,
    })
}

/// A script from an async closure.
pub(super) fn script<F: Future<Output = CellEnd> + Send + 'static>(
    body: impl Fn(CellLink) -> F + Send + Sync + 'static,
) -> Script {
    Arc::new(move |link| Box::pin(body(link)))
}

pub(super) fn success(data: impl Into<Option<Value>>) -> CellEnd {
    CellEnd::Returned(GuestOutcome::Succeeded { message: "done".to_owned(), data: data.into() })
}

pub(super) fn key(text: &str) -> SignalKey {
    SignalKey::new(text).unwrap()
}

/// Waits for a signal as a guest does, and succeeds with what became of it.
pub(super) async fn wait_for(link: &CellLink, name: &str, timeout: Option<Duration>) -> String {
    match link.ask(|reply| GuestCall::Wait { keys: vec![key(name)], senders: Senders::default(), timeout, reply }).await
    {
        Some(Ok((_, signal))) => format!("{:?} from {}", signal.payload, signal.sender.word()),
        Some(Err(NoSignal::Over(end))) => format!("{end:?}"),
        Some(Err(NoSignal::Refused(refusal))) => refusal.message,
        None => "nobody".to_owned(),
    }
}

/// The whole log of an ended task, checked to be numbered without gaps and to end with its only `finished`.
pub(super) async fn log(task: &TaskHandle) -> Vec<Event> {
    let mut stream = task.events(EventSeq::default());
    let mut events = Vec::new();
    while let Some(event) = stream.next().await.unwrap() {
        events.push(event);
    }
    for (event, number) in events.iter().zip(1..) {
        assert_eq!(event.seq, EventSeq(number));
    }
    let finished = |event: &&Event| matches!(event.body, EventBody::Finished { .. });
    assert_eq!(events.iter().filter(finished).count(), 1, "{events:?}");
    assert!(events.last().is_some_and(|event| finished(&event)));
    events
}

/// Something that goes on beside the test, which owns it.
pub(super) struct Beside<T> {
    jobs: JoinSet<T>,
    job: tokio::task::AbortHandle,
}

pub(super) fn beside<F: Future<Output: Send> + Send + 'static>(work: F) -> Beside<F::Output> {
    let mut jobs = JoinSet::new();
    let job = jobs.spawn(work);
    Beside { jobs, job }
}

impl<T: 'static> Beside<T> {
    pub(super) fn is_finished(&self) -> bool {
        self.job.is_finished()
    }

    pub(super) async fn end(mut self) -> T {
        self.jobs.join_next().await.unwrap().unwrap()
    }
}
