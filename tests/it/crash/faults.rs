//! A server whose disk is full, fails, cannot be written, or has something else on it: what it says, with which code it ends,
//! and that nothing acknowledged is missing afterwards.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reqwest::StatusCode;
use serde_json::{Value, json};
use taskcell::SqliteStore;

use super::ledger::{Ledger, SHAPES, Shape};
use super::server::Server;
use crate::support::files::{read, write};
use crate::support::mounted::{Mounted, skipped};
use crate::support::within;

/// The code of a program whose host failed, as cli.md promises it.
const HOST_FAILED: i32 = 70;
/// More than a start leaves in a file when it does not fit.
const LARGE: usize = 60 << 10;

/// A server with something to lose.
async fn busy(data: &Path) -> (Server, Ledger) {
    let (server, mut ledger) = (Server::start(data, None).unwrap(), Ledger::default());
    for shape in SHAPES {
        ledger.start(&server, shape).await.unwrap();
    }
    for number in 0..12 {
        ledger.act(&server, number / 6, number).await.unwrap();
    }
    (server, ledger)
}

/// The next server on the directory has everything that was acknowledged, and brings it to its end.
async fn all_is_there(data: &Path, mut ledger: Ledger) {
    let server = Server::start(data, None).unwrap();
    ledger.check(&server).await.unwrap();
    ledger.finish(&server).await;
}

#[tokio::test]
async fn t41_a_server_on_a_full_disk_holds_its_tasks_and_goes_on_when_there_is_room() {
    let Some(disk) = Mounted::new("32m") else { return };
    let data = disk.path().join("data");
    let (server, mut ledger) = busy(&data).await;
    let held = ledger.start(&server, Shape::Restarts).await.unwrap();
    // A guest that writes a file of its own meets the full disk itself: this one has written its file.
    while server.get(&format!("/tasks/{held}")).await.unwrap()["waiting"].is_null() {}
    disk.fill();
    // Something still fits into what the store's files take up already.
    let refused = loop {
        let (status, body) = ledger.try_start(&server, Shape::Short).await.unwrap();
        if !status.is_success() {
            break (status, body);
        }
    };
    assert_eq!((refused.0, &refused.1["type"]), (StatusCode::INSUFFICIENT_STORAGE, &json!("/v1/problems/disk-full")));
    assert!(refused.1["detail"].as_str().unwrap().contains("room"), "{}", refused.1);
    let payload = "x".repeat(LARGE);
    let (task, signals) = (format!("/tasks/{held}"), format!("/tasks/{held}/signals"));
    let mut sent = Box::pin(server.post(&signals, json!({"key": "one", "payload": payload})));
    // Whoever has nothing to write is answered meanwhile. Until that is tried, something small may still fit.
    let health = async {
        loop {
            let health = server.get("/health").await.unwrap();
            if health["status"] == "disk-full" {
                break health;
            }
        }
    };
    let health = tokio::select! {
        biased;
        sent = &mut sent => panic!("there is no room: {sent:?}"),
        health = within(health) => health,
    };
    assert!(health["detail"].as_str().unwrap().contains("goes on by itself"), "{health}");
    tokio::select! {
        biased;
        sent = &mut sent => panic!("there is no room: {sent:?}"),
        task = server.get(&task) => assert_eq!(task.unwrap()["phase"], "running"),
    }
    disk.make_room();
    let (status, answer) = sent.await.unwrap();
    assert!(status.is_success() && ["delivered", "buffered"].contains(&answer["answer"].as_str().unwrap()), "{answer}");
    assert_eq!(server.get("/health").await.unwrap()["status"], "ok");
    ledger.start(&server, Shape::Tells).await.unwrap();
    ledger.check(&server).await.unwrap();
    server.kill();
    let server = Server::start(&data, None).unwrap();
    let log = server.get(&format!("/tasks/{held}/events?limit=100")).await.unwrap();
    let taken = |event: &&Value| event["body"]["signal"]["payload"] == payload;
    assert_eq!(log["events"].as_array().unwrap().iter().filter(taken).count(), 1, "once");
    server.kill();
    all_is_there(&data, ledger).await;
}

/// Starts tasks until the server ends by itself: its code, and what it said.
async fn until_it_ends(mut server: Server, ledger: &mut Ledger) -> (Option<i32>, String) {
    let mut problem = Value::Null;
    // What is asked for last may be cut off, or be refused because the store has failed.
    while let Ok((status, body)) = ledger.try_start(&server, Shape::Tells).await {
        if !status.is_success() {
            problem = body;
            break;
        }
    }
    if !problem.is_null() {
        let kinds = ["/v1/problems/store", "/v1/problems/shutting-down"];
        assert!(kinds.contains(&problem["type"].as_str().unwrap()), "{problem}");
    }
    let (status, said) = server.ended();
    (status.code(), said)
}

/// A file may grow no more, which is no full disk: what the system says is none of the errors that pass.
#[tokio::test]
async fn t42_an_error_of_the_disk_ends_the_server_and_loses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let (server, mut ledger) = busy(data.path()).await;
    // Whatever is compiled for it is in the cache now.
    server.kill();
    // In blocks of 512 bytes; the log grows beyond this before it is moved into the file.
    let limited = |serve: Command| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg("trap '' XFSZ; ulimit -f 4000; exec \"$0\" \"$@\"").arg(serve.get_program());
        shell.args(serve.get_args());
        for (name, value) in serve.get_envs() {
            shell.env(name, value.unwrap());
        }
        shell
    };
    let server = Server::start_as(data.path(), limited);
    let (code, said) = until_it_ends(server, &mut ledger).await;
    assert_eq!(code, Some(HOST_FAILED), "{said}");
    assert!(said.contains("the store has failed") && said.contains("start the server again"), "{said}");
    all_is_there(data.path(), ledger).await;
}

#[tokio::test]
async fn t42_an_fsync_that_fails_ends_the_server_and_loses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let (server, mut ledger) = busy(data.path()).await;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"]);
    strace.args(["-p", &server.pid().to_string()]).stderr(Stdio::piped());
    let Ok(mut strace) = strace.spawn() else { return skipped("there is no strace, which makes fsync fail") };
    let mut said = BufReader::new(strace.stderr.take().unwrap());
    let mut first = String::new();
    while !first.contains("attached") {
        if said.read_line(&mut first).unwrap() == 0 {
            let _ = strace.wait();
            return skipped(&format!("strace may not make fsync fail here: {first}"));
        }
    }
    // What it traces is heard to its end, so that it never waits for a reader; it ends with the server.
    let heard = tokio::task::spawn_blocking(move || {
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut said, &mut rest);
        strace.wait()
    });
    let (code, said) = until_it_ends(server, &mut ledger).await;
    assert_eq!(code, Some(HOST_FAILED), "{said}");
    assert!(said.contains("at fsync") && said.contains("start the server again"), "{said}");
    within(heard).await.unwrap().unwrap();
    all_is_there(data.path(), ledger).await;
}

/// Ends a server, and closes its store in good order: all of it is in one file then.
fn closed(server: Server, data: &Path) -> PathBuf {
    server.end();
    drop(SqliteStore::open(data).unwrap());
    data.join("tasks.db")
}

/// What a server says that does not come up.
fn refused(data: &Path) -> String {
    let (status, said) = Server::try_start(data).err().expect("it is not to come up");
    assert_eq!(status.code(), Some(HOST_FAILED), "{said}");
    said
}

#[tokio::test]
async fn t42_a_second_server_is_told_who_has_the_directory_and_harms_nobody() {
    let data = tempfile::tempdir().unwrap();
    let (server, mut ledger) = busy(data.path()).await;
    for _ in 0..3 {
        let said = refused(data.path());
        let owner = format!("is in use by taskcell (process {}, since 20", server.pid());
        assert!(said.contains(&owner) && said.contains("stop that one, or take another directory"), "{said}");
    }
    // The first one's socket is its own still, and its store.
    ledger.start(&server, Shape::Tells).await.unwrap();
    ledger.check(&server).await.unwrap();
    server.kill();
    all_is_there(data.path(), ledger).await;
}

#[tokio::test]
async fn t42_a_newer_schema_is_refused_with_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let (server, ledger) = busy(data.path()).await;
    let file = closed(server, data.path());
    let ours = read(&file);
    let mut newer = ours.clone();
    // SQLite's `user_version`, which its format has at this place.
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    write(&file, &newer);
    let said = refused(data.path());
    assert!(said.contains("has schema 99") && said.contains("open it with the version that wrote it"), "{said}");
    assert_eq!(read(&file), newer, "nothing was changed");
    write(&file, ours);
    all_is_there(data.path(), ledger).await;
}

#[tokio::test]
async fn t42_a_damaged_file_that_was_left_without_a_word_is_refused_with_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let (server, ledger) = busy(data.path()).await;
    let file = closed(server, data.path());
    // It is looked through when its last owner was killed.
    Server::start(data.path(), None).unwrap().kill();
    let ours = read(&file);
    let mut damaged = ours.clone();
    // Its second page, and so on: the first has the header.
    damaged[4096..8 * 4096].fill(0xa5);
    write(&file, &damaged);
    let said = refused(data.path());
    assert!(said.contains("is damaged") && said.contains(".recover"), "{said}");
    assert_eq!(read(&file), damaged, "nothing was changed");
    write(&file, ours);
    all_is_there(data.path(), ledger).await;
}

#[tokio::test]
async fn t42_a_task_that_cannot_be_read_is_set_aside_and_named() {
    let data = tempfile::tempdir().unwrap();
    let (server, mut ledger) = busy(data.path()).await;
    let lost = ledger.start(&server, Shape::Waits).await.unwrap();
    let file = closed(server, data.path());
    let mut bytes = read(&file);
    // What its first event says is JSON no more.
    let at = find(&bytes, format!("\"{}\"", ledger.key_of(&lost)).as_bytes());
    bytes[at..at + 3].fill(1);
    write(&file, bytes);
    let server = Server::start(data.path(), None).unwrap();
    assert!(server.said().contains("cannot be read") && server.said().contains(&lost), "{}", server.said());
    let (status, _) = server.ask(reqwest::Method::GET, &format!("/tasks/{lost}"), None, None).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);
    // All others go on.
    ledger.forget(&lost);
    ledger.check(&server).await.unwrap();
    ledger.finish(&server).await;
}

fn find(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).position(|window| window == text).expect("it is in the file")
}

#[test]
fn t42_a_directory_that_cannot_be_written_is_refused_with_what_to_do() {
    let Some(disk) = Mounted::new("8m") else { return };
    let data = disk.path().join("data");
    Server::start(&data, None).unwrap().kill();
    disk.make_read_only();
    for data in [data, disk.path().join("new")] {
        let said = refused(&data);
        assert!(said.contains("cannot be written") && said.contains("make it writable"), "{said}");
    }
}
