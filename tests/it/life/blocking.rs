//! The library for programs without async code, with real guests.

use std::sync::Arc;

use serde_json::{Value, json};
use taskcell::blocking::{BuildError, Error, Host, InsideRuntime, TaskHandle};
use taskcell::{
    ApprovalFilter, ApprovalVerdict, CancelAnswer, CancelRequest, EventBody, EventSeq, NotifyAnswer, Outcome,
    OutputCursor, Party, RemoveError, StartError, TaskFilter, ToolOptions, Waited,
};

use crate::support::task::{data, key};
use crate::support::{WATCHDOG, builder, guest, request};

fn host() -> Host {
    let host = builder().build_blocking().unwrap();
    host.load_plugin(guest("fixture")).unwrap();
    host
}

/// Waits for a task's end, under the watchdog.
fn outcome(task: &TaskHandle) -> Outcome {
    match task.wait_for(WATCHDOG).unwrap() {
        Waited::Ended(outcome) => outcome,
        Waited::Running(state) => panic!("stuck: {state:?}"),
    }
}

#[test]
fn r4c_a_program_without_async_code_runs_a_task_from_start_to_end() {
    let host = host();
    let task = host.start(request("note", json!({"note": "here"})).session("s1")).unwrap();
    let mut events = task.events(EventSeq::default());
    assert!(events.any(|event| matches!(event.unwrap().body, EventBody::WaitStarted { .. })));
    assert_eq!(task.notify(key("go"), Some(Value::Null), Party::Person), Ok(NotifyAnswer::Delivered));
    assert_eq!(data(outcome(&task)), "ok");
    assert!(matches!(events.last().unwrap().unwrap().body, EventBody::Finished { .. }));
    assert_eq!(host.list(&TaskFilter::session("s1").ended(), None, 10).tasks[0].id, task.id());
    assert!(matches!(host.start(request("none", json!({}))), Err(Error::Failed(StartError::UnknownTaskType { .. }))));
    let (brief, ready) = host.run(request("brief", json!(7))).unwrap();
    assert_eq!((ready.map(data), brief.wait().map(data)), (Some(json!(7)), Ok(json!(7))));
    brief.gone().unwrap();
    host.remove(brief.id()).unwrap();
    assert!(matches!(host.remove(brief.id()), Err(Error::Failed(RemoveError::Unknown(_)))));
    host.shutdown().unwrap();
    assert!(matches!(host.start(request("echo", json!(1))), Err(Error::Failed(StartError::ShuttingDown))));
}

#[test]
fn r4c_iterators_end_with_what_they_follow() {
    let host = host();
    let mut all = host.subscribe(TaskFilter::default());
    let printed = host.start(request("print", json!({"stdout": "one", "stderr": "two", "direct": null}))).unwrap();
    let pages: Vec<_> = printed.follow_output(OutputCursor::default()).map(Result::unwrap).collect();
    let text: String = pages.iter().flat_map(|page| &page.chunks).map(|chunk| chunk.text.as_str()).collect();
    assert_eq!(text.len(), "one\ntwo\n".len(), "{text:?}");
    assert!(all.any(|happened| matches!(happened.unwrap().event.body, EventBody::Finished { .. })));

    let mut questions = host.follow_approvals(ApprovalFilter::default());
    let asks = host.start(request("approve", json!({"kind": "deploy", "summary": "7"}))).unwrap();
    let question = questions.next().unwrap().unwrap();
    host.decide(question.id, question.number, ApprovalVerdict::Approve(None), Party::Person).unwrap();
    assert_eq!(data(outcome(&asks)), json!([{"approved": "person"}]));

    let spins = host.start(request("spin", Value::Null)).unwrap();
    assert_eq!(spins.cancel(CancelRequest::force(Party::Person, "")), Ok(CancelAnswer::Requested));
    assert!(spins.receipt().unwrap().is_some());
    host.shutdown().unwrap();
    assert!(questions.next().is_none());
}

#[test]
fn r4c_tools_are_called_without_async_code() {
    let host = host();
    let tools = host.inner().tools(ToolOptions::session("s1"));
    let input = json!({"plugin": "fixture", "task_type": "echo", "input": 7, "wait_ms": 600_000});
    let answer = host.call_tool(&tools, "task_start", input).unwrap();
    assert_eq!(answer.structured["outcome"]["result"], 7);
}

#[test]
fn r4c_a_blocking_call_inside_a_runtime_is_refused_and_does_nothing() {
    let host = host();
    let task = host.start(request("note", json!({"note": null}))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async move {
        assert!(matches!(builder().build_blocking(), Err(BuildError::InsideRuntime(_))));
        assert_eq!(task.wait(), Err(InsideRuntime));
        assert_eq!(task.cancel(CancelRequest::force(Party::Person, "")), Err(InsideRuntime));
        assert!(matches!(host.start(request("echo", json!(1))), Err(Error::InsideRuntime(_))));
        assert!(matches!(host.subscribe(TaskFilter::default()).next(), Some(Err(Error::InsideRuntime(_)))));
        assert_eq!((host.running().len(), task.state().cancel), (1, None));
        // Dropped here, the host and its runtime do not panic either.
        drop((host, task));
    });
}

#[test]
fn r4c_a_host_that_async_code_made_has_blocking_calls_too() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let made = runtime.block_on(async { crate::support::fixture().await.0 });
    let host = Host::of(Arc::new(made), runtime.handle().clone());
    let task = host.start(request("echo", json!(7))).unwrap();
    assert_eq!(data(outcome(&task)), 7);
    host.shutdown().unwrap();
}
