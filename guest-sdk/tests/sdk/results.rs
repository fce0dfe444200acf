//! How a task's end comes out, from JSON to JSON.

use std::collections::HashMap;

use serde_json::{Value, json};
use taskcell_guest::testing::FakeHost;
use taskcell_guest::{TaskCtl, TaskError, plugin, task};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Order {
    items: Vec<Item>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Item {
    count: u8,
}

/// Adds the counts up.
#[task]
fn total(ctl: &TaskCtl, order: Order) -> Result<u32, TaskError> {
    ctl.report_progress("adding", None)?;
    Ok(order.items.iter().map(|item| u32::from(item.count)).sum())
}

/// Goes through steps, and may stop at each.
#[task]
fn steps(ctl: &TaskCtl, count: u32) -> Result<String, TaskError> {
    for step in 1..=count {
        ctl.checkpoint()?;
        ctl.report_progress(format!("step {step}"), None)?;
    }
    ctl.set_summary("all steps done");
    Ok("end".to_owned())
}

/// Has a result that JSON has no form for.
#[task]
fn unwritable(_ctl: &TaskCtl, (): ()) -> Result<HashMap<Vec<u8>, u8>, TaskError> {
    Ok(HashMap::from([(vec![1], 1)]))
}

/// Has a name that the macro uses inside.
#[task]
fn input(_ctl: &TaskCtl, input: u8) -> Result<u8, TaskError> {
    Ok(input + 1)
}

/// Has a name that the macro uses inside.
#[task]
fn ctl(_ctl: &TaskCtl, input: u8) -> Result<u8, TaskError> {
    Ok(input + 2)
}

plugin! { name: "results", version: "1", tasks: [total, steps, unwritable, input, ctl] }

fn run(host: &FakeHost, task: &str, input: &Value) -> Result<Value, TaskError> {
    host.run_json(&PLUGIN, task, input)
}

#[test]
fn the_result_comes_back_as_json() {
    let host = FakeHost::new();
    assert_eq!(run(&host, "total", &json!({ "items": [{ "count": 2 }, { "count": 3 }] })), Ok(json!(5)));
}

#[test]
fn tasks_may_have_any_name() {
    let host = FakeHost::new();
    assert_eq!((run(&host, "input", &json!(1)), run(&host, "ctl", &json!(1))), (Ok(json!(2)), Ok(json!(3))));
}

#[test]
fn an_input_that_does_not_fit_is_a_failure_that_says_where() {
    let host = FakeHost::new();
    let error = run(&host, "total", &json!({ "items": [{ "count": 2 }, { "count": 300 }] })).unwrap_err();
    assert!(error.message().starts_with("the input does not fit: `items[1].count`: invalid value"), "{error:?}");
    assert_eq!(error.details().unwrap()["path"], "items[1].count");
    assert!(!error.is_retryable());
    assert!(host.progress().is_empty());
}

#[test]
fn an_unknown_task_type_is_a_failure() {
    let error = run(&FakeHost::new(), "totals", &json!(null)).unwrap_err();
    assert_eq!(error.message(), "the plugin \"results\" has no task type \"totals\"");
}

#[test]
fn a_result_that_is_not_json_is_a_failure() {
    let error = run(&FakeHost::new(), "unwritable", &json!(null)).unwrap_err();
    assert!(error.message().starts_with("the result is not JSON"), "{error:?}");
}

#[test]
fn a_task_that_was_cancelled_before_does_not_begin() {
    let host = FakeHost::new();
    host.cancel("not today");
    assert_eq!(run(&host, "steps", &json!(3)), Err(TaskError::cancelled("stopped before it began")));
    assert!(host.progress().is_empty());
}

#[test]
fn a_checkpoint_stops_the_task_and_says_where() {
    let host = FakeHost::new();
    host.cancel_at_look(3);
    assert_eq!(run(&host, "steps", &json!(9)), Err(TaskError::cancelled("stopped after \"step 2\"")));
    assert_eq!(host.progress().len(), 2);
}

#[test]
fn a_checkpoint_before_any_progress_says_so() {
    let host = FakeHost::new();
    host.cancel_at_look(1);
    let error = run(&host, "steps", &json!(9)).unwrap_err();
    assert_eq!(error, TaskError::cancelled("stopped before the first report of progress"));
}

#[test]
fn the_summary_is_what_was_set_or_the_last_progress_or_done() {
    let host = FakeHost::new();
    run(&host, "steps", &json!(1)).unwrap();
    assert_eq!(host.summary().as_deref(), Some("all steps done"));
    run(&host, "total", &json!({ "items": [] })).unwrap();
    assert_eq!(host.summary().as_deref(), Some("adding"));
    host.run(|_, ()| Ok(()), ()).unwrap();
    assert_eq!(host.summary().as_deref(), Some("done"));
}
