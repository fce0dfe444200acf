//! The power is lost, the process is killed, the disk fails: what was answered is there.

use std::collections::BTreeMap;

use tokio::runtime::Runtime;

use super::lives::{Place, begin, behind, commit, durable, log, queued, sized, task};
use super::world::{Fate, World};
use crate::model::event::{Event, EventSeq};
use crate::model::ids::TaskId;
use crate::ports::clock::BoxFuture;
use crate::ports::kv::ValueStore as _;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StreamId, TaskStore};
use crate::store::sqlite::{SqliteStore, StoreHealth};

/// Rounds of deeds in a life.
const ROUNDS: u64 = 60;
/// Lives of a store, one after the other.
const LIVES: usize = 3;

/// What is done to a store.
#[derive(Debug, Clone)]
enum Deed {
    /// Events, and up to where those before them are forgotten.
    Commit(StreamId, Vec<Event>, u64),
    Remove(StreamId),
    Put(&'static str, Option<Vec<u8>>),
    Flush,
}

/// What is in a store.
#[derive(Debug, Default, Clone, PartialEq)]
struct Books {
    logs: BTreeMap<StreamId, Vec<Event>>,
    values: BTreeMap<String, Vec<u8>>,
}

impl Books {
    async fn of(store: &SqliteStore) -> Self {
        let mut books = Self::default();
        for stream in streams() {
            let log = log(store, stream).await;
            if !log.is_empty() {
                books.logs.insert(stream, log);
            }
        }
        books.values.extend(store.load("plugin").await.unwrap());
        books
    }

    fn head(&self, stream: StreamId) -> u64 {
        self.logs.get(&stream).and_then(|log| log.last()).map_or(0, |last| last.seq.0)
    }

    fn add(&mut self, deed: &Deed) {
        match deed {
            Deed::Commit(stream, events, forget) => {
                let log = self.logs.entry(*stream).or_default();
                log.extend(events.iter().cloned());
                let last = log.last().unwrap().seq;
                log.retain(|event| event.seq.0 > *forget || event.seq == last);
            }
            Deed::Remove(stream) => {
                self.logs.remove(stream);
                if let StreamId::Task(id) = stream {
                    self.logs.remove(&StreamId::After(*id));
                }
            }
            Deed::Put(key, Some(value)) => drop(self.values.insert((*key).to_owned(), value.clone())),
            Deed::Put(key, None) => drop(self.values.remove(*key)),
            Deed::Flush => {}
        }
    }
}

fn streams() -> [StreamId; 5] {
    let after = |number| StreamId::After(TaskId::from_random(number));
    [task(1), task(2), task(3), after(1), after(4)]
}

impl Deed {
    fn any(world: &World, now: &Books) -> Self {
        let stream = streams()[usize::try_from(world.dice(5)).unwrap()];
        let key = ["one", "two"][usize::try_from(world.dice(2)).unwrap()];
        match world.dice(16) {
            0 | 1 => Self::Remove(stream),
            // Often what is there already.
            2 => Self::Put(key, (world.dice(2) == 0).then(|| vec![7])),
            3 => Self::Flush,
            _ => {
                let mut events: Vec<Event> = Vec::new();
                for _ in 0..=world.dice(3) {
                    let seq = events.last().map_or_else(|| now.head(stream), |last| last.seq.0) + 1;
                    let size = usize::try_from(world.dice(60_000)).unwrap();
                    events.push(if world.dice(3) == 0 { durable(seq) } else { sized(seq, size) });
                }
                let forget = if world.dice(4) == 0 { now.head(stream) } else { 0 };
                Self::Commit(stream, events, forget)
            }
        }
    }

    fn is_durable(&self) -> bool {
        match self {
            Self::Commit(_, events, _) => events.iter().any(|event| event.body.is_durable()),
            Self::Put(..) | Self::Flush => true,
            Self::Remove(_) => false,
        }
    }

    /// Says whether the store took it.
    fn begin(self, store: &SqliteStore) -> BoxFuture<'_, bool> {
        match self {
            Self::Commit(stream, events, forget) => {
                let before = events[0].seq.0 - 1;
                let fence = if before == 0 { Fence::Absent } else { Fence::After(EventSeq(before)) };
                let mut records: Vec<_> = events.into_iter().map(Record::Event).collect();
                records.push(Record::Forget(EventSeq(forget)));
                let commit = queued(store.commit(stream, fence, records));
                Box::pin(async { commit.await.is_ok() })
            }
            Self::Remove(stream) => told(store.remove(stream)),
            Self::Put(key, value) => told(store.put("plugin", key, value)),
            Self::Flush => told(store.flush()),
        }
    }
}

fn told(answer: BoxFuture<'_, Result<(), StoreError>>) -> BoxFuture<'_, bool> {
    let answer = queued(answer);
    Box::pin(async { answer.await.is_ok() })
}

/// What was given to the store, in this order.
#[derive(Debug, Default)]
struct Story {
    /// What there was at the beginning.
    first: Books,
    deeds: Vec<Deed>,
    /// What there is after them.
    now: Books,
    /// This many were answered as safe.
    safe: usize,
    /// This many were answered.
    answered: usize,
}

impl Story {
    /// Some deeds at once. Says whether the store took them.
    async fn go_on(&mut self, store: &SqliteStore, place: &Place) -> bool {
        let mut open = Vec::new();
        for _ in 0..=place.world.dice(4) {
            let deed = Deed::any(&place.world, &self.now);
            self.now.add(&deed);
            self.deeds.push(deed.clone());
            open.push((self.deeds.len(), deed.is_durable(), deed.begin(store)));
        }
        for (place, is_durable, taken) in open {
            if !taken.await {
                return false;
            }
            self.answered = place;
            if is_durable {
                self.safe = place;
            }
        }
        true
    }

    /// Whether what is there is the beginning of the story, and at least so long; then it goes on from there.
    async fn check(&mut self, store: &SqliteStore, at_least: usize) {
        let found = Books::of(store).await;
        let mut books = std::mem::take(&mut self.first);
        for (place, deed) in self.deeds.iter().enumerate() {
            if place >= at_least && books == found {
                break;
            }
            books.add(deed);
        }
        assert!(books == found, "what is there is what came first, and all that was answered");
        *self = Self { first: found.clone(), now: found, ..Self::default() };
    }
}

async fn live(place: &Place, told: &mut Story) {
    let Ok(mut store) = place.open() else { return };
    for round in 1..=ROUNDS {
        if !told.go_on(&store, place).await {
            return;
        }
        if round % 20 == 0 {
            drop(store);
            // It was closed in good order, unless the power went meanwhile.
            let Ok(again) = place.open() else { return };
            store = again;
        }
    }
}

fn lives(seed: u64, end: impl Fn(&Place), at_least: impl Fn(&Story) -> usize) {
    let runtime = Runtime::new().unwrap();
    let place = Place::new(seed);
    let mut told = Story::default();
    for _ in 0..LIVES {
        place.world.darkens_after(place.world.dice(600));
        runtime.block_on(live(&place, &mut told));
        end(&place);
        let store = place.open().unwrap();
        runtime.block_on(told.check(&store, at_least(&told)));
        drop(store);
        end(&place);
    }
}

#[test]
fn t40_what_was_answered_as_safe_outlives_a_loss_of_power_at_any_moment() {
    for seed in 0..40 {
        lives(seed, |place| place.world.lose_power(), |story| story.safe);
    }
}

#[test]
fn t40_what_was_answered_outlives_a_process_that_is_killed_at_any_moment() {
    for seed in 100..120 {
        lives(seed, |place| place.world.kill(), |story| story.answered);
    }
}

#[tokio::test]
async fn t40_what_is_written_behind_waits_for_no_disk_and_is_safe_after_a_flush() {
    let place = Place::new(1);
    let store = place.open().unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    let syncs = place.world.syncs();
    for seq in 2..202 {
        commit(&store, task(1), behind(seq)).await.unwrap();
        assert_eq!(store.head(task(1)).await, Ok(Some(EventSeq(seq))));
    }
    // One every 200 ms at most: one of eight would be five seconds of them.
    assert!(place.world.syncs() <= syncs + 25, "none for each");
    store.flush().await.unwrap();
    place.world.set(Fate::Dark);
    drop(store);
    place.world.lose_power();
    assert_eq!(log(&place.open().unwrap(), task(1)).await.len(), 201);
}

/// A commit that changes nothing makes nothing safe.
#[tokio::test]
async fn t40_a_flush_with_what_changes_nothing_is_a_flush() {
    for seed in 0..20 {
        let place = Place::new(seed);
        let store = place.open().unwrap();
        commit(&store, task(1), durable(1)).await.unwrap();
        commit(&store, task(1), behind(2)).await.unwrap();
        let (nothing, flush) = {
            // While it does the first of them, the others are written together with the flush.
            let _busy = place.world.hold();
            let nothing: Vec<_> = (2..5).map(|absent| queued(store.remove(task(absent)))).collect();
            (nothing, queued(store.flush()))
        };
        for nothing in nothing {
            nothing.await.unwrap();
        }
        flush.await.unwrap();
        place.world.set(Fate::Dark);
        drop(store);
        place.world.lose_power();
        assert_eq!(log(&place.open().unwrap(), task(1)).await.len(), 2, "{seed}");
    }
}

#[tokio::test]
async fn t40_what_is_written_behind_is_soon_safe_by_itself() {
    let place = Place::new(2);
    let store = place.open().unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    let syncs = place.world.syncs();
    commit(&store, task(1), behind(2)).await.unwrap();
    while place.world.syncs() == syncs {
        tokio::task::yield_now().await;
    }
    place.world.set(Fate::Dark);
    drop(store);
    place.world.lose_power();
    assert_eq!(log(&place.open().unwrap(), task(1)).await.len(), 2);
}

#[tokio::test]
async fn t40_a_commit_that_waits_for_the_disk_takes_those_before_it_along() {
    let place = Place::new(3);
    let store = place.open().unwrap();
    commit(&store, task(1), behind(1)).await.unwrap();
    commit(&store, task(2), durable(1)).await.unwrap();
    store.remove(task(1)).await.unwrap();
    commit(&store, task(3), durable(1)).await.unwrap();
    place.world.set(Fate::Dark);
    drop(store);
    place.world.lose_power();
    let store = place.open().unwrap();
    assert_eq!(store.head(task(1)).await, Ok(None));
    assert_eq!(store.tasks(0, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn t40_those_who_come_while_the_disk_is_busy_share_a_sync() {
    let place = Place::new(5);
    let store = place.open().unwrap();
    let syncs = place.world.syncs();
    let commits: Vec<_> = {
        let _busy = place.world.hold();
        (0..50).map(|number| begin(&store, task(number), vec![durable(1)])).collect()
    };
    for commit in commits {
        commit.await.unwrap();
    }
    assert!(place.world.syncs() < syncs + 10);
}

#[tokio::test]
async fn t42_a_disk_that_does_not_sync_is_the_end_of_the_store_and_it_says_so() {
    let place = Place::new(4);
    let store = place.open().unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    place.world.set(Fate::SyncFails);
    assert_eq!(commit(&store, task(1), durable(2)).await, Err(CommitError::Unavailable));
    let health = store.health().borrow().clone();
    assert!(
        matches!(&health, StoreHealth::Failed { why } if why.contains("disk I/O error") && why.contains("fsync")),
        "{health}"
    );
    // Even if the disk is well again: nobody knows what it has forgotten.
    place.world.set(Fate::Works);
    assert_eq!(commit(&store, task(1), behind(2)).await, Err(CommitError::Unavailable));
    assert_eq!(commit(&store, task(2), durable(1)).await, Err(CommitError::Unavailable));
    assert_eq!(store.flush().await, Err(StoreError::Unavailable));
    assert_eq!(store.remove(task(1)).await, Err(StoreError::Unavailable));
    assert_eq!(store.head(task(1)).await, Ok(Some(EventSeq(1))), "reading goes on");
    drop(store);
    place.world.lose_power();
    let store = place.open().unwrap();
    let log = log(&store, task(1)).await;
    assert!(log == [durable(1)] || log == [durable(1), durable(2)], "whoever was not answered does not know");
    commit(&store, task(2), durable(1)).await.unwrap();
}

/// Its log may be read and not be on the disk.
#[tokio::test]
async fn t42_a_store_that_has_failed_writes_nothing_when_it_is_closed() {
    let place = Place::new(6);
    let store = place.open().unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    place.world.set(Fate::SyncFails);
    commit(&store, task(1), durable(2)).await.unwrap_err();
    place.world.set(Fate::Works);
    let syncs = place.world.syncs();
    drop(store);
    assert_eq!(place.world.syncs(), syncs);
}

#[tokio::test]
async fn t42_what_is_committed_after_a_failed_sync_and_a_new_beginning_outlives_a_loss_of_power() {
    for seed in 0..20 {
        let place = Place::new(seed);
        let store = place.open().unwrap();
        commit(&store, task(1), durable(1)).await.unwrap();
        commit(&store, task(1), behind(2)).await.unwrap();
        place.world.set(Fate::SyncFails);
        commit(&store, task(1), durable(3)).await.unwrap_err();
        place.world.set(Fate::Works);
        drop(store);
        // The next one reads the log anew.
        place.world.kill();
        let store = place.open().unwrap();
        let before = log(&store, task(1)).await;
        assert_eq!(before[..2], [durable(1), behind(2)], "it is read, and may not be on the disk");
        commit(&store, task(2), durable(1)).await.unwrap();
        place.world.set(Fate::Dark);
        drop(store);
        place.world.lose_power();
        let store = place.open().unwrap();
        assert_eq!(log(&store, task(1)).await, before, "{seed}");
        assert_eq!(log(&store, task(2)).await, [durable(1)], "{seed}");
    }
}
