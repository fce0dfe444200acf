//! Hosts that stop without a word, and those that go on after them.

mod awaiting;
mod children;
mod everywhere;
mod gate;
mod mended;
mod missed;
mod planned;
#[cfg(feature = "sqlite")]
mod power;
mod shapes;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::hook::Hooks;
use crate::model::ids::TaskId;
use crate::model::manifest::TaskKind;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::request::StartRequest;
use crate::model::state::TaskState;
use crate::ports::clock::{BoxFuture, Clock};
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};
use crate::runtime::handle::TaskHandle;
use crate::runtime::recovery::Recovery;
use crate::runtime::suspending::Suspended;
use crate::runtime::version::{Standing, Version};
use crate::store::memory::MemoryStore;

use super::bench::{Bench, Script, script, settle, success, version_with, wait_for};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);

/// What hosts have in common that live one after the other: their store, the time, and whoever is told of ends.
#[derive(Clone)]
struct World {
    store: Arc<MemoryStore>,
    time: Arc<Mutex<Duration>>,
    /// What the function `note` was told, by its keys.
    told: Arc<Mutex<HashMap<String, Vec<Outcome>>>>,
    /// The version of the plugin that is loaded.
    version: &'static str,
    places: usize,
}

impl World {
    fn new() -> Self {
        Self { store: Arc::default(), time: Arc::default(), told: Arc::default(), version: "1", places: 16 }
    }

    /// A host that lives for so many commits.
    fn mortal(&self, script: &Script, commits: i64, torn: bool) -> Bench {
        let way = Way { left: AtomicI64::new(commits), torn, ..Way::open(&self.store) };
        self.host_on(script, Arc::new(way))
    }

    /// A host whose store panics once, after so many commits.
    fn host_whose_store_panics(&self, script: &Script, commits: i64) -> Bench {
        let way = Way { left: AtomicI64::new(commits), panics: true, ..Way::open(&self.store) };
        self.host_on(script, Arc::new(way))
    }

    /// A host that cannot read this.
    fn host_that_cannot_read(&self, script: &Script, damaged: StreamId) -> Bench {
        self.host_on(script, Arc::new(Way { damaged: Some(damaged), ..Way::open(&self.store) }))
    }

    /// A host whose store waits for room on the disk.
    fn host_that_cannot_flush(&self, script: &Script) -> Bench {
        self.host_on(script, Arc::new(Way { is_full: true, ..Way::open(&self.store) }))
    }

    fn host(&self, script: &Script) -> Bench {
        self.host_on(script, Arc::clone(&self.store) as _)
    }

    fn host_on(&self, script: &Script, store: Arc<dyn TaskStore>) -> Bench {
        let mut bench = Bench::with(Arc::clone(script), self.places, store);
        bench.clock.advance(*self.time.lock().unwrap());
        let told = Arc::clone(&self.told);
        let inner = bench.inner_mut();
        Arc::make_mut(&mut inner.around).suspended = Arc::new(Suspended::new(true));
        let note = move |end: crate::runtime::terminal::TaskEnd| {
            told.lock().unwrap().entry(end.idempotency_key()).or_default().push(end.outcome);
            Box::pin(std::future::ready(Ok(()))) as BoxFuture<'static, _>
        };
        inner.on_terminals.register("note".to_owned(), Arc::new(note));
        let types = [("again", TaskKind::Task), ("once", TaskKind::Task)];
        let plugin = version_with("steady", self.version, &types, Hooks::default());
        let version = Version::new(plugin, Arc::new(()), inner.registry.next_number(), Standing::Enabled);
        inner.registry.add_version(Arc::new(version)).unwrap();
        bench
    }

    /// The host stops without a word, and is away for so long.
    async fn stop(&self, bench: Bench, away: Duration) {
        // Its clock goes on for the next one.
        *self.time.lock().unwrap() = bench.clock.steady() + away;
        bench.inner.suspend().await;
    }

    /// The next host, which has taken over.
    async fn next(&self, script: &Script) -> (Bench, Recovery) {
        let bench = self.host(script);
        let recovery = bench.inner.recover().await.unwrap();
        settle().await;
        (bench, recovery)
    }

    async fn log(&self, id: TaskId) -> Vec<Event> {
        self.store.read(StreamId::Task(id), EventSeq::default(), 10_000).await.unwrap()
    }

    async fn bodies(&self, id: TaskId) -> Vec<EventBody> {
        self.log(id).await.into_iter().map(|event| event.body).collect()
    }

    /// What the function was told of a task's end, each time.
    fn told(&self, id: TaskId) -> Vec<Outcome> {
        self.told.lock().unwrap().get(&format!("{id}-end")).cloned().unwrap_or_default()
    }
}

/// A request for a task that is begun again, whose end is told.
fn again() -> StartRequest {
    noted(StartRequest::new("steady", "again"))
}

/// The same for one that is not.
fn once() -> StartRequest {
    noted(StartRequest::new("steady", "once"))
}

/// Waits for `go`, and ends with what came.
fn waiting() -> Script {
    script(|link| async move { success(json!(wait_for(&link, "go", None).await)) })
}

fn noted(mut request: StartRequest) -> StartRequest {
    request.details.on_terminal = Some("note".to_owned());
    request
}

fn task(bench: &Bench, id: TaskId) -> TaskHandle {
    TaskHandle::new(bench.inner.registry.by_id(id).expect("it is known"))
}

/// The first child of a task.
fn child_of(bench: &Bench, parent: TaskId) -> TaskId {
    task(bench, parent).state().children[0].id
}

fn failed(outcome: Option<Outcome>) -> (FailureKind, String) {
    let Some(Outcome::Failed(failure)) = outcome else { panic!("{outcome:?}") };
    (failure.kind, failure.message)
}

fn fold(log: &[Event]) -> TaskState {
    log.iter().fold(TaskState::default(), |mut state, event| {
        state.apply(event);
        state
    })
}

/// A host's way to the store, which ends with its process: nobody hears of the last commit, taken or not, nor of anything
/// after it.
#[derive(Debug)]
struct Way {
    store: Arc<MemoryStore>,
    left: AtomicI64,
    /// Whether the last one is taken.
    torn: bool,
    /// What cannot be read. Then there is a task without an id too.
    damaged: Option<StreamId>,
    /// Whether nothing is made safe.
    is_full: bool,
    /// Whether it panics in the place of the last commit, and works again then.
    panics: bool,
}

impl Way {
    fn open(store: &Arc<MemoryStore>) -> Self {
        let (store, left) = (Arc::clone(store), AtomicI64::new(i64::MAX));
        Self { store, left, torn: false, damaged: None, is_full: false, panics: false }
    }

    async fn or_never<T>(&self, answer: impl Future<Output = T>) -> T {
        if self.left.load(Ordering::SeqCst) < 0 { std::future::pending().await } else { answer.await }
    }
}

impl TaskStore for Way {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            let left = self.left.fetch_sub(1, Ordering::SeqCst);
            if left > 0 {
                return self.store.commit(stream, fence, records).await;
            }
            if left == 0 && self.panics {
                self.left.store(i64::MAX, Ordering::SeqCst);
                panic!("the store is broken");
            }
            if left == 0 && self.torn {
                let _ = self.store.commit(stream, fence, records).await;
            }
            self.left.store(-1, Ordering::SeqCst);
            std::future::pending().await
        })
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        Box::pin(self.or_never(self.store.head(stream)))
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        if self.damaged == Some(stream) {
            return Box::pin(std::future::ready(Err(StoreError::Damaged)));
        }
        Box::pin(self.or_never(self.store.read(stream, after, limit)))
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            if self.left.load(Ordering::SeqCst) < 0 {
                return std::future::pending().await;
            }
            self.store.remove(stream).await
        })
    }

    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>> {
        Box::pin(self.or_never(async move {
            let mut page = self.store.tasks(after, limit).await?;
            if let (Some(_), Some(last)) = (self.damaged, page.last()) {
                // There is one more, of which nothing can be read.
                page.push(StoredTask::new(last.place + 1, None, None));
            }
            Ok(page)
        }))
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        if self.is_full { Box::pin(std::future::pending()) } else { self.store.flush() }
    }
}
