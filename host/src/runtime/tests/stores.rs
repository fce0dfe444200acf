//! What happens when the store fails.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::bench::{Bench, Script, key, request, script, settle, success, wait_for};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber, Approvers};
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::ids::TaskKey;
use crate::model::outbox::MessageFilter;
use crate::model::outcome::Outcome;
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::{NotifyAnswer, Party};
use crate::ports::clock::BoxFuture;
use crate::ports::runner::GuestCall;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};
use crate::runtime::approvals::ApprovalDesk;
use crate::runtime::handle::{ApprovalAnswer, TaskHandle};
use crate::runtime::outbox::AckAnswer;
use crate::runtime::start_error::StartError;
use crate::store::faulty::FaultyStore;
use crate::store::memory::MemoryStore;

#[tokio::test]
async fn a_task_whose_store_fails_ends_and_says_why() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let waiting = script(|link| async move { success(json!(wait_for(&link, "go", None).await)) });
    let bench = Bench::with(waiting, 4, Arc::clone(&store) as _);
    let task = bench.start().await;
    settle().await;
    store.fail(true);
    let answer = task.notify(key("go"), None, Party::Host).await;
    assert_eq!(answer, NotifyAnswer::NoTask, "a signal that was not stored was not taken");
    let outcome = task.wait().await;
    assert!(
        matches!(&outcome, Outcome::Failed(failure) if failure.message.contains("could not be stored")),
        "{outcome}"
    );
}

#[tokio::test]
async fn r13_a_start_that_cannot_be_stored_leaves_nothing_behind() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let bench = Bench::with(script(|_| async { success(None) }), 4, Arc::clone(&store) as _);
    store.fail(true);
    assert!(matches!(bench.inner.start(keyed()).await, Err(StartError::Store(_))));
    store.fail(false);
    bench.inner.start(keyed()).await.unwrap().wait().await;
}

/// A store whose commits wait: some turns before they are taken, and some before that is said.
#[derive(Debug, Default)]
struct Slow {
    inner: MemoryStore,
    before: usize,
    after: usize,
    fails: bool,
    /// Every stream that somebody wanted to write to.
    asked: Mutex<Vec<StreamId>>,
}

impl TaskStore for Slow {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        self.asked.lock().unwrap().push(stream);
        Box::pin(async move {
            turns(self.before).await;
            if self.fails {
                return Err(CommitError::Unavailable);
            }
            let stored = self.inner.commit(stream, fence, records).await;
            turns(self.after).await;
            stored
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

async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// A store that takes what it is given at once, and says so so many turns later.
pub(super) fn slow_to_say(after: usize) -> Arc<dyn TaskStore> {
    Arc::new(Slow { after, ..Slow::default() })
}

fn keyed() -> StartRequest {
    request().key(TaskKey::new("k").unwrap())
}

/// Begins a start and drops it when it has asked the store, and so many turns have passed since.
async fn dropped_start(bench: &Bench, store: &Slow, later: usize) {
    let asked = async {
        while store.asked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        turns(later).await;
    };
    tokio::select! {
        biased;
        () = asked => {}
        started = bench.inner.start(keyed()) => drop(started),
    }
}

#[tokio::test]
async fn r16_a_start_that_nobody_waits_for_any_more_is_a_task_once_it_is_stored() {
    for (before, after) in [(20, 0), (0, 20), (20, 20)] {
        for later in 0..50 {
            let store = Arc::new(Slow { before, after, ..Slow::default() });
            let bench = Bench::with(script(|_| async { success(None) }), 4, Arc::clone(&store) as _);
            dropped_start(&bench, &store, later).await;
            let StreamId::Task(id) = store.asked.lock().unwrap()[0] else { panic!("no task comes first") };
            let task = loop {
                // Until then its key is taken: nobody knows yet what becomes of it.
                match bench.inner.registry.by_id(id) {
                    Some(shared) => break TaskHandle::new(shared),
                    None => assert!(matches!(bench.inner.start(keyed()).await, Err(StartError::KeyInUse { .. }))),
                }
                tokio::task::yield_now().await;
            };
            task.wait().await;
            assert_eq!(super::bench::log(&task).await.len(), 3, "{before} {after} {later}");
        }
    }
}

#[tokio::test]
async fn r13_a_start_that_nobody_waits_for_any_more_and_that_is_not_stored_leaves_nothing_behind() {
    for later in [0, 30] {
        let store = Arc::new(Slow { before: 20, fails: true, ..Slow::default() });
        let bench = Bench::with(script(|_| async { success(None) }), 4, Arc::clone(&store) as _);
        dropped_start(&bench, &store, later).await;
        settle().await;
        assert_eq!(bench.inner.registry.known(), 0);
        assert!(matches!(bench.inner.start(keyed()).await, Err(StartError::Store(_))), "its key is free");
    }
}

#[tokio::test]
async fn f22_a_shutdown_waits_for_a_start_that_is_being_stored() {
    let store = Arc::new(Slow { before: 20, after: 20, ..Slow::default() });
    let bench = Bench::with(script(|_| std::future::pending()), 4, Arc::clone(&store) as _);
    dropped_start(&bench, &store, 0).await;
    let StreamId::Task(id) = store.asked.lock().unwrap()[0] else { panic!("no task comes first") };
    bench.inner.shut_down().await;
    let task = TaskHandle::new(bench.inner.registry.by_id(id).unwrap());
    assert!(matches!(task.wait().await, Outcome::Cancelled { by: Party::Host, .. }));
}

/// A guest that asks once and tells what it was told.
fn asks() -> Script {
    script(|link| async move {
        let ask = ApprovalAsk::new("pay", "", "");
        let told = link.request(|reply| GuestCall::RequestApproval { ask, reply }).await;
        success(json!(if matches!(told, Ok(ApprovalDecision::Approved { .. })) { "yes" } else { "no" }))
    })
}

#[tokio::test]
async fn r26_who_decides_before_the_question_is_open_does_not_get_round_the_policy() {
    let mut decided_at_once = 0;
    for later in 0..60 {
        let store = Arc::new(Slow { before: 6, after: 6, ..Slow::default() });
        let mut bench = Bench::with(asks(), 4, Arc::clone(&store) as _);
        let policy = Arc::new(ApprovalDesk::new(Some(Arc::new(Approvers::Person))));
        bench.around_mut().approvals = policy;
        let task = bench.start().await;
        turns(later).await;
        let answer = task.approve(ApprovalNumber(1), None, Party::Host).await;
        assert!(matches!(answer, ApprovalAnswer::NotAsked | ApprovalAnswer::NotAllowed(_)), "{later}: {answer:?}");
        decided_at_once += usize::from(answer == ApprovalAnswer::NotAsked);
        settle().await;
        assert_eq!(task.approve(ApprovalNumber(1), None, Party::Person).await, ApprovalAnswer::Decided, "{later}");
        task.wait().await;
    }
    assert!((1..60).contains(&decided_at_once), "before and after it was asked: {decided_at_once}");
}

#[tokio::test]
async fn f22_a_decision_that_could_not_be_stored_is_not_said_to_stand() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let bench = Bench::with(asks(), 4, Arc::clone(&store) as _);
    let task = bench.start().await;
    settle().await;
    store.fail(true);
    let answer = task.approve(ApprovalNumber(1), None, Party::Person).await;
    let ApprovalAnswer::AlreadyEnded(outcome) = &answer else { panic!("{answer:?}") };
    assert!(matches!(outcome, Outcome::Failed(failure) if failure.message.contains("could not be stored")));
    assert_eq!(*outcome, task.wait().await);
}

/// A task that has ended and left so many messages, on a slow store.
async fn left_messages(count: usize, store: Arc<Slow>) -> (Bench, TaskHandle) {
    let guest = script(move |link| async move {
        for _ in 0..count {
            let tell = |reply| GuestCall::MessageAgent { message: "m".into(), trigger: false, once: None, reply };
            link.request(tell).await.unwrap();
        }
        success(None)
    });
    let bench = Bench::with(guest, 4, store);
    let task = bench.start().await;
    task.gone().await;
    (bench, task)
}

async fn settled_after(task: &TaskHandle) -> Vec<u64> {
    let number =
        |event: Event| if let EventBody::MessageSettled { number, .. } = event.body { Some(number) } else { None };
    task.after_events().await.unwrap().into_iter().filter_map(number).collect()
}

#[tokio::test]
async fn r25_however_many_acknowledge_at_once_after_the_end_all_are_written() {
    let store = Arc::new(Slow { before: 5, after: 5, ..Slow::default() });
    let (bench, task) = left_messages(200, Arc::clone(&store)).await;
    let messages = bench.inner.messages();
    let mut acks = JoinSet::new();
    for claimed in messages.claim(&MessageFilter::default(), 200, Duration::from_secs(1)) {
        let messages = messages.clone();
        acks.spawn(async move { messages.ack(claimed.token).await });
    }
    let answers = acks.join_all().await;
    assert_eq!(answers, vec![AckAnswer::Acknowledged; 200]);
    assert_eq!((settled_after(&task).await.len(), messages.open(&MessageFilter::default())), (200, 0));
    let tries = store.asked.lock().unwrap().iter().filter(|stream| matches!(stream, StreamId::After(_))).count();
    assert_eq!(tries, 200, "nobody gets in another's way");
}

#[tokio::test]
async fn r25_an_acknowledgement_that_is_dropped_after_the_end_is_written_once() {
    let mut written = 0;
    for later in 0..30 {
        let (bench, task) = left_messages(1, Arc::new(Slow { before: 8, after: 8, ..Slow::default() })).await;
        let messages = bench.inner.messages();
        let claimed = messages.claim(&MessageFilter::default(), 1, Duration::from_secs(1));
        tokio::select! {
            biased;
            () = turns(later) => {}
            _ = messages.ack(claimed[0].token) => {}
        }
        written += settled_after(&task).await.len();
        let again = messages.ack(claimed[0].token).await;
        assert!(matches!(again, AckAnswer::Acknowledged | AckAnswer::Stale), "{later}: {again:?}");
        assert_eq!((settled_after(&task).await, messages.open(&MessageFilter::default())), (vec![1], 0), "{later}");
    }
    assert!((1..30).contains(&written), "dropped before and after it was written: {written}");
}

#[tokio::test]
async fn r42_a_stream_ends_with_the_task_although_its_end_was_not_stored() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let waiting = script(|link| async move { success(json!(wait_for(&link, "go", None).await)) });
    let bench = Bench::with(waiting, 4, Arc::clone(&store) as _);
    let task = bench.start().await;
    settle().await;
    let mut cut_off = task.events(EventSeq::default());
    store.fail(true);
    task.notify(key("go"), None, Party::Host).await;
    let outcome = task.wait().await;
    // While the store fails, a reader is told so, and then gets the end all the same.
    assert_eq!(cut_off.next().await, Err(StoreError::Unavailable));
    let finished = |event: Option<Event>| match event.map(|event| event.body) {
        Some(EventBody::Finished { outcome, .. }) => Arc::unwrap_or_clone(outcome),
        other => panic!("{other:?}"),
    };
    assert_eq!(finished(cut_off.next().await.unwrap()), outcome);
    assert_eq!(cut_off.next().await, Ok(None));
    // When it works again, everything that was stored is there, and then the end.
    store.fail(false);
    let log = super::bench::log(&task).await;
    assert!(log.len() > 2, "{log:?}");
    assert_eq!(finished(log.last().cloned()), outcome);
}

#[tokio::test]
async fn r33_a_receipt_says_when_it_could_not_read_everything() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let bench = Bench::with(script(|_| std::future::pending()), 4, Arc::clone(&store) as _);
    let task = bench.start().await;
    settle().await;
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    store.fail(true);
    assert!(!task.receipt().await.unwrap().effects_complete);
    store.fail(false);
    assert!(task.receipt().await.unwrap().effects_complete);
}
