//! The routes of everything that is no task, each with a good and a bad request.

use serde_json::{Value, json};
use taskcell::{ApprovalFilter, Host};

use super::http::Served;
use crate::support::within;

async fn asked(host: &Host) {
    let mut questions = host.follow_approvals(ApprovalFilter::default());
    within(questions.next()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_listed_and_decided() {
    let served = Served::new().await;
    let path = served.start("approve", json!({"kind": "deploy", "summary": "to production", "times": 2})).await;
    asked(&served.host).await;
    let open = served.get("/v1/approvals?plugin=fixture").await.json(200);
    assert_eq!(open["approvals"][0]["ask"]["kind"], "deploy");
    let number = &open["approvals"][0]["number"];
    assert_eq!(served.get("/v1/approvals?session=other").await.json(200), json!({"approvals": []}));
    served.get("/v1/approvals?sesion=other").await.problem(400, "invalid-request");
    served.post(&format!("{path}/approvals/99"), &json!({"verdict": "approve"})).await.problem(404, "unknown-approval");
    served.post(&format!("{path}/approvals/x"), &json!({"verdict": "approve"})).await.problem(400, "invalid-request");
    served
        .post(&format!("{path}/approvals/{number}"), &json!({"verdict": "maybe"}))
        .await
        .problem(400, "invalid-request");
    served.post(&format!("{path}/approvals/{number}"), &json!({"verdict": "approve"})).await.json(200);
    asked(&served.host).await;
    let number = served.get("/v1/approvals").await.json(200)["approvals"][0]["number"].clone();
    served.post(&format!("{path}/approvals/{number}"), &json!({"verdict": "deny", "reason": "late"})).await.json(200);
    served.call("GET", &format!("{path}/outcome"), &[("prefer", "wait=60")], "").await.json(200);
    let late = served.post(&format!("{path}/approvals/{number}"), &json!({"verdict": "approve"})).await;
    late.problem(409, "task-ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_claimed_by_one_and_acknowledged_once() {
    let served = Served::new().await;
    served.run("agent", json!({"message": "hi", "trigger": true})).await;
    assert_eq!(served.get("/v1/messages").await.json(200), json!({"open": 1}));
    let claim = json!({"most": 5, "time_ms": 60_000});
    let claimed =
        served.call("POST", "/v1/messages/claim", &[("prefer", "wait=60")], &claim.to_string()).await.json(200);
    assert_eq!(claimed["messages"][0]["message"]["message"], "hi");
    let token = json!({"token": claimed["messages"][0]["token"]});
    assert_eq!(served.post("/v1/messages/claim", &json!({})).await.json(200), json!({"messages": []}));
    assert_eq!(served.post("/v1/messages/release", &token).await.json(200), json!({"released": true}));
    let claimed = served.post("/v1/messages/claim", &json!({})).await.json(200);
    // Somebody else has it now.
    assert_eq!(served.post("/v1/messages/ack", &token).await.json(200), json!({"acknowledged": false}));
    let token = json!({"token": claimed["messages"][0]["token"]});
    assert_eq!(served.post("/v1/messages/ack", &token).await.json(200), json!({"acknowledged": true}));
    assert_eq!(served.get("/v1/messages").await.json(200), json!({"open": 0}));
    served.post("/v1/messages/ack", &json!({"token": "x"})).await.problem(400, "invalid-request");
    served.post("/v1/messages/claim", &json!({"some": 1})).await.problem(400, "invalid-request");
    served.get("/v1/messages?task=x").await.problem(400, "invalid-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_added_fired_paused_and_removed() {
    let served = Served::new().await;
    let new = json!({
        "name": "yearly", "when": {"when": "every", "cron": "0 0 1 1 *", "zone": "UTC"},
        "task": {"plugin": "fixture", "task_type": "echo"},
    });
    let added = served.post("/v1/schedules", &new).await;
    let path = added.header("location").unwrap().to_owned();
    assert_eq!(added.json(201)["name"], "yearly");
    served.post("/v1/schedules", &new).await.problem(409, "name-in-use");
    let mut bad = new.clone();
    (bad["name"], bad["when"]["cron"]) = (json!("other"), json!("never"));
    served.post("/v1/schedules", &bad).await.problem(422, "refused");
    bad["whem"] = json!(1);
    served.post("/v1/schedules", &bad).await.problem(400, "invalid-request");
    assert_eq!(served.get("/v1/schedules").await.json(200)["schedules"].as_array().unwrap().len(), 1);
    assert_eq!(served.get(&path).await.json(200)["name"], "yearly");
    let fired = served.call("POST", &format!("{path}/fire"), &[], "").await;
    assert!(fired.header("location").unwrap().starts_with("/v1/tasks/"), "{fired:?}");
    assert_eq!(served.call("POST", &format!("{path}/pause"), &[], "").await.json(200)["paused"], "person");
    assert_eq!(served.call("POST", &format!("{path}/resume"), &[], "").await.json(200)["paused"], Value::Null);
    assert_eq!(served.delete(&path).await.status, 204);
    for (method, path) in [("DELETE", path.clone()), ("GET", path.clone()), ("POST", format!("{path}/fire"))] {
        served.call(method, &path, &[], "").await.problem(404, "unknown-schedule");
    }
    served.get("/v1/schedules/x").await.problem(400, "invalid-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_stopped_and_ended_ones_thrown_away() {
    let served = Served::new().await;
    for _ in 0..3 {
        served.start("wait", json!({"key": "go"})).await;
    }
    served.post("/v1/stop", &json!({"reason": "all"})).await.problem(400, "invalid-request");
    served.post("/v1/stop", &json!({"scope": {"al": null}})).await.problem(400, "invalid-request");
    let none = served.post("/v1/stop", &json!({"scope": {"session": "other"}})).await.json(200);
    assert_eq!(none["tasks"], json!([]));
    let stopped =
        served.post("/v1/stop", &json!({"scope": "all", "reason": "enough", "deadline_ms": 30_000})).await.json(200);
    assert_eq!(stopped["tasks"].as_array().unwrap().len(), 3);
    let young = served.post("/v1/gc", &json!({"older_than_ms": 3_600_000})).await.json(200);
    assert_eq!(young, json!({"removed": 0, "left": 3}));
    served.post("/v1/gc", &json!({})).await.problem(400, "invalid-request");
    let all = served.post("/v1/gc", &json!({"older_than_ms": 0, "plugin": "fixture"})).await.json(200);
    assert_eq!(all, json!({"removed": 3, "left": 0}));
    assert_eq!(served.get("/v1/tasks").await.json(200)["tasks"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_who_it_is_and_what_it_does_not_have() {
    let served = Served::with(|server| server.kept_in("/d")).await;
    let index = served.get("/v1").await.json(200);
    assert_eq!(
        (&index["api"], &index["data"], &index["links"]["tasks"]),
        (&json!(1), &json!("/d"), &json!("/v1/tasks"))
    );
    let health = served.get("/v1/health").await.json(200);
    assert_eq!((&health["status"], &health["plugins"], &health["live"]), (&json!("ok"), &json!(1), &json!(0)));
    served.get("/v1/helth").await.problem(404, "not-found");
    served.get("/v2").await.problem(404, "not-found");
    let wrong = served.call("PUT", "/v1/tasks", &[], "").await;
    wrong.problem(405, "method-not-allowed");
    assert!(wrong.header("allow").is_some_and(|allow| allow.contains("POST")), "{wrong:?}");
}
