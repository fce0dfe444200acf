//! What an agent's model does with its tools, with real guests.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use taskcell::{
    ApprovalFilter, ApprovalVerdict, Approvers, Grants, Host, Outcome, Party, TaskHandle, TaskId, ToolAnswer,
    ToolOptions, ToolQuestion, ToolVerdict, Tools,
};

use crate::support::task::{data, outcome, parked, reported, start_as};
use crate::support::{builder, fixture, request, within};

async fn tools(options: ToolOptions) -> (Arc<Host>, Tools) {
    let host = Arc::new(fixture().await.0);
    let tools = host.tools(options);
    (host, tools)
}

/// Calls a tool, and sees that its answer is fit for a model.
async fn call(tools: &Tools, name: &str, input: Value) -> ToolAnswer {
    let answer = within(tools.call(name, input)).await;
    assert_eq!(taskcell::escape(&answer.content), answer.content);
    assert!(answer.content.len() < 70_000, "{} bytes", answer.content.len());
    if !answer.is_error {
        assert_eq!(serde_json::from_str::<Value>(&answer.content).unwrap(), answer.structured);
    }
    answer
}

async fn told(tools: &Tools, name: &str, input: Value) -> Value {
    let answer = call(tools, name, input).await;
    assert!(!answer.is_error, "{}", answer.content);
    answer.structured
}

async fn fault(tools: &Tools, name: &str, input: Value) -> String {
    let answer = call(tools, name, input).await;
    assert!(answer.is_error, "{}", answer.content);
    answer.content
}

fn task(host: &Host, told: &Value) -> TaskHandle {
    let id: TaskId = serde_json::from_value(told["task"].clone()).unwrap();
    host.task(id).unwrap()
}

fn start(task_type: &str, input: Value) -> Value {
    let mut wanted = json!({"plugin": "fixture", "task_type": task_type});
    wanted["input"] = input;
    wanted
}

#[tokio::test]
async fn r4c_a_model_sees_what_there_is_starts_it_and_has_its_result() {
    let (host, tools) = tools(ToolOptions::session("s1")).await;
    let (mut names, mut offset) = (Vec::new(), json!(null));
    loop {
        let input = if offset.is_null() { Value::Null } else { json!({"offset": offset}) };
        let page = told(&tools, "task_types", input).await;
        names.extend(page["types"].as_array().unwrap().iter().map(|of| of["task_type"].as_str().unwrap().to_owned()));
        offset = page["next"].clone();
        if offset.is_null() {
            break;
        }
    }
    let plugin = &host.plugins()[0];
    assert_eq!(names, plugin.manifest().tasks.iter().map(|of| of.name.clone()).collect::<Vec<_>>());
    let one = told(&tools, "task_types", json!({"plugin": "fixture", "task_type": "note"})).await;
    assert_eq!(one["types"][0]["input_schema"]["properties"]["note"]["type"], json!(["string", "null"]));
    let late = told(&tools, "task_types", json!({"offset": names.len() - 1})).await;
    assert_eq!((late["types"].as_array().unwrap().len(), late.get("next")), (1, None));
    assert!(fault(&tools, "task_types", json!({"plugin": "x"})).await.contains("the plugins are: fixture"));

    let mut wanted = start("echo", json!({"value": 7}));
    (wanted["wait_ms"], wanted["title"]) = (json!(600_000), json!("Seven"));
    let ready = told(&tools, "task_start", wanted).await;
    assert_eq!((&ready["state"], &ready["title"]), (&json!("ended"), &json!("Seven")));
    assert_eq!(ready["outcome"], json!({"end": "succeeded", "message": "done", "result": {"value": 7}}));
    let ended = task(&host, &ready);
    assert_eq!(ended.state().details.session.as_deref(), Some("s1"));

    let pending = told(&tools, "task_start", start("note", json!({"note": "waits"}))).await;
    let waits = task(&host, &pending);
    parked(&waits, 1).await;
    let state = told(&tools, "task_state", json!({"task": pending["task"]})).await;
    assert_eq!(
        (&state["state"], &state["note"], &state["waits_for"]),
        (&json!("running"), &json!("waits"), &json!(["go"]))
    );
    let still = told(&tools, "task_wait", json!({"task": pending["task"], "wait_ms": 0})).await;
    assert_eq!(still.get("outcome"), None);
    let sent = told(&tools, "task_notify", json!({"task": pending["task"], "key": "go", "payload": null})).await;
    assert_eq!(sent["sent"], "delivered");
    let over = told(&tools, "task_wait", json!({"task": pending["task"], "wait_ms": 600_000})).await;
    assert_eq!(over["outcome"]["result"], "ok");
    for (name, more) in [
        ("task_notify", json!({"key": "go"})),
        ("task_instruct", json!({"text": "a"})),
        ("task_stop", json!({"reason": ""})),
    ] {
        let mut input = more;
        input["task"] = pending["task"].clone();
        assert!(fault(&tools, name, input).await.contains("has ended already and stays as it is (succeeded"), "{name}");
    }
}

#[tokio::test]
async fn r4c_a_model_lists_its_session_s_tasks_page_by_page() {
    let (host, tools) = tools(ToolOptions::session("s1")).await;
    let mut own = Vec::new();
    for number in 0..3 {
        own.push(start_as(&host, request("echo", json!(number)).session("s1")).await);
    }
    let other = start_as(&host, request("note", json!({"note": null})).session("s2")).await;
    reported(&other).await;
    for task in &own {
        outcome(task).await;
    }
    let first = told(&tools, "task_list", json!({"limit": 2})).await;
    let second = told(&tools, "task_list", json!({"limit": 2, "cursor": first["next"]})).await;
    let ids =
        |page: &Value| page["tasks"].as_array().unwrap().iter().map(|line| line["task"].clone()).collect::<Vec<_>>();
    let listed: Vec<Value> = ids(&first).into_iter().chain(ids(&second)).rev().collect();
    assert_eq!(listed, own.iter().map(|task| json!(task.id().to_string())).collect::<Vec<_>>());
    assert_eq!((first["tasks"][0]["end"]["outcome"].as_str(), second.get("next")), (Some("succeeded"), None));
    let live = told(&tools, "task_list", json!({"state": "live", "all_sessions": true})).await;
    assert_eq!((ids(&live), &live["tasks"][0]["session"]), (vec![json!(other.id().to_string())], &json!("s2")));
    assert!(fault(&tools, "task_list", json!({"cursor": "x"})).await.contains("leave it out for the first page"));
}

#[tokio::test]
async fn r4c_a_model_reads_the_end_of_what_a_task_printed() {
    let (_, tools) = tools(ToolOptions::session("s1")).await;
    let mut wanted =
        start("print", json!({"stdout": "red \u{1b}[31m\u{202e}", "stderr": "x".repeat(90_000), "direct": "last"}));
    wanted["wait_ms"] = json!(600_000);
    let printed = told(&tools, "task_start", wanted).await["task"].clone();
    let end = told(&tools, "task_output", json!({"task": printed, "tail_bytes": 32_000})).await;
    assert_eq!(
        (end["output"].as_array().unwrap().last().unwrap(), &end["earlier_left_out"]),
        (&json!({"from": "stdout", "text": "last"}), &json!(true))
    );
    let least = told(&tools, "task_output", json!({"task": printed, "tail_bytes": 1})).await;
    assert_eq!((&least["output"], &least["earlier_left_out"]), (&json!([]), &json!(true)));
    let after = told(&tools, "task_output", json!({"task": printed, "after": end["next"]})).await;
    assert_eq!((&after["output"], after.get("earlier_left_out")), (&json!([]), None));

    let mut wanted = start("print", json!({"stdout": "red \u{1b}[31m\u{202e}", "stderr": ""}));
    wanted["wait_ms"] = json!(600_000);
    let printed = told(&tools, "task_start", wanted).await["task"].clone();
    let answer = call(&tools, "task_output", json!({"task": printed})).await;
    // As it was said for a program, and safe for whoever shows what the model sees.
    assert_eq!(answer.structured["output"][0], json!({"from": "stdout", "text": "red \u{1b}[31m\u{202e}\n"}));
    assert!(answer.content.contains(r"red \u001b[31m\u202e\n"), "{}", answer.content);
}

#[tokio::test]
async fn r4c_a_model_stops_its_task_and_says_something_to_one() {
    let (host, tools) = tools(ToolOptions::session("s1")).await;
    let spins = told(&tools, "task_start", start("spin", Value::Null)).await;
    reported(&task(&host, &spins)).await;
    let asked = told(&tools, "task_stop", json!({"task": spins["task"], "reason": "enough", "force": true})).await;
    assert_eq!(asked["asked_to_stop"], true);
    let over = told(&tools, "task_wait", json!({"task": spins["task"], "wait_ms": 600_000})).await;
    assert_eq!((&over["outcome"]["end"], &over["outcome"]["by"]), (&json!("cancelled"), &json!("the agent")));
    assert_eq!((&over["outcome"]["reason"], &over["outcome"]["forced"]), (&json!("enough"), &json!(true)));

    let listens = told(&tools, "task_start", start("listen", json!({"times": 1}))).await;
    told(&tools, "task_instruct", json!({"task": listens["task"], "text": "skip the drafts"})).await;
    let heard = data(outcome(&task(&host, &listens)).await);
    assert_eq!(heard, json!([{"text": "skip the drafts", "sender": "agent"}]));
}

#[tokio::test]
async fn r4c_a_model_decides_only_what_the_agent_may() {
    let (host, tools) = tools(ToolOptions::session("s1").prepare(|mut request| {
        request.details.approvers = match request.details.title.as_deref() {
            Some("trusted") => Approvers::Anybody,
            _ => Approvers::default(),
        };
        request
    }))
    .await;
    let deploy = json!({"kind": "deploy", "summary": "version 7", "reason": "tests pass"});
    let mut questions = host.follow_approvals(ApprovalFilter::default());
    let closed = told(&tools, "task_start", start("approve", deploy.clone())).await;
    within(questions.next()).await.unwrap();
    let listed = told(&tools, "task_approvals", json!({})).await;
    let shown = &listed["questions"][0];
    assert_eq!(
        (&shown["task"], &shown["what"], &shown["who_decides"]),
        (&closed["task"], &json!("version 7"), &json!("person-or-host"))
    );
    let which = json!({"task": closed["task"], "number": shown["number"]});
    assert!(fault(&tools, "task_approve", which.clone()).await.contains("not for the agent to decide"));
    let mut no = which.clone();
    no["reason"] = json!("no");
    assert!(fault(&tools, "task_deny", no.clone()).await.contains("not for the agent to decide"));
    assert_eq!(host.approvals(&ApprovalFilter::default()).len(), 1);

    let mut wanted = start("approve", deploy);
    wanted["title"] = json!("trusted");
    let open = told(&tools, "task_start", wanted).await;
    let question = within(questions.next()).await.unwrap();
    let which = json!({"task": open["task"], "number": question.number.0, "input": {"version": 6}});
    assert_eq!(told(&tools, "task_approve", which.clone()).await["decided"], true);
    let answer = data(outcome(&task(&host, &open)).await);
    assert_eq!(answer, json!([{"approved": "agent", "input": {"version": 6}}]));
    assert!(fault(&tools, "task_approve", which).await.contains("has ended already"));
    no["number"] = json!(99);
    assert!(fault(&tools, "task_deny", no).await.contains("has no open question 99"));
}

#[tokio::test]
async fn r4c_waiting_ends_with_a_new_question_and_not_with_an_old_one() {
    let (host, tools) = tools(ToolOptions::session("s1")).await;
    let wanted = start("approve", json!({"kind": "deploy", "summary": "version 7", "times": 2}));
    let id = told(&tools, "task_start", wanted).await["task"].clone();
    let wait = json!({"task": id, "wait_ms": 600_000});
    let mut questions = host.follow_approvals(ApprovalFilter::default());
    let first = within(questions.next()).await.unwrap();
    let decide = async |number| host.decide(first.id, number, ApprovalVerdict::Approve(None), Party::Person).await;
    let (second, _) = tokio::join!(told(&tools, "task_wait", wait.clone()), decide(first.number));
    let second = second["questions"][0]["number"].as_u64().unwrap();
    assert_ne!(second, first.number.0);
    let number = within(questions.next()).await.unwrap().number;
    let (ended, _) = tokio::join!(told(&tools, "task_wait", wait), decide(number));
    assert_eq!(ended["outcome"]["result"], json!([{"approved": "person"}, {"approved": "person"}]));
}

#[tokio::test]
async fn r4c_a_task_of_another_session_is_changed_only_when_somebody_says_yes() {
    let asked: Arc<Mutex<Vec<ToolQuestion>>> = Arc::default();
    let questions = Arc::clone(&asked);
    let (host, strict) = tools(ToolOptions::session("s1")).await;
    let hears = ToolOptions::session("s1").confirm(move |question| {
        let yes = question.input["reason"] == "the person wants it";
        questions.lock().unwrap().push(question);
        async move {
            if yes {
                ToolVerdict::Yes
            } else {
                ToolVerdict::No { by: Party::Person, reason: "it is\u{1b} mine".to_owned() }
            }
        }
    });
    let asking = host.tools(hears);
    let other = start_as(&host, request("note", json!({"note": null})).session("s2")).await;
    let nobody = start_as(&host, request("note", json!({"note": null}))).await;
    for task in [&other, &nobody] {
        parked(task, 1).await;
        let id = task.id().to_string();
        let calls = [
            ("task_stop", json!({"task": id, "reason": "mine"})),
            ("task_notify", json!({"task": id, "key": "go"})),
            ("task_instruct", json!({"task": id, "text": "go"})),
            ("task_approve", json!({"task": id, "number": 1})),
            ("task_deny", json!({"task": id, "number": 1, "reason": "no"})),
        ];
        for (name, input) in calls {
            let no = fault(&strict, name, input.clone()).await;
            assert!(
                no.contains("needs approval") && no.contains("the host said no (nobody is there to be asked)"),
                "{no}"
            );
            let no = fault(&asking, name, input.clone()).await;
            assert!(no.contains("needs approval") && no.contains(r"a person said no (it is\u{1b} mine)"), "{no}");
            let question = asked.lock().unwrap().pop().unwrap();
            assert_eq!((question.tool, question.id, question.input), (name, task.id(), input));
            assert_eq!((question.session.as_str(), question.task_session), ("s1", task.state().details.session));
        }
        assert!(task.state().outcome.is_none() && task.state().cancel.is_none());
        // Seeing is not changing.
        assert_eq!(told(&strict, "task_state", json!({"task": id})).await["state"], "running");
    }
    let id = other.id().to_string();
    told(&asking, "task_stop", json!({"task": id, "reason": "the person wants it", "force": true})).await;
    assert!(matches!(outcome(&other).await, Outcome::Cancelled { by: Party::Agent, .. }));

    let blind = host.tools(ToolOptions::session("s1").own_session_only());
    let id = nobody.id().to_string();
    assert!(fault(&blind, "task_state", json!({"task": id})).await.contains("there is no task"));
    assert!(fault(&blind, "task_stop", json!({"task": id, "reason": ""})).await.contains("there is no task"));
    assert!(fault(&blind, "task_list", json!({"all_sessions": true})).await.contains("leave it out"));
    assert!(fault(&blind, "task_approvals", json!({"all_sessions": true})).await.contains("leave it out"));
    assert_eq!(told(&blind, "task_list", json!({})).await["tasks"], json!([]));
}

#[tokio::test]
async fn r4c_the_embedder_completes_requests_and_the_session_stays() {
    let grants = Grants::default().signal();
    let given = grants.clone();
    let (host, tools) = tools(
        ToolOptions::session("s1")
            .prepare(move |request| request.session("s9").grants(given.clone()).fuel(7_000_000_000)),
    )
    .await;
    let task = task(&host, &told(&tools, "task_start", start("note", json!({"note": null}))).await);
    let state = task.state();
    assert_eq!((state.details.session.as_deref(), state.fuel_budget), (Some("s1"), 7_000_000_000));
    assert!(
        fault(&tools, "task_start", json!({"plugin": "fixture", "task_type": "echo", "grants": {}}))
            .await
            .contains("grants")
    );
}

#[tokio::test]
async fn r4c_whatever_a_model_sends_it_is_told_what_is_wrong() {
    let (host, tools) = tools(ToolOptions::session("s1")).await;
    let unknown = fault(&tools, "task_\u{1b}kill", json!({})).await;
    assert!(unknown.contains(r"there is no tool") && unknown.contains("task_types, task_start"), "{unknown}");
    let long = "\u{1b}\u{202e}x".repeat(100_000);
    fault(&tools, &long, Value::Null).await;
    for tool in tools.definitions() {
        let needs = tool.input_schema.get("required").is_some();
        let mut hostile = vec![
            json!([]),
            json!("task"),
            json!(7),
            json!({"\u{1b}[2J": 1}),
            json!({"task": 7}),
            json!({"task": long}),
            json!({"plugin": long}),
        ];
        if needs {
            hostile.push(json!({}));
            hostile.push(Value::Null);
        }
        hostile.push(json!({ "a": vec![0; 200_000] }));
        for input in hostile {
            let fault = fault(&tools, tool.name, input).await;
            let example = fault.contains("for example: {") && fault.contains("the fields are: ");
            assert!(example || fault.contains("send less"), "{fault}");
        }
    }
    let id = "0123456789abcdef0123456789abcdef";
    for bad in [id, "x", "", "\u{0}", "..", "0123456789ABCDEF"] {
        for (name, more) in [
            ("task_state", json!({})),
            ("task_wait", json!({})),
            ("task_output", json!({})),
            ("task_stop", json!({"reason": ""})),
        ] {
            let mut input = more;
            input["task"] = json!(bad);
            assert!(fault(&tools, name, input).await.contains("task_list shows the ids"), "{name} {bad:?}");
        }
    }
    let task = start_as(&host, request("note", json!({"note": null})).session("s1")).await;
    let id = task.id().to_string();
    let control = fault(&tools, "task_notify", json!({"task": id, "key": "a\nb"})).await;
    assert!(control.contains("control character"), "{control}");
    let much = fault(&tools, "task_notify", json!({"task": id, "key": "a", "payload": "x".repeat(32 << 20)})).await;
    assert!(much.contains("nothing was sent"), "{much}");
    let title =
        fault(&tools, "task_start", json!({"plugin": "fixture", "task_type": "echo", "title": "a\u{1b}"})).await;
    assert!(title.contains("nothing was started: ") && title.contains("control characters"), "{title}");
    let wrong = fault(&tools, "task_start", start("note", json!({"note": 7}))).await;
    assert!(wrong.contains("schema") && wrong.contains("task_types with plugin"), "{wrong}");
    assert!(fault(&tools, "task_start", json!({"plugin": "x", "task_type": "echo"})).await.contains("loaded: fixture"));
    assert!(fault(&tools, "task_start", start("x", Value::Null)).await.contains("it has: "));
    let mut keyed = start("note", json!({"note": null}));
    keyed["key"] = json!("k");
    told(&tools, "task_start", keyed.clone()).await;
    assert!(fault(&tools, "task_start", keyed).await.contains("is running already"));
    assert_eq!(host.running().len(), 2);
}

#[tokio::test]
async fn r4c_what_a_guest_says_is_cut_to_a_bearable_length() {
    let (_, tools) = tools(ToolOptions::session("s1")).await;
    let mut wanted = start("echo", json!("\u{1b}".repeat(100_000)));
    wanted["wait_ms"] = json!(600_000);
    let ended = told(&tools, "task_start", wanted).await;
    assert!(ended["outcome"]["result"]["begins"].as_str().unwrap().len() < 30_000);
    for title in ["\u{202e}".repeat(80), "x".repeat(256)] {
        for _ in 0..20 {
            let mut wanted = start("echo", json!(1));
            (wanted["title"], wanted["wait_ms"]) = (json!(title), json!(600_000));
            told(&tools, "task_start", wanted).await;
        }
    }
    let page = told(&tools, "task_list", json!({"limit": 40})).await;
    assert_eq!(page["tasks"].as_array().unwrap().len(), 40);
}

#[tokio::test]
async fn r4c_a_host_without_plugins_says_so() {
    let host = Arc::new(builder().build().unwrap());
    let tools = host.tools(ToolOptions::session("s1"));
    assert!(fault(&tools, "task_types", json!({})).await.contains("the plugins are: none"));
    assert_eq!(told(&tools, "task_list", json!({})).await["tasks"], json!([]));
}
