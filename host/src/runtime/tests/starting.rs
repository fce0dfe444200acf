//! Keys and starts that meet: refused, joined, replaced, started once, and where the caller waits.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use crate::model::admission::Concurrency;
use crate::model::details::Routing;
use crate::model::event::EventBody;
use crate::model::grants::{Access, Grants};
use crate::model::ids::TaskKey;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::request::{CancelRequest, KeyPolicy, StartRequest};
use crate::model::retry::RetryPolicy;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::model::time::Timestamp;
use crate::ports::clock::{BoxFuture, Clock as _};
use crate::ports::store::TaskStore;
use crate::runtime::desk::Desk;
use crate::runtime::handle::TaskHandle;
use crate::runtime::host::StartError;
use crate::runtime::routing::{RoutingPolicy, Started, run};
use crate::store::memory::MemoryStore;

const SECOND: Duration = Duration::from_secs(1);

/// Guests that succeed with what they were sent, and end by themselves when they shall stop.
fn polite() -> Bench {
    Bench::new(script(|link| async move { success(json!(wait_for(&link, "go", None).await)) }))
}

/// Guests that hear nothing.
fn deaf() -> Bench {
    Bench::new(script(|_| std::future::pending()))
}

fn named() -> StartRequest {
    request().key(TaskKey::new("k").unwrap())
}

fn replacing() -> StartRequest {
    named().on_key_in_use(KeyPolicy::replace(Party::Person).grace(SECOND))
}

fn joining() -> StartRequest {
    named().on_key_in_use(KeyPolicy::Join)
}

fn once(what: u64) -> StartRequest {
    request().input(json!({ "what": what })).once("the first")
}

async fn go(task: &TaskHandle) {
    task.notify(key("go"), None, Party::Host).await;
    task.wait().await;
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

type Starting = BoxFuture<'static, Result<TaskHandle, StartError>>;

/// A start that only goes on when it is polled.
fn starting(bench: &Bench, request: StartRequest) -> Starting {
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
    let new = tokio::spawn(starting(&bench, replacing()));
    settle().await;
    assert!(!new.is_finished() && old.state().cancel.is_some(), "it has its grace");
    assert!(matches!(bench.inner.start(named()).await, Err(StartError::KeyInUse { .. })));
    bench.advance(SECOND).await;
    let new = new.await.unwrap().unwrap();
    let EventBody::Finished { outcome, .. } = log(&old).await.pop().unwrap().body else { panic!("it has no end") };
    assert!(replaced(&outcome) && matches!(outcome, Outcome::Cancelled { forced: true, .. }), "{outcome:?}");
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
    let starts: Vec<_> = (0..3).map(|_| tokio::spawn(starting(&bench, replacing()))).collect();
    for _ in 0..3 {
        bench.advance(SECOND).await;
        assert_eq!(bench.inner.registry.live().len(), 1, "one at a time");
    }
    let mut tasks = vec![old];
    for start in starts {
        tasks.push(start.await.unwrap().unwrap());
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
    let next = tokio::spawn(starting(&bench, replacing()));
    settle().await;
    drop(dropped);
    bench.advance(SECOND).await;
    let next = next.await.unwrap().unwrap();
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
    let new = tokio::spawn(starting(&bench, replacing()));
    bench.advance(SECOND).await;
    let new = new.await.unwrap().unwrap();
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
        let ends = tokio::spawn({
            let first = first.clone();
            async move { go(&first).await }
        });
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let joined = bench.inner.start(joining()).await.unwrap();
        ends.await.unwrap();
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
    fn commit(
        &self,
        stream: crate::ports::store::StreamId,
        fence: crate::ports::store::Fence,
        records: Vec<crate::ports::store::Record>,
    ) -> BoxFuture<'_, Result<(), crate::ports::store::CommitError>> {
        use std::sync::atomic::Ordering;
        let first = self.asked.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            if first {
                self.gate.notified().await;
                if self.fails.load(Ordering::SeqCst) {
                    return Err(crate::ports::store::CommitError::Unavailable);
                }
            }
            self.inner.commit(stream, fence, records).await
        })
    }

    fn head(
        &self,
        stream: crate::ports::store::StreamId,
    ) -> BoxFuture<'_, Result<Option<crate::model::event::EventSeq>, crate::ports::store::StoreError>> {
        self.inner.head(stream)
    }

    fn read(
        &self,
        stream: crate::ports::store::StreamId,
        after: crate::model::event::EventSeq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<crate::model::event::Event>, crate::ports::store::StoreError>> {
        self.inner.read(stream, after, limit)
    }

    fn remove(
        &self,
        stream: crate::ports::store::StreamId,
    ) -> BoxFuture<'_, Result<(), crate::ports::store::StoreError>> {
        self.inner.remove(stream)
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
        let joins = tokio::spawn(starting(&bench, joining()));
        settle().await;
        assert!(!joins.is_finished());
        store.gate.notify_one();
        let (first, joined) = (first.await, joins.await.unwrap().unwrap());
        match first {
            Ok(first) => assert_eq!(first.id(), joined.id()),
            Err(error) => assert!(fails && matches!(error, StartError::Store(_)), "{error}"),
        }
        go(&joined).await;

        let (bench, store) = slow(fails);
        let mut first = starting(&bench, replacing());
        assert!(poll(&mut first).is_pending());
        let replaces = tokio::spawn(starting(&bench, replacing()));
        settle().await;
        assert!(!replaces.is_finished());
        store.gate.notify_one();
        let first = first.await;
        let last = replaces.await.unwrap().unwrap();
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
            let second = tokio::spawn(starting(&bench, once(if same { 1 } else { 2 })));
            settle().await;
            assert!(!second.is_finished(), "whether the first comes to anything is not known");
            store.gate.notify_one();
            let (first, second) = (first.await, second.await.unwrap());
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
    let second = tokio::spawn(starting(&bench, once(1)));
    settle().await;
    store.gate.notify_one();
    let second = second.await.unwrap().unwrap();
    assert_eq!(bench.inner.registry.known(), 1, "the first start runs without a handle, and is found");
    go(&second).await;
}

#[tokio::test]
async fn t45_many_starts_at_once_with_one_idempotency_key_make_one_task() {
    let bench = polite();
    let starts: Vec<_> = (0..50).map(|_| tokio::spawn(starting(&bench, once(1)))).collect();
    let mut ids = std::collections::BTreeSet::new();
    for start in starts {
        ids.insert(start.await.unwrap().unwrap().id());
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
async fn r15_a_foreground_task_is_ready_a_background_one_pending() {
    let bench = polite();
    let running = tokio::spawn({
        let inner = Arc::clone(&bench.inner);
        async move { run(&inner, named().routing(Routing::Foreground)).await }
    });
    settle().await;
    assert!(!running.is_finished());
    let live = bench.inner.registry.live();
    let task = TaskHandle::new(Arc::clone(&live[0]));
    assert_eq!(task.state().details.routing, Some(Routing::Foreground), "what was decided is in its details");
    go(&task).await;
    let ready = running.await.unwrap().unwrap();
    assert!(matches!(&ready, Started::Ready { outcome: Outcome::Succeeded { .. }, .. }), "{ready:?}");
    assert_eq!((ready.task().id(), ready.outcome().is_some()), (task.id(), true));

    let pending = run(&bench.inner, request()).await.unwrap();
    assert!(matches!(&pending, Started::Pending(_)) && pending.outcome().is_none());
    let EventBody::Created { details, .. } =
        pending.task().events(crate::model::event::EventSeq::default()).next().await.unwrap().unwrap().body
    else {
        panic!("it was not created")
    };
    assert_eq!(details.routing, Some(Routing::Background));
}

#[tokio::test]
async fn r14_the_caller_is_detached_when_its_time_is_over_and_the_task_goes_on() {
    let bench = polite();
    let waits = |after| {
        let inner = Arc::clone(&bench.inner);
        tokio::spawn(async move { run(&inner, request().routing(Routing::DetachAfter { after })).await })
    };
    let running = waits(SECOND * 10);
    bench.advance(SECOND * 9).await;
    assert!(!running.is_finished());
    bench.advance(SECOND).await;
    let Started::Pending(task) = running.await.unwrap().unwrap() else { panic!("it has not ended") };
    assert_eq!(task.state().outcome, None);
    go(&task).await;
    let running = waits(SECOND * 10);
    settle().await;
    go(&TaskHandle::new(Arc::clone(&bench.inner.registry.live()[0]))).await;
    assert!(matches!(running.await.unwrap().unwrap(), Started::Ready { .. }), "in time");
}

#[tokio::test]
async fn r14_who_stops_waiting_detaches() {
    let bench = polite();
    let inner = Arc::clone(&bench.inner);
    let mut running = Box::pin(async move { run(&inner, request().routing(Routing::Foreground)).await });
    assert!(poll(&mut running).is_pending());
    drop(running);
    settle().await;
    let task = TaskHandle::new(Arc::clone(&bench.inner.registry.live()[0]));
    go(&task).await;
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
}

#[tokio::test]
async fn r14_the_hosts_policy_decides_what_the_request_leaves_open() {
    let mut bench = Bench::new(script(|_| async { success(None) }));
    bench.inner_mut().routing = RoutingPolicy::new(|request, task_type| {
        (task_type.name == "script" && request.plugin == "other").then_some(Routing::Foreground)
    });
    let of = |plugin: &str| StartRequest::new(plugin, "script");
    assert!(matches!(run(&bench.inner, of("other")).await.unwrap(), Started::Ready { .. }));
    assert!(matches!(run(&bench.inner, of("scripted")).await.unwrap(), Started::Pending(_)));
    let own = of("other").routing(Routing::Background);
    assert!(matches!(run(&bench.inner, own).await.unwrap(), Started::Pending(_)), "its own word counts");
    assert!(matches!(run(&bench.inner, of("nobody")).await, Err(StartError::UnknownPlugin { .. })));
}

#[tokio::test]
async fn r10_a_result_is_held_against_the_requests_own_schema() {
    let bench = Bench::new(script(|_| async { success(json!("seven")) }));
    let fits = bench.inner.start(request().output_schema(json!({"enum": ["six", "seven"]}))).await.unwrap();
    assert!(matches!(fits.wait().await, Outcome::Succeeded { .. }));
    let schema = json!({"type": "string", "maxLength": 2});
    let fails = bench.inner.start(request().output_schema(schema.clone())).await.unwrap();
    let Outcome::Failed(failure) = fails.wait().await else { panic!("it does not fit") };
    assert!(failure.kind == FailureKind::Guest && failure.message.contains("the request's schema"), "{failure:?}");
    assert_eq!(fails.state().details.output_schema, Some(schema));
    let long = json!({"enum": ["x".repeat(70_000)]});
    let deep = (0..40).fold(json!(true), |inner, _| json!({"items": inner}));
    for bad in [json!({"type": "nothing"}), json!({"$ref": "https://example.org/"}), long, deep] {
        let refused = bench.inner.start(request().output_schema(bad)).await;
        assert!(matches!(refused, Err(StartError::OutputSchema(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn r10_a_task_begins_after_a_time_or_at_a_moment_whichever_is_later() {
    let bench = polite();
    let now = bench.clock.date().0;
    for (request, at) in [
        (request().run_after(SECOND * 5), now + 5_000),
        (request().run_after(SECOND * 5).run_at(Timestamp(now + 1)), now + 5_000),
        (request().run_after(SECOND * 5).run_at(Timestamp(now + 9_000)), now + 9_000),
    ] {
        let task = bench.inner.start(request).await.unwrap();
        assert_eq!(task.state().details.run_at, Some(Timestamp(at)));
        assert_eq!(task.state().phase, Phase::Delayed);
        task.cancel(CancelRequest::force(Party::Host, "")).await;
    }
    let task = bench.inner.start(request().run_after(SECOND * 5).retry(RetryPolicy::attempts(2))).await.unwrap();
    bench.advance(SECOND * 4).await;
    assert_eq!(task.state().phase, Phase::Delayed);
    bench.advance(SECOND).await;
    assert_eq!(task.state().phase, Phase::Running);
}

#[tokio::test]
async fn r10_an_embedder_gives_a_task_a_child_under_the_rules_for_a_guests() {
    let bench = polite();
    let mut of_parent = request().session("s").priority(3).fuel(1000);
    of_parent.details.user = Some("ada".to_owned());
    let parent = bench.inner.start(of_parent).await.unwrap();
    settle().await;
    let child = bench.inner.start(request().parent(parent.id()).fuel(300)).await.unwrap();
    let details = child.state().details;
    assert_eq!((details.session.as_deref(), details.user.as_deref(), details.priority), (Some("s"), Some("ada"), 3));
    let known = parent.state().children;
    assert_eq!((known[0].id, known[0].fuel, known[0].outcome), (child.id(), 300, None));
    let half = bench.inner.start(request().parent(parent.id())).await.unwrap();
    assert_eq!(half.state().fuel_budget, 350, "half of what is left");
    let refused = bench.inner.start(request().parent(parent.id()).fuel(351)).await;
    assert!(matches!(&refused, Err(StartError::ParentRefuses { reason, .. }) if reason.contains("350")), "{refused:?}");
    go(&half).await;
    settle().await;
    let more = bench.inner.start(request().parent(parent.id()).fuel(700)).await.unwrap();
    assert_eq!(more.state().fuel_budget, 700, "what a child did not use came back");
    parent.cancel(CancelRequest::new(Party::Person, "enough").grace(SECOND)).await;
    assert!(matches!(child.wait().await, Outcome::Succeeded { .. }), "it was asked to stop too");
    assert_eq!(child.state().cancel.map(|request| request.reason).as_deref(), Some("enough"));
    parent.wait().await;
    let late = bench.inner.start(request().parent(parent.id())).await;
    assert!(matches!(late, Err(StartError::ParentGone { parent: gone }) if gone == parent.id()));
}

#[tokio::test]
async fn r13_a_child_that_its_parent_may_not_have_changes_nothing() {
    let mut bench = deaf();
    (bench.inner_mut().limits.tree, bench.inner_mut().limits.children) = (3, 5);
    let parent = bench.inner.start(named()).await.unwrap();
    settle().await;
    let child = || request().parent(parent.id());
    let ancestor = bench.inner.start(replacing().parent(parent.id())).await;
    assert!(matches!(ancestor, Err(StartError::KeyInUse { .. })), "it would have no parent");
    bench.inner.start(child().key(TaskKey::new("c").unwrap())).await.unwrap();
    bench.inner.start(child()).await.unwrap();
    let seq = parent.state().seq;
    let full = child().key(TaskKey::new("c").unwrap()).on_key_in_use(KeyPolicy::replace(Party::Host));
    for refused in [child(), full, child().input(json!(1))] {
        bench.inner.start(refused).await.unwrap_err();
    }
    settle().await;
    assert_eq!(parent.state().seq, seq, "its log says nothing of it");
    assert!(bench.inner.registry.live().iter().all(|task| task.state().cancel.is_none()));
}

#[tokio::test]
async fn t45_a_child_that_is_started_while_its_parent_ends_is_refused_or_ends_with_it() {
    let bench = polite();
    for turns in 0..40 {
        let parent = bench.inner.start(request()).await.unwrap();
        settle().await;
        let child = tokio::spawn(starting(&bench, request().parent(parent.id())));
        let ends = tokio::spawn({
            let parent = parent.clone();
            async move { go(&parent).await }
        });
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        ends.await.unwrap();
        match child.await.unwrap() {
            Ok(child) => drop(child.wait().await),
            Err(error) => assert!(matches!(error, StartError::ParentGone { .. }), "{error}"),
        }
        parent.gone().await;
    }
    settle().await;
    assert_eq!(bench.inner.registry.claims(), (0, 0));
}

#[tokio::test]
async fn r17_a_session_and_a_parent_have_limits_of_their_own_and_wait_by_priority() {
    let mut bench = deaf();
    bench.inner_mut().desk = Arc::new(Desk::new(Concurrency::of(9).per_session(2).per_parent(1)));
    let parent = bench.inner.start(request()).await.unwrap();
    settle().await;
    let mut of_parent = Vec::new();
    for priority in [0, 1, 2] {
        of_parent.push(bench.inner.start(request().parent(parent.id()).fuel(10).priority(priority)).await.unwrap());
    }
    let mut of_session = Vec::new();
    for _ in 0..3 {
        of_session.push(bench.inner.start(request().session("s")).await.unwrap());
    }
    settle().await;
    let phases = |tasks: &[TaskHandle]| tasks.iter().map(|task| task.state().phase).collect::<Vec<_>>();
    assert_eq!(phases(&of_parent), [Phase::Running, Phase::Queued, Phase::Queued]);
    assert_eq!(phases(&of_session), [Phase::Running, Phase::Running, Phase::Queued]);
    of_parent[0].cancel(CancelRequest::force(Party::Host, "")).await;
    of_parent[0].gone().await;
    settle().await;
    assert_eq!(phases(&of_parent), [Phase::Ended, Phase::Queued, Phase::Running], "the more important goes first");
}

#[tokio::test]
async fn r13_a_host_that_shuts_down_while_a_start_waits_for_its_key_starts_nothing() {
    let bench = deaf();
    bench.inner.start(named()).await.unwrap();
    let mut new = starting(&bench, replacing());
    assert!(poll(&mut new).is_pending());
    let new = tokio::spawn(new);
    pin!(bench.inner.shut_down()).await;
    assert!(matches!(new.await.unwrap(), Err(StartError::ShuttingDown)));
}
