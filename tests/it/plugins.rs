//! The example plugins, each doing what it is for.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{Access, Grants, Host, Outcome, Party, StartRequest, TaskHandle};

use crate::support::files::write;
use crate::support::task::{data, failed, key, outcome, parked, please_stop, reported, start_as, started};
use crate::support::{builder, guest, within};

async fn with(plugin: &str) -> Host {
    let host = builder().build().unwrap();
    within(host.load_plugin(guest(plugin))).await.unwrap();
    host
}

/// A `digest` of a folder, parked where it asks for a yes.
async fn asking(host: &Host, folder: &Path) -> TaskHandle {
    write(folder.join("bees.md"), "# Bees\n\nHoney bees make honey. Bees visit flowers.\n");
    write(folder.join("ships.txt"), "Ships sail the sea. A ship has sails and a rudder.\n");
    let request = StartRequest::new("digest", "digest")
        .input(json!({"folder": "/docs"}))
        .grants(Grants::default().dir(folder, "/docs", Access::Read));
    let task = start_as(host, request).await;
    parked(&task, 1).await;
    task
}

async fn answer(task: &TaskHandle, payload: Value, by: Party) -> Value {
    within(task.notify(key("approval"), Some(payload), by)).await;
    data(outcome(task).await)
}

#[tokio::test]
async fn r26_digest_publishes_its_report_after_a_yes() {
    let (host, folder) = (with("digest").await, tempfile::tempdir().unwrap());
    let task = asking(&host, folder.path()).await;
    let told = answer(&task, json!(true), Party::Person).await;
    assert_eq!((&told["documents"], &told["published"]), (&json!(2), &json!(true)));
    let artifact = &task.state().artifacts[0];
    assert_eq!(artifact.name, "report.md");
    let report = String::from_utf8(within(task.read_artifact(artifact.number)).await.unwrap()).unwrap();
    assert!(report.contains("bees.md") && report.contains("ships.txt"), "{report}");
}

#[tokio::test]
async fn r26_digest_publishes_nothing_after_a_no() {
    let (host, folder) = (with("digest").await, tempfile::tempdir().unwrap());
    let task = asking(&host, folder.path()).await;
    let told = answer(&task, json!({"approved": false, "comment": "not yet"}), Party::Agent).await;
    assert_eq!(told["published"], json!(false));
    assert_eq!(told["approval"]["comment"], json!("not yet"));
    assert_eq!(task.state().artifacts, []);
}

#[tokio::test]
async fn r13_digest_without_its_folder_fails_and_says_what_to_grant() {
    let host = with("digest").await;
    let task = start_as(&host, StartRequest::new("digest", "digest")).await;
    let told = failed(outcome(&task).await, taskcell::FailureKind::Guest);
    assert!(told.message.contains("/docs"), "{}", told.message);
}

#[tokio::test]
async fn r2_crunch_counts_primes() {
    let host = with("crunch").await;
    let task = start_as(&host, StartRequest::new("crunch", "primes").input(json!({"upto": 1_000_000}))).await;
    assert_eq!(data(outcome(&task).await), json!({"count": 78_498, "largest": 999_983}));
}

#[tokio::test]
async fn r33_crunch_stops_counting_when_it_is_asked_to() {
    let host = with("crunch").await;
    let endless = json!({"upto": 1_000_000_000_000_u64});
    let task = start_as(&host, StartRequest::new("crunch", "primes").input(endless)).await;
    reported(&task).await;
    within(task.cancel(please_stop().grace(Duration::from_mins(10)))).await;
    assert!(matches!(outcome(&task).await, Outcome::Cancelled { forced: false, by: Party::Person, .. }));
}

#[tokio::test]
async fn r33_crunchs_deaf_loop_is_stopped_by_force() {
    let host = with("crunch").await;
    let task = start_as(&host, StartRequest::new("crunch", "spin").input(json!(null))).await;
    started(&task).await;
    within(task.cancel(please_stop().grace(Duration::ZERO))).await;
    assert!(matches!(outcome(&task).await, Outcome::Cancelled { forced: true, .. }));
}
