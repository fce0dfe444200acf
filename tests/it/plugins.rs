//! The example plugins, each doing what it is for.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{
    Access, ApprovalNumber, EventBody, FailureKind, Grants, Host, Outcome, Party, StartRequest, StepStatus, TaskHandle,
};

use crate::support::files::write;
use crate::support::task::{data, failed, key, outcome, parked, please_stop, reported, seen, start_as, started};
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
    let told = failed(outcome(&task).await, FailureKind::Guest);
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

/// A `pipeline` of a folder with two files that can be measured, and one that cannot.
async fn building(host: &Host, folder: &Path) -> TaskHandle {
    write(folder.join("bees.md"), "# Bees\n\nHoney bees make honey.\n");
    write(folder.join("ships.txt"), "Ships sail the sea.\n");
    write(folder.join("picture.png"), b"\x89PNG");
    build(host, folder).await
}

async fn build(host: &Host, folder: &Path) -> TaskHandle {
    let request = StartRequest::new("pipeline", "build").grants(Grants::default().dir(folder, "/docs", Access::Read));
    start_as(host, request).await
}

/// The question whether the report may be published.
async fn asked(task: &TaskHandle) -> ApprovalNumber {
    seen(task, |event| matches!(event, EventBody::ApprovalRequested { .. })).await;
    let open = task.state().approvals;
    assert_eq!(open[0].ask.kind, "publish");
    assert_eq!(open[0].ask.summary, "publish a report of 2 files with 10 words, without 1");
    open[0].number
}

async fn artifact(task: &TaskHandle, at: usize, name: &str) -> String {
    let artifact = &task.state().artifacts[at];
    assert_eq!(artifact.name, name);
    String::from_utf8(within(task.read_artifact(artifact.number)).await.unwrap()).unwrap()
}

#[tokio::test]
async fn r18_pipeline_publishes_what_its_children_measured_after_a_yes() {
    let (host, folder) = (with("pipeline").await, tempfile::tempdir().unwrap());
    let task = building(&host, folder.path()).await;
    let question = asked(&task).await;
    let steps = |task: &TaskHandle| -> Vec<StepStatus> {
        task.state().plan.unwrap().steps.iter().map(|step| step.status).collect()
    };
    let (done, next) = (StepStatus::Completed, StepStatus::Pending);
    assert_eq!(steps(&task), [done, done, StepStatus::Current, next]);
    within(task.approve(question, None, Party::Person)).await;
    let told = data(outcome(&task).await);
    assert_eq!(steps(&task), [done; 4]);
    assert_eq!((&told["files"], &told["words"], &told["dropped"]), (&json!(2), &json!(10), &json!(0)));
    assert_eq!(told["unmeasured"], json!([{"file": "picture.png", "reason": "the file is not UTF-8 text"}]));
    let page = artifact(&task, 0, "report.html").await;
    assert!(page.contains("bees.md") && page.contains("ships.txt"), "{page}");
    let report: Value = serde_json::from_str(&artifact(&task, 1, "report.json").await).unwrap();
    assert_eq!((&report["files"][0]["words"], &report["files"][0]["longest_line"]), (&json!(6), &json!(22)));
    let children = task.state().children;
    let titles = children.iter().map(|child| host.task(child.id).unwrap().state().details.title.unwrap());
    assert_eq!(titles.collect::<Vec<_>>(), ["bees.md", "picture.png", "ships.txt"]);
}

#[tokio::test]
async fn r26_pipeline_leaves_out_what_the_approver_drops() {
    let (host, folder) = (with("pipeline").await, tempfile::tempdir().unwrap());
    let task = building(&host, folder.path()).await;
    let question = asked(&task).await;
    within(task.approve(question, Some(json!({"drop": ["bees.md"]})), Party::Person)).await;
    let told = data(outcome(&task).await);
    assert_eq!((&told["files"], &told["dropped"]), (&json!(1), &json!(1)));
    assert!(!artifact(&task, 0, "report.html").await.contains("bees.md"));
}

#[tokio::test]
async fn r26_pipeline_publishes_nothing_after_a_no() {
    let (host, folder) = (with("pipeline").await, tempfile::tempdir().unwrap());
    let task = building(&host, folder.path()).await;
    let question = asked(&task).await;
    within(task.deny(question, "ask the bees first", Party::Person)).await;
    let told = failed(outcome(&task).await, FailureKind::Guest);
    assert_eq!(told.message, "it was not approved: ask the bees first");
    assert_eq!(task.state().artifacts, []);
}

#[tokio::test]
async fn r33_pipeline_stops_while_it_waits_for_a_yes() {
    let (host, folder) = (with("pipeline").await, tempfile::tempdir().unwrap());
    let task = building(&host, folder.path()).await;
    asked(&task).await;
    within(task.cancel(please_stop().grace(Duration::from_mins(10)))).await;
    assert!(matches!(outcome(&task).await, Outcome::Cancelled { forced: false, by: Party::Person, .. }));
    assert_eq!(task.state().artifacts, []);
}

#[tokio::test]
async fn r13_pipeline_says_that_a_folder_is_empty_or_not_granted() {
    let (host, folder) = (with("pipeline").await, tempfile::tempdir().unwrap());
    let task = build(&host, folder.path()).await;
    let told = failed(outcome(&task).await, FailureKind::Guest);
    assert_eq!(told.message, "there is no file in /docs: nothing to report");
    let task = start_as(&host, StartRequest::new("pipeline", "build")).await;
    let told = failed(outcome(&task).await, FailureKind::Guest);
    assert!(told.message.contains("--dir HOST::/docs"), "{}", told.message);
}
