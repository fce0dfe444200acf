//! Every future that the host gives out, dropped after each of its polls: what it began takes its course, or nothing has
//! happened.

use std::time::Duration;

use serde_json::json;
use tokio::task::yield_now;

use super::steps::{Lane, keyed, narrow, nothing_is_left, settle};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber, ApprovalVerdict};
use crate::model::delivery::{ContinuePolicy, DeliveryMode};
use crate::model::details::Routing;
use crate::model::event::EventSeq;
use crate::model::external::ExternalReport;
use crate::model::filter::TaskFilter;
use crate::model::outbox::MessageFilter;
use crate::model::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use crate::model::patch::TaskPatch;
use crate::model::plan::{Plan, PlanStep};
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::ports::clock::BoxFuture;
use crate::ports::output::OutputCursor;
use crate::ports::runner::GuestCall;
use crate::runtime::approvals::ApprovalFilter;
use crate::runtime::handle::TaskHandle;
use crate::runtime::reading::{OutputQuery, OutputWait};
use crate::runtime::routing::run;
use crate::runtime::start_error::StartError;
use crate::runtime::stopping::StopScope;
use crate::runtime::tests::bench::{Bench, key, log, script, success, wait_for};

/// A guest that asks, waits, and then ends.
fn bench() -> Bench {
    narrow(script(|link| async move {
        let ask = ApprovalAsk::new("deploy", "r", "s");
        let told = link.request(|reply| GuestCall::RequestApproval { ask, reply }).await;
        if matches!(told, Ok(ApprovalDecision::Approved { .. })) && wait_for(&link, "go", None).await != "Cancelled" {
            return success(json!("done"));
        }
        CellEnd::Returned(GuestOutcome::Cancelled { message: "tidied up".to_owned(), data: None })
    }))
}

/// Everything that somebody may do with a task and not wait for.
const WISHES: usize = 32;

fn wish(number: usize, bench: &Bench, task: &TaskHandle) -> BoxFuture<'static, ()> {
    let (inner, task) = (std::sync::Arc::clone(&bench.inner), task.clone());
    let first = ApprovalNumber(1);
    Box::pin(async move {
        match number {
            0 => drop(task.wait().await),
            1 => drop(task.cancel(CancelRequest::new(Party::Person, "enough")).await),
            2 => drop(task.cancel(CancelRequest::force(Party::Person, "enough")).await),
            3 => drop(task.notify(key("go"), None, Party::Person).await),
            4 => drop(task.approve(first, None, Party::Person).await),
            5 => drop(task.deny(first, "no", Party::Person).await),
            6 => drop(task.pause(Party::Person, "lunch").await),
            7 => drop(task.add_fuel(1, Party::Person).await),
            8 => {
                let outcome = Outcome::Failed(Failure::new(FailureKind::Host, "over elsewhere"));
                drop(task.set_outcome(outcome, Party::Host).await);
            }
            9 => {
                task.instruct("faster", Party::Person).await;
            }
            10 => {
                task.cancel_all_waits().await;
            }
            11 => task.gone().await,
            12 => drop(task.receipt().await),
            13 => {
                let mut events = task.events(EventSeq::default());
                while events.next().await.is_ok_and(|event| event.is_some()) {}
            }
            14 => drop(task.output(OutputCursor::default()).await),
            15 => drop(task.output_after(OutputCursor::default()).await),
            16 => {
                drop(task.read_output(OutputQuery::tail(10).wait(OutputWait::UntilSome, Duration::from_secs(1))).await);
            }
            17 => drop(task.read_artifact(1).await),
            18 => drop(task.update(TaskPatch::default().note("seen"), Some(0), Party::Person).await),
            19 => drop(task.detach(Party::Person).await),
            20 => drop(task.set_delivery(DeliveryMode::Manual, Party::Agent).await),
            21 => drop(task.set_continue_policy(ContinuePolicy::RequestContinue, Party::Agent).await),
            22 => drop(task.resume(Party::Person).await),
            23 => {
                task.cancel_wait(key("go")).await;
            }
            24 => drop(task.refuse_fuel(Party::Person, "no").await),
            25 => drop(task.wait_for(Duration::from_secs(1)).await),
            26 => drop(task.set_plan(Plan::new("g").step(PlanStep::new("a")), None, Party::Person).await),
            27 => drop(task.advance(None, Party::Person).await),
            28 => drop(inner.remove(task.id()).await),
            29 => drop(inner.decide(task.id(), first, ApprovalVerdict::Approve(None), Party::Person).await),
            30 => drop(task.after_events().await),
            _ => {
                let request = CancelRequest::new(Party::Person, "enough");
                drop(inner.stop_all(&StopScope::All, request, Duration::from_secs(1)).await);
            }
        }
    })
}

/// Polls it so often, with so many turns for everybody else after each time, and drops it.
async fn dropped<T>(future: impl Future<Output = T>, polls: usize, turns: usize) -> Option<T> {
    let mut lane = Lane::new(future);
    for _ in 0..polls {
        lane.step();
        for _ in 0..turns {
            yield_now().await;
        }
    }
    lane.result
}

/// Brings it to its end, whatever has been done to it.
async fn finish(bench: &Bench, task: &TaskHandle) -> Outcome {
    for _ in 0..3 {
        settle().await;
        drop(task.resume(Party::Host).await);
        drop(task.approve(ApprovalNumber(1), None, Party::Host).await);
        task.notify(key("go"), None, Party::Host).await;
        bench.clock.advance(Duration::from_secs(5));
    }
    settle().await;
    task.state().outcome.unwrap_or_else(|| panic!("it goes on for ever: {:?}", task.state()))
}

#[tokio::test]
async fn t45_a_wish_that_nobody_waits_for_any_more_leaves_its_task_whole() {
    for number in 0..WISHES {
        for begun in [false, true] {
            for polls in 0..4 {
                for turns in 0..3 {
                    let case = (number, begun, polls, turns);
                    let bench = bench();
                    let task = bench.inner.start(keyed()).await.unwrap();
                    if begun {
                        settle().await;
                    }
                    dropped(wish(number, &bench, &task), polls, turns).await;
                    let outcome = finish(&bench, &task).await;
                    assert_eq!(task.wait().await, outcome, "{case:?}");
                    log(&task).await;
                    nothing_is_left(&bench, &case).await;
                }
            }
        }
    }
}

/// Everything that somebody may wait for who follows a session, and not wait for.
const EARS: usize = 7;

fn ear(number: usize, bench: &Bench) -> BoxFuture<'static, ()> {
    let inner = std::sync::Arc::clone(&bench.inner);
    Box::pin(async move {
        let looped = inner.agent_loop("s".to_owned());
        match number {
            0 => drop(looped.wait_ready().await),
            1 => {
                looped.wait_idle().await;
            }
            2 => drop(looped.turn("t").next().await),
            3 => drop(looped.turn("t").next_until(std::future::ready(())).await),
            4 => drop(inner.messages().next(&MessageFilter::session("s"), 1, Duration::from_secs(1)).await),
            5 => drop(inner.follow_approvals(ApprovalFilter::session("s")).next().await),
            _ => drop(inner.subscribe(TaskFilter::default()).next().await),
        }
    })
}

#[tokio::test]
async fn t45_an_ear_that_is_taken_away_misses_nothing_for_the_next() {
    for number in 0..EARS {
        for polls in 0..3 {
            for turns in 0..3 {
                let case = (number, polls, turns);
                let bench = bench();
                let looped = bench.inner.agent_loop("s".to_owned());
                let request = keyed().session("s").turn("t").routing(Routing::Foreground);
                let task = bench.inner.start(request).await.unwrap();
                dropped(ear(number, &bench), polls, turns).await;
                let asked = bench.inner.follow_approvals(ApprovalFilter::session("s")).next().await;
                assert_eq!(asked.map(|open| open.id), Some(task.id()), "{case:?}");
                let outcome = finish(&bench, &task).await;
                let mut results = Vec::new();
                while let Some(update) = looped.turn("t").next().await {
                    results.extend(update.outcome().cloned());
                }
                assert_eq!(results, [outcome], "{case:?}");
                log(&task).await;
                nothing_is_left(&bench, &case).await;
            }
        }
    }
}

#[tokio::test]
async fn t45_a_run_or_a_report_that_nobody_waits_for_any_more_is_a_task_or_nothing() {
    for polls in 0..4 {
        for turns in 0..4 {
            let case = (polls, turns);
            let bench = bench();
            drop(dropped(run(&bench.inner, keyed().routing(Routing::Foreground)), polls, turns).await);
            settle().await;
            let live = bench.inner.registry.live();
            assert_eq!(live.len(), usize::from(polls > 0), "what was asked for takes its course: {case:?}");
            for task in live.into_iter().map(TaskHandle::new) {
                assert!(!task.state().background, "nobody has detached it: {case:?}");
                finish(&bench, &task).await;
                log(&task).await;
            }
            let done = Outcome::Succeeded { message: String::new(), data: None };
            let report = || ExternalReport::new(keyed().once("r"), done.clone(), Duration::from_secs(1));
            drop(dropped(bench.inner.report_external(report(), Party::Agent), polls, turns).await);
            settle().await;
            let again = bench.inner.report_external(report(), Party::Agent).await.unwrap();
            assert_eq!(again.state().outcome, Some(done.clone()), "{case:?}");
            let known = bench.inner.list(&TaskFilter::default(), None, 10).tasks;
            assert_eq!(known.len(), 1 + usize::from(polls > 0), "recorded once: {case:?}");
            nothing_is_left(&bench, &case).await;
        }
    }
}

#[tokio::test]
async fn t45_a_start_that_nobody_waits_for_any_more_is_a_task_or_nothing() {
    for polls in 0..4 {
        for turns in 0..4 {
            let case = (polls, turns);
            let bench = bench();
            drop(dropped(bench.inner.start(keyed()), polls, turns).await);
            settle().await;
            // Whoever starts the same again is told which.
            let task = match bench.inner.start(keyed()).await {
                Ok(task) => {
                    assert_eq!(polls, 0, "what was asked for takes its course: {case:?}");
                    task
                }
                Err(StartError::KeyInUse { task }) => TaskHandle::new(bench.inner.registry.by_ref(&task).unwrap()),
                Err(other) => panic!("{other:?}: {case:?}"),
            };
            finish(&bench, &task).await;
            log(&task).await;
            nothing_is_left(&bench, &case).await;
        }
    }
}

#[tokio::test]
async fn t45_a_dropped_handle_lets_its_task_go_on() {
    let bench = bench();
    let task = bench.inner.start(keyed()).await.unwrap();
    let id = task.id();
    let events = task.events(EventSeq::default());
    drop((task.clone(), task, events));
    settle().await;
    let found = TaskHandle::new(bench.inner.registry.by_id(id).unwrap());
    assert!(found.state().outcome.is_none(), "nobody holds it, and it lives");
    assert!(matches!(finish(&bench, &found).await, Outcome::Succeeded { .. }));
    drop(found);
    nothing_is_left(&bench, &id).await;
}

#[tokio::test]
async fn t45_a_shutdown_that_nobody_waits_for_any_more_goes_on() {
    for polls in 0..4 {
        for turns in 0..3 {
            let case = (polls, turns);
            let bench = bench();
            let task = bench.inner.start(keyed()).await.unwrap();
            dropped(bench.inner.shut_down(), polls, turns).await;
            if polls == 0 {
                bench.inner.shut_down().await;
            }
            assert!(matches!(task.wait().await, Outcome::Cancelled { by: Party::Host, .. }), "{case:?}");
            bench.inner.shut_down().await;
            log(&task).await;
            nothing_is_left(&bench, &case).await;
        }
    }
}

/// What a dropped host does, before and while and after its task is born.
#[tokio::test]
async fn f22_a_host_that_is_dropped_at_any_moment_leaves_no_task_running() {
    for turns in 0..12 {
        let bench = bench();
        let mut start = Lane::new({
            let inner = std::sync::Arc::clone(&bench.inner);
            async move { inner.start(keyed()).await }
        });
        start.step();
        for _ in 0..turns {
            yield_now().await;
        }
        start.step();
        bench.inner.stop_everything();
        bench.inner.actors.lock().unwrap().detach_all();
        settle().await;
        start.step();
        let Some(Ok(task)) = start.result else { panic!("it was stored, so it is a task: {turns}") };
        assert!(matches!(task.state().outcome, Some(Outcome::Cancelled { by: Party::Host, .. })), "{turns}");
        log(&task).await;
        nothing_is_left(&bench, &turns).await;
    }
}
