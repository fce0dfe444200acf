//! Keys and starts that meet: refused, joined, replaced, started once, and where the caller waits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, beside, key, log, request, script, settle, success, version_of, wait_for};
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::grants::{Access, Grants};
use crate::model::ids::TaskKey;
use crate::model::manifest::TaskKind;
use crate::model::outcome::Outcome;
use crate::model::request::{CancelRequest, KeyPolicy, StartRequest};
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};
use crate::runtime::handle::TaskHandle;
use crate::runtime::start_error::StartError;
use crate::runtime::version::{Standing, Version};
use crate::store::memory::MemoryStore;

const SECOND: Duration = Duration::from_secs(1);

/// Guests that succeed with what they were sent, and end by themselves when they shall stop.
pub(super) fn polite() -> Bench {
    Bench::new(script(|link| async move { success(json!(wait_for(&link, "go", None).await)) }))
}

/// Guests that hear nothing.
pub(super) fn deaf() -> Bench {
    Bench::new(script(|_| std::future::pending()))
}

pub(super) fn named() -> StartRequest {
    request().key(TaskKey::new("k").unwrap())
}

pub(super) fn replacing() -> StartRequest {
    named().on_key_in_use(KeyPolicy::replace(Party::Person).grace(SECOND))
}

fn joining() -> StartRequest {
    named().on_key_in_use(KeyPolicy::Join)
}

fn once(what: u64) -> StartRequest {
    request().input(json!({ "what": what })).once("the first")
}

pub(super) async fn go(task: &TaskHandle) {
    task.notify(key("go"), None, Party::Host).await;
    task.wait().await;
}

pub(super) fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

pub(super) type Starting = BoxFuture<'static, Result<TaskHandle, StartError>>;

/// A start that only goes on when it is polled.
pub(super) fn starting(bench: &Bench, request: StartRequest) -> Starting {
    let inner = Arc::clone(&bench.inner);
    Box::pin(async move { inner.start(request).await })
}

fn replaced(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Cancelled { by: Party::Person, reason, .. } if reason == CancelRequest::REPLACED)
}

#[tokio::test]
async fn r12_a_deaf_task_is_replaced_when_its_grace_is_over_and_says_so() {
    let bench = deaf();
    let old = bench.inner.start(named()).await.unwrap();
    let new = beside(starting(&bench, replacing()));
    settle().await;
    assert!(!new.is_finished() && old.state().cancel.is_some(), "it has its grace");
    assert!(matches!(bench.inner.start(named()).await, Err(StartError::KeyInUse { .. })));
    bench.advance(SECOND).await;
    let new = new.end().await.unwrap();
    let EventBody::Finished { outcome, .. } = log(&old).await.pop().unwrap().body else { panic!("it has no end") };
    assert!(replaced(&outcome) && matches!(*outcome, Outcome::Cancelled { forced: true, .. }), "{outcome:?}");
    assert_ne!(new.id(), old.id());
    assert_eq!((new.task_ref(), new.state().outcome), (old.task_ref(), None));
}

#[tokio::test]
async fn r12_whatever_the_replaced_task_comes_to_within_its_grace_stands() {
    let bench = polite();
    let old = bench.inner.start(named()).await.unwrap();
    settle().await;
    let new = bench.inner.start(replacing()).await.unwrap();
    assert!(matches!(old.wait().await, Outcome::Succeeded { .. }));
    assert_eq!(old.state().cancel.map(|request| request.reason).as_deref(), Some(CancelRequest::REPLACED));
    go(&new).await;
    assert_eq!(bench.inner.registry.claims(), (0, 0));
}

#[tokio::test]
async fn r12_two_that_replace_at_once_have_their_turns_and_the_last_one_stays() {
    let bench = deaf();
    let old = bench.inner.start(named()).await.unwrap();
    let starts: Vec<_> = (0..3).map(|_| beside(starting(&bench, replacing()))).collect();
    for _ in 0..3 {
        bench.advance(SECOND).await;
        assert_eq!(bench.inner.registry.live().len(), 1, "one at a time");
    }
    let mut tasks = vec![old];
    for start in starts {
        tasks.push(start.end().await.unwrap());
    }
    let last = tasks.pop().unwrap();
    for task in &tasks {
        assert!(replaced(&task.state().outcome.unwrap()), "{:?}", task.state());
    }
    assert_eq!(bench.inner.registry.live().iter().map(|task| task.id).collect::<Vec<_>>(), [last.id()]);
}

#[tokio::test]
async fn r12_whoever_replaces_finds_the_key_free_when_the_old_task_ended_meanwhile() {
    let bench = polite();
    let old = bench.inner.start(named()).await.unwrap();
    settle().await;
    let mut new = starting(&bench, replacing());
    old.notify(key("go"), None, Party::Host).await;
    old.wait().await;
    // The other order: it ends while the start is about to ask.
    let Poll::Ready(Ok(new)) = poll(&mut new) else { panic!("the key is free") };
    settle().await;
    let mut newer = starting(&bench, replacing());
    assert!(poll(&mut newer).is_pending());
    go(&new).await;
    newer.await.unwrap();
    assert!(matches!(new.wait().await, Outcome::Succeeded { .. }));
}

#[tokio::test]
async fn r12_a_dropped_replacement_leaves_the_key_to_the_next() {
    let bench = deaf();
    let old = bench.inner.start(named()).await.unwrap();
    let mut dropped = starting(&bench, replacing());
    assert!(poll(&mut dropped).is_pending());
    let next = beside(starting(&bench, replacing()));
    settle().await;
    drop(dropped);
    bench.advance(SECOND).await;
    let next = next.end().await.unwrap();
    assert!(replaced(&old.state().outcome.unwrap()));
    next.cancel(CancelRequest::force(Party::Host, "")).await;
    next.gone().await;
    // And the very last one leaves nothing behind.
    let old = bench.inner.start(named()).await.unwrap();
    let mut dropped = starting(&bench, replacing());
    assert!(poll(&mut dropped).is_pending());
    drop(dropped);
    old.cancel(CancelRequest::force(Party::Host, "")).await;
    old.gone().await;
    assert_eq!(bench.inner.registry.claims(), (0, 0));
    bench.inner.start(named()).await.unwrap();
}

#[tokio::test]
async fn r12_a_start_that_was_handed_the_key_and_dropped_gives_it_on() {
    let bench = deaf();
    let old = bench.inner.start(named()).await.unwrap();
    let mut dropped = starting(&bench, replacing());
    assert!(poll(&mut dropped).is_pending());
    old.cancel(CancelRequest::force(Party::Host, "")).await;
    assert!(matches!(bench.inner.start(named()).await, Err(StartError::KeyInUse { .. })), "it is promised");
    drop(dropped);
    bench.inner.start(named()).await.unwrap();
}

#[tokio::test]
async fn r13_a_replacement_that_finds_no_room_cancels_nobody() {
    let bench = Bench::with(script(|_| std::future::pending()), 1, Arc::new(MemoryStore::new()));
    let old = bench.inner.start(named()).await.unwrap();
    for _ in 0..4 {
        bench.start().await;
    }
    assert!(matches!(bench.inner.start(replacing()).await, Err(StartError::QueueFull { .. })));
    let signals = (0..10_000).fold(replacing(), |request, _| request.signal(key("go"), None, Party::Host));
    assert!(matches!(bench.inner.start(signals).await, Err(StartError::TooManySignals { .. })));
    let bad = [
        replacing().input(json!(1)),
        replacing().title(""),
        replacing().output_schema(json!({"type": "nothing"})),
        replacing().grants(Grants::default().dir("/nowhere/at/all", "/data", Access::Read)),
        replacing().parent(crate::model::ids::TaskId::from_random(1)),
    ];
    for request in bad {
        bench.inner.start(request).await.unwrap_err();
    }
    settle().await;
    assert_eq!((old.state().cancel, old.state().phase), (None, Phase::Running));
    assert_eq!(bench.inner.registry.claims(), (5, 0));
}

#[tokio::test]
async fn r12_a_full_host_replaces_a_task_that_runs_in_its_only_place() {
    let bench = Bench::with(script(|_| std::future::pending()), 1, Arc::new(MemoryStore::new()));
    let old = bench.inner.start(named()).await.unwrap();
    settle().await;
    let new = beside(starting(&bench, replacing()));
    bench.advance(SECOND).await;
    let new = new.end().await.unwrap();
    old.gone().await;
    settle().await;
    assert_eq!(new.state().phase, Phase::Running);
}

#[tokio::test]
async fn r12_joining_gives_the_live_task_and_starts_nothing() {
    let bench = polite();
    let first = bench.inner.start(joining()).await.unwrap();
    let joined = bench.inner.start(joining().fuel(1).title("another")).await.unwrap();
    assert_eq!(joined.id(), first.id());
    assert_eq!((joined.state().details.title, bench.inner.registry.known()), (None, 1));
    assert!(matches!(bench.inner.start(joining().input(json!(7))).await, Err(StartError::InvalidInput { .. })));
    go(&first).await;
    let next = bench.inner.start(joining()).await.unwrap();
    assert_ne!(next.id(), first.id(), "an ended task is not joined");
    go(&next).await;
}

#[tokio::test]
async fn t45_joining_a_task_that_ends_gives_that_one_or_a_new_one_and_never_none() {
    let bench = polite();
    for turns in 0..40 {
        let first = bench.inner.start(joining()).await.unwrap();
        settle().await;
        let ends = beside({
            let first = first.clone();
            async move { go(&first).await }
        });
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let joined = bench.inner.start(joining()).await.unwrap();
        ends.end().await;
        if joined.id() == first.id() {
            assert!(joined.state().outcome.is_some());
        } else {
            assert_eq!(joined.state().outcome, None);
            settle().await;
            go(&joined).await;
        }
    }
    assert_eq!(bench.inner.registry.claims(), (0, 0));
}

/// A store whose first commit waits until it is let go.
#[derive(Debug, Default)]
struct Slow {
    inner: MemoryStore,
    gate: tokio::sync::Notify,
    fails: std::sync::atomic::AtomicBool,
    asked: std::sync::atomic::AtomicUsize,
}

impl TaskStore for Slow {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        use std::sync::atomic::Ordering;
        let first = self.asked.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            if first {
                self.gate.notified().await;
                if self.fails.load(Ordering::SeqCst) {
                    return Err(CommitError::Unavailable);
                }
            }
            self.inner.commit(stream, fence, records).await
        })
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        self.inner.head(stream)
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        self.inner.read(stream, after, limit)
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.remove(stream)
    }

    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>> {
        self.inner.tasks(after, limit)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.flush()
    }
}

/// A bench whose first start waits for its store, and then for good or not.
fn slow(fails: bool) -> (Bench, Arc<Slow>) {
    let store = Arc::new(Slow { fails: fails.into(), ..Slow::default() });
    let guest = script(|link| async move { success(json!(wait_for(&link, "go", None).await)) });
    (Bench::with(guest, 4, Arc::clone(&store) as _), store)
}

#[tokio::test]
async fn t45_whoever_joins_or_replaces_a_task_that_is_being_born_waits_for_its_birth() {
    for fails in [false, true] {
        let (bench, store) = slow(fails);
        let mut first = starting(&bench, joining());
        assert!(poll(&mut first).is_pending());
        let joins = beside(starting(&bench, joining()));
        settle().await;
        assert!(!joins.is_finished());
        store.gate.notify_one();
        let (first, joined) = (first.await, joins.end().await.unwrap());
        match first {
            Ok(first) => assert_eq!(first.id(), joined.id()),
            Err(error) => assert!(fails && matches!(error, StartError::Store(_)), "{error}"),
        }
        go(&joined).await;

        let (bench, store) = slow(fails);
        let mut first = starting(&bench, replacing());
        assert!(poll(&mut first).is_pending());
        let replaces = beside(starting(&bench, replacing()));
        settle().await;
        assert!(!replaces.is_finished());
        store.gate.notify_one();
        let first = first.await;
        let last = replaces.end().await.unwrap();
        assert_eq!(first.is_ok_and(|first| first.state().outcome.is_some()), !fails);
        go(&last).await;
    }
}

#[tokio::test]
async fn r10_the_same_idempotency_key_gives_the_first_task_ended_or_not() {
    let bench = polite();
    let first = bench.inner.start(once(1)).await.unwrap();
    assert_eq!(bench.inner.start(once(1)).await.unwrap().id(), first.id());
    let other = bench.inner.start(once(2)).await.unwrap_err();
    assert!(matches!(&other, StartError::IdempotencyKeyUsed { task } if task == first.task_ref()), "{other}");
    go(&first).await;
    let again = bench.inner.start(once(1)).await.unwrap();
    assert_eq!((again.id(), again.state().outcome.is_some()), (first.id(), true));
    let elsewhere = bench.inner.start(once(2).session("s")).await.unwrap();
    assert_ne!(elsewhere.id(), first.id(), "each session has its own keys");
    go(&elsewhere).await;
    assert_eq!(bench.inner.registry.claims(), (0, 2));
}

#[tokio::test]
async fn r10_an_idempotency_key_is_forgotten_with_its_task() {
    let bench = polite();
    let first = bench.inner.start(once(1)).await.unwrap();
    let id = first.id();
    go(&first).await;
    first.gone().await;
    drop(first);
    bench.advance(Duration::from_mins(61)).await;
    let second = bench.inner.start(request()).await.unwrap();
    go(&second).await;
    assert_eq!(bench.inner.registry.claims(), (0, 0));
    let again = bench.inner.start(once(2)).await.unwrap();
    assert_ne!(again.id(), id);
}

#[tokio::test]
async fn r10_a_refused_start_does_not_burn_its_idempotency_key() {
    let bench = Bench::with(script(|_| std::future::pending()), 1, Arc::new(MemoryStore::new()));
    let taken = bench.inner.start(named()).await.unwrap();
    bench.inner.start(once(1).input(json!(1))).await.unwrap_err();
    bench.inner.start(once(1).key(TaskKey::new("k").unwrap())).await.unwrap_err();
    for _ in 0..4 {
        bench.start().await;
    }
    assert!(matches!(bench.inner.start(once(1)).await, Err(StartError::QueueFull { .. })));
    taken.cancel(CancelRequest::force(Party::Host, "")).await;
    taken.gone().await;
    settle().await;
    bench.inner.start(once(3)).await.unwrap();
}

#[tokio::test]
async fn t45_a_double_start_makes_one_task_in_both_orders_and_interleaved() {
    for fails in [false, true] {
        for same in [false, true] {
            let (bench, store) = slow(fails);
            let mut first = starting(&bench, once(1));
            assert!(poll(&mut first).is_pending());
            let second = beside(starting(&bench, once(if same { 1 } else { 2 })));
            settle().await;
            assert!(!second.is_finished(), "whether the first comes to anything is not known");
            store.gate.notify_one();
            let (first, second) = (first.await, second.end().await);
            match (fails, same) {
                (false, true) => assert_eq!(first.unwrap().id(), second.unwrap().id()),
                (false, false) => assert!(matches!(second, Err(StartError::IdempotencyKeyUsed { .. }))),
                (true, _) => assert!(first.is_err() && second.is_ok()),
            }
            assert_eq!(bench.inner.registry.known(), 1);
        }
    }
}

#[tokio::test]
async fn t45_a_start_that_is_dropped_while_the_store_works_keeps_its_idempotency_key() {
    let (bench, store) = slow(false);
    let mut first = starting(&bench, once(1));
    assert!(poll(&mut first).is_pending());
    drop(first);
    let second = beside(starting(&bench, once(1)));
    settle().await;
    store.gate.notify_one();
    let second = second.end().await.unwrap();
    assert_eq!(bench.inner.registry.known(), 1, "the first start runs without a handle, and is found");
    go(&second).await;
}

#[tokio::test]
async fn t45_many_starts_at_once_with_one_idempotency_key_make_one_task() {
    let bench = polite();
    let starts: Vec<_> = (0..50).map(|_| beside(starting(&bench, once(1)))).collect();
    let mut ids = std::collections::BTreeSet::new();
    for start in starts {
        ids.insert(start.end().await.unwrap().id());
    }
    assert_eq!((ids.len(), bench.inner.registry.known()), (1, 1));
}

#[tokio::test]
async fn r10_a_join_with_an_idempotency_key_is_remembered_for_the_joined_task() {
    let bench = polite();
    let first = bench.inner.start(named()).await.unwrap();
    let joined = bench.inner.start(joining().once("again")).await.unwrap();
    go(&first).await;
    let again = bench.inner.start(joining().once("again")).await.unwrap();
    assert_eq!((joined.id(), again.id()), (first.id(), first.id()));
}

#[tokio::test]
async fn r13_a_host_that_shuts_down_while_a_start_waits_for_its_key_starts_nothing() {
    let bench = deaf();
    bench.inner.start(named()).await.unwrap();
    let mut new = starting(&bench, replacing());
    assert!(poll(&mut new).is_pending());
    let new = beside(new);
    bench.inner.shut_down().await;
    assert!(matches!(new.end().await, Err(StartError::ShuttingDown)));
}

#[tokio::test]
async fn r6_a_type_that_becomes_a_daemon_while_a_start_waits_has_one_key_and_no_parent() {
    for with_parent in [false, true] {
        let bench = deaf();
        let registry = &bench.inner.registry;
        let live = bench.inner.start(named()).await.unwrap();
        settle().await;
        let mut first = starting(&bench, replacing().once("o"));
        assert!(poll(&mut first).is_pending());
        let mut second = request().once("o");
        second.details.parent = with_parent.then(|| live.id());
        let mut second = starting(&bench, second);
        assert!(poll(&mut second).is_pending(), "it waits for what comes of the first");
        let new = version_of("scripted", "2", &[("script", TaskKind::Daemon)]);
        let new = Version::new(new, Arc::new(()), registry.next_number(), Standing::Enabled);
        registry.replace_version(&registry.version("scripted").unwrap(), Arc::new(new)).unwrap();
        drop(first);
        let refused = second.await.unwrap_err();
        let as_child = matches!(refused, StartError::DaemonChild { .. });
        assert!(as_child || matches!(refused, StartError::DaemonKey { .. }), "{refused}");
        assert_eq!(as_child, with_parent);
    }
}
