//! The quota of a granted folder is the task's for all its life, also where that has several hosts.

use std::path::Path;

use serde_json::{Value, json};
use taskcell::{EventBody, Host, Party, Policy, SignalKey, TaskHandle};

use crate::support::files::read;
use crate::support::task::{data, events, outcome, parked, start};
use crate::support::{builder, guest, on_data, within};

/// Bytes that may be written, and in how many parts they are taken.
const QUOTA: usize = 1600;
const PART: usize = QUOTA / 16;

/// A host on a data directory whose guest may write so much into a folder, which is its `/data`.
async fn host(dir: &Path, folder: &Path) -> Host {
    let text = format!(
        "version = 1\n[plugins.fixture]\ndigest = \"any\"\n[plugins.fixture.allow]\n\
         fs = [{{ host = \"{}\", guest = \"/data\", access = \"read-write\", bytes = {QUOTA}, inodes = 16 }}]\n",
        folder.display()
    );
    let policy = Policy::parse(&text).unwrap();
    let host = on_data(dir, || builder().policy(policy.clone())).await;
    host.load_plugin(guest("fixture")).await.unwrap();
    within(host.recover()).await.unwrap();
    host
}

async fn end(task: &TaskHandle) -> Value {
    within(task.notify(SignalKey::new("go").unwrap(), None, Party::Person)).await;
    data(outcome(task).await)
}

/// How often it has taken room.
async fn taken(task: &TaskHandle) -> usize {
    events(task).await.iter().filter(|event| matches!(event.body, EventBody::FolderRoomTaken { .. })).count()
}

#[tokio::test]
async fn t12_a_host_that_is_started_again_knows_what_was_written_into_a_granted_folder() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let size = || read(folder.path().join("log")).len();
    let first = host(dir.path(), folder.path()).await;
    let task = start(&first, "append-and-wait", json!({"path": "/data/log", "bytes": 1000, "piece": 30})).await;
    parked(&task, 1).await;
    assert_eq!(size(), 1000);
    let id = task.id();
    drop(task);
    within(first.suspend()).await;
    drop(first);

    let second = host(dir.path(), folder.path()).await;
    let task = second.task(id).unwrap();
    parked(&task, 2).await;
    let told = end(&task).await;
    assert_eq!(told["attempt"], 2, "{told}");
    assert!(told["error"].is_string(), "{told}");
    // What was taken and not used is lost, and no more.
    assert!((QUOTA - 2 * PART..=QUOTA).contains(&size()), "{}: {told}", size());
    assert!(taken(&task).await <= 16 + 1, "{told}");
}

#[tokio::test]
async fn t12_a_quota_is_used_to_its_end_whatever_the_pieces() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let host = host(dir.path(), folder.path()).await;
    for piece in [1, 77, 5000] {
        let path = format!("/data/{piece}");
        let task = start(&host, "append-and-wait", json!({"path": path, "bytes": 5000, "piece": piece})).await;
        parked(&task, 1).await;
        let told = end(&task).await;
        // How its libc calls it is not ours.
        assert!(told["error"].is_string(), "{told}");
        // A write that is too large as a whole may be refused as a whole.
        let written = told["written"].as_u64().unwrap();
        assert!(written <= QUOTA as u64 && (piece == 5000 || written > (QUOTA - piece) as u64), "{piece}: {told}");
        assert_eq!(read(folder.path().join(piece.to_string())).len() as u64, written);
    }
}
