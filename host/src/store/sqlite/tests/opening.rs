//! A directory that can be opened, and those that cannot: each error says what to do, and nothing was changed.
#![expect(clippy::disallowed_methods, reason = "tests look at the files themselves")]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::lives::{commit, created, durable, finished, log, task, with_sqlite};
use super::room::Mounted;
use crate::store::sqlite::open::Manner;
use crate::store::sqlite::schema::{STEPS, Step};
use crate::store::sqlite::{OpenError, SqliteStore};

fn error(dir: &Path) -> OpenError {
    SqliteStore::open(dir).unwrap_err()
}

fn says(error: &OpenError, words: &[&str]) {
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

/// A directory with a store in it that was closed.
async fn used() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    dir
}

#[tokio::test]
async fn t40_a_directory_is_made_for_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/b");
    let store = SqliteStore::open(&dir).unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in ["owner", "tasks.db", "tasks.db-wal", "tasks.db-shm"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn t42_a_directory_has_one_owner_who_is_named() {
    let dir = used().await;
    let store = SqliteStore::open(dir.path()).unwrap();
    let program = std::env::current_exe().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let process = format!("process {}", std::process::id());
    says(&error(dir.path()), &["is in use by", &program, &process, "since 20", "stop that one"]);
    drop(store);
    let owner = std::fs::read(dir.path().join("owner")).unwrap();
    assert!(owner.is_empty(), "whoever leaves takes their name along");
    SqliteStore::open(dir.path()).unwrap();
}

#[test]
fn t42_an_owner_that_has_not_said_who_it_is_is_an_owner() {
    let dir = tempfile::tempdir().unwrap();
    let owner = std::fs::OpenOptions::new().write(true).create_new(true).open(dir.path().join("owner")).unwrap();
    owner.lock().unwrap();
    for words in ["", "\u{1b}[31m nonsense", "{\"pid\":7,\"program\":\"\\u001b[31mx\",\"since\":18446744073709551615}"]
    {
        (&owner).write_all(words.as_bytes()).unwrap();
        let text = error(dir.path()).to_string();
        assert!(text.contains("in use by") && !text.contains('\u{1b}'), "{text}");
        owner.set_len(0).unwrap();
    }
}

#[test]
fn t42_an_owner_that_takes_over_is_named_before_the_one_before_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = std::fs::OpenOptions::new().write(true).create_new(true).open(dir.path().join("owner")).unwrap();
    owner.lock().unwrap();
    let words = "{\"pid\":7,\"program\":\"host\",\"since\":1}\n\"a longer name\",\"since\":1}\n";
    owner.write_all(words.as_bytes()).unwrap();
    says(&error(dir.path()), &["is in use by host (process 7"]);
    drop(owner);
    let store = SqliteStore::open(dir.path()).unwrap();
    let words = std::fs::read_to_string(dir.path().join("owner")).unwrap();
    assert!(words.lines().count() == 1 && words.contains(&std::process::id().to_string()), "{words}");
    drop(store);
}

#[tokio::test]
async fn t42_a_newer_schema_is_left_alone() {
    let dir = used().await;
    with_sqlite(dir.path(), |db| db.pragma_update(None, "user_version", 99)).unwrap();
    let before = std::fs::read(dir.path().join("tasks.db")).unwrap();
    let refused = error(dir.path());
    assert!(matches!(refused, OpenError::Newer { found: 99, known, .. } if known == STEPS.len()));
    says(&refused, &["schema 99", "open it with the version that wrote it", "nothing was changed"]);
    assert_eq!(std::fs::read(dir.path().join("tasks.db")).unwrap(), before);
}

#[test]
fn t42_another_programs_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tasks.db");
    let tries: [&dyn Fn(); 3] = [
        &|| std::fs::write(&file, "a letter to my aunt, and no database".repeat(99)).unwrap(),
        &|| with_sqlite(dir.path(), |db| db.execute_batch("CREATE TABLE mine (x)")).unwrap(),
        &|| with_sqlite(dir.path(), |db| db.pragma_update(None, "application_id", 42)).unwrap(),
    ];
    for make in tries {
        make();
        let before = std::fs::read(&file).unwrap();
        let refused = error(dir.path());
        assert!(matches!(refused, OpenError::NotAStore { .. }), "{refused}");
        says(&refused, &["is no store of Taskcell's", "nothing was changed"]);
        assert_eq!(std::fs::read(&file).unwrap(), before);
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn t42_what_is_no_directory_is_not_used_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below")] {
        let refused = error(&path);
        assert!(matches!(refused, OpenError::NotADirectory { .. }), "{refused}");
        says(&refused, &["is not a directory"]);
    }
}

#[tokio::test]
async fn t42_a_directory_that_cannot_be_written_is_not_opened() {
    let Some(disk) = Mounted::new("size=4m") else { return };
    let dir = disk.path().join("data");
    let store = SqliteStore::open(&dir).unwrap();
    commit(&store, task(1), durable(1)).await.unwrap();
    drop(store);
    disk.make_read_only();
    for dir in [dir, disk.path().join("new")] {
        let refused = error(&dir);
        assert!(matches!(refused, OpenError::ReadOnly { .. }), "{refused}");
        says(&refused, &["cannot be written", "make it writable, or take another directory"]);
    }
}

const NEXT: &str = "ALTER TABLE tasks ADD COLUMN colour TEXT; UPDATE tasks SET colour = 'green'";

#[tokio::test]
async fn t42_an_older_schema_is_brought_up_to_date_and_each_step_is_done_or_not() {
    let dir = used().await;
    let broken: &[Step] = const { &[STEPS[0], NEXT, "ALTER TABLE tasks ADD COLUMN size INTEGER; nonsense"] };
    let broken = Manner { steps: broken, ..Manner::default() };
    SqliteStore::open_with(dir.path(), broken).unwrap_err();
    let version = |db: &rusqlite::Connection| db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    assert_eq!(with_sqlite(dir.path(), version), Ok(2), "a step is done or not");
    let three: &[Step] = const { &[STEPS[0], NEXT, "ALTER TABLE tasks ADD COLUMN size INTEGER"] };
    let three = Manner { steps: three, ..Manner::default() };
    let store = SqliteStore::open_with(dir.path(), three).unwrap();
    assert_eq!(log(&store, task(1)).await, [durable(1)]);
    commit(&store, task(1), durable(2)).await.unwrap();
    drop(store);
    assert_eq!(with_sqlite(dir.path(), version), Ok(3));
    let colour =
        |db: &rusqlite::Connection| db.query_row("SELECT colour FROM tasks", [], |row| row.get::<_, String>(0));
    assert_eq!(with_sqlite(dir.path(), colour).unwrap(), "green");
    assert!(matches!(error(dir.path()), OpenError::Newer { found: 3, .. }));
}

#[tokio::test]
async fn t40_a_store_that_is_closed_is_one_file() {
    let dir = used().await;
    let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["owner", "tasks.db"]);
}

/// The tool that everybody has shows them what there is, as long as it can be read.
#[tokio::test]
async fn t40_a_person_reads_the_tables() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    for (number, key) in [(2, "invoice 1"), (1, "invoice 2")] {
        commit(&store, task(number), created(key)).await.unwrap();
    }
    commit(&store, task(2), finished(2)).await.unwrap();
    commit(&store, task(3), durable(1)).await.unwrap();
    let text = |sql: &str| {
        with_sqlite(dir.path(), |db| {
            let mut rows = db.prepare(sql).unwrap();
            let row = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
            rows.query_map([], row).unwrap().collect::<Result<Vec<_>, _>>().unwrap()
        })
    };
    let tasks = "SELECT concat_ws('|', plugin, type, key, state, last_event, events, created, ended) FROM task_list";
    let expected = [
        "plugin|type|invoice 1|succeeded|finished|2|1970-01-01 00:00:00.001|1970-01-01 00:00:00.002",
        "plugin|type|invoice 2|open|created|1|1970-01-01 00:00:00.001",
        "open|signal-received|1|1970-01-01 00:00:00.001",
    ];
    assert_eq!(text(tasks), expected);
    with_sqlite(dir.path(), |db| db.execute_batch("UPDATE events SET body = 'nonsense' WHERE seq = 2")).unwrap();
    assert_eq!(text(tasks)[0], "plugin|type|invoice 1|open|2|1970-01-01 00:00:00.001");
    let events = "SELECT concat_ws('|', kind, seq, at, event) FROM event_list ORDER BY id, seq";
    assert_eq!(text(events).len(), 4);
    assert!(text(events).contains(&"task|1|1970-01-01 00:00:00.001|created".to_owned()));
}
