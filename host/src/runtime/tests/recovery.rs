//! Schedules of hosts that die, and of hosts that share a store: each moment once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::bench::{Bench, request, settle};
use super::schedules::{HOUR, MINUTE, bench_on, beside, hourly, schedules};
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::ids::TaskId;
use crate::model::schedule::ScheduleRequest;
use crate::model::signal::Party;
use crate::model::time::Timestamp;
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};
use crate::runtime::schedules::ScheduleError;
use crate::store::memory::MemoryStore;

/// What hosts have in common: a store, and the tasks that were written into it and not taken back, with how often.
#[derive(Debug, Clone, Default)]
struct World {
    store: Arc<MemoryStore>,
    born: Arc<Mutex<HashMap<TaskId, u32>>>,
}

impl World {
    fn host(&self) -> Arc<Mortal> {
        let world = self.clone();
        Arc::new(Mortal { world, left: AtomicU32::new(u32::MAX), torn: AtomicBool::new(false) })
    }

    /// How many tasks there have been.
    fn born(&self) -> usize {
        let born = self.born.lock().unwrap();
        assert!(born.values().all(|times| *times == 1));
        born.len()
    }

    /// How many of them have lived in this host, and come to an end there.
    fn lived(&self, bench: &Bench) -> usize {
        let born = self.born.lock().unwrap();
        let outcome = |task| bench.inner.registry.by_id(task).and_then(|task| task.outcome());
        born.keys().filter(|task| outcome(**task).is_some()).count()
    }

    async fn has_ended(&self, task: TaskId) -> bool {
        let log = self.store.read(StreamId::Task(task), EventSeq::default(), 100).await.unwrap();
        log.last().is_some_and(|event| matches!(event.body, EventBody::Finished { .. }))
    }
}

/// A host's way to the store, which ends with its process: with one commit, that is taken or not, and nobody hears of it.
#[derive(Debug)]
struct Mortal {
    world: World,
    /// Commits that are still answered.
    left: AtomicU32,
    /// Whether the last one is taken.
    torn: AtomicBool,
}

impl Mortal {
    fn dies_after(&self, commits: u32, torn: bool) {
        self.torn.store(torn, Ordering::SeqCst);
        self.left.store(commits, Ordering::SeqCst);
    }

    fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    fn works(&self) -> Result<(), StoreError> {
        if self.is_dead() && !self.torn.load(Ordering::SeqCst) { Err(StoreError::Unavailable) } else { Ok(()) }
    }
}

impl TaskStore for Mortal {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            let dies = self.is_dead();
            if dies && !self.torn.swap(false, Ordering::SeqCst) {
                return Err(CommitError::Unavailable);
            }
            if !dies && self.left.load(Ordering::SeqCst) != u32::MAX {
                self.left.fetch_sub(1, Ordering::SeqCst);
            }
            let taken = self.world.store.commit(stream, fence, records).await;
            if let (StreamId::Task(task), Fence::Absent, Ok(())) = (stream, fence, taken) {
                *self.world.born.lock().unwrap().entry(task).or_default() += 1;
            }
            if dies { Err(CommitError::Unavailable) } else { taken }
        })
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        Box::pin(async move {
            self.works()?;
            self.world.store.head(stream).await
        })
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        Box::pin(async move {
            self.works()?;
            self.world.store.read(stream, after, limit).await
        })
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.works()?;
            if let StreamId::Task(task) = stream
                && !self.world.has_ended(task).await
            {
                self.world.born.lock().unwrap().remove(&task);
            }
            self.world.store.remove(stream).await
        })
    }

    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>> {
        self.world.store.tasks(after, limit)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.world.store.flush()
    }
}

/// A host on its own way to the store.
fn host_in(world: &World) -> (Bench, Arc<Mortal>) {
    let way = world.host();
    (bench_on(Arc::clone(&way) as _), way)
}

#[tokio::test]
async fn r19_a_host_that_dies_at_any_commit_loses_no_moment_and_doubles_none() {
    for by_hand in [false, true] {
        for (commits, torn) in (0..7).flat_map(|commits| [(commits, false), (commits, true)]) {
            let world = World::default();
            let (first, way) = host_in(&world);
            let to = schedules(&first);
            let id = to.add(hourly()).await.unwrap();
            way.dies_after(commits, torn);
            if by_hand {
                let fired = async {
                    let _ = to.fire_now(id, Party::Person).await;
                };
                tokio::select! { () = fired => {}, () = settle() => {} }
            } else {
                first.advance(HOUR).await;
            }
            way.dies_after(0, false);
            first.inner.shut_down().await;
            let case = format!("after {commits} commits, torn: {torn}, by hand: {by_hand}, {} before", world.born());

            let second = beside(&first, world.host());
            let schedule = schedules(&second).get(id).await.unwrap();
            settle().await;
            // Whoever fires by hand and gets no answer looks at it; a moment that has come is never lost.
            let fired = schedule.fired.max(u64::from(!by_hand));
            assert_eq!(world.born() as u64, fired, "{case}");
            let schedule = schedules(&second).get(id).await.unwrap();
            assert_eq!((schedule.fired, schedule.open.len()), (fired, 0), "{case}");
            assert!(schedule.last.is_none_or(|last| last.failure.is_none()), "{case}");
            second.advance(MINUTE * if by_hand { 60 } else { 59 }).await;
            assert_eq!(world.born() as u64, fired + u64::from(by_hand), "{case}: and the next at its time");
            second.advance(MINUTE).await;
            assert_eq!(world.born() as u64, fired + 1, "{case}");
        }
    }
}

#[tokio::test]
async fn r19_a_store_that_fails_for_a_while_at_any_commit_loses_no_moment_and_doubles_none() {
    for by_hand in [false, true] {
        for (commits, torn) in (0..7).flat_map(|commits| [(commits, false), (commits, true)]) {
            let world = World::default();
            let (bench, way) = host_in(&world);
            let to = schedules(&bench);
            let id = to.add(hourly()).await.unwrap();
            way.dies_after(commits, torn);
            if by_hand {
                tokio::select! { _ = to.fire_now(id, Party::Person) => {}, () = settle() => {} }
            } else {
                bench.advance(HOUR).await;
            }
            way.dies_after(u32::MAX, false);
            for _ in 0..10 {
                bench.advance(MINUTE).await;
            }
            let schedule = to.get(id).await.unwrap();
            let case = format!("after {commits} commits, torn: {torn}, by hand: {by_hand}");
            let fired = if by_hand { schedule.fired } else { 1 };
            assert_eq!((world.born() as u64, schedule.fired), (fired, fired), "{case}");
            // A record in the store alone would be a task that never runs.
            assert_eq!(world.lived(&bench) as u64, fired, "{case}");
            assert!(schedule.open.is_empty() && schedule.last.is_none_or(|last| last.failure.is_none()), "{case}");
        }
    }
}

#[tokio::test]
async fn r19_a_schedule_whose_adding_or_removing_was_cut_off_is_there_or_not() {
    for (commits, torn) in (0..4).flat_map(|commits| [(commits, false), (commits, true)]) {
        let world = World::default();
        let (first, way) = host_in(&world);
        way.dies_after(commits, torn);
        let added = schedules(&first).add(hourly()).await;
        let case = format!("after {commits} commits, torn: {torn}, {added:?}");
        let second = beside(&first, world.host());
        let listed = schedules(&second).list().await.unwrap();
        assert!(listed.len() == 1 || added.is_err(), "{case}: what was said to be added is there");
        let again = schedules(&second).add(hourly().keep_same()).await.unwrap();
        assert!(listed.iter().all(|schedule| schedule.id == again), "{case}");

        let way = world.host();
        let third = beside(&first, Arc::clone(&way) as _);
        schedules(&third).get(again).await.unwrap();
        way.dies_after(commits, torn);
        let removed = schedules(&third).remove(again, Party::Person).await;
        let fourth = beside(&first, world.host());
        let listed = schedules(&fourth).list().await.unwrap();
        assert!(listed.is_empty() || removed.is_err(), "{case}: what was said to be removed is gone");
        if listed.is_empty() {
            schedules(&fourth).add(hourly()).await.unwrap();
            assert_eq!(world.store.head(StreamId::Schedule(again)).await, Ok(None), "{case}: nothing is left of it");
        }
        fourth.advance(HOUR).await;
        assert_eq!(world.born(), 1, "{case}");
    }
}

#[tokio::test]
async fn r19_two_hosts_on_one_store_fire_each_moment_once() {
    let world = World::default();
    let (one, _) = host_in(&world);
    let (two, _) = host_in(&world);
    let id = schedules(&one).add(hourly()).await.unwrap();
    assert_eq!(schedules(&two).list().await.unwrap().len(), 1);
    assert!(matches!(schedules(&two).add(hourly()).await, Err(ScheduleError::NameInUse { .. })));
    for hour in 1..=24 {
        for bench in if hour % 2 == 0 { [&one, &two] } else { [&two, &one] } {
            bench.clock.advance(HOUR);
        }
        settle().await;
        assert_eq!(world.born(), hour);
    }
    assert_eq!(schedules(&one).get(id).await.unwrap(), schedules(&two).get(id).await.unwrap());
    let at = Timestamp(30 * 3_600_000);
    let (a, b) = tokio::join!(async { schedules(&one).add(ScheduleRequest::at("once", at, request())).await }, async {
        schedules(&two).add(ScheduleRequest::at("once", at, request())).await
    },);
    assert!(a.is_ok() != b.is_ok(), "one has the name: {a:?} {b:?}");
    schedules(&two).remove(id, Party::Person).await.unwrap();
    one.advance(HOUR).await;
    assert_eq!(world.born(), 24, "removed by the other");
}

#[tokio::test]
async fn r19_a_firing_that_a_dead_host_left_lying_is_taken_up_by_another() {
    let world = World::default();
    let (one, way) = host_in(&world);
    let (two, _) = host_in(&world);
    schedules(&one).add(ScheduleRequest::at("once", Timestamp(3_600_000), request())).await.unwrap();
    schedules(&two).list().await.unwrap();
    way.dies_after(1, false);
    one.advance(HOUR).await;
    assert_eq!(world.born(), 0, "it is written down, and its task is not");
    two.advance(HOUR).await;
    assert_eq!(world.born(), 0, "for a while it is left to the other");
    two.advance(MINUTE).await;
    assert_eq!(world.born(), 1);
    two.advance(HOUR).await;
    assert_eq!(world.born(), 1);
}
