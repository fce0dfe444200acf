//! Plugins frozen at released versions of the contract (`tests/compat`): they load and run for ever.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{
    ApprovalFilter, ApprovalVerdict, EventBody, FailureKind, Grants, Host, Outcome, OutputSource, Party, StartRequest,
    TaskKey,
};

use crate::support::looks::Turns;
use crate::support::task::{
    cancelled, data, events, failed, key, outcome, parked, please_stop, reported, result, run, start, start_as, stdout,
    written,
};
use crate::support::{builder, request, within};

/// Every version of the contract that plugins are frozen at.
const CONTRACTS: [&str; 3] = ["0.1.0", "0.1.1", "0.1.2"];

/// The file of a frozen plugin.
fn frozen(name: &str, contract: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("compat").join(format!("{name}-{contract}.wasm"))
}

async fn with(name: &str, contract: &str) -> Host {
    let host = builder().build().unwrap();
    let plugin = within(host.load_plugin(frozen(name, contract))).await.unwrap();
    assert_eq!(plugin.name(), name);
    assert_eq!(plugin.manifest().version, "0.1.0");
    host
}

#[tokio::test]
async fn r1_the_frozen_hello_says_hello() {
    for contract in CONTRACTS {
        let host = with("hello", contract).await;
        let task = start_as(&host, StartRequest::new("hello", "hello").input(json!({"name": "Ada"}))).await;
        assert_eq!(
            outcome(&task).await,
            Outcome::Succeeded { message: "greeting Ada".to_owned(), data: Some(json!({"greeting": "Hello, Ada!"})) }
        );
    }
}

#[tokio::test]
async fn r1_the_frozen_fixture_imports_and_exports_every_interface_of_the_contract() {
    for contract in CONTRACTS {
        let host = with("fixture", contract).await;
        let plugin = &host.plugins()[0];
        let of_the_contract = |names: &[String]| -> Vec<String> {
            let ours = names.iter().filter_map(|name| name.strip_prefix("taskcell:plugin/"));
            let mut ours: Vec<String> = ours.map(str::to_owned).collect();
            ours.sort();
            ours
        };
        let since_0_1_2 = ["approvals", "config", "grants", "host", "kv", "plan", "tasks"];
        let mut imports = vec!["agent", "log", "output", "signals", "task", "types"];
        imports.extend(since_0_1_2.iter().filter(|_| contract == "0.1.2"));
        imports.sort_unstable();
        assert_eq!(
            of_the_contract(plugin.imports()),
            imports.iter().map(|name| format!("{name}@{contract}")).collect::<Vec<_>>()
        );
        assert_eq!(
            of_the_contract(plugin.exports()),
            ["plugin-info", "runner"].map(|name| format!("{name}@{contract}"))
        );
    }
}

#[tokio::test]
async fn r2_frozen_outcomes_are_understood() {
    for contract in CONTRACTS {
        let host = with("fixture", contract).await;
        assert_eq!(result(&host, "echo", json!({"a": [null, 1]})).await, json!({"a": [null, 1]}));
        let input = json!({"message": "no", "retryable": true, "details": [1]});
        let told = failed(run(&host, "fail", input).await, FailureKind::Guest);
        assert_eq!((told.message.as_str(), told.retryable, told.error), ("no", true, Some(json!([1]))));
        assert!(matches!(
            run(&host, "cancel-self", json!(null)).await,
            Outcome::Cancelled { by: Party::Itself, message, .. } if message == "stopped of its own accord"
        ));
    }
}

#[tokio::test]
async fn r3_frozen_calls_of_the_interface_task_work() {
    for contract in CONTRACTS {
        let host = with("fixture", contract).await;
        let info = result(&host, "info", json!(null)).await;
        assert_eq!(info["info"]["task_type"], json!("info"));
        assert!(info["fuel_remaining"].as_u64().unwrap() > 0);
        assert_eq!(result(&host, "progress", json!({"percent": 100})).await, json!("ok"));
        assert_eq!(result(&host, "progress", json!({"percent": 101})).await, json!("invalid-argument"));
        let told = failed(run(&host, "panic", json!({"message": "oh"})).await, FailureKind::Panic);
        assert!(told.message.contains("oh") && told.message.contains("ending.rs"), "{}", told.message);

        let polite = start(&host, "polite", json!(null)).await;
        reported(&polite).await;
        within(polite.cancel(please_stop().grace(Duration::from_mins(10)))).await;
        let Outcome::Cancelled { forced: false, message, .. } = outcome(&polite).await else {
            panic!("{:?}", polite.state())
        };
        assert_eq!(outcome(&polite).await, cancelled(false, &message));
    }
}

#[tokio::test]
async fn r22_frozen_calls_of_the_interface_signals_work() {
    for contract in CONTRACTS {
        let host = with("fixture", contract).await;
        let waiting = start(&host, "wait", json!({"key": "go"})).await;
        parked(&waiting, 1).await;
        within(waiting.notify(key("go"), Some(json!(false)), Party::Agent)).await;
        assert_eq!(
            data(outcome(&waiting).await),
            json!({"result": "signal", "payload": false, "absent": false, "sender": "agent"})
        );
        assert_eq!(result(&host, "wait", json!({"key": "go", "timeout_ms": 0})).await, json!({"result": "timed-out"}));
        assert_eq!(result(&host, "poll", json!({"key": "go"})).await, json!({"result": "none"}));
        assert_eq!(result(&host, "poll", json!({"key": ""})).await, json!({"result": "invalid-argument"}));

        let stopped = start(&host, "wait", json!({"key": "go"})).await;
        parked(&stopped, 1).await;
        within(stopped.cancel_wait(key("go"))).await;
        assert_eq!(data(outcome(&stopped).await), json!({"result": "wait-cancelled"}));
        let cancelled = start(&host, "wait", json!({"key": "go"})).await;
        parked(&cancelled, 1).await;
        within(cancelled.cancel(please_stop().grace(Duration::from_mins(10)))).await;
        assert_eq!(data(outcome(&cancelled).await), json!({"result": "cancelled"}));

        let to = |key: &str| -> Value {
            json!({
                "plugin": "fixture", "task_type": "notify", "key": key,
                "signal": "s", "payload": null, "with_payload": true,
            })
        };
        let itself = start_as(&host, request("notify", to("me")).key(TaskKey::new("me").unwrap())).await;
        assert_eq!(data(outcome(&itself).await), json!("buffered"));
        assert_eq!(result(&host, "notify", to("another")).await, json!("denied"));
    }
}

#[tokio::test]
async fn r25_frozen_calls_of_the_interfaces_agent_and_log_work() {
    for contract in CONTRACTS {
        let host = with("fixture", contract).await;
        let task = start(&host, "agent", json!({"message": "hello", "trigger": true})).await;
        assert_eq!(data(outcome(&task).await), json!("queued"));
        assert!(events(&task).await.iter().any(
            |event| matches!(&event.body, EventBody::AgentMessage { message, trigger: true, .. } if message == "hello")
        ));

        let task = start(&host, "log", json!({"level": "error", "message": "line"})).await;
        outcome(&task).await;
        let line = written(&task, |source| matches!(source, OutputSource::Log { level, .. } if level == "error")).await;
        assert_eq!(line, "line");
    }
}

#[tokio::test]
async fn r46_frozen_calls_of_the_interface_output_work() {
    for contract in CONTRACTS {
        let host = with("fixture", contract).await;
        let task = start(&host, "print", json!({"stdout": "out", "stderr": "err", "direct": "direct"})).await;
        outcome(&task).await;
        assert_eq!(stdout(&task).await, "out\ndirect");
        let input = json!({"name": "a.txt", "media_type": "text/plain", "text": "abc"});
        let task = start(&host, "attach", input).await;
        assert_eq!(data(outcome(&task).await)["size"], json!(3));
        assert_eq!(within(task.read_artifact(1)).await.unwrap(), b"abc");
        assert_eq!(
            result(&host, "attach-path", json!({"path": "/etc/hostname"})).await,
            json!({"refused": "invalid-argument"})
        );
    }
}

#[tokio::test]
async fn r4_frozen_calls_that_came_with_0_1_1_work() {
    for contract in ["0.1.1", "0.1.2"] {
        let host = with("fixture", contract).await;
        assert_eq!(result(&host, "heartbeat", json!({"times": 3, "sleep_ms": 0})).await, json!(3));
        let task = start(&host, "restart-progress", json!(null)).await;
        outcome(&task).await;
        let progress = task.state().progress.unwrap();
        assert_eq!((progress.message.as_str(), progress.percent), ("the second part goes on", Some(10)));
        let asked = result(&host, "request-fuel", json!({"units": 5, "reason": "more", "timeout_ms": 0})).await;
        assert!(asked["refused"].is_string() && asked["fuel_remaining"].as_u64() > Some(0), "{asked}");
    }
}

#[tokio::test]
async fn r26_frozen_calls_of_0_1_2_that_ask_and_wait_work() {
    let host = with("fixture", "0.1.2").await;
    let mut questions = host.follow_approvals(ApprovalFilter::default());
    let asks = start(&host, "approve", json!({"kind": "deploy", "summary": "version 7"})).await;
    let question = within(questions.next()).await.unwrap();
    let yes = ApprovalVerdict::Approve(None);
    within(host.decide(question.id, question.number, yes, Party::Person)).await;
    assert_eq!(data(outcome(&asks).await), json!([{"approved": "person"}]));

    let waits = start(&host, "wait-any", json!({"keys": ["a", "b"], "senders": ["person"]})).await;
    parked(&waits, 1).await;
    within(waits.notify(key("b"), Some(json!(7)), Party::Person)).await;
    let taken = data(outcome(&waits).await);
    assert_eq!((&taken[0]["key"], &taken[0]["payload"]), (&json!("b"), &json!(7)), "{taken}");
    let listens = result(&host, "listen", json!({"times": 1, "timeout_ms": 0})).await;
    assert_eq!(listens[0]["text"], "none");
    let counted = result(&host, "spend", json!({"tool": "search", "tokens": 8, "actions": 1, "times": 2})).await;
    assert_eq!(counted, json!(["ok", "ok"]));
    let sent = result(&host, "agent-once", json!({"keys": ["k"]})).await;
    assert_eq!(sent, json!(["queued"]));
}

#[tokio::test]
async fn r8_frozen_calls_of_0_1_2_to_what_is_granted_work() {
    let config = json!({"language": "fr"});
    let host = builder().plugin_config("fixture", config.clone()).build().unwrap();
    within(host.load_plugin(frozen("fixture", "0.1.2"))).await.unwrap();
    assert_eq!(result(&host, "config", json!(null)).await, config);
    let store = |steps| request("store", steps).grants(Grants::default().kv());
    let kept = start_as(&host, store(json!([{"set": ["a", "1"]}, {"get": "a"}, {"keys": ["", null]}]))).await;
    assert_eq!(data(outcome(&kept).await), json!([null, "1", ["a"]]));
    assert_eq!(result(&host, "store", json!([{"get": "a"}])).await, json!([{"refused": "denied"}]));
    let called = result(&host, "call-host", json!({"name": "price"})).await;
    assert!(!called.is_null() && called.get("answer").is_none(), "nobody has such a function: {called}");
    let wish = result(&host, "ask-grant", json!({"capability": "kv", "scope": null})).await;
    assert!(wish["denied"]["capability"] == "kv" && !wish["grants"].is_null(), "{wish}");
}

#[tokio::test]
async fn r18_frozen_calls_of_0_1_2_for_plans_and_children_work() {
    let host = with("fixture", "0.1.2").await;
    let plan = json!({"steps": [{"name": "a"}, {"name": "b"}]});
    let acts = json!({"acts": ["look", {"set": [plan, null]}, {"advance": null}, {"advance": null}]});
    assert_eq!(result(&host, "plan", acts).await, json!(["none", "a> b", "a+ b>", "a+ b+"]));
    let children = json!({"children": [{"task_type": "echo", "input": {"value": 1}}, {"task_type": "fail", "input": {"message": "no"}}]});
    let ends = result(&host, "family", children).await;
    assert_eq!(ends[0], json!({"succeeded": {"value": 1}}), "{ends}");
    assert!(ends[1].get("succeeded").is_none(), "{ends}");
}

#[tokio::test]
async fn r5_frozen_hooks_are_called() {
    let host = builder().plugin_hook_store("hooks").build().unwrap();
    let plugin = within(host.load_plugin(frozen("hooks", "0.1.2"))).await.unwrap();
    assert!(plugin.exports().iter().any(|name| name == "taskcell:plugin/plugin-hooks@0.1.2"));
    assert!(plugin.exports().iter().any(|name| name == "taskcell:plugin/task-hooks@0.1.2"));
    let with_store = |task_type: &str| StartRequest::new("hooks", task_type).grants(Grants::default().kv());
    let first = start_as(&host, with_store("echo").input(json!([1])).key(TaskKey::new("a").unwrap())).await;
    outcome(&first).await;
    let mut turns = Turns::default();
    while within(first.after_events()).await.unwrap().is_empty() {
        turns.next().await;
    }
    let calls = data(outcome(&start_as(&host, with_store("calls")).await).await);
    let told: Vec<_> = calls.as_str().unwrap().lines().collect();
    assert_eq!(told, ["init", "on-enabled", "on-terminal a succeeded [1]"]);
}
