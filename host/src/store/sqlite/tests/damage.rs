//! A file that was damaged: what is well is read, and what is not says so.
#![expect(clippy::disallowed_methods, reason = "tests look at the files themselves")]

use std::os::unix::fs::FileExt as _;

use rusqlite::ffi;

use super::lives::{Place, commit, durable, log, sized, task, with_sqlite};
use crate::model::event::EventSeq;
use crate::model::ids::TaskId;
use crate::ports::store::{StoreError, TaskStore};
use crate::store::sqlite::faults::Trouble;
use crate::store::sqlite::{OpenError, SqliteStore, StoreHealth};

/// Two tasks, of which one has a log of many pages.
async fn used() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    for seq in 1..=50 {
        commit(&store, task(2), sized(seq, 50_000)).await.unwrap();
    }
    dir
}

#[tokio::test]
async fn t42_an_event_that_nobody_can_read_harms_only_its_own_stream() {
    let dir = used().await;
    for change in [
        "UPDATE events SET body = '{\"event\":\"from-the-future\"}' WHERE seq = 20",
        "UPDATE events SET body = 'nonsense' WHERE seq = 21",
        "DELETE FROM events WHERE seq = 22",
        "UPDATE tasks SET papers = 'nonsense'",
    ] {
        with_sqlite(dir.path(), |db| db.execute_batch(change)).unwrap();
    }
    let store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(log(&store, task(1)).await, [durable(1)]);
    for after in [19, 20, 21] {
        assert_eq!(store.read(task(2), EventSeq(after - 1), 2).await, Err(StoreError::Damaged), "{after}");
    }
    assert_eq!(store.read(task(2), EventSeq(22), 1).await.unwrap().len(), 1);
    assert_eq!(store.head(task(2)).await, Ok(Some(EventSeq(50))));
    let papers: Vec<_> = store.tasks(0, 10).await.unwrap().into_iter().map(|task| task.papers).collect();
    assert_eq!(papers, [None, None]);
    commit(&store, task(1), durable(2)).await.unwrap();
}

#[tokio::test]
async fn t42_a_task_whose_id_nobody_can_read_hides_no_others() {
    let dir = used().await;
    for (change, ids) in [
        ("UPDATE streams SET id = 'nonsense' WHERE stream = 1", [None, Some(TaskId::from_random(2))]),
        ("UPDATE streams SET id = CAST(x'ff' AS TEXT) WHERE stream = 1", [None, Some(TaskId::from_random(2))]),
        ("PRAGMA foreign_keys = OFF; DELETE FROM streams", [None, None]),
    ] {
        with_sqlite(dir.path(), |db| db.execute_batch(change)).unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        let (mut found, mut after) = (Vec::new(), 0);
        while let Some(task) = store.tasks(after, 1).await.unwrap().pop() {
            after = task.place;
            found.push(task.id);
        }
        assert_eq!(found, ids, "{change}");
    }
}

#[test]
fn t42_what_may_pass_is_no_end_and_what_is_one_says_at_what() {
    let trouble = |code| Trouble::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
    for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
        assert_eq!(trouble(code), Trouble::Full);
    }
    for code in [ffi::SQLITE_BUSY, ffi::SQLITE_NOMEM, ffi::SQLITE_IOERR_NOMEM] {
        assert_eq!(trouble(code), Trouble::Busy);
    }
    for (code, operation) in [(ffi::SQLITE_IOERR_FSYNC, "fsync"), (ffi::SQLITE_IOERR_WRITE, "write")] {
        assert!(matches!(trouble(code), Trouble::Failed(why) if why.contains(operation)));
    }
}

/// Overwrites a page in the middle of the file: nearly all are the long log's.
fn spoil(dir: &std::path::Path) {
    let file = std::fs::OpenOptions::new().write(true).open(dir.join("tasks.db")).unwrap();
    let page = file.metadata().unwrap().len() / 4096 / 2;
    file.write_all_at(&[0xff; 4096], page * 4096).unwrap();
}

#[tokio::test]
async fn t42_a_damaged_page_harms_only_whoever_reads_it() {
    let dir = used().await;
    spoil(dir.path());
    let store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(log(&store, task(1)).await, [durable(1)]);
    let mut answers = Vec::new();
    for after in 0..50 {
        answers.push(store.read(task(2), EventSeq(after), 1).await);
    }
    assert!(answers.contains(&Err(StoreError::Damaged)) && answers.iter().any(Result::is_ok));
    commit(&store, task(1), durable(2)).await.unwrap();
    assert_eq!(*store.health().borrow(), StoreHealth::Working);
}

#[tokio::test]
async fn t42_a_file_whose_owner_was_killed_is_looked_through_and_left_as_it_is_when_damaged() {
    let dir = used().await;
    spoil(dir.path());
    // It says that somebody lived there and did not leave.
    std::fs::write(dir.path().join("owner"), "{}").unwrap();
    let before = std::fs::read(dir.path().join("tasks.db")).unwrap();
    for _ in 0..2 {
        let refused = SqliteStore::open(dir.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
        let text = refused.to_string();
        let words = ["nothing was changed", "tasks.db-wal", "tasks.db-shm", ".recover"];
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(std::fs::read(dir.path().join("tasks.db")).unwrap(), before);
    }
}

#[tokio::test]
async fn t42_a_file_that_was_cut_off_is_no_store_or_a_damaged_one() {
    let dir = used().await;
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join("tasks.db")).unwrap();
    let length = file.metadata().unwrap().len();
    for rest in [length - 3 * 4096, length / 2, 4096, 100, 2] {
        file.set_len(rest).unwrap();
        std::fs::write(dir.path().join("owner"), "{}").unwrap();
        let refused = SqliteStore::open(dir.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. } | OpenError::NotAStore { .. }), "{rest}: {refused}");
    }
}

#[tokio::test]
async fn t42_a_writer_that_meets_damage_writes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'events'";
    let page = with_sqlite(dir.path(), |db| db.query_row(root, [], |row| row.get::<_, i64>(0))).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join("tasks.db")).unwrap();
    file.write_all_at(&[0xff; 4096], u64::try_from(page - 1).unwrap() * 4096).unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    commit(&store, task(1), durable(1)).await.unwrap_err();
    let health = store.health().borrow().clone();
    assert!(matches!(&health, StoreHealth::Failed { why } if why.contains("malformed")), "{health}");
}

/// Half a log is what a loss of power leaves: what was not answered is not there, and the rest is.
#[tokio::test]
async fn t40_a_log_that_ends_in_the_middle_is_read_up_to_there() {
    let place = Place::new(9);
    let store = place.open().unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    place.world.darkens_after(10);
    commit(&store, task(1), sized(2, 100_000)).await.unwrap_err();
    drop(store);
    place.world.lose_power();
    assert_eq!(log(&place.open().unwrap(), task(1)).await, [durable(1)]);
}
