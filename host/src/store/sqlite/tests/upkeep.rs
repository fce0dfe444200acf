//! Room goes back to the disk.

use rusqlite::OpenFlags;

use super::lives::{Place, commit, durable, sized, task, with_sqlite};
use super::world::Fate;
use crate::ports::store::TaskStore;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::faults::Trouble;
use crate::store::sqlite::open::connect;
use crate::store::sqlite::pages::{Thoroughness, checkpoint};
use crate::store::sqlite::upkeep::Upkeep;

#[tokio::test]
async fn t40_what_is_removed_makes_the_file_smaller() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    for number in 0..40 {
        commit(&store, task(number), sized(1, 500_000)).await.unwrap();
    }
    for number in 1..40 {
        store.remove(task(number)).await.unwrap();
    }
    drop(store);
    let file = dir.path().join("tasks.db");
    let size = || std::fs::metadata(&file).unwrap().len();
    let full = size();
    with_sqlite(dir.path(), |db| {
        let mut upkeep = Upkeep::of(&file);
        while upkeep.is_wanted() {
            upkeep.idle(db).unwrap();
        }
    });
    assert!(full > 16 << 20 && size() < 6 << 20, "{full} {}", size());
}

#[tokio::test]
async fn t40_the_log_does_not_grow_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    for seq in 1..=200 {
        commit(&store, task(1), sized(seq, 500_000)).await.unwrap();
    }
    let log = std::fs::metadata(dir.path().join("tasks.db-wal")).unwrap().len();
    assert!(log < 16 << 20, "{log}");
}

#[tokio::test]
async fn t41_what_cannot_be_moved_while_the_disk_is_full_is_not_tried_again_and_again() {
    let place = Place::new(1);
    let store = place.open().unwrap();
    commit(&store, task(1), sized(1, 100_000)).await.unwrap();
    let file = place.dir.path().join("tasks.db");
    let db = connect(&file, OpenFlags::SQLITE_OPEN_READ_WRITE, place.world.manner()).unwrap();
    let mut upkeep = Upkeep::of(&file);
    place.world.set(Fate::Full);
    upkeep.idle(&db).unwrap();
    assert_eq!(upkeep.idle(&db), Err(Trouble::Full));
    assert!(!upkeep.is_wanted(), "before somebody writes");
    place.world.set(Fate::Works);
}

#[tokio::test]
async fn t40_nobody_waits_for_a_person_who_reads() {
    let place = Place::new(2);
    let store = place.open().unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    let file = place.dir.path().join("tasks.db");
    let reader = connect(&file, OpenFlags::SQLITE_OPEN_READ_WRITE, place.world.manner()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    commit(&store, task(1), durable(2)).await.unwrap();
    let db = connect(&file, OpenFlags::SQLITE_OPEN_READ_WRITE, place.world.manner()).unwrap();
    let sleeps = place.world.sleeps();
    assert!(checkpoint(&db, Thoroughness::Truncate).unwrap() > 0, "somebody is in the way");
    assert_eq!(place.world.sleeps(), sleeps);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(checkpoint(&db, Thoroughness::Truncate).unwrap(), 0);
}
