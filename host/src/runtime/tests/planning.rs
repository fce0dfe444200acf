//! A task's plan between its guest, whoever holds a handle, and its end.

#![expect(clippy::wildcard_enum_match_arm, reason = "of a log only what is about its plan")]

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::bench::{Bench, Script, key, log, request, script, settle, success};
use crate::model::command::PlanCommand;
use crate::model::event::EventBody;
use crate::model::limits::LimitsRequest;
use crate::model::machine::Refusal;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::plan::{Plan, PlanError, PlanEvent, PlanStep, StepStatus};
use crate::model::retry::RetryPolicy;
use crate::model::signal::Party;
use crate::model::snapshot::Usage;
use crate::ports::runner::{CellLink, GuestCall};
use crate::runtime::handle::TaskHandle;
use crate::runtime::start_error::StartError;
use crate::store::faulty::FaultyStore;
use crate::store::memory::MemoryStore;

pub(super) fn plan(names: &[&str]) -> Plan {
    names.iter().fold(Plan::new("g"), |plan, name| plan.step(PlanStep::new(*name)))
}

async fn change(link: &CellLink, change: PlanCommand) -> Result<Plan, Refusal> {
    link.request(|reply| GuestCall::ChangePlan { change, reply }).await
}

pub(super) async fn advance(link: &CellLink) -> Result<Plan, Refusal> {
    change(link, PlanCommand::Advance { note: None, by: Party::Itself, usage: Usage::default() }).await
}

async fn read(link: &CellLink) -> Option<Plan> {
    link.ask(|reply| GuestCall::ReadPlan { reply }).await.unwrap()
}

/// Where each step is.
pub(super) fn words(plan: &Plan) -> Vec<(&str, &str)> {
    plan.steps.iter().map(|step| (step.name.as_str(), step.status.word())).collect()
}

/// Goes through its plan, one step after the other.
fn walker() -> Script {
    script(|link| async move {
        while read(&link).await.is_some_and(|plan| !plan.is_done()) {
            if advance(&link).await.is_err() {
                break;
            }
        }
        success(None)
    })
}

fn changes(events: &[crate::model::event::Event]) -> Vec<&'static str> {
    let word = |body: &EventBody| match body {
        EventBody::Plan { change } => Some(match change {
            PlanEvent::Set { .. } => "set",
            PlanEvent::Refused { .. } => "refused",
            PlanEvent::StepStarted { .. } => "started",
            PlanEvent::StepFinished { .. } => "finished",
            PlanEvent::StepsLeft { .. } => "left",
            PlanEvent::PlannerCalled { .. } => "called",
            PlanEvent::PlannerFailed { .. } => "failed",
        }),
        EventBody::Started { .. } => Some("begins"),
        EventBody::AttemptEnded { .. } => Some("again"),
        EventBody::Finished { .. } => Some("end"),
        _ => None,
    };
    events.iter().filter_map(|event| word(&event.body)).collect()
}

async fn waiting(bench: &Bench, names: &[&str]) -> TaskHandle {
    let task = bench.inner.start(request().plan(plan(names))).await.unwrap();
    settle().await;
    task
}

fn idle() -> Script {
    script(|_| std::future::pending())
}

#[tokio::test]
async fn r60_a_task_goes_through_the_plan_that_it_was_started_with() {
    let bench = Bench::new(walker());
    let task = bench.inner.start(request().plan(plan(&["a", "b"])).enforce_plan()).await.unwrap();
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
    assert_eq!(words(&task.plan().unwrap()), [("a", "completed"), ("b", "completed")]);
    assert_eq!(task.state().plan, task.plan(), "it is part of what is known of a task");
    let events = log(&task).await;
    assert_eq!(changes(&events), ["set", "begins", "started", "finished", "started", "finished", "end"]);
    let actions: Vec<_> = events.iter().filter_map(|event| event.action.map(|action| action.0)).collect();
    assert_eq!(actions, [1, 1, 2, 2]);
}

#[tokio::test]
async fn r62_a_request_with_a_plan_that_cannot_be_one_starts_nothing() {
    let bench = Bench::new(walker());
    let refused = bench.inner.start(request().plan(plan(&["a", "a"]))).await.unwrap_err();
    assert!(matches!(&refused, StartError::Plan(PlanError::SameName { .. })), "{refused}");
    assert!(bench.inputs.lock().unwrap().is_empty());
}

#[tokio::test]
async fn r61_a_plan_is_changed_from_outside_while_its_task_runs() {
    let bench = Bench::new(idle());
    let task = waiting(&bench, &["a", "b"]).await;
    let by = Party::Person;
    let plan_now = task.advance(Some("looks good".into()), by).await.unwrap();
    assert_eq!(words(&plan_now), [("a", "completed"), ("b", "current")]);
    let stale = task.set_plan(plan(&["c"]), Some(2), by).await.unwrap_err();
    assert_eq!(stale, PlanError::Stale { expected: 2, is: 4 });
    let plan_now = task.set_plan(plan(&["c"]), Some(4), by).await.unwrap();
    assert_eq!(words(&plan_now), [("a", "completed"), ("c", "current")]);
    assert_eq!(task.set_plan(plan(&[]), None, by).await, Err(PlanError::NoSteps));
    let plan_now = task.finish_step(StepStatus::Failed, None, by).await.unwrap();
    assert_eq!(words(&plan_now), [("a", "completed"), ("c", "failed")]);
    assert_eq!(task.finish_step(StepStatus::Failed, None, by).await, Err(PlanError::NoCurrent));
    assert_eq!(task.advance(None, by).await, Err(PlanError::Ended), "there is no next step, and one is not done");
    let Outcome::Failed(failure) = task.wait().await else { panic!("it has failed") };
    assert_eq!(failure.kind, FailureKind::Plan);
    assert_eq!(task.set_plan(plan(&["d"]), None, by).await, Err(PlanError::Ended));
    let events = log(&task).await;
    let all =
        ["set", "begins", "started", "finished", "started", "finished", "set", "started", "refused", "finished", "end"];
    assert_eq!(changes(&events), all);
}

fn reports(events: &[crate::model::event::Event]) -> Vec<String> {
    let report = |event: &crate::model::event::Event| match &event.body {
        EventBody::Progress { message, .. } => Some(message.clone()),
        _ => None,
    };
    events.iter().filter_map(report).collect()
}

#[tokio::test]
async fn r62_the_last_report_comes_before_an_end_by_an_advance() {
    for outside in [false, true] {
        let bench = Bench::new(script(move |link| async move {
            for number in 0..5_u32 {
                link.news.report(number.to_string(), None, false);
                let _ = link.request(|reply| GuestCall::Poll { key: key("go"), reply }).await;
            }
            let fails = PlanCommand::FinishStep { status: StepStatus::Failed, note: None, by: Party::Itself };
            change(&link, fails).await.unwrap();
            link.news.report("the last".to_owned(), None, false);
            if !outside {
                let _ = advance(&link).await;
            }
            std::future::pending().await
        }));
        let limits = LimitsRequest { log_events: Some(3), ..LimitsRequest::default() };
        let task = bench.inner.start(request().plan(plan(&["a"])).limits(limits)).await.unwrap();
        settle().await;
        if outside {
            assert_eq!(task.advance(None, Party::Person).await, Err(PlanError::Ended));
        }
        assert!(matches!(task.wait().await, Outcome::Failed(failure) if failure.kind == FailureKind::Plan));
        assert_eq!(reports(&log(&task).await).last().map(String::as_str), Some("the last"), "outside: {outside}");
    }
}

#[tokio::test]
async fn r62_what_the_task_came_to_stands_before_an_advance_that_would_end_it() {
    let go = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&go);
    let bench = Bench::new(script(move |link| {
        let go = Arc::clone(&waits);
        async move {
            let fails = PlanCommand::FinishStep { status: StepStatus::Failed, note: None, by: Party::Itself };
            change(&link, fails).await.unwrap();
            let _ = go.acquire().await;
            success(None)
        }
    }));
    let task = waiting(&bench, &["a"]).await;
    // The guest has come to its end, and nobody has looked yet.
    go.add_permits(1);
    assert_eq!(task.advance(None, Party::Person).await, Err(PlanError::Ended));
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
}

#[tokio::test]
async fn r62_a_plan_whose_end_cannot_be_stored_is_settled_as_any_other() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let bench = Bench::with(idle(), 4, Arc::clone(&store) as _);
    let task = waiting(&bench, &["a", "b"]).await;
    store.fail(true);
    assert_eq!(task.advance(None, Party::Person).await, Err(PlanError::Ended));
    assert!(matches!(task.wait().await, Outcome::Failed(failure) if failure.kind == FailureKind::Host));
    assert_eq!(words(&task.plan().unwrap()), [("a", "failed"), ("b", "cancelled")]);
}

#[tokio::test]
async fn r62_a_guest_is_told_why_its_plan_is_refused_and_goes_on() {
    let bench = Bench::new(script(|link| async move {
        let set = |plan: Plan, expected| PlanCommand::Set { plan: Ok(Box::new(plan)), expected, by: Party::Itself };
        let mut said = vec![change(&link, set(plan(&["a", "a"]), None)).await.unwrap_err()];
        said.push(change(&link, set(plan(&["a"]), Some(7))).await.unwrap_err());
        said.push(advance(&link).await.unwrap_err());
        assert_eq!(change(&link, set(plan(&["a"]), Some(0))).await.unwrap().revision, 2);
        let words: Vec<&str> = said.iter().map(|refusal| refusal.kind.word()).collect();
        success(serde_json::json!(words.join(" ")))
    }));
    let task = bench.start().await;
    let Outcome::Succeeded { data, .. } = task.wait().await else { panic!("it goes on") };
    assert_eq!(data, Some(serde_json::json!("invalid-argument conflict not-found")));
    assert_eq!(words(&task.plan().unwrap()), [("a", "skipped")], "it never did it, and nobody says that it did");
    assert_eq!(changes(&log(&task).await), ["begins", "refused", "set", "started", "finished", "end"]);
}

#[tokio::test]
async fn r63_the_retry_policy_tries_an_enforced_plan_again_from_the_first_step_that_is_not_done() {
    let bench = Bench::new(script(|link| async move {
        let _ = advance(&link).await;
        success(None)
    }));
    let policy = RetryPolicy::attempts(2).backoff(Duration::from_secs(1), Duration::from_secs(1));
    let started = request().plan(plan(&["a", "b"])).enforce_plan().retry(policy);
    let task = bench.inner.start(started).await.unwrap();
    settle().await;
    assert_eq!(words(&task.plan().unwrap()), [("a", "completed"), ("b", "pending")]);
    bench.advance(Duration::from_secs(1)).await;
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
    assert_eq!(words(&task.plan().unwrap()), [("a", "completed"), ("b", "completed")]);
    assert_eq!(
        changes(&log(&task).await),
        ["set", "begins", "started", "finished", "started", "again", "begins", "started", "finished", "end"]
    );
}
