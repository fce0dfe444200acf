//! Room goes back to the disk.

use super::lives::{commit, sized, task, with_sqlite};
use crate::ports::store::TaskStore;
use crate::store::sqlite::SqliteStore;
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
    for seq in 1..=100 {
        commit(&store, task(1), sized(seq, 500_000)).await.unwrap();
    }
    let log = std::fs::metadata(dir.path().join("tasks.db-wal")).unwrap().len();
    assert!(log < 16 << 20, "{log}");
}
