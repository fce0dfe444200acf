//! Planners: the first plan, another one, and all the ways to have none.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Notify, Semaphore};

use super::bench::{Bench, Script, beside, log, request, script, settle, success};
use super::planning::{plan, words};
use super::stores::slow_to_say;
use crate::model::event::EventBody;
use crate::model::limits::LimitsRequest;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::plan::{Plan, PlanError, PlanEvent, PlanStep};
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::ports::runner::GuestCall;
use crate::ports::store::TaskStore;
use crate::runtime::handle::TaskHandle;
use crate::runtime::planners::{PlanAsk, Planner, PlannerError, Planners};
use crate::runtime::start_error::StartError;
use crate::store::memory::MemoryStore;

const SECOND: Duration = Duration::from_secs(1);

/// A host whose planner `planner` does this.
fn with_planner<Fut>(script: Script, made: impl Fn(PlanAsk) -> Fut + Send + Sync + 'static) -> Bench
where
    Fut: Future<Output = Result<Plan, PlannerError>> + Send + 'static,
{
    let mut bench = Bench::new(script);
    let mut planners = Planners::default();
    planners.register("planner".into(), Planner::Function(Arc::new(move |ask| Box::pin(made(ask)))));
    planners.set_timeout(10 * SECOND);
    bench.inner_mut().planners = planners;
    bench
}

fn planned() -> StartRequest {
    request().planner("planner")
}

/// Looks at its plan, asks for another, and succeeds with what it was told.
fn asker(timeout: Option<Duration>) -> Script {
    script(move |link| async move {
        let reason = "the first one does not work".to_owned();
        let made = link.request(|reply| GuestCall::Replan { reason, timeout, reply }).await;
        success(json!(match made {
            Ok(plan) => format!("{:?}", words(&plan)),
            Err(refusal) => format!("{}: {}", refusal.kind.word(), refusal.message),
        }))
    })
}

fn idle() -> Script {
    script(|_| std::future::pending())
}

async fn said(task: &TaskHandle) -> String {
    match task.wait().await {
        Outcome::Succeeded { data: Some(data), .. } => data.as_str().unwrap().to_owned(),
        other @ (Outcome::Succeeded { .. } | Outcome::Failed(_) | Outcome::Cancelled { .. }) => panic!("{other:?}"),
    }
}

async fn failures(task: &TaskHandle) -> Vec<String> {
    let why = |body| {
        if let EventBody::Plan { change: PlanEvent::PlannerFailed { why, .. } } = body { Some(why) } else { None }
    };
    log(task).await.into_iter().filter_map(|event| why(event.body)).collect()
}

#[tokio::test]
async fn r65_a_planner_makes_the_first_plan_before_the_task_runs_and_another_when_it_is_asked() {
    let asks = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asks);
    let bench = with_planner(asker(None), move |ask| {
        let nth = {
            let mut asks = heard.lock().unwrap();
            asks.push(ask);
            asks.len()
        };
        async move { Ok(Plan::new("g").step(PlanStep::new(format!("step {nth}")))) }
    });
    let task = bench.inner.start(planned().input(json!({"a": 1}))).await.unwrap();
    assert_eq!(said(&task).await, r#"[("step 2", "current")]"#);
    let asks = asks.lock().unwrap().clone();
    assert_eq!((asks[0].reason.as_str(), &asks[0].plan, &asks[0].input), ("", &None, &json!({"a": 1})));
    assert_eq!(asks[1].reason, "the first one does not work");
    assert_eq!(words(asks[1].plan.as_ref().unwrap()), [("step 1", "current")], "it sees what there was");
    assert_eq!(asks[1].id, task.id());
    let bodies: Vec<_> = log(&task).await.into_iter().map(|event| event.body).collect();
    let place = |what: fn(&EventBody) -> bool| bodies.iter().position(what).unwrap();
    let called = place(|body| matches!(body, EventBody::Plan { change: PlanEvent::PlannerCalled { .. } }));
    let set = place(|body| matches!(body, EventBody::Plan { change: PlanEvent::Set { planner: Some(_), .. } }));
    let started = place(|body| matches!(body, EventBody::Started { .. }));
    assert!(called < set && set < started, "it runs with a plan");
}

#[tokio::test]
async fn r65_a_request_with_a_plan_of_its_own_has_no_first_one_made() {
    let bench = with_planner(script(|_| async { success(None) }), |_| async { Err("nobody asks".into()) });
    let task = bench.inner.start(planned().plan(plan(&["a"]))).await.unwrap();
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
    let unknown = bench.inner.start(request().planner("other")).await.unwrap_err();
    assert!(matches!(&unknown, StartError::UnknownPlanner { known, .. } if known == &["planner"]), "{unknown}");
}

#[tokio::test]
async fn r65_whatever_a_planner_does_wrong_is_an_event_and_an_error() {
    type Made = fn(PlanAsk) -> crate::ports::clock::BoxFuture<'static, Result<Plan, PlannerError>>;
    let faults: [(Made, &str, &str); 3] = [
        (|_| Box::pin(async { Err("no idea".into()) }), "no idea", "failed: the planner made no plan: no idea"),
        (
            |_| Box::pin(async { Ok(plan(&[])) }),
            "a plan has at least one step",
            "failed: the planner made no plan: a plan has at least one step",
        ),
        (|_| panic!("the password is 1234"), "it panicked: the password is 1234", "failed: the planner panicked"),
    ];
    for (made, event, told) in faults {
        // The first plan: there is nothing to begin with.
        let bench = with_planner(asker(None), made);
        let task = bench.inner.start(planned()).await.unwrap();
        let Outcome::Failed(failure) = task.wait().await else { panic!("it has no plan") };
        assert_eq!(failure.kind, FailureKind::Plan);
        assert!(failure.message.starts_with("it has no plan to begin with: "), "{}", failure.message);
        assert_eq!(failures(&task).await, [event]);
        assert!(bench.inputs.lock().unwrap().is_empty(), "it never ran");
        // Another plan: the task keeps the one that it has, and goes on.
        let task = bench.inner.start(planned().plan(plan(&["a"]))).await.unwrap();
        assert_eq!(said(&task).await, told);
        assert_eq!(failures(&task).await, [event]);
    }
}

#[tokio::test]
async fn r65_a_planner_that_takes_too_long_is_dropped() {
    for (timeout, time) in [(None, 10 * SECOND), (Some(3 * SECOND), 3 * SECOND)] {
        let bench = with_planner(asker(timeout), |_| std::future::pending());
        let task = bench.inner.start(planned().plan(plan(&["a"]))).await.unwrap();
        bench.advance(time).await;
        assert_eq!(said(&task).await, "timed-out: the planner made no plan in time");
    }
    let bench = with_planner(idle(), |_| std::future::pending());
    let task = bench.inner.start(planned()).await.unwrap();
    settle().await;
    assert_eq!(task.state().phase, Phase::Queued, "it has no plan to begin with");
    bench.advance(10 * SECOND).await;
    assert!(matches!(task.wait().await, Outcome::Failed(failure) if failure.kind == FailureKind::Plan));
}

/// A host of so many places whose planner is a task, and whose tasks all wait for `go` and return a plan.
fn with_planning_tasks(places: usize, store: Arc<dyn TaskStore>) -> (Bench, Arc<Semaphore>) {
    let go = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&go);
    let script = script(move |_| {
        let go = Arc::clone(&waits);
        async move {
            go.acquire().await.unwrap().forget();
            success(json!({ "steps": [{ "name": "a" }] }))
        }
    });
    let mut bench = Bench::with(script, places, store);
    let mut planners = Planners::default();
    let (plugin, task_type) = ("other".to_owned(), "script".to_owned());
    planners.register("planner".into(), Planner::Task { plugin, task_type });
    planners.set_timeout(10 * SECOND);
    bench.inner_mut().planners = planners;
    (bench, go)
}

#[tokio::test]
async fn r65_a_first_plans_task_waits_for_its_turn_also_where_the_queue_is_full() {
    for others in [0, 3] {
        let (bench, go) = with_planning_tasks(1, Arc::new(MemoryStore::new()));
        bench.start().await;
        let task = bench.inner.start(planned()).await.unwrap();
        for _ in 0..others {
            bench.start().await;
        }
        bench.advance(60 * SECOND).await;
        assert_eq!(task.state().phase, Phase::Queued, "with {others} others in the queue");
        go.add_permits(100);
        bench.advance(10 * SECOND).await;
        let outcome = task.wait().await;
        assert!(matches!(outcome, Outcome::Succeeded { .. }), "with {others} others in the queue: {outcome}");
    }
    // Once it runs, its time is limited.
    let (bench, _go) = with_planning_tasks(1, Arc::new(MemoryStore::new()));
    let task = bench.inner.start(planned()).await.unwrap();
    bench.advance(10 * SECOND).await;
    assert!(matches!(task.wait().await, Outcome::Failed(failure) if failure.message.contains("in time")));
}

#[tokio::test]
async fn r65_a_planning_task_belongs_to_the_session_and_its_loop_is_not_told_of_it() {
    let (bench, go) = with_planning_tasks(4, Arc::new(MemoryStore::new()));
    let mut request = planned().session("s").turn("t").priority(3);
    (request.details.user, request.details.trace) = (Some("u".to_owned()), Some("trace".to_owned()));
    let task = bench.inner.start(request).await.unwrap();
    settle().await;
    let planning = bench.inner.registry.live().into_iter().find(|live| live.id != task.id()).unwrap();
    let details = (*planning.state().details).clone();
    let of_task = [details.session, details.user, details.trace].map(Option::unwrap);
    assert_eq!(of_task, ["s", "u", "trace"]);
    assert_eq!((details.turn, details.priority), (None, 0), "it is no part of the turn");
    go.add_permits(1);
    let outcome = TaskHandle::new(planning).wait().await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome}");
    settle().await;
    assert_eq!(bench.inner.loops.look("s", |book| book.ready()), Some(0), "it is no update");
}

#[tokio::test]
async fn r65_a_planning_task_that_is_being_started_goes_with_what_it_plans_for() {
    for turns in 0..60 {
        let (bench, _go) = with_planning_tasks(4, slow_to_say(20));
        let task = bench.inner.start(planned()).await.unwrap();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        task.cancel(CancelRequest::force(Party::Person, "enough")).await;
        settle().await;
        for live in bench.inner.registry.live() {
            assert!(live.state().cancel.is_some(), "nobody stops it, after {turns} turns");
        }
    }
}

#[tokio::test]
async fn r65_what_others_ask_for_ends_no_task_that_waits_for_its_first_plan() {
    let go = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&go);
    let bench = with_planner(idle(), move |ask| {
        let go = Arc::clone(&waits);
        async move {
            if ask.reason.is_empty() {
                go.acquire().await?.forget();
                return Ok(plan(&["first"]));
            }
            tokio::task::yield_now().await;
            Err("not for you".into())
        }
    });
    // The host asks after the moment of the task, and others may do so before.
    let task = bench.inner.start(planned().run_after(SECOND)).await.unwrap();
    for wait in [Duration::ZERO, SECOND] {
        bench.advance(wait).await;
        let asks = |task: TaskHandle| beside(async move { task.replan("now", Party::Agent).await });
        let both = [asks(task.clone()), asks(task.clone())];
        let mut said = Vec::new();
        for asks in both {
            said.push(asks.end().await.unwrap_err());
        }
        assert_eq!(said, [PlanError::Planner("not for you".into()), PlanError::PlannerBusy]);
        assert_eq!(task.state().outcome, None);
    }
    go.add_permits(1);
    settle().await;
    assert_eq!(words(&task.plan().unwrap()), [("first", "current")]);
}

#[tokio::test]
async fn r65_others_have_the_log_of_a_task_that_waits_for_its_first_plan_within_its_limits() {
    let bench = with_planner(idle(), |ask| async move {
        if ask.reason.is_empty() { std::future::pending().await } else { Err("no".into()) }
    });
    let limits = LimitsRequest { log_events: Some(4), ..LimitsRequest::default() };
    let task = bench.inner.start(planned().limits(limits)).await.unwrap();
    settle().await;
    for _ in 0..4 {
        let _ = task.replan("again", Party::Agent).await;
    }
    assert_eq!(task.replan("again", Party::Agent).await, Err(PlanError::LogFull));
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("it does not want to go");
    }
}

#[tokio::test]
async fn r65_a_planner_that_panics_when_it_is_dropped_leaves_nobody_waiting() {
    let bench = with_planner(asker(None), |_| async {
        let _bomb = Bomb;
        std::future::pending().await
    });
    let waits = bench.inner.start(planned()).await.unwrap();
    let asks = bench.inner.start(planned().plan(plan(&["a"]))).await.unwrap();
    bench.advance(10 * SECOND).await;
    let outcome = waits.wait().await;
    assert!(matches!(&outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Plan), "{outcome}");
    assert_eq!(failures(&waits).await, ["it panicked: it does not want to go"]);
    assert_eq!(said(&asks).await, "failed: the planner panicked");
}

#[tokio::test]
async fn r65_a_cancel_ends_the_planning_and_what_waits_for_it() {
    let bench = with_planner(asker(None), |_| std::future::pending());
    let waits = bench.inner.start(planned()).await.unwrap();
    let asks = bench.inner.start(planned().plan(plan(&["a"]))).await.unwrap();
    settle().await;
    for task in [&waits, &asks] {
        task.cancel(CancelRequest::new(Party::Person, "enough")).await;
    }
    assert!(matches!(waits.wait().await, Outcome::Cancelled { begun: false, .. }));
    assert_eq!(said(&asks).await, "cancelled: the task was asked to stop");
}

#[tokio::test]
async fn r65_a_plan_that_somebody_sets_meanwhile_stands() {
    let go = Arc::new(Notify::new());
    let waits = Arc::clone(&go);
    let bench = with_planner(idle(), move |_| {
        let go = Arc::clone(&waits);
        async move {
            go.notified().await;
            Ok(plan(&["planned"]))
        }
    });
    let task = bench.inner.start(planned().plan(plan(&["a"]))).await.unwrap();
    settle().await;
    let asks = {
        let task = task.clone();
        beside(async move { task.replan("why not", Party::Agent).await })
    };
    settle().await;
    task.set_plan(plan(&["by hand"]), None, Party::Person).await.unwrap();
    go.notify_one();
    assert_eq!(asks.end().await, Err(PlanError::Stale { expected: 2, is: 4 }));
    assert_eq!(words(&task.plan().unwrap()), [("by hand", "current")]);
    go.notify_one();
    let late = task.replan("once more", Party::Agent).await.unwrap();
    assert_eq!(words(&late), [("planned", "current")]);
}

#[tokio::test]
async fn r65_a_first_plan_from_elsewhere_lets_the_task_begin() {
    let bench = with_planner(idle(), |_| std::future::pending());
    let task = bench.inner.start(planned()).await.unwrap();
    settle().await;
    task.set_plan(plan(&["by hand"]), Some(0), Party::Person).await.unwrap();
    settle().await;
    assert_eq!(task.state().phase, Phase::Running);
    bench.advance(10 * SECOND).await;
    assert_eq!(task.state().phase, Phase::Running, "the planner's failure is nobody's end any more");
}
