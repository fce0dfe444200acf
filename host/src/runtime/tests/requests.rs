//! What else a request says: where its caller waits, what its result must be, when it begins, whose child it is.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, beside, request, script, settle, success};
use super::races::steps::Stepping;
use super::starting::{deaf, go, named, polite, poll, replacing, starting};
use crate::model::admission::Concurrency;
use crate::model::details::Routing;
use crate::model::event::{EventBody, EventSeq};
use crate::model::ids::TaskKey;
use crate::model::limits::LimitsRequest;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::permission::{ApprovalKinds, Permission};
use crate::model::request::{CancelRequest, KeyPolicy, StartRequest};
use crate::model::retry::RetryPolicy;
use crate::model::scratch::ScratchPolicy;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock as _;
use crate::runtime::desk::Desk;
use crate::runtime::handle::TaskHandle;
use crate::runtime::routing::{RoutingPolicy, Started, run};
use crate::runtime::start_error::StartError;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn r15_a_foreground_task_is_ready_a_background_one_pending() {
    let bench = polite();
    let running = beside({
        let inner = Arc::clone(&bench.inner);
        async move { run(&inner, named().routing(Routing::Foreground)).await }
    });
    settle().await;
    assert!(!running.is_finished());
    let live = bench.inner.registry.live();
    let task = TaskHandle::new(Arc::clone(&live[0]));
    assert_eq!(task.state().details.routing, Some(Routing::Foreground), "what was decided is in its details");
    go(&task).await;
    let ready = running.end().await.unwrap();
    assert!(matches!(&ready, Started::Ready { outcome: Outcome::Succeeded { .. }, .. }), "{ready:?}");
    assert_eq!((ready.task().id(), ready.outcome().is_some()), (task.id(), true));

    let pending = run(&bench.inner, request()).await.unwrap();
    assert!(matches!(&pending, Started::Pending(_)) && pending.outcome().is_none());
    let EventBody::Created { details, .. } =
        pending.task().events(EventSeq::default()).next().await.unwrap().unwrap().body
    else {
        panic!("it was not created")
    };
    assert_eq!(details.routing, Some(Routing::Background));
}

#[tokio::test]
async fn r14_the_caller_is_detached_when_its_time_is_over_and_the_task_goes_on() {
    let bench = polite();
    let waits = |after| {
        let inner = Arc::clone(&bench.inner);
        beside(async move { run(&inner, request().routing(Routing::DetachAfter { after })).await })
    };
    let running = waits(SECOND * 10);
    bench.advance(SECOND * 9).await;
    assert!(!running.is_finished());
    bench.advance(SECOND).await;
    let Started::Pending(task) = running.end().await.unwrap() else { panic!("it has not ended") };
    assert_eq!(task.state().outcome, None);
    go(&task).await;
    let running = waits(SECOND * 10);
    settle().await;
    go(&TaskHandle::new(Arc::clone(&bench.inner.registry.live()[0]))).await;
    assert!(matches!(running.end().await.unwrap(), Started::Ready { .. }), "in time");
}

#[tokio::test]
async fn r14_whoever_drops_the_call_does_not_detach() {
    let bench = polite();
    let inner = Arc::clone(&bench.inner);
    let mut running = Box::pin(async move { run(&inner, request().routing(Routing::Foreground)).await });
    assert!(poll(&mut running).is_pending());
    drop(running);
    settle().await;
    let task = TaskHandle::new(Arc::clone(&bench.inner.registry.live()[0]));
    assert!(!task.state().background, "nobody has detached it");
    go(&task).await;
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
}

#[tokio::test]
async fn r11_a_key_that_is_written_like_an_id_is_kept_for_tasks_without_one() {
    let bench = polite();
    let without = bench.inner.start(request()).await.unwrap();
    let own = without.task_ref().key.clone();
    for policy in [KeyPolicy::Reject, KeyPolicy::Join] {
        let again = bench.inner.start(request().key(own.clone()).on_key_in_use(policy)).await;
        assert!(matches!(again, Err(StartError::KeyLikeId)), "{again:?}");
    }
    let mut near = own.to_string();
    near.replace_range(..1, "g");
    bench.inner.start(request().key(TaskKey::new(near).unwrap())).await.unwrap();
    go(&without).await;
}

#[tokio::test]
async fn r14_the_hosts_policy_decides_what_the_request_leaves_open() {
    let mut bench = Bench::new(script(|_| async { success(None) }));
    bench.inner_mut().routing = RoutingPolicy::new(|request, task_type| {
        assert_eq!(request.details.routing, None, "one that says it itself is not asked about");
        (task_type.name == "script" && request.plugin == "other").then_some(Routing::Foreground)
    });
    let of = |plugin: &str| StartRequest::new(plugin, "script");
    assert!(matches!(run(&bench.inner, of("other")).await.unwrap(), Started::Ready { .. }));
    assert!(matches!(run(&bench.inner, of("scripted")).await.unwrap(), Started::Pending(_)));
    let own = of("other").routing(Routing::Background);
    assert!(matches!(run(&bench.inner, own).await.unwrap(), Started::Pending(_)), "its own word counts");
    assert!(matches!(run(&bench.inner, of("nobody")).await, Err(StartError::UnknownPlugin { .. })));
}

#[tokio::test]
async fn r10_a_result_is_held_against_the_requests_own_schema() {
    let bench = Bench::new(script(|_| async { success(json!("seven")) }));
    let fits = bench.inner.start(request().output_schema(json!({"enum": ["six", "seven"]}))).await.unwrap();
    assert!(matches!(fits.wait().await, Outcome::Succeeded { .. }));
    let schema = json!({"type": "string", "maxLength": 2});
    let fails = bench.inner.start(request().output_schema(schema.clone())).await.unwrap();
    let Outcome::Failed(failure) = fails.wait().await else { panic!("it does not fit") };
    assert!(failure.kind == FailureKind::Guest && failure.message.contains("the request's schema"), "{failure:?}");
    assert_eq!(fails.state().details.output_schema, Some(schema));
    let long = json!({"enum": ["x".repeat(70_000)]});
    let deep = (0..40).fold(json!(true), |inner, _| json!({"items": inner}));
    for bad in [json!({"type": "nothing"}), json!({"$ref": "https://example.org/"}), long, deep] {
        let refused = bench.inner.start(request().output_schema(bad)).await;
        assert!(matches!(refused, Err(StartError::OutputSchema(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn r10_a_task_begins_after_a_time_or_at_a_moment_whichever_is_later() {
    let bench = polite();
    let now = bench.clock.date().0;
    for (request, at) in [
        (request().run_after(SECOND * 5), now + 5_000),
        (request().run_after(SECOND * 5).run_at(Timestamp(now + 1)), now + 5_000),
        (request().run_after(SECOND * 5).run_at(Timestamp(now + 9_000)), now + 9_000),
    ] {
        let task = bench.inner.start(request).await.unwrap();
        assert_eq!(task.state().details.run_at, Some(Timestamp(at)));
        assert_eq!(task.state().phase, Phase::Delayed);
        task.cancel(CancelRequest::force(Party::Host, "")).await;
    }
    let task = bench.inner.start(request().run_after(SECOND * 5).retry(RetryPolicy::attempts(2))).await.unwrap();
    bench.advance(SECOND * 4).await;
    assert_eq!(task.state().phase, Phase::Delayed);
    bench.advance(SECOND).await;
    assert_eq!(task.state().phase, Phase::Running);
}

#[tokio::test]
async fn r10_an_embedder_gives_a_task_a_child_under_the_rules_for_a_guests() {
    let bench = polite();
    let mut of_parent = request().session("s").priority(3).fuel(1000);
    of_parent.details.user = Some("ada".to_owned());
    let parent = bench.inner.start(of_parent).await.unwrap();
    settle().await;
    let child = bench.inner.start(request().parent(parent.id()).fuel(300)).await.unwrap();
    let details = child.state().details;
    assert_eq!((details.session.as_deref(), details.user.as_deref(), details.priority), (Some("s"), Some("ada"), 3));
    let known = parent.state().children;
    assert_eq!((known[0].id, known[0].fuel, known[0].outcome), (child.id(), 300, None));
    let half = bench.inner.start(request().parent(parent.id())).await.unwrap();
    assert_eq!(half.state().fuel_budget, 350, "half of what is left");
    let refused = bench.inner.start(request().parent(parent.id()).fuel(351)).await;
    assert!(matches!(&refused, Err(StartError::ParentRefuses { reason, .. }) if reason.contains("350")), "{refused:?}");
    go(&half).await;
    settle().await;
    let more = bench.inner.start(request().parent(parent.id()).fuel(700)).await.unwrap();
    assert_eq!(more.state().fuel_budget, 700, "what a child did not use came back");
    parent.cancel(CancelRequest::new(Party::Person, "enough").grace(SECOND)).await;
    assert!(matches!(child.wait().await, Outcome::Succeeded { .. }), "it was asked to stop too");
    assert_eq!(child.state().cancel.map(|request| request.reason).as_deref(), Some("enough"));
    parent.wait().await;
    let late = bench.inner.start(request().parent(parent.id())).await;
    assert!(matches!(late, Err(StartError::ParentGone { parent: gone }) if gone == parent.id()));
}

#[tokio::test]
async fn r10_an_embedders_child_has_its_parents_permission_and_scratch_policy() {
    let mut bench = polite();
    bench.inner_mut().approve_in_advance = ApprovalKinds::only(["lint"]);
    let mut of_parent = request();
    of_parent.details.permission = Permission::deny_all();
    of_parent.details.scratch = Some(ScratchPolicy::KeepOnFailure);
    let parent = bench.inner.start(of_parent).await.unwrap();
    settle().await;
    let details = |task: &TaskHandle| {
        let details = task.state().details;
        (details.permission, details.scratch)
    };
    let child = bench.inner.start(request().parent(parent.id()).fuel(100)).await.unwrap();
    assert_eq!(details(&child), (Permission::deny_all(), Some(ScratchPolicy::KeepOnFailure)));
    let mut own = request().parent(parent.id()).fuel(100);
    own.details.permission = Permission::approve(ApprovalKinds::only(["lint"]));
    own.details.scratch = Some(ScratchPolicy::Remove);
    let other = bench.inner.start(own.clone()).await.unwrap();
    assert_eq!(details(&other), (own.details.permission, None), "what goes with the cell is not written down");
}

#[tokio::test]
async fn r13_a_child_that_its_parent_may_not_have_changes_nothing() {
    let mut bench = deaf();
    (bench.inner_mut().limits.tree, bench.inner_mut().limits.children) = (3, 5);
    let parent = bench.inner.start(named()).await.unwrap();
    settle().await;
    let child = || request().parent(parent.id());
    let ancestor = bench.inner.start(replacing().parent(parent.id())).await;
    assert!(matches!(ancestor, Err(StartError::KeyInUse { .. })), "it would have no parent");
    bench.inner.start(child().key(TaskKey::new("c").unwrap())).await.unwrap();
    bench.inner.start(child()).await.unwrap();
    let seq = parent.state().seq;
    let full = child().key(TaskKey::new("c").unwrap()).on_key_in_use(KeyPolicy::replace(Party::Host));
    for refused in [child(), full, child().input(json!(1))] {
        bench.inner.start(refused).await.unwrap_err();
    }
    settle().await;
    assert_eq!(parent.state().seq, seq, "its log says nothing of it");
    assert!(bench.inner.registry.live().iter().all(|task| task.state().cancel.is_none()));
}

#[tokio::test]
async fn r18_a_childs_fuel_is_lent_before_the_child_is_written_down_and_comes_back_when_it_is_refused() {
    let mut bench = polite();
    bench.around_mut().store = Arc::new(Stepping::default());
    let limits = LimitsRequest { fuel: Some(100), children: Some(1), ..LimitsRequest::default() };
    let parent = bench.inner.start(request().limits(limits)).await.unwrap();
    settle().await;
    // Both find room, and one has it.
    let of_parent = || request().parent(parent.id()).fuel(40);
    let children = [beside(starting(&bench, of_parent())), beside(starting(&bench, of_parent()))];
    let mut seen = Vec::new();
    for _ in 0..50 {
        tokio::task::yield_now().await;
        let state = parent.shared().state();
        seen.push((parent.shared().gauges.fuel_used(), state.children.len()));
    }
    assert!(seen.contains(&(40, 0)), "{seen:?}");
    assert!(seen.iter().all(|(lent, children)| *lent >= 40 || *children == 0), "{seen:?}");
    assert_eq!(seen.last(), Some(&(40, 1)), "{seen:?}");
    let mut started = 0;
    for child in children {
        match child.end().await {
            Ok(_) => started += 1,
            Err(error) => assert!(matches!(error, StartError::ParentRefuses { .. }), "{error}"),
        }
    }
    assert_eq!(started, 1);
}

async fn later<T>(turns: usize, then: impl Future<Output = T>) -> T {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    then.await
}

#[tokio::test]
async fn t45_a_child_that_is_started_while_its_parent_ends_is_refused_or_ends_with_it() {
    for detached in [false, true] {
        let mut bench = polite();
        bench.around_mut().store = Arc::new(Stepping::default());
        let mut seen = [0; 2];
        for turns in 0..80 {
            let parent = bench.inner.start(request()).await.unwrap();
            settle().await;
            let known = bench.inner.registry.known();
            let mut child = request().parent(parent.id());
            child.details.detached = detached;
            // First the one and then the other, so many turns apart.
            let (early, late) = if turns % 2 == 0 { (0, turns / 2) } else { (turns / 2, 0) };
            let child = beside(later(early, starting(&bench, child)));
            let ends = beside(later(late, {
                let parent = parent.clone();
                async move { go(&parent).await }
            }));
            ends.end().await;
            let (case, started) = (format!("after {turns} turns, detached: {detached}"), child.end().await);
            seen[usize::from(started.is_ok())] += 1;
            settle().await;
            let born = bench.inner.registry.known() - known;
            match started {
                Ok(child) => {
                    if detached && child.shared().outcome().is_none() {
                        go(&child).await;
                    }
                    child.wait().await;
                    assert_eq!(born, 1, "{case}");
                }
                Err(StartError::ParentGone { .. }) => assert_eq!(born, 0, "{case}: what is refused does not exist"),
                Err(error) => panic!("{error}: {case}"),
            }
            parent.gone().await;
        }
        assert!(seen[0] > 0 && seen[1] > 0, "both come first at some time: {seen:?}");
        settle().await;
        assert_eq!(bench.inner.registry.claims(), (0, 0));
    }
}

#[tokio::test]
async fn r17_a_session_and_a_parent_have_limits_of_their_own_and_wait_by_priority() {
    let mut bench = deaf();
    bench.inner_mut().desk = Arc::new(Desk::new(Concurrency::of(9).per_session(2).per_parent(1)));
    let parent = bench.inner.start(request()).await.unwrap();
    settle().await;
    let mut of_parent = Vec::new();
    for priority in [0, 1, 2] {
        of_parent.push(bench.inner.start(request().parent(parent.id()).fuel(10).priority(priority)).await.unwrap());
    }
    let mut of_session = Vec::new();
    for _ in 0..3 {
        of_session.push(bench.inner.start(request().session("s")).await.unwrap());
    }
    settle().await;
    let phases = |tasks: &[TaskHandle]| tasks.iter().map(|task| task.state().phase).collect::<Vec<_>>();
    assert_eq!(phases(&of_parent), [Phase::Running, Phase::Queued, Phase::Queued]);
    assert_eq!(phases(&of_session), [Phase::Running, Phase::Running, Phase::Queued]);
    of_parent[0].cancel(CancelRequest::force(Party::Host, "")).await;
    of_parent[0].gone().await;
    settle().await;
    assert_eq!(phases(&of_parent), [Phase::Ended, Phase::Queued, Phase::Running], "the more important goes first");
}
