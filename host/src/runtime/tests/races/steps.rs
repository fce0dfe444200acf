//! Every order in which two things can happen, poll by poll, on one thread and with no clock but the test's.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::yield_now;

use crate::model::admission::Concurrency;
use crate::model::event::{Event, EventSeq};
use crate::model::ids::TaskKey;
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};
use crate::runtime::desk::Desk;
use crate::runtime::dirs::HostDirs;
use crate::runtime::tests::bench::{Bench, Script, request};
use crate::store::memory::MemoryStore;

/// Turns after which whoever is not through by then never is.
const PATIENCE: usize = 500;

/// Lets everything happen that can: a task's whole life takes fewer turns than this, and there are thousands of races.
pub(super) async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

/// What happens next in a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The one is polled.
    First,
    /// The other is polled.
    Second,
    /// Everybody else has a turn: actors, guests, jobs.
    Others,
}

/// Every order of so many steps.
pub(super) fn orders(length: u32) -> impl Iterator<Item = Vec<Step>> {
    (0..3_u32.pow(length)).map(move |number| {
        let step = |place| match number / 3_u32.pow(place) % 3 {
            0 => Step::First,
            1 => Step::Second,
            _ => Step::Others,
        };
        (0..length).map(step).collect()
    })
}

/// Rings when somebody wakes a future.
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A future that is polled by hand.
pub(super) struct Lane<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    bell: Arc<Bell>,
    pub(super) result: Option<T>,
}

impl<'a, T> Lane<'a, T> {
    pub(super) fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self { future: Box::pin(future), bell: Arc::new(Bell(AtomicBool::new(true))), result: None }
    }

    /// Polls it once, unless it is through.
    pub(super) fn step(&mut self) {
        if self.result.is_some() {
            return;
        }
        self.bell.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.bell));
        if let Poll::Ready(result) = self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.result = Some(result);
        }
    }

    /// Polls it if somebody has woken it.
    fn step_if_woken(&mut self) {
        if self.bell.0.load(Ordering::SeqCst) {
            self.step();
        }
    }
}

/// Lets two things happen in this order, and then goes on until both are through. Whoever is not woken is lost.
pub(super) async fn race<A, B>(
    order: &[Step],
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> (A, B) {
    let (mut first, mut second) = (Lane::new(first), Lane::new(second));
    for step in order {
        match step {
            Step::First => first.step(),
            Step::Second => second.step(),
            Step::Others => yield_now().await,
        }
    }
    for _ in 0..PATIENCE {
        first.step_if_woken();
        second.step_if_woken();
        if first.result.is_some() && second.result.is_some() {
            break;
        }
        yield_now().await;
    }
    first.result.zip(second.result).unwrap_or_else(|| panic!("one of them is never woken: {order:?}"))
}

/// A store that takes a turn to store, and one to say so.
#[derive(Debug, Default)]
pub(in crate::runtime::tests) struct Stepping(MemoryStore);

impl TaskStore for Stepping {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            yield_now().await;
            let stored = self.0.commit(stream, fence, records).await;
            yield_now().await;
            stored
        })
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        self.0.head(stream)
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        self.0.read(stream, after, limit)
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.remove(stream)
    }

    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>> {
        self.0.tasks(after, limit)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.flush()
    }
}

thread_local! {
    /// The directory of all the hosts of one test, because making one takes longer than a race.
    static DIRS: Arc<HostDirs> = Arc::new(HostDirs::new(None).unwrap());
}

/// A runtime with room for one, so that whatever is kept of it stands in the next one's way.
pub(super) fn narrow(script: Script) -> Bench {
    let mut bench = Bench::within(DIRS.with(Arc::clone), script, 1, Arc::new(Stepping::default()));
    bench.inner_mut().desk = Arc::new(Desk::new(Concurrency::of(1)));
    bench
}

/// A request with a key, which only one live task has.
pub(super) fn keyed() -> StartRequest {
    request().key(TaskKey::new("k").unwrap())
}

/// Nothing is left of all tasks but what is known of them: no actor, no timer, no room, no place in a queue, no key.
pub(super) async fn nothing_is_left(bench: &Bench, case: &impl std::fmt::Debug) {
    settle().await;
    assert!(bench.inner.registry.live().is_empty(), "a live task: {case:?}");
    {
        let mut actors = bench.inner.actors.lock().unwrap();
        while actors.try_join_next().is_some() {}
        assert!(actors.is_empty(), "an actor: {case:?}");
    }
    assert_eq!(bench.clock.sleepers(), 0, "a timer: {case:?}");
    assert_eq!(bench.places.available_permits(), 1, "room: {case:?}");
    assert_eq!(bench.inner.queue.waiting(), 0, "a place in the queue: {case:?}");
    if bench.inner.shutdown.has_begun() {
        return;
    }
    // The next one of the key has its turn at once.
    let before = bench.inputs.lock().unwrap().len();
    let next = bench.inner.start(keyed()).await.unwrap();
    settle().await;
    assert_eq!(bench.inputs.lock().unwrap().len(), before + 1, "its turn: {case:?}");
    next.cancel(CancelRequest::force(Party::Host, "")).await;
    next.gone().await;
}
