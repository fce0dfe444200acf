//! Fuel: added, asked for, and running low.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use super::bench::{Bench, Script, log, request, script, settle, success, wait_for};
use crate::model::event::{Budget, EventBody, WaitEnd};
use crate::model::limits::LimitsRequest;
use crate::model::outcome::{CellEnd, Failure, FailureKind, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::ports::runner::{CellLink, GuestCall};
use crate::runtime::handle::{ControlAnswer, TaskHandle};

async fn ask(link: &CellLink, units: u64, timeout: Option<Duration>) -> String {
    let asked = |reply| GuestCall::RequestFuel { units, reason: "more files".to_owned(), timeout, reply };
    match link.request(asked).await {
        Ok(units) => format!("{units} of {}", link.gauges.fuel_budget()),
        Err(refusal) => format!("{}: {}", refusal.kind.word(), refusal.message),
    }
}

fn asker(units: u64, timeout: Option<Duration>) -> Script {
    script(move |link| async move { success(json!(ask(&link, units, timeout).await)) })
}

async fn answer(task: &TaskHandle) -> String {
    let outcome = task.wait().await;
    let Outcome::Succeeded { data: Some(data), .. } = &outcome else { panic!("{outcome:?}") };
    data.as_str().unwrap().to_owned()
}

async fn bodies(task: &TaskHandle) -> Vec<EventBody> {
    log(task).await.into_iter().map(|event| event.body).collect()
}

#[tokio::test]
async fn r48_fuel_can_be_added_while_a_task_runs() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let task = bench.inner.start(request().fuel(100)).await.unwrap();
    settle().await;
    assert_eq!(task.state().fuel_budget, 100);
    assert_eq!(task.add_fuel(0, Party::Agent).await, ControlAnswer::Unchanged);
    assert_eq!(task.add_fuel(50, Party::Agent).await, ControlAnswer::Done);
    assert_eq!(task.state().fuel_budget, 150);
    assert_eq!(task.add_fuel(u64::MAX, Party::Agent).await, ControlAnswer::Done);
    assert_eq!(task.state().fuel_budget, u64::MAX);
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    assert!(bodies(&task).await.contains(&EventBody::FuelAdded { units: 50, by: Party::Agent, approval: None }));
}

#[tokio::test]
async fn r48_who_gives_fuel_to_a_task_that_has_just_run_dry_hears_of_its_end() {
    let dry = Arc::new(Notify::new());
    let runs_dry = Arc::clone(&dry);
    let bench = Bench::new(script(move |_| {
        let dry = Arc::clone(&runs_dry);
        async move {
            dry.notified().await;
            CellEnd::Failed(Failure::new(FailureKind::OutOfFuel, "dry"))
        }
    }));
    let task = bench.start().await;
    settle().await;
    // The cell has ended, and its actor has not had a turn since.
    dry.notify_one();
    let answer = task.add_fuel(50, Party::Agent).await;
    let ControlAnswer::AlreadyEnded(Outcome::Failed(failure)) = answer else { panic!("{answer:?}") };
    assert_eq!(failure.kind, FailureKind::OutOfFuel);
    assert!(!bodies(&task).await.iter().any(|body| matches!(body, EventBody::FuelAdded { .. })));
}

#[tokio::test]
async fn r48_a_request_waits_for_an_answer_and_its_time_does_not_run() {
    let bench = Bench::new(asker(40, None));
    let limits = LimitsRequest { fuel: Some(100), idle: Some(Duration::from_secs(5)), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits).timeout(Duration::from_secs(10))).await.unwrap();
    bench.advance(Duration::from_hours(3)).await;
    let state = task.state();
    assert_eq!(state.phase, Phase::Running);
    let asked = state.fuel_request.as_ref().map(|request| (request.units, &*request.reason));
    assert_eq!(asked, Some((40, "more files")));
    assert!(state.summary().starts_with("asks for 40 units of fuel (more files)"), "{}", state.summary());
    assert_eq!(task.add_fuel(25, Party::Person).await, ControlAnswer::Done);
    assert_eq!(answer(&task).await, "25 of 125");
    assert_eq!(task.state().fuel_request, None);
}

#[tokio::test]
async fn r48_a_request_can_be_turned_down() {
    let bench = Bench::new(asker(40, None));
    let task = bench.start().await;
    assert_eq!(task.refuse_fuel(Party::Person, "early").await, ControlAnswer::Unchanged, "nobody asked yet");
    settle().await;
    assert_eq!(task.refuse_fuel(Party::Person, "too dear").await, ControlAnswer::Done);
    assert_eq!(answer(&task).await, "denied: the request for fuel was turned down by a person: too dear");
}

#[tokio::test]
async fn r48_a_request_ends_with_its_time_or_with_a_cancel() {
    let bench = Bench::new(asker(40, Some(Duration::from_secs(7))));
    let late = bench.start().await;
    bench.advance(Duration::from_secs(6)).await;
    assert!(late.state().fuel_request.is_some());
    let stopped = bench.start().await;
    settle().await;
    stopped.cancel(CancelRequest::new(Party::Person, "")).await;
    assert!(answer(&stopped).await.starts_with("cancelled: "));
    assert!(bodies(&stopped).await.contains(&EventBody::FuelRequestEnded { reason: WaitEnd::Cancelled }));
    bench.advance(Duration::from_secs(1)).await;
    assert!(answer(&late).await.starts_with("timed-out: "));
    assert!(bodies(&late).await.contains(&EventBody::FuelRequestEnded { reason: WaitEnd::TimedOut }));
}

#[tokio::test]
async fn r48_a_request_that_cannot_wait_is_answered_at_once() {
    let bench = Bench::new(asker(0, None));
    let nothing = bench.start().await;
    assert!(answer(&nothing).await.starts_with("invalid-argument: "));
    let bench = Bench::new(asker(5, Some(Duration::ZERO)));
    let hasty = bench.start().await;
    assert!(answer(&hasty).await.starts_with("timed-out: "));
    let bench = Bench::new(script(|link| async move {
        wait_for(&link, "never", None).await;
        success(json!(ask(&link, 5, None).await))
    }));
    let stopped = bench.start().await;
    settle().await;
    stopped.cancel(CancelRequest::new(Party::Host, "")).await;
    assert!(answer(&stopped).await.starts_with("cancelled: "));
}

#[tokio::test]
async fn r48_the_host_gives_up_to_its_limit_without_asking_anybody() {
    let mut bench = Bench::new(script(|link| async move {
        let timeout = Some(Duration::ZERO);
        let answers = [ask(&link, 60, timeout).await, ask(&link, 50, timeout).await, ask(&link, 40, timeout).await];
        success(json!(answers.map(|answer| answer.chars().take(9).collect::<String>()).join("; ")))
    }));
    bench.inner_mut().limits.fuel_on_request = 100;
    let task = bench.inner.start(request().fuel(1000)).await.unwrap();
    assert_eq!(answer(&task).await, "60 of 106; timed-out; 40 of 110");
    let given = |body: &EventBody| matches!(body, EventBody::FuelAdded { by: Party::Host, .. });
    assert_eq!(bodies(&task).await.iter().filter(|body| given(body)).count(), 2);
}

#[tokio::test]
async fn r48_fuel_that_somebody_gave_does_not_count_as_the_hosts_own() {
    let mut bench = Bench::new(asker(100, None));
    bench.inner_mut().limits.fuel_on_request = 100;
    let task = bench.start().await;
    task.add_fuel(70, Party::Host).await;
    assert!(answer(&task).await.starts_with("100 of "));
}

#[tokio::test]
async fn r48_a_budget_that_runs_low_is_told_once_for_each_size() {
    let bench = Bench::new(script(|link| async move {
        for used in [80, 90, 100] {
            link.gauges.set_fuel_used(used);
            link.news.warn_of_fuel();
            wait_for(&link, "next", None).await;
        }
        success(None)
    }));
    let task = bench.inner.start(request().fuel(100)).await.unwrap();
    let next = || task.notify(super::bench::key("next"), None, Party::Host);
    settle().await;
    next().await;
    settle().await;
    task.add_fuel(25, Party::Person).await;
    next().await;
    settle().await;
    next().await;
    let told = |body| {
        if let EventBody::BudgetLow { budget: Budget::Fuel, used, limit } = body { Some((used, limit)) } else { None }
    };
    let low: Vec<_> = bodies(&task).await.into_iter().filter_map(told).collect();
    assert_eq!(low, [(80, 100), (100, 125)]);
}

#[tokio::test]
async fn r48_a_warning_that_came_too_late_is_not_told() {
    let bench = Bench::new(script(|link| async move {
        wait_for(&link, "go", None).await;
        link.gauges.set_fuel_used(80);
        link.news.warn_of_fuel();
        success(None)
    }));
    let task = bench.inner.start(request().fuel(100)).await.unwrap();
    settle().await;
    task.add_fuel(100, Party::Person).await;
    task.notify(super::bench::key("go"), None, Party::Host).await;
    assert!(!bodies(&task).await.iter().any(|body| matches!(body, EventBody::BudgetLow { .. })));
}
