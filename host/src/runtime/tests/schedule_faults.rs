//! Schedules whose store fails or panics in part: what fails waits, and nothing else does.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::bench::{Bench, request, settle};
use super::schedules::{HOUR, MINUTE, bench_on, get, hourly, ran, schedules};
use crate::model::event::{Event, EventSeq};
use crate::model::schedule::{Overlap, ScheduleRequest};
use crate::model::signal::Party;
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};
use crate::runtime::schedules::ScheduleError;
use crate::store::memory::MemoryStore;

const SECOND: Duration = Duration::from_secs(1);

/// A store of which parts are broken.
#[derive(Debug, Default)]
struct Partly {
    inner: MemoryStore,
    streams: Mutex<BTreeSet<StreamId>>,
    /// All tasks' logs.
    tasks: AtomicBool,
    everything: AtomicBool,
    /// Whether what is broken panics.
    panics: AtomicBool,
}

impl Partly {
    fn break_tasks(&self, broken: bool) {
        self.tasks.store(broken, Ordering::SeqCst);
    }

    fn break_everything(&self, broken: bool) {
        self.everything.store(broken, Ordering::SeqCst);
    }

    fn works(&self, stream: StreamId) -> Result<(), StoreError> {
        let is_task = matches!(stream, StreamId::Task(_) | StreamId::After(_));
        let broken = self.everything.load(Ordering::SeqCst)
            || is_task && self.tasks.load(Ordering::SeqCst)
            || self.streams.lock().unwrap().contains(&stream);
        assert!(!broken || !self.panics.load(Ordering::SeqCst), "the store is broken");
        if broken { Err(StoreError::Unavailable) } else { Ok(()) }
    }
}

impl TaskStore for Partly {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            self.works(stream)?;
            self.inner.commit(stream, fence, records).await
        })
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        Box::pin(async move {
            self.works(stream)?;
            self.inner.head(stream).await
        })
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        Box::pin(async move {
            self.works(stream)?;
            self.inner.read(stream, after, limit).await
        })
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.works(stream)?;
            self.inner.remove(stream).await
        })
    }

    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>> {
        self.inner.tasks(after, limit)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.flush()
    }
}

fn bench() -> (Bench, Arc<Partly>) {
    let store: Arc<Partly> = Arc::default();
    (bench_on(Arc::clone(&store) as _), store)
}

#[tokio::test]
async fn r19_who_fires_by_hand_waits_for_no_retry() {
    let (bench, store) = bench();
    let to = schedules(&bench);
    let id = to.add(hourly().overlap(Overlap::Allow)).await.unwrap();
    store.break_everything(true);
    bench.advance(HOUR).await;
    store.break_everything(false);
    let task = tokio::select! {
        biased;
        task = to.fire_now(id, Party::Person) => task.unwrap(),
        () = settle() => panic!("it waits"),
    };
    task.wait().await;
    settle().await;
    assert_eq!(ran(&bench), 2, "and the moment that is late is made up for");
}

#[tokio::test]
async fn r19_who_has_fired_a_schedule_that_is_removed_before_the_start_is_told() {
    let (bench, store) = bench();
    let to = schedules(&bench);
    let other = to.add(hourly()).await.unwrap();
    let id = to.add(ScheduleRequest::every("yearly", "@yearly", "UTC", request())).await.unwrap();
    // Nothing is started before the other one can be read again.
    store.streams.lock().unwrap().insert(StreamId::Schedule(other));
    bench.advance(HOUR).await;
    let mut fired = Box::pin(to.fire_now(id, Party::Person));
    tokio::select! {
        biased;
        fired = &mut fired => panic!("{fired:?}"),
        () = settle() => {}
    }
    assert_eq!(get(&bench, id).await.open.len(), 1);
    to.remove(id, Party::Person).await.unwrap();
    tokio::select! {
        biased;
        fired = fired => assert!(matches!(fired, Err(ScheduleError::Unknown)), "{fired:?}"),
        () = settle() => panic!("it waits for ever"),
    }
    store.streams.lock().unwrap().clear();
    bench.advance(MINUTE).await;
    assert_eq!(ran(&bench), 1, "the other one");
}

#[tokio::test]
async fn r19_a_task_that_is_started_a_little_later_was_not_refused() {
    let (bench, store) = bench();
    let to = schedules(&bench);
    let id = to.add(hourly()).await.unwrap();
    store.break_tasks(true);
    let fired = to.fire_now(id, Party::Person).await;
    assert!(matches!(fired, Err(ScheduleError::Store)), "{fired:?}");
    store.break_tasks(false);
    bench.advance(SECOND).await;
    assert_eq!((ran(&bench), get(&bench, id).await.open.len()), (1, 0));
}

#[tokio::test]
async fn r19_a_start_that_is_tried_again_and_again_makes_no_other_schedule_late() {
    let (bench, store) = bench();
    let to = schedules(&bench);
    let late = to.add(hourly()).await.unwrap();
    let after = ScheduleRequest::after("after", HOUR + MINUTE * 5 + SECOND, request());
    let other = to.add(after).await.unwrap();
    store.break_tasks(true);
    bench.advance(HOUR).await;
    for _ in 0..300 {
        bench.advance(SECOND).await;
    }
    assert_eq!(get(&bench, late).await.open.len(), 1, "it is tried once a minute by now");
    bench.advance(SECOND).await;
    assert_eq!(get(&bench, other).await.fired, 1, "on time");
    store.break_tasks(false);
    bench.advance(SECOND).await;
    assert_eq!(ran(&bench), 1, "the one that has failed once is tried after a second");
    bench.advance(MINUTE).await;
    assert_eq!(ran(&bench), 2);
}

#[tokio::test]
async fn r19_a_store_that_panics_ends_no_schedule() {
    for everything in [false, true] {
        let (bench, store) = bench();
        let to = schedules(&bench);
        let id = to.add(hourly()).await.unwrap();
        store.panics.store(true, Ordering::SeqCst);
        if everything {
            store.break_everything(true);
        } else {
            store.break_tasks(true);
        }
        bench.advance(HOUR).await;
        let fired = to.fire_now(id, Party::Person).await;
        assert!(matches!(fired, Err(ScheduleError::Store)), "{fired:?}");
        assert_eq!(to.list().await.is_err(), everything);
        store.break_tasks(false);
        store.break_everything(false);
        bench.advance(MINUTE).await;
        bench.advance(MINUTE).await;
        let schedule = get(&bench, id).await;
        assert_eq!((schedule.fired, schedule.open.len()), (if everything { 1 } else { 2 }, 0));
        assert_eq!(ran(&bench) as u64, schedule.fired);
        bench.advance(HOUR).await;
        assert_eq!(ran(&bench) as u64, schedule.fired + 1);
    }
}
