//! The routes of tasks, each with a good and a bad request.

use serde_json::{Value, json};

use super::http::Served;

const NOBODY: &str = "00000000000000000000000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn r10_the_same_key_starts_once_and_another_request_not_at_all() {
    let served = Served::new().await;
    let key = [("idempotency-key", "\"k 1\"")];
    let body = json!({"plugin": "fixture", "task_type": "echo", "input": {"a": 1}});
    let first = served.call("POST", "/v1/tasks", &key, &body.to_string()).await;
    let again = served.call("POST", "/v1/tasks", &[("idempotency-key", "k 1")], &body.to_string()).await;
    assert!(first.header("location").is_some_and(|at| at.starts_with("/v1/tasks/")), "{first:?}");
    assert_eq!(first.header("location"), again.header("location"));
    let other = json!({"plugin": "fixture", "task_type": "echo", "input": {"a": 2}});
    let refused = served.call("POST", "/v1/tasks", &key, &other.to_string()).await;
    let problem = refused.problem(409, "idempotency-key-used");
    assert_eq!(problem["task"]["task_type"], "echo");
    let body = json!({"plugin": "fixture", "task_type": "echo", "details": {"idempotency_key": "other"}});
    served.call("POST", "/v1/tasks", &key, &body.to_string()).await.problem(400, "invalid-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_start_says_what_is_wrong_with_it() {
    let served = Served::new().await;
    let start = |body: Value| {
        let served = &served;
        async move { served.post("/v1/tasks", &body).await }
    };
    let problem = start(json!({"plugin": "nobody", "task_type": "echo"})).await.problem(404, "unknown-plugin");
    assert_eq!(problem["loaded"], json!(["fixture"]));
    let problem = start(json!({"plugin": "fixture", "task_type": "ecko"})).await.problem(422, "unknown-task-type");
    assert!(problem["known"].as_array().unwrap().contains(&json!("echo")));
    let wrong = start(json!({"plugin": "fixture", "task_type": "wait", "input": {"key": 1}})).await;
    assert_eq!(wrong.problem(422, "invalid-input")["faults"].as_array().unwrap().len(), 1);
    let typo = served.post("/v1/tasks?sesion=s", &json!({"plugin": "fixture", "task_type": "echo"})).await;
    assert!(typo.problem(400, "invalid-request")["detail"].as_str().unwrap().contains("sesion"));
    let waiting = served.start("wait", json!({"key": "go"})).await;
    // Also where a body may be left out.
    served.call("POST", &format!("{waiting}/cancel?grace=0"), &[], "").await.problem(400, "invalid-request");
    assert_eq!(served.get(&waiting).await.json(200)["cancel"], Value::Null);
    let typo = start(json!({"plugin": "fixture", "task_type": "echo", "details": {"sesion": "s"}})).await;
    assert!(typo.problem(400, "invalid-request")["detail"].as_str().unwrap().contains("details.sesion"));
    let labels = start(json!({"plugin": "fixture", "task_type": "echo", "details": {"title": ""}})).await;
    labels.problem(422, "refused");
    let plain = served.call("POST", "/v1/tasks", &[("content-type", "text/plain")], "{}").await;
    plain.problem(415, "unsupported-media-type");
}

#[tokio::test(flavor = "multi_thread")]
async fn r40_r43_a_task_is_waited_for_and_looked_at() {
    let served = Served::new().await;
    let body = json!({"plugin": "fixture", "task_type": "echo", "input": {"a": 1}, "details": {"title": "t"}});
    let done = served.call("POST", "/v1/tasks", &[("prefer", "wait=60")], &body.to_string()).await;
    let state = done.json(200);
    assert_eq!((&state["phase"], &state["outcome"]["outcome"]), (&json!("ended"), &json!("succeeded")));
    let path = done.header("location").unwrap().to_owned();
    assert_eq!(served.get(&path).await.json(200)["details"]["title"], "t");
    assert_eq!(served.get(&format!("{path}/outcome")).await.json(200)["data"], json!({"a": 1}));

    let waiting = served.start("wait", json!({"key": "go"})).await;
    let state = served.get(&format!("{waiting}/outcome")).await.json(202);
    assert_ne!(state["phase"], "ended");
    served.post(&format!("{waiting}/signals"), &json!({"key": "go", "payload": 7})).await.json(200);
    let outcome = served.call("GET", &format!("{waiting}/outcome"), &[("prefer", "wait=60")], "").await.json(200);
    assert_eq!(outcome["data"]["payload"], 7);

    served.get(&format!("/v1/tasks/{NOBODY}")).await.problem(404, "unknown-task");
    served.get(&format!("/v1/tasks/{NOBODY}/outcome")).await.problem(404, "unknown-task");
    served.get(&format!("{path}?x=1")).await.problem(400, "invalid-request");
    let bad = served.call("GET", &format!("{path}/outcome"), &[("prefer", "wait=soon")], "").await;
    bad.problem(400, "invalid-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn r41_tasks_are_listed_by_what_they_are_a_page_at_a_time() {
    let served = Served::new().await;
    for number in 0..5 {
        let details = json!({"session": "s", "labels": {"n": number.to_string()}});
        let body = json!({"plugin": "fixture", "task_type": "echo", "details": details});
        served.call("POST", "/v1/tasks", &[("prefer", "wait=60")], &body.to_string()).await.json(200);
    }
    served.run("echo", json!({})).await;
    let mut seen = Vec::new();
    let mut path = "/v1/tasks?session=s&limit=2&full=true".to_owned();
    loop {
        let page = served.get(&path).await.json(200);
        seen.extend(page["tasks"].as_array().unwrap().iter().map(|task| task["details"]["labels"]["n"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/tasks?session=s&limit=2&full=true&cursor={next}");
    }
    assert_eq!(json!(seen), json!(["4", "3", "2", "1", "0"]));
    let one = served.get("/v1/tasks?plugin=fixture&task_type=echo&state=ended&label=n:3").await.json(200);
    assert_eq!(one["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(served.get("/v1/tasks?state=live").await.json(200)["tasks"], json!([]));
    served.get("/v1/tasks?state=asleep").await.problem(400, "invalid-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn r44_output_is_read_from_its_end_and_from_a_place_on() {
    let served = Served::new().await;
    let path = served.run("log", json!({"level": "info", "message": "one"})).await;
    let tail = served.get(&format!("{path}/output?tail=5&streams=log,stdout,stderr")).await.json(200);
    assert_eq!((&tail["ended"], &tail["lines"][0]["text"]), (&json!(true), &json!("one")));
    let next = &tail["next"];
    let rest = served.get(&format!("{path}/output?cursor={next}&wait=end&timeout_ms=1000")).await.json(200);
    assert_eq!(rest["lines"], json!([]));
    served.get(&format!("{path}/output?tail=1&cursor=1")).await.problem(400, "invalid-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_a_task_is_answered() {
    let served = Served::new().await;
    let path = served.start("wait", json!({"key": "go"})).await;
    let say = |what: &'static str, body: Value| {
        let (served, path) = (&served, &path);
        async move { served.post(&format!("{path}/{what}"), &body).await }
    };
    assert_eq!(say("pause", json!({"reason": "lunch"})).await.json(200), json!({"changed": true}));
    assert_eq!(say("pause", json!({})).await.json(200), json!({"changed": false}));
    assert_eq!(served.call("POST", &format!("{path}/resume"), &[], "").await.json(200), json!({"changed": true}));
    assert_eq!(say("fuel", json!({"grant": 1000})).await.json(200), json!({"changed": true}));
    assert_eq!(say("fuel", json!({"refuse": "no"})).await.json(200), json!({"changed": false}));
    say("fuel", json!({"grant": -1})).await.problem(400, "invalid-request");
    say("detach", json!({})).await.json(200);
    say("instructions", json!({"text": "hurry"})).await.json(200);
    say("instructions", json!({"txt": "hurry"})).await.problem(400, "invalid-request");
    say("signals", json!({"key": "", "payload": 1})).await.problem(400, "invalid-request");
    served.delete(&format!("{path}/waits?key=other")).await.json(200);
    served.delete(&format!("{path}/waits?kay=other")).await.problem(400, "invalid-request");
    served.delete(&path).await.problem(409, "task-running");
    let cancel = json!({"reason": "enough", "grace_ms": 0}).to_string();
    let cancelled = served.call("POST", &format!("{path}/cancel"), &[("prefer", "wait=60")], &cancel).await.json(200);
    assert_eq!(
        (&cancelled["answer"], &cancelled["receipt"]["request"]["reason"]),
        (&json!("requested"), &json!("enough"))
    );
    assert_eq!(say("cancel", json!({})).await.json(200)["answer"], "already-ended");
    for what in ["pause", "resume", "detach"] {
        assert_eq!(say(what, json!({})).await.problem(409, "task-ended")["outcome"]["outcome"], "cancelled", "{what}");
    }
    say("signals", json!({"key": "go"})).await.problem(409, "task-ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn r4a_a_task_is_changed_by_whoever_has_seen_it() {
    let served = Served::new().await;
    let path = served.run("echo", json!({})).await;
    let seen = served.get(&path).await.json(200)["revision"].as_u64().unwrap();
    let change = json!({"note": "n", "labels": {"a": "1"}}).to_string();
    let expected = format!("\"{seen}\"");
    let patched = served.call("PATCH", &path, &[("if-match", &expected)], &change).await.json(200);
    assert_eq!(served.get(&path).await.json(200)["note"], "n");
    let stale = served.call("PATCH", &path, &[("if-match", &expected)], &change).await;
    assert_eq!(stale.problem(412, "stale-revision")["revision"], patched["revision"]);
    served.call("PATCH", &path, &[("if-match", "*")], r#"{"note":null}"#).await.json(200);
    assert_eq!(served.get(&path).await.json(200)["note"], Value::Null);
    served.call("PATCH", &path, &[("if-match", "7")], &change).await.problem(400, "invalid-request");
    served.call("PATCH", &path, &[], r#"{"nota":1}"#).await.problem(400, "invalid-request");
    served.call("PATCH", &path, &[], r#"{"note":"a\nb"}"#).await.problem(422, "refused");
    assert_eq!(served.delete(&path).await.status, 204);
    served.delete(&path).await.problem(404, "unknown-task");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_a_task_is_read_as_files() {
    let served = Served::new().await;
    let path = served.run("echo", json!({})).await;
    let export = served.get(&format!("{path}/export?format=page&tree=true")).await;
    assert_eq!((export.status, export.header("x-content-type-options")), (200, Some("nosniff")));
    assert!(export.text().contains("echo"), "{export:?}");
    let lines = served.get(&format!("{path}/export")).await;
    assert!(lines.text().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    served.get(&format!("{path}/export?format=pdf")).await.problem(400, "invalid-request");
    served.get(&format!("{path}/artifacts/1")).await.problem(404, "unknown-artifact");
    served.get(&format!("{path}/artifacts/x")).await.problem(400, "invalid-request");
    assert_eq!(served.get(&format!("{path}/after")).await.json(200)["events"], json!([]));
}
