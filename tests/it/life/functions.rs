//! The functions of the program around the host, a plugin's configuration, and its store.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{
    EventBody, FailureKind, Grants, Host, HostBuilder, HostCallError, HostFunction, LimitsRequest, Outcome,
    SimulatedClock, StartRequest,
};
use tokio::sync::Notify;

use crate::support::task::{data, events, failed, outcome, please_stop, result, seen, start_as};
use crate::support::{builder, fixture, request, with_fixture, within};

const TIME: Duration = Duration::from_secs(20);

/// One of each kind.
fn provided(builder: HostBuilder) -> HostBuilder {
    let number = json!({"type": "integer"});
    builder
        .provide(HostFunction::new("double").input(number.clone()).output(number.clone()), async |call| {
            Ok(json!(call.input.as_i64().unwrap() * 2))
        })
        .provide(HostFunction::new("fail"), async |_| {
            Err(HostCallError::failed("there is none").with_details(json!({"code": 7})))
        })
        .provide(HostFunction::new("panic"), async |_| panic!("oh no"))
        .provide(HostFunction::new("lie").output(number), async |_| Ok(json!("a word")))
        .provide(HostFunction::new("large"), async |_| Ok(json!("x".repeat(5 << 20))))
        .provide(HostFunction::new("never").timeout(TIME), async |_| std::future::pending().await)
        .provide(HostFunction::new("caller"), async |call| Ok(json!(call.task.task_type)))
}

#[expect(clippy::needless_pass_by_value, reason = "it is written where it is called")]
fn call(name: &str, input: Value) -> StartRequest {
    let grants = Grants::default().function(name);
    request("call-host", json!({"name": name, "input": input})).grants(grants)
}

async fn answer(host: &Host, request: StartRequest) -> Value {
    data(outcome(&start_as(host, request).await).await)
}

#[tokio::test]
async fn r7_a_granted_function_answers_and_the_log_names_it() {
    let (host, _) = with_fixture(provided(builder())).await;
    let task = start_as(&host, call("double", json!(21))).await;
    assert_eq!(data(outcome(&task).await), json!({"answer": 42}));
    let called = |body: &EventBody| matches!(body, EventBody::HostCalled { name, .. } if name == "double");
    assert_eq!(events(&task).await.iter().filter(|event| called(&event.body)).count(), 1);
    assert_eq!(answer(&host, call("caller", Value::Null)).await, json!({"answer": "call-host"}));
}

#[tokio::test]
async fn r7_a_function_needs_its_own_grant_and_has_to_exist() {
    let (host, _) = with_fixture(provided(builder())).await;
    let refused = answer(&host, call("double", json!(1)).grants(Grants::default().function("fail"))).await;
    assert_eq!(refused["refused"], "denied");
    assert!(refused["message"].as_str().unwrap().contains("`host:double`"), "{refused}");
    assert_eq!(answer(&host, call("nothing", Value::Null)).await["refused"], "not-found");
    // Who may not call it is not told whether it exists.
    let unknown = answer(&host, call("nothing", Value::Null).grants(Grants::default())).await;
    assert_eq!(unknown["refused"], "denied");
}

#[tokio::test]
async fn r7_what_goes_in_and_out_is_checked() {
    let (host, _) = with_fixture(provided(builder())).await;
    assert_eq!(answer(&host, call("double", json!("1"))).await["refused"], "invalid-argument");
    assert_eq!(answer(&host, call("lie", Value::Null)).await["refused"], "host");
    assert_eq!(answer(&host, call("large", Value::Null)).await["refused"], "too-large");
    let failed = json!({"failed": "there is none", "details": {"code": 7}});
    assert_eq!(answer(&host, call("fail", Value::Null)).await, failed);
}

#[tokio::test]
async fn t11_a_host_function_that_panics_ends_the_task_that_called_it_and_no_other() {
    let (host, _) = with_fixture(provided(builder())).await;
    let task = start_as(&host, call("panic", Value::Null)).await;
    let failure = failed(outcome(&task).await, FailureKind::Host);
    assert!(failure.message.contains("oh no"), "{}", failure.message);
    assert_eq!(answer(&host, call("double", json!(1))).await, json!({"answer": 2}));
}

#[tokio::test]
async fn r7_a_function_has_its_time_and_no_more() {
    let clock = Arc::new(SimulatedClock::new());
    let called = Arc::new(Notify::new());
    let calls = Arc::clone(&called);
    let slow = builder().clock(clock.clone()).provide(HostFunction::new("slow").timeout(TIME), move |_| {
        calls.notify_one();
        std::future::pending()
    });
    let (host, _) = with_fixture(slow).await;
    let task = start_as(&host, call("slow", Value::Null)).await;
    within(called.notified()).await;
    clock.advance(TIME.checked_sub(Duration::from_millis(1)).unwrap());
    assert!(task.state().outcome.is_none());
    clock.advance(Duration::from_millis(1));
    assert_eq!(data(outcome(&task).await), json!("timed-out"));
}

#[tokio::test]
async fn r7_a_call_ends_when_the_task_shall_stop() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(provided(builder().clock(clock))).await;
    let task = start_as(&host, call("never", Value::Null)).await;
    seen(&task, |body| matches!(body, EventBody::HostCalled { .. })).await;
    within(task.cancel(please_stop())).await;
    assert_eq!(data(outcome(&task).await), json!("cancelled"));
}

#[tokio::test]
async fn r8_the_configuration_is_the_plugins_own_and_empty_without_one() {
    let (host, _) = fixture().await;
    assert_eq!(result(&host, "config", Value::Null).await, json!({}));
    let config = json!({"language": "fr", "deep": [1, {"a": null}]});
    let configured = builder().plugin_config("fixture", config.clone()).plugin_config("hello", json!({"other": true}));
    let (host, _) = with_fixture(configured).await;
    assert_eq!(result(&host, "config", Value::Null).await, config);
}

fn store(steps: Value) -> StartRequest {
    request("store", steps).grants(Grants::default().kv())
}

fn refused(kind: &str) -> Value {
    json!({"refused": kind})
}

#[tokio::test]
async fn r8_the_store_is_kept_from_one_task_to_the_next() {
    let (host, _) = fixture().await;
    let first = json!([
        {"get": "a"}, {"set": ["a", "1"]}, {"set": ["b/1", ""]}, {"set": ["b/2", "2"]}, {"get": "a"},
    ]);
    assert_eq!(answer(&host, store(first)).await, json!([null, null, null, null, "1"]));
    let second = json!([
        {"get": "a"},
        {"compare-and-set": ["a", "0", "2"]}, {"compare-and-set": ["a", null, "2"]},
        {"compare-and-set": ["a", "1", "2"]}, {"get": "a"}, {"compare-and-set": ["c", null, "3"]},
        {"keys": ["b/", null]}, {"keys": ["", "b/1"]},
        {"delete": "a"}, {"delete": "a"}, {"get": "a"},
    ]);
    let told = json!(["1", false, false, true, "2", true, ["b/1", "b/2"], ["b/2", "c"], true, false, null]);
    assert_eq!(answer(&host, store(second)).await, told);
}

#[tokio::test]
async fn r8_the_store_needs_a_grant() {
    let (host, _) = fixture().await;
    let all = json!([
        {"get": "a"}, {"set": ["a", "1"]}, {"compare-and-set": ["a", null, "1"]}, {"delete": "a"}, {"keys": ["", null]},
    ]);
    let denied = refused("denied");
    assert_eq!(answer(&host, request("store", all)).await, json!(vec![denied; 5]));
}

#[tokio::test]
async fn r8_the_store_is_bounded_and_so_are_its_keys() {
    let (host, _) = with_fixture(builder().plugin_store_bytes(1000)).await;
    let (large, long) = ("x".repeat(900), "k".repeat(257));
    let steps = json!([
        {"set": ["a", large]}, {"set": ["b", large]}, {"compare-and-set": ["b", null, large]}, {"get": "b"},
        {"delete": "a"}, {"set": ["b", large]},
        {"set": ["", "1"]}, {"set": [long, "1"]}, {"set": ["a\n", "1"]},
    ]);
    let (full, bad) = (refused("too-large"), refused("invalid-argument"));
    let told = json!([null, full, full, null, true, null, bad, bad, bad]);
    assert_eq!(answer(&host, store(steps)).await, told);
}

#[tokio::test]
async fn r7_an_input_over_the_limit_of_a_call_never_reaches_the_function() {
    let (host, _) = with_fixture(provided(builder())).await;
    let large = call("caller", json!("x".repeat(2 << 20)));
    let task = start_as(&host, large.limits(LimitsRequest::default().call_bytes(1 << 20))).await;
    let ended = within(task.wait()).await;
    assert!(matches!(ended, Outcome::Failed(_)), "{ended:?}");
    let called = |body: &EventBody| matches!(body, EventBody::HostCalled { .. });
    assert!(!events(&task).await.iter().any(|event| called(&event.body)));
}
