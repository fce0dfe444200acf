//! A runtime whose guests are scripts, on a clock that the test moves.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::model::admission::Concurrency;
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::ids::{PluginDigest, SignalKey};
use crate::model::limits::Limits;
use crate::model::manifest::{Manifest, TaskType};
use crate::model::outcome::{CellEnd, GuestOutcome};
use crate::model::request::StartRequest;
use crate::model::signal::Senders;
use crate::ports::clock::{BoxFuture, SimulatedClock};
use crate::ports::runner::{CellLink, CellWork, GuestCall, NoSignal, Permit, Runner};
use crate::ports::store::TaskStore;
use crate::runtime::belongings::Belongings;
use crate::runtime::desk::Desk;
use crate::runtime::dirs::HostDirs;
use crate::runtime::handle::TaskHandle;
use crate::runtime::host::Inner;
use crate::runtime::plugin::Plugin;
use crate::runtime::queue::Queue;
use crate::runtime::registry::{Keep, Registry};
use crate::runtime::shared::Surroundings;
use crate::sandbox::identify::FileKind;
use crate::sandbox::load::LoadedPlugin;
use crate::store::memory::MemoryStore;

/// What a scripted guest does.
pub(super) type Script = Arc<dyn Fn(CellLink) -> BoxFuture<'static, CellEnd> + Send + Sync>;

/// Runs scripts instead of wasm.
struct ScriptedRunner {
    script: Script,
    inputs: Arc<Mutex<Vec<Value>>>,
    places: Arc<Semaphore>,
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
        self.inputs.lock().unwrap().push(work.input.clone());
        let running = (self.script)(link);
        Box::pin(async move {
            let end = running.await;
            drop((permit, work));
            end
        })
    }
}

/// The runtime under test.
pub(super) struct Bench {
    pub(super) inner: Arc<Inner>,
    pub(super) clock: Arc<SimulatedClock>,
    /// What the guests were given, in the order in which they began.
    pub(super) inputs: Arc<Mutex<Vec<Value>>>,
}

impl Bench {
    pub(super) fn new(script: Script) -> Self {
        Self::with(script, 16, Arc::new(MemoryStore::new()))
    }

    pub(super) fn with(script: Script, places: usize, store: Arc<dyn TaskStore>) -> Self {
        let clock = Arc::new(SimulatedClock::new());
        let inputs = Arc::default();
        let registry = Arc::new(Registry::new(Keep { tasks: 256, time: Duration::from_hours(1), bytes: 64 << 20 }));
        for name in ["scripted", "other"] {
            registry.add_plugin(plugin(name)).unwrap();
        }
        let inner = Arc::new(Inner {
            registry,
            runner: Arc::new(ScriptedRunner {
                script,
                inputs: Arc::clone(&inputs),
                places: Arc::new(Semaphore::new(places)),
            }),
            around: Surroundings {
                store,
                clock: Arc::clone(&clock) as _,
                dirs: Arc::new(HostDirs::new(None).unwrap()),
            },
            sink: None,
            limits: Limits::default(),
            plugin_limits: std::collections::HashMap::new(),
            functions: Arc::default(),
            on_terminals: crate::runtime::terminal::OnTerminals::default(),
            plugins: Belongings::new(std::collections::HashMap::new(), 1 << 20),
            queue: Queue::new(4),
            desk: Arc::new(Desk::new(Concurrency::of(u32::MAX))),
            schedules: crate::runtime::schedules::Scheduling::new(4),
            shutdown: watch::Sender::new(false),
            runtime: tokio::runtime::Handle::current(),
            actors: Mutex::new(JoinSet::new()),
            shutting_down: tokio::sync::Mutex::default(),
        });
        Self { inner, clock, inputs }
    }

    /// The host, before its first task.
    pub(super) fn inner_mut(&mut self) -> &mut Inner {
        Arc::get_mut(&mut self.inner).unwrap()
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

fn plugin(name: &str) -> Plugin {
    let task = TaskType {
        name: "script".to_owned(),
        description: None,
        input: Some(serde_json::json!({ "type": "object" })),
        output: Some(serde_json::json!({ "type": ["string", "null"] })),
        limits: crate::model::limits::LimitsRequest::default(),
    };
    let schemas = vec![(task.name.clone(), task.schemas(32).unwrap())];
    Plugin::new(LoadedPlugin {
        digest: PluginDigest::of(name.as_bytes()),
        manifest: Manifest {
            manifest: 1,
            name: name.to_owned(),
            version: "1".to_owned(),
            author: None,
            description: None,
            url: None,
            requests: Vec::new(),
            tasks: vec![task],
        },
        schemas,
        imports: Vec::new(),
        exports: Vec::new(),
        size: 0,
        kind: FileKind::Component,
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
