//! The power is lost, the process is killed, the disk fails: what was answered is there.

use tokio::runtime::Runtime;

use super::lives::{Place, begin, behind, commit, durable, log, sized, task};
use super::world::Fate;
use crate::model::event::{Event, EventSeq};
use crate::ports::store::{CommitError, StoreError, StreamId, TaskStore};
use crate::store::sqlite::{SqliteStore, StoreHealth};

/// Streams that are written.
const STREAMS: u128 = 5;
/// Rounds of commits in a life.
const ROUNDS: u64 = 60;
/// Lives of a store, one after the other.
const LIVES: usize = 3;

/// What was given to the store, in this order.
#[derive(Debug, Default)]
struct Story {
    commits: Vec<(StreamId, Vec<Event>)>,
    /// This many were answered as safe.
    safe: usize,
    /// This many were answered.
    answered: usize,
}

impl Story {
    fn head(&self, stream: StreamId) -> u64 {
        let mut commits = self.commits.iter().rev().filter(|(of, _)| *of == stream);
        commits.next().map_or(0, |(_, events)| events.last().unwrap().seq.0)
    }

    /// Some commits at once. Says whether the store took them.
    async fn go_on(&mut self, store: &SqliteStore, place: &Place) -> bool {
        let mut open = Vec::new();
        for _ in 0..=place.world.dice(4) {
            let stream = task(u128::from(place.world.dice(u64::try_from(STREAMS).unwrap())));
            let mut events: Vec<Event> = Vec::new();
            for _ in 0..=place.world.dice(3) {
                let seq = events.last().map_or_else(|| self.head(stream), |last| last.seq.0) + 1;
                let size = usize::try_from(place.world.dice(60_000)).unwrap();
                events.push(if place.world.dice(3) == 0 { durable(seq) } else { sized(seq, size) });
            }
            self.commits.push((stream, events.clone()));
            let is_durable = events.iter().any(|event| event.body.is_durable());
            open.push((self.commits.len(), is_durable, begin(store, stream, events)));
        }
        for (place, is_durable, commit) in open {
            if commit.await.is_err() {
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
        let mut logs = Vec::new();
        for number in 0..STREAMS {
            logs.push((task(number), log(store, task(number)).await));
        }
        let is_there = |length: usize| {
            logs.iter().all(|(stream, log)| {
                let of_it = self.commits[..length].iter().filter(|(of, _)| of == stream);
                of_it.flat_map(|(_, events)| events).eq(log)
            })
        };
        let length = (at_least..=self.commits.len()).find(|length| is_there(*length));
        let length = length.expect("what is there is what came first, and all that was answered");
        self.commits.truncate(length);
        (self.answered, self.safe) = (length, length);
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
    for seq in 2..10 {
        commit(&store, task(1), behind(seq)).await.unwrap();
        assert_eq!(store.head(task(1)).await, Ok(Some(EventSeq(seq))));
    }
    assert!(place.world.syncs() <= syncs + 1, "none for each");
    store.flush().await.unwrap();
    place.world.set(Fate::Dark);
    drop(store);
    place.world.lose_power();
    assert_eq!(log(&place.open().unwrap(), task(1)).await.len(), 9);
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
    assert!(matches!(&health, StoreHealth::Failed { why } if why.contains("disk I/O error")), "{health}");
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
