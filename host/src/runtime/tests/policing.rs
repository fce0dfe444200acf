//! The operator's policy: what tasks get under it, and what becomes of that when it changes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use crate::model::capability::Capability;
use crate::model::grants::Grants;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::policy::Policy;
use crate::model::signal::Party;
use crate::ports::functions::{Functions, HostFunction};
use crate::ports::runner::{CellLink, GuestCall};
use crate::runtime::policing::PolicyDesk;
use crate::runtime::start_error::StartError;

const ALLOWS: &str = "version = 1\n[plugins.scripted]\ndigest = \"any\"\n[plugins.scripted.allow]\nhost = [\"fine\"]";
const SILENT: &str = "version = 1";

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap()
}

async fn call(link: &CellLink) -> String {
    let call = |reply| GuestCall::CallHost { name: "fine".into(), input: Value::Null, reply };
    match link.ask(call).await {
        Some(Ok(_)) => "fine".to_owned(),
        Some(Err(error)) => error.message().to_owned(),
        None => "nobody".to_owned(),
    }
}

/// Calls the function at once, and again when it is told to; succeeds with both answers.
fn bench(text: Option<&str>) -> Bench {
    let mut bench = Bench::new(script(|link| async move {
        let first = call(&link).await;
        wait_for(&link, "go", None).await;
        success(json!({"first": first, "then": call(&link).await}))
    }));
    let mut functions = Functions::default();
    functions.provide(HostFunction::new("fine"), Arc::new(|_| Box::pin(async { Ok(json!(1)) })), 32).unwrap();
    bench.inner_mut().functions = Arc::new(functions);
    bench.inner_mut().policy = PolicyDesk::new(text.map(policy), None);
    bench
}

fn answers(outcome: &Outcome) -> [String; 2] {
    let Outcome::Succeeded { data: Some(data), .. } = outcome else { panic!("{outcome}") };
    ["first", "then"].map(|at| data[at].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn t23_a_task_gets_what_the_policy_gives_its_plugin_without_being_told_what() {
    for (text, is) in [(Some(ALLOWS), true), (Some(SILENT), false), (None, false)] {
        let bench = bench(text);
        let task = bench.inner.start(request()).await.unwrap();
        settle().await;
        task.notify(key("go"), None, Party::Host).await;
        let [first, then] = answers(&task.wait().await);
        assert_eq!((first == "fine", then == "fine"), (is, is), "{text:?}: {first}, {then}");
    }
}

#[tokio::test]
async fn t23_whoever_starts_a_task_cannot_give_more_than_the_policy_and_may_give_less() {
    let bench = bench(Some(ALLOWS));
    let beyond = bench.inner.start(request().grants(Grants::default().function("fine").function("other"))).await;
    let Err(StartError::BeyondPolicy { capability, scope }) = beyond else { panic!("it was started") };
    assert_eq!((capability, scope.as_str()), (Capability::Host, "other"));
    assert_eq!(bench.inner.registry.known(), 0, "r13: nothing is left of a refused start");
    let less = bench.inner.start(request().grants(Grants::default())).await.unwrap();
    settle().await;
    less.notify(key("go"), None, Party::Host).await;
    let [first, _] = answers(&less.wait().await);
    assert!(first.contains("was not granted to this task"), "{first}");
}

#[tokio::test]
async fn t45_another_policy_holds_from_the_next_call_on_for_tasks_that_run() {
    for (before, after) in [(ALLOWS, SILENT), (SILENT, ALLOWS)] {
        let bench = bench(Some(before));
        let task = bench.inner.start(request()).await.unwrap();
        settle().await;
        bench.inner.policy.put(policy(after));
        task.notify(key("go"), None, Party::Host).await;
        let [first, then] = answers(&task.wait().await);
        assert_eq!((first == "fine", then == "fine"), (before == ALLOWS, after == ALLOWS), "{first}, {then}");
        log(&task).await;
    }
}

#[tokio::test]
async fn t45_mandates_of_tasks_that_are_over_are_not_kept() {
    let bench = Bench::new(script(|_| async { success(None) }));
    for _ in 0..1000 {
        bench.inner.start(request()).await.unwrap().wait().await;
    }
    assert!(bench.inner.policy.known() < 200, "{}", bench.inner.policy.known());
}

#[tokio::test]
async fn t06_the_policys_limits_stand_above_and_below_the_hosts() {
    let limits = |limits: &str| format!("version = 1\n[plugins.scripted.limits]\n{limits}");
    let mut bench = Bench::new(script(|link| async move { success(json!(wait_for(&link, "never", None).await)) }));
    let usual = bench.inner.limits.timeout;
    for timeout in [usual / 2, usual * 2] {
        let text = limits(&format!("timeout_ms = {}", timeout.as_millis()));
        bench.inner_mut().policy = PolicyDesk::new(Some(policy(&text)), None);
        let task = bench.inner.start(request()).await.unwrap();
        settle().await;
        bench.advance(timeout.saturating_sub(Duration::from_secs(1))).await;
        settle().await;
        assert!(task.state().outcome.is_none(), "{timeout:?}");
        bench.advance(Duration::from_secs(2)).await;
        let Outcome::Failed(failure) = task.wait().await else { panic!("it ended in another way") };
        assert_eq!(failure.kind, FailureKind::Timeout);
    }
}
