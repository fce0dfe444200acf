//! What a host must not do while it goes, while its store does not work, and when the date is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::{JoinSet, yield_now};

use super::super::bench::{Bench, key, script, settle, success};
use super::children::family;
use super::gate::standing_by;
use super::{HOUR, SECOND, World, again, child_of, once, task, waiting};
use crate::model::children::ChildOutcome;
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::outcome::{CellEnd, GuestOutcome, Outcome};
use crate::model::request::CancelRequest;
use crate::model::retry::RetryPolicy;
use crate::model::signal::Party;
use crate::model::snapshot::{Phase, Usage};
use crate::ports::clock::{BoxFuture, Clock as _};
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};
use crate::runtime::external::RemoveError;
use crate::runtime::queue::Queue;
use crate::runtime::start_error::StartError;
use crate::runtime::terminal::TaskEnd;
use crate::store::faulty::FaultyStore;
use crate::store::memory::MemoryStore;

#[tokio::test]
async fn f22_nothing_is_decided_in_a_host_that_is_left() {
    let (world, script) = (World { places: 1, ..World::new() }, waiting());
    let first = world.host(&script);
    let running = first.inner.start(again()).await.unwrap().id();
    settle().await;
    let queued = first.inner.start(again()).await.unwrap().id();
    settle().await;
    let logs = async || (world.log(running).await, world.log(queued).await);
    let before = logs().await;
    // As between the first of the actors that are stopped and the last.
    first.inner.around.suspended.shut();
    first.places.add_permits(1);
    let live = task(&first, running);
    tokio::select! {
        answer = live.notify(key("go"), None, Party::Person) => panic!("{answer:?}"),
        () = settle() => {}
    }
    assert!(matches!(first.inner.start(once()).await, Err(StartError::ShuttingDown)));
    assert_eq!(logs().await, before);
    world.stop(first, SECOND).await;
    let (_, recovery) = world.next(&script).await;
    assert_eq!((recovery.restarted, recovery.went_on), (vec![running], vec![queued]));
    assert_eq!(world.told(queued), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f22_of_many_that_wait_none_begins_while_their_host_is_left() {
    let (world, script) = (World { places: 1, ..World::new() }, waiting());
    let mut first = world.host(&script);
    first.inner_mut().queue = Queue::new(500);
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(first.inner.start(once()).await.unwrap().id());
    }
    while task(&first, ids[0]).state().phase != Phase::Running {
        yield_now().await;
    }
    first.inner.suspend().await;
    let mut begun = 0;
    for id in ids {
        let bodies = world.bodies(id).await;
        begun += bodies.iter().filter(|body| matches!(body, EventBody::Started { .. })).count();
        assert!(!bodies.iter().any(|body| matches!(body, EventBody::Finished { .. })), "{bodies:?}");
        assert_eq!(world.told(id), []);
    }
    assert_eq!(begun, 1);
}

#[tokio::test]
async fn f22_a_host_is_left_although_its_store_has_no_room() {
    let (world, script) = (World::new(), waiting());
    let first = world.host_that_cannot_flush(&script);
    let inner = Arc::clone(&first.inner);
    let mut left = JoinSet::new();
    left.spawn(async move { inner.suspend().await });
    first.advance(4 * SECOND).await;
    assert!(left.try_join_next().is_none());
    first.advance(SECOND).await;
    left.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn f22_a_task_whose_store_fails_has_not_ended() {
    let (world, script) = (World::new(), waiting());
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store) as _));
    let first = world.host_on(&script, Arc::clone(&store) as _);
    let id = first.inner.start(again()).await.unwrap().id();
    settle().await;
    store.fail(true);
    task(&first, id).notify(key("go"), None, Party::Person).await;
    let outcome = task(&first, id).wait().await;
    assert!(outcome.to_string().contains("the next host on this store goes on with it"), "{outcome}");
    settle().await;
    store.fail(false);
    task(&first, id).notify(key("late"), None, Party::Person).await;
    first.advance(2 * HOUR).await;
    first.inner.gc().await;
    assert!(matches!(first.inner.remove(id).await, Err(RemoveError::Running(_))));
    assert_eq!((world.told(id), task(&first, id).after_events().await), (vec![], Ok(vec![])));
    world.stop(first, SECOND).await;

    let (second, recovery) = world.next(&script).await;
    assert_eq!(recovery.restarted, [id]);
    task(&second, id).notify(key("go"), None, Party::Person).await;
    let outcome = task(&second, id).wait().await;
    settle().await;
    assert_eq!(world.told(id), [outcome]);
}

#[tokio::test]
async fn r4e_a_child_is_not_refused_for_a_parent_that_is_not_entered_yet() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let parent = first.inner.start(again()).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;
    let second = standing_by(&world, &script);
    let mut child = again().once("o");
    child.details.parent = Some(parent);
    assert!(matches!(second.inner.start(child.clone()).await, Err(StartError::NotRecovered)));
    assert_eq!(second.inner.recover().await.unwrap().restarted, [parent]);
    settle().await;
    second.inner.start(child).await.unwrap();
}

#[tokio::test]
async fn r10_a_child_that_was_started_once_stays_so() {
    let (world, script) = (World::new(), waiting());
    let mut bench = world.host(&script);
    let mut parent = again();
    parent.details.session = Some("s".to_owned());
    let parent = bench.inner.start(parent).await.unwrap().id();
    settle().await;
    let child = || {
        let mut child = again().once("o");
        child.details.parent = Some(parent);
        child
    };
    let id = bench.inner.start(child()).await.unwrap().id();
    for _ in 0..2 {
        settle().await;
        assert_eq!(bench.inner.start(child()).await.unwrap().id(), id);
        world.stop(bench, SECOND).await;
        (bench, _) = world.next(&script).await;
    }
    assert_eq!(bench.inner.start(child()).await.unwrap().id(), id);
}

#[tokio::test]
async fn r18_a_child_whose_time_is_over_tells_its_parent_first_how_it_ended() {
    let (world, script) = (World::new(), family());
    let first = world.host(&script);
    let parent = first.inner.start(again().signal(key("parent"), None, Party::Host)).await.unwrap().id();
    settle().await;
    let child = child_of(&first, parent);
    let ends_at = first.clock.date();
    world.stop(first, 2 * HOUR).await;
    // It had ended, and its parent did not come to write that down.
    let outcome = Outcome::Succeeded { message: "m".into(), data: None };
    let seq = world.log(child).await.last().unwrap().seq;
    let body = EventBody::Finished { outcome: outcome.into(), usage: Usage::default(), set_by: None };
    let end = Event::new(seq.next(), ends_at, body);
    world.store.commit(StreamId::Task(child), Fence::After(seq), vec![Record::Event(end)]).await.unwrap();

    // Something happens later, so that its age is believed.
    let second = world.host(&script);
    second.inner.start(once()).await.unwrap();
    settle().await;
    world.stop(second, SECOND).await;

    let (third, _) = world.next(&script).await;
    let children = task(&third, parent).state().children;
    assert_eq!(children[0].outcome, Some(ChildOutcome::Succeeded));
    assert_eq!(third.inner.standby.children_of(parent).len(), 0, "nobody holds it any more");
}

#[tokio::test]
async fn r4e_a_date_that_is_a_year_ahead_destroys_nothing() {
    let (world, script) = (World::new(), script(|_| async { success(None) }));
    let first = world.host(&script);
    let id = first.inner.start(once()).await.unwrap().id();
    settle().await;
    world.stop(first, 24 * 365 * HOUR).await;
    let (second, recovery) = world.next(&script).await;
    second.inner.gc().await;
    assert_eq!((recovery.ended, second.inner.registry.by_id(id).is_some()), (1, true));
    second.advance(HOUR + SECOND).await;
    assert_eq!(second.inner.gc().await.tasks, 1, "its time goes on from now");
}

#[tokio::test]
async fn r38_a_date_that_was_set_back_holds_no_retry_up() {
    let script = script(|_| async {
        CellEnd::Returned(GuestOutcome::Failed { message: "busy".into(), error: None, retryable: true })
    });
    let world = World::new();
    let first = world.host(&script);
    first.advance(100 * HOUR).await;
    let mut tried = once();
    tried.details.retry = RetryPolicy::attempts(2).backoff(HOUR, HOUR);
    let id = first.inner.start(tried).await.unwrap().id();
    settle().await;
    assert_eq!(task(&first, id).state().phase, Phase::Delayed);
    world.stop(first, SECOND).await;
    *world.time.lock().unwrap() = Duration::ZERO;
    let (second, _) = world.next(&script).await;
    second.advance(HOUR).await;
    assert_eq!(task(&second, id).state().phase, Phase::Ended);
}

/// A host whose function `note` is this one.
fn with_note(world: &World, function: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Bench {
    let mut bench = world.host(&script(|_| async { success(None) }));
    let note = move |_: TaskEnd| {
        let called = function();
        Box::pin(async move {
            called.await;
            Ok(())
        }) as BoxFuture<'static, _>
    };
    bench.inner_mut().on_terminals.register("note".to_owned(), Arc::new(note));
    bench
}

#[tokio::test]
async fn r4e_so_many_are_called_at_once_about_a_past_each_with_its_own_time() {
    let world = World::new();
    let first = with_note(&world, || Box::pin(std::future::pending()));
    for _ in 0..70 {
        first.inner.start(once()).await.unwrap().wait().await;
    }
    world.stop(first, SECOND).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let called = Arc::clone(&calls);
    let second = with_note(&world, move || {
        // The last ones return.
        let hangs = called.fetch_add(1, Ordering::SeqCst) < 64;
        Box::pin(async move { if hangs { std::future::pending().await } else { yield_now().await } })
    });
    assert_eq!(second.inner.recover().await.unwrap().effects, 70);
    settle().await;
    assert_eq!(calls.load(Ordering::SeqCst), 64);
    second.advance(30 * SECOND).await;
    settle().await;
    assert_eq!(calls.load(Ordering::SeqCst), 70);
    let mut late = 0;
    for id in second.inner.registry.known_ids() {
        for event in task(&second, id).after_events().await.unwrap() {
            late += usize::from(matches!(event.body, EventBody::OnTerminalDone { error: Some(_), .. }));
        }
    }
    assert_eq!(late, 64, "whoever waits for room loses no time by it");
}

#[tokio::test]
async fn r4e_an_end_is_kept_although_what_came_after_it_cannot_be_read() {
    let (world, script) = (World::new(), script(|_| async { success(None) }));
    let first = world.host(&script);
    let id = first.inner.start(once().once("o")).await.unwrap().id();
    settle().await;
    let before = task(&first, id).state();
    world.stop(first, SECOND).await;
    let second = world.host_that_cannot_read(&script, StreamId::After(id));
    let recovery = second.inner.recover().await.unwrap();
    assert_eq!((recovery.ended, recovery.effects), (1, 0));
    assert_eq!((recovery.quarantined.len(), recovery.quarantined[0].id), (1, id));
    assert!(recovery.quarantined[0].why.contains("after its end"), "{recovery:?}");
    assert_eq!(task(&second, id).state(), before);
    assert_eq!(second.inner.start(once().once("o")).await.unwrap().id(), id);
}

#[tokio::test]
async fn r4e_a_child_says_that_its_parent_cannot_be_read() {
    let (world, script) = (World::new(), family());
    let first = world.host(&script);
    let parent = first.inner.start(again().signal(key("parent"), None, Party::Host)).await.unwrap().id();
    settle().await;
    let child = child_of(&first, parent);
    world.stop(first, SECOND).await;
    let second = world.host_that_cannot_read(&script, StreamId::Task(parent));
    second.inner.recover().await.unwrap();
    let outcome = task(&second, child).wait().await;
    assert!(matches!(&outcome, Outcome::Cancelled { reason, .. } if reason.contains("cannot be read")), "{outcome:?}");
}

#[tokio::test]
async fn r6_a_daemon_that_was_taken_over_is_its_keepers_own() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    super::gate::load_daemon(&first).await;
    let id = first.inner.registry.live()[0].id;
    world.stop(first, HOUR).await;
    let second = standing_by(&world, &script);
    super::gate::load_daemon(&second).await;
    second.inner.recover().await.unwrap();
    settle().await;
    task(&second, id).cancel(CancelRequest::force(Party::Person, "enough")).await;
    second.advance(HOUR).await;
    assert_eq!(second.inner.registry.live().len(), 0, "a person stopped it");
    assert_eq!(second.inner.daemon_statuses()[0].phase, crate::runtime::daemons::DaemonPhase::Stopped);
}

/// A store that answers a while later, and counts who waits for it.
#[derive(Debug, Default)]
struct Busy {
    store: Arc<MemoryStore>,
    reads: Waiting,
    commits: Waiting,
}

#[derive(Debug, Default)]
struct Waiting {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Waiting {
    async fn a_while(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        yield_now().await;
        yield_now().await;
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl TaskStore for Busy {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            self.commits.a_while().await;
            self.store.commit(stream, fence, records).await
        })
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        self.store.head(stream)
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        Box::pin(async move {
            self.reads.a_while().await;
            self.store.read(stream, after, limit).await
        })
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.remove(stream)
    }

    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>> {
        self.store.tasks(after, limit)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.flush()
    }
}

#[tokio::test]
async fn r4e_many_are_read_and_decided_about_at_once_in_the_order_of_their_starts() {
    let (world, script) = (World { places: 200, ..World::new() }, waiting());
    let mut first = world.host(&script);
    first.inner_mut().queue = Queue::new(200);
    let mut ids = Vec::new();
    for _ in 0..150 {
        ids.push(first.inner.start(again()).await.unwrap().id());
    }
    settle().await;
    world.stop(first, SECOND).await;
    let store = Arc::new(Busy { store: Arc::clone(&world.store), ..Busy::default() });
    let second = world.host_on(&script, Arc::clone(&store) as _);
    assert_eq!(second.inner.recover().await.unwrap().restarted, ids);
    assert_eq!(store.reads.most.load(Ordering::SeqCst), 64);
    assert!(store.commits.most.load(Ordering::SeqCst) >= 64);
}
