//! A capability is taken away from guests that run, over HTTP.

use serde_json::{Value, json};
use taskcell::{EventBody, Party, Policy, SignalKey, TaskHandle};
use tempfile::TempDir;

use super::http::Served;
use crate::support::files::write;
use crate::support::task::{data, outcome, seen};
use crate::support::{builder, with_fixture, within};

/// A server whose guest may read a folder, which is the guest's `/data`.
async fn served() -> (Served, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path().join("in.txt"), "inside");
    let text = format!(
        "version = 1\n[plugins.fixture]\ndigest = \"any\"\n[plugins.fixture.allow]\nfs = [{{ host = \"{}\", guest = \"/data\" }}]\n",
        folder.path().display()
    );
    let (host, _) = with_fixture(builder().policy(Policy::parse(&text).unwrap())).await;
    (Served::of(host, |server| server), folder)
}

/// A task that has read from the folder, and waits before it does so again.
async fn reading(served: &Served) -> (String, TaskHandle) {
    let path = served.start("read-again", json!({"path": "/data/in.txt"})).await;
    let id = serde_json::from_value(json!(path.rsplit('/').next().unwrap())).unwrap();
    let task = served.host.task(id).unwrap();
    seen(&task, |body| matches!(body, EventBody::WaitStarted { .. })).await;
    (path, task)
}

async fn reads_on(task: &TaskHandle) -> Value {
    within(task.notify(SignalKey::new("go").unwrap(), None, Party::Person)).await;
    data(outcome(task).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn t45_a_capability_is_taken_away_over_http() {
    let (served, _folder) = served().await;
    let ((path, task), (_, other)) = (reading(&served).await, reading(&served).await);
    let report = served.post(&format!("{path}/revoke"), &json!({"capability": "fs"})).await.json(200);
    assert_eq!(report["tasks"].as_array().unwrap().len(), 1, "{report}");
    let of = &report["tasks"][0];
    assert_eq!((&of["id"], &of["held"], &of["stopped"]), (&json!(task.id()), &json!(true), &json!(false)));
    let told = reads_on(&task).await;
    assert_eq!(told[0], json!({"byte": 105}), "{told}");
    assert_eq!(told[1]["error"]["kind"], "PermissionDenied", "what is open is gone as well: {told}");
    assert_eq!(told[2]["error"]["kind"], "PermissionDenied", "{told}");
    // The other one keeps what it has.
    assert_eq!(reads_on(&other).await[2], json!({"text": "inside"}));
    // There is nothing to take away from one that has ended.
    let late = served.post(&format!("{path}/revoke"), &json!({"capability": "fs"})).await.json(200);
    assert_eq!(late, json!({"tasks": []}));
    for wrong in [json!({"capability": "fss"}), json!({}), json!({"capability": "fs", "noww": true})] {
        served.post(&format!("{path}/revoke"), &wrong).await.problem(400, "invalid-request");
    }
    served.post("/v1/plugins/other/revoke", &json!({"capability": "fs"})).await.problem(404, "unknown-plugin");
}

#[tokio::test(flavor = "multi_thread")]
async fn t45_a_plugins_tasks_that_have_it_are_stopped_now() {
    let (served, _folder) = served().await;
    let (one, other) = (reading(&served).await, reading(&served).await);
    let wish = json!({"capability": "fs", "now": true});
    let report = served.post("/v1/plugins/fixture/revoke", &wish).await.json(200);
    let stopped: Vec<_> = report["tasks"].as_array().unwrap().iter().map(|of| &of["stopped"]).collect();
    assert_eq!(stopped, [&json!(true); 2], "{report}");
    for (path, task) in [one, other] {
        outcome(&task).await;
        let ended = served.get(&format!("{path}/outcome")).await.json(200);
        let (text, reason) = (ended.to_string(), "fs was taken away from it");
        assert!(text.contains("cancelled") && text.contains(reason), "{ended}");
    }
    // Those that come later have none of it either.
    let path = served.run("read", json!({"path": "/data/in.txt"})).await;
    let ended = served.get(&format!("{path}/outcome")).await.json(200);
    assert!(!ended.to_string().contains("inside"), "{ended}");
}
