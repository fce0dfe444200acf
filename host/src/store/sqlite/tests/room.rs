//! The disk is full, and then there is room again.

use std::io::Write as _;

use super::lives::{Place, begin, commit, durable, log, queued, sized, task};
use super::world::Fate;
use crate::model::event::EventSeq;
use crate::model::ids::{ScheduleId, TaskId};
use crate::ports::kv::ValueStore as _;
use crate::ports::store::{CommitError, StreamId, TaskStore};
use crate::store::sqlite::{SqliteStore, StoreHealth};

async fn until(store: &SqliteStore, is: impl FnMut(&StoreHealth) -> bool) {
    store.health().wait_for(is).await.unwrap();
}

fn is_full(health: &StoreHealth) -> bool {
    matches!(health, StoreHealth::Full { .. })
}

#[tokio::test]
async fn t41_a_full_disk_holds_what_there_is_and_refuses_what_is_new_until_there_is_room() {
    let place = Place::new(1);
    let store = place.open().unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    place.world.set(Fate::Full);
    assert_eq!(commit(&store, task(2), sized(1, 1 << 20)).await, Err(CommitError::Full));
    until(&store, is_full).await;
    let mut waiting = begin(&store, task(1), vec![sized(2, 1 << 20)]);
    let mut value = store.put("one", "key", Some(vec![0; 1 << 20]));
    assert_eq!(commit(&store, task(3), sized(1, 1 << 20)).await, Err(CommitError::Full), "at once");
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("there is no room"),
        _ = &mut value => panic!("there is no room"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(store.head(task(1)).await, Ok(Some(EventSeq(1))), "reading goes on");
    place.world.set(Fate::Works);
    waiting.await.unwrap();
    value.await.unwrap();
    until(&store, |health| *health == StoreHealth::Working).await;
    commit(&store, task(2), durable(1)).await.unwrap();
    drop(store);
    place.world.lose_power();
    let store = place.open().unwrap();
    assert_eq!(log(&store, task(1)).await, [durable(1), sized(2, 1 << 20)]);
    assert_eq!((store.head(task(2)).await, store.head(task(3)).await), (Ok(Some(EventSeq(1))), Ok(None)));
    assert_eq!(store.load("one").await.unwrap(), [("key".to_owned(), vec![0; 1 << 20])]);
}

#[tokio::test]
async fn t41_a_store_without_anything_to_write_finds_out_by_itself_that_there_is_room() {
    let place = Place::new(2);
    let store = place.open().unwrap();
    place.world.set(Fate::Full);
    assert_eq!(commit(&store, task(1), sized(1, 1 << 20)).await, Err(CommitError::Full));
    place.world.set(Fate::Works);
    until(&store, |health| *health == StoreHealth::Working).await;
    commit(&store, task(1), durable(1)).await.unwrap();
}

#[tokio::test]
async fn t41_a_store_that_is_closed_while_the_disk_is_full_has_what_was_answered_and_no_more() {
    let place = Place::new(3);
    let store = place.open().unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    place.world.set(Fate::Full);
    assert_eq!(commit(&store, task(2), sized(1, 1 << 20)).await, Err(CommitError::Full));
    // Nobody waits for its answer any more, so that the store can be dropped.
    drop(begin(&store, task(1), vec![sized(2, 1 << 20)]));
    drop(store);
    place.world.set(Fate::Works);
    let store = place.open().unwrap();
    assert_eq!(log(&store, task(1)).await, [durable(1)]);
    commit(&store, task(1), durable(2)).await.unwrap();
}

#[tokio::test]
async fn t41_what_belongs_to_a_task_waits_even_if_it_is_the_first_of_its_stream() {
    let place = Place::new(4);
    let store = place.open().unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    place.world.set(Fate::Full);
    assert_eq!(commit(&store, task(2), sized(1, 1 << 20)).await, Err(CommitError::Full));
    let schedule = StreamId::Schedule(ScheduleId::from_random(1));
    assert_eq!(commit(&store, schedule, sized(1, 1 << 20)).await, Err(CommitError::Full));
    let streams = [StreamId::After(TaskId::from_random(1)), StreamId::Schedules];
    let waiting: Vec<_> = streams.map(|stream| begin(&store, stream, vec![sized(1, 1 << 20)])).into();
    place.world.set(Fate::Works);
    for commit in waiting {
        commit.await.unwrap();
    }
}

#[tokio::test]
async fn t41_a_store_works_again_when_it_has_written_something() {
    let place = Place::new(5);
    let store = place.open().unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    place.world.set(Fate::Full);
    assert_eq!(commit(&store, task(2), sized(1, 1 << 20)).await, Err(CommitError::Full));
    let mut nothing = queued(store.remove(task(9)));
    let refused = place.world.refused();
    while place.world.refused() < refused + 2 {
        tokio::select! {
            biased;
            _ = &mut nothing => panic!("nobody knows yet that there is room"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert!(is_full(&store.health().borrow()));
    place.world.set(Fate::Works);
    nothing.await.unwrap();
    until(&store, |health| *health == StoreHealth::Working).await;
}

/// A real file system that is full. Only where one may be mounted.
#[tokio::test]
async fn t41_a_full_file_system_is_no_end_either() {
    let Some(disk) = Mounted::new("size=4m") else { return };
    let store = SqliteStore::open(disk.path().join("data")).unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    let filler = disk.path().join("filler");
    fill(&filler);
    let mut waiting = begin(&store, task(1), vec![sized(2, 1 << 20)]);
    tokio::select! {
        () = until(&store, is_full) => {}
        _ = &mut waiting => panic!("there is no room"),
    }
    assert_eq!(commit(&store, task(2), durable(1)).await, Err(CommitError::Full));
    std::fs::remove_file(filler).unwrap();
    waiting.await.unwrap();
    until(&store, |health| *health == StoreHealth::Working).await;
    commit(&store, task(2), durable(1)).await.unwrap();
    drop(store);
    let store = SqliteStore::open(disk.path().join("data")).unwrap();
    assert_eq!(log(&store, task(1)).await.len(), 2);
    drop(store);
}

#[test]
fn t41_a_store_that_does_not_fit_is_not_opened_and_says_so() {
    let Some(disk) = Mounted::new("size=1m") else { return };
    fill(&disk.path().join("filler"));
    let error = SqliteStore::open(disk.path()).unwrap_err();
    assert!(error.to_string().contains("there is no room on the disk"), "{error}");
}

fn fill(path: &std::path::Path) {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).unwrap();
    while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
}

/// A small file system in memory, where this user may mount one.
pub(super) struct Mounted(tempfile::TempDir);

impl Mounted {
    pub(super) fn new(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(dir)),
            Ok(_) | Err(_) => {
                // Not by a macro: those are heard only of tests that fail.
                let words = "skipped a test of a real file system: none can be mounted by this user";
                let _ = writeln!(std::io::stderr(), "{words}");
                None
            }
        }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    /// Nothing can be written there from now on.
    pub(super) fn make_read_only(&self) {
        let status = std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
