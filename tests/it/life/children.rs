//! Tasks that start other tasks.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{
    ChildOutcome, EventBody, FailureKind, Grants, Host, LimitsRequest, Outcome, Party, SimulatedClock, StartRequest,
    TaskHandle, TaskId,
};

use crate::support::task::{
    asked_to_stop, data, events, failed, key, outcome, parked, please_stop, reported, result, seen, start, start_as,
};
use crate::support::{builder, fixture, guest, request, with_fixture, within};

/// A parent that starts these, waits for the signal `now`, and then does the rest.
#[expect(clippy::needless_pass_by_value, reason = "both are written where it is called")]
fn family(children: Value, rest: Value) -> StartRequest {
    let mut input = json!({"children": children, "until": "now"});
    for (name, value) in rest.as_object().unwrap() {
        input[name] = value.clone();
    }
    request("family", input)
}

/// Starts such a parent, and returns it when its children live, with them.
async fn with_children(host: &Host, family: StartRequest) -> (TaskHandle, Vec<TaskHandle>) {
    let parent = start_as(host, family).await;
    parked(&parent, 1).await;
    let children = children_of(host, &parent);
    (parent, children)
}

fn children_of(host: &Host, parent: &TaskHandle) -> Vec<TaskHandle> {
    parent.state().children.iter().map(|child| host.task(child.id).unwrap()).collect()
}

async fn go_on(parent: &TaskHandle) {
    within(parent.notify(key("now"), None, Party::Host)).await;
}

fn waits() -> Value {
    json!({"task_type": "wait", "input": {"key": "never"}})
}

/// How a child was told to stop.
fn stopped(outcome: Outcome) -> Value {
    // `wait` returns what ended it.
    assert_eq!(data(outcome), json!({"result": "cancelled"}));
    Value::Null
}

#[tokio::test]
async fn r18_a_task_starts_two_others_and_adds_their_results() {
    let (host, _) = fixture().await;
    let task = start(&host, "sum-in-two", json!(vec![0; 7])).await;
    assert_eq!(data(outcome(&task).await), json!(6 + 10));
    let log = events(&task).await;
    let mut told = Vec::new();
    for event in &log {
        match &event.body {
            EventBody::ChildStarted { child, task, fuel, detached: false, .. } => {
                assert_eq!((task.plugin.as_str(), task.task_type.as_str()), ("fixture", "busy-sum"));
                assert!(*fuel > 0);
                told.push((*child, None));
            }
            EventBody::ChildEnded { child, outcome, .. } => {
                told.iter_mut().find(|(id, _)| id == child).unwrap().1 = Some(*outcome);
            }
            _ => {}
        }
    }
    let known: Vec<(TaskId, _)> = task.state().children.iter().map(|child| (child.id, child.outcome)).collect();
    assert_eq!(told, known);
    assert_eq!(known.iter().map(|(_, end)| *end).collect::<Vec<_>>(), [Some(ChildOutcome::Succeeded); 2]);
}

#[tokio::test]
async fn r18_a_child_is_looked_after_and_stopped_and_only_its_parent_may() {
    let (host, _) = fixture().await;
    let told = result(&host, "steer-child", Value::Null).await;
    let end = json!({"succeeded": {"result": "cancelled"}});
    let seen = json!({
        "name": ["fixture", "wait", "child"], "running": true, "looked": null, "waited": null, "alive": true,
        "stopped": true, "end": end, "again": end, "over": true, "left": 0, "stopped_again": false,
    });
    assert_eq!(told["seen"], seen);
    for refused in told["strangers"].as_array().unwrap() {
        assert_eq!(refused["refused"], "not-found");
    }
}

#[tokio::test]
async fn r38_a_child_is_tried_again() {
    let (host, _) = fixture().await;
    let fails = json!({"task_type": "fail", "input": {"message": "no", "retryable": true}, "attempts": 3});
    let parent = start_as(&host, request("family", json!({"children": [fails]}))).await;
    assert_eq!(data(outcome(&parent).await), json!([{"failed": "guest", "message": "no"}]));
    let child = children_of(&host, &parent).remove(0);
    assert_eq!(child.state().attempt, 3);
}

#[tokio::test]
async fn f14_a_parent_keeps_the_results_of_its_ended_children_only_so_far() {
    let (host, _) = with_fixture(builder().ended_max(0)).await;
    let large = json!({"task_type": "big-result", "input": {"mib": 3}});
    let parent = start_as(&host, family(json!(vec![large; 24]), json!({"in_turn": true}))).await;
    parked(&parent, 1).await;
    let ids: Vec<TaskId> = parent.state().children.iter().map(|child| child.id).collect();
    // The host forgets some of them with each task that ends, unless somebody has them.
    for _ in 0..4 {
        result(&host, "echo", json!(1)).await;
    }
    assert!(host.task(ids[0]).is_none(), "the oldest is not kept any more");
    assert!(host.task(ids[23]).is_some(), "the newest is");
    go_on(&parent).await;
    outcome(&parent).await;
}

#[tokio::test]
async fn r18_a_childs_fuel_is_its_parents_and_what_is_left_comes_back() {
    const FUEL: u64 = 2_000_000_000;
    let (host, _) = fixture().await;
    // Each of the first two gets half of what is left: without what comes back the third could not have so much.
    let child = json!({"task_type": "busy-sum", "input": {"n": 1_000_000}});
    let mut last = child.clone();
    last["fuel"] = json!(FUEL / 10 * 9);
    let in_turn = json!({"children": [child, child, last], "in_turn": true});
    let parent = start_as(&host, request("family", in_turn).fuel(FUEL)).await;
    let sum = json!({"succeeded": 500_000_500_000_u64});
    assert_eq!(data(outcome(&parent).await), json!([sum, sum, sum]));
    let mut below = 0;
    for child in children_of(&host, &parent) {
        let used = child.state().usage.fuel;
        assert!(used > 1_000_000, "{used}");
        below += used;
    }
    let used = parent.state().usage.fuel;
    assert!(used > below && used < FUEL / 2, "{used}, of that by children {below}");
}

#[tokio::test]
async fn r18_a_child_gets_no_more_fuel_than_is_left() {
    let (host, _) = fixture().await;
    let too_much = json!({"children": [
        {"task_type": "echo", "input": 1, "fuel": 1_000_000_001},
        {"task_type": "echo", "input": 1, "fuel": 0},
        {"task_type": "spin", "fuel": 500_000_000},
        {"task_type": "echo", "input": 1},
    ]});
    let parent = start_as(&host, request("family", too_much).fuel(1_000_000_000)).await;
    let ends = data(outcome(&parent).await);
    assert_eq!((&ends[0]["refused"], &ends[1]["refused"]), (&json!("too-large"), &json!("too-large")));
    assert_eq!((&ends[2]["failed"], &ends[3]), (&json!("out-of-fuel"), &json!({"succeeded": 1})));
    assert!(parent.state().usage.fuel >= 500_000_000);
}

#[tokio::test]
async fn r18_what_cannot_be_started_is_refused_and_costs_nothing() {
    let (host, _) = fixture().await;
    let wrong = json!({"children": [
        {"task_type": "nothing"},
        {"task_type": "busy-sum", "input": "many"},
        {"task_type": "echo", "plugin": "hello"},
        {"task_type": "wait", "input": {"key": "a", "timeout_ms": 0}, "key": "same"},
    ]});
    let parent = start(&host, "family", wrong).await;
    let ends = data(outcome(&parent).await);
    let refused = |at: usize| ends[at]["refused"].as_str().unwrap();
    assert_eq!((refused(0), refused(1), refused(2)), ("invalid-argument", "invalid-argument", "denied"));
    assert_eq!(ends[3], json!({"succeeded": {"result": "timed-out"}}));
    let known: Vec<_> = parent.state().children.iter().map(|child| child.outcome).collect();
    let not = Some(ChildOutcome::NotStarted);
    assert_eq!(known, [not, not, Some(ChildOutcome::Succeeded)]);
    assert!(parent.state().usage.fuel < 100_000_000, "{:?}", parent.state().usage);
}

#[tokio::test]
async fn r18_another_plugins_task_needs_the_capability_and_has_no_grants() {
    let (host, _) = fixture().await;
    within(host.load_plugin(guest("hello"))).await.unwrap();
    let other = json!({"children": [{"task_type": "hello", "plugin": "hello", "input": {"name": "you"}}]});
    let parent = start_as(&host, request("family", other).grants(Grants::default().tasks())).await;
    let ends = data(outcome(&parent).await);
    assert!(ends[0]["succeeded"].is_object(), "{ends}");
    let own = json!({"children": [
        {"task_type": "store", "input": [{"set": ["a", "b"]}]},
        {"task_type": "store", "plugin": "fixture", "input": [{"get": "a"}]},
    ], "in_turn": true});
    let parent = start_as(&host, request("family", own).grants(Grants::default().kv())).await;
    // One of its own plugin has what its parent has.
    assert_eq!(data(outcome(&parent).await), json!([{"succeeded": [null]}, {"succeeded": ["b"]}]));
}

#[tokio::test]
async fn r18_a_cancel_reaches_everything_below_and_not_what_is_detached() {
    let (host, _) = fixture().await;
    let middle = json!({"task_type": "family", "input": {"children": [waits()]}});
    let mut detached = waits();
    detached["detached"] = json!(true);
    let (parent, children) = with_children(&host, family(json!([middle, waits(), detached]), json!({}))).await;
    let [middle, below, detached] = children.as_slice() else { panic!("{children:?}") };
    seen(middle, |body| matches!(body, EventBody::ChildWaitStarted { .. })).await;
    let grandchild = children_of(&host, middle).remove(0);
    for task in [below, detached, &grandchild] {
        parked(task, 1).await;
    }
    within(parent.cancel(please_stop().grace(Duration::from_mins(10)))).await;
    let ended = outcome(&parent).await;
    assert!(matches!(ended, Outcome::Cancelled { by: Party::Person, forced: false, .. }), "{ended:?}");
    stopped(outcome(below).await);
    stopped(outcome(&grandchild).await);
    let ended = outcome(middle).await;
    assert!(matches!(ended, Outcome::Cancelled { by: Party::Person, .. }), "it is the person's wish: {ended:?}");
    assert!(detached.state().cancel.is_none() && detached.state().waiting.is_some());
    within(detached.notify(key("never"), None, Party::Host)).await;
    assert_eq!(data(outcome(detached).await)["result"], "signal");
}

#[tokio::test]
async fn r18_the_end_of_a_task_stops_its_children_and_not_what_is_detached() {
    let (host, _) = with_fixture(builder().clock(Arc::new(SimulatedClock::new()))).await;
    let mut detached = waits();
    detached["detached"] = json!(true);
    let leaves = family(json!([waits(), detached]), json!({"leave": true}));
    let (parent, children) = with_children(&host, leaves).await;
    let [bound, detached] = children.as_slice() else { panic!("{children:?}") };
    parked(bound, 1).await;
    parked(detached, 1).await;
    go_on(&parent).await;
    assert_eq!(data(outcome(&parent).await), json!([]));
    stopped(outcome(bound).await);
    let asked = bound.state().cancel.unwrap();
    assert_eq!((asked.by, asked.reason.as_str()), (Party::Task(parent.id()), "the task that started it has ended"));
    assert!(detached.state().cancel.is_none() && detached.state().waiting.is_some());
}

#[tokio::test]
async fn r18_a_stubborn_child_is_stopped_by_force_when_the_grace_is_over() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let (parent, children) = with_children(&host, family(json!([{"task_type": "spin"}]), json!({}))).await;
    reported(&children[0]).await;
    let grace = Duration::from_secs(3);
    within(parent.cancel(please_stop().grace(grace))).await;
    asked_to_stop(&children[0]).await;
    clock.advance(grace);
    let ended = outcome(&children[0]).await;
    assert!(matches!(ended, Outcome::Cancelled { by: Party::Person, forced: true, .. }), "{ended:?}");
}

#[tokio::test]
async fn r18_a_child_has_no_more_time_than_its_parent() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let time = Duration::from_mins(1);
    let mut forever = waits();
    forever["detached"] = json!(true);
    let (parent, children) = with_children(&host, family(json!([forever]), json!({})).timeout(time)).await;
    parked(&children[0], 1).await;
    clock.advance(time);
    failed(outcome(&parent).await, FailureKind::Timeout);
    failed(outcome(&children[0]).await, FailureKind::Timeout);
}

#[tokio::test]
async fn r18_a_task_has_only_so_many_children_at_once() {
    let (host, _) = fixture().await;
    let quick = json!({"task_type": "echo", "input": 1});
    let limits = |limits| request("family", json!({"children": [quick, quick, quick], "in_turn": true})).limits(limits);
    let ends = |outcome| data(outcome).as_array().unwrap().iter().map(|end| end["refused"].clone()).collect::<Vec<_>>();
    let none = Value::Null;
    let one = start_as(&host, limits(LimitsRequest::default().children(1))).await;
    assert_eq!(ends(outcome(&one).await), [none.clone(), none.clone(), none.clone()], "one after the other");
    let in_all = start_as(&host, limits(LimitsRequest::default().children_in_all(2))).await;
    assert_eq!(ends(outcome(&in_all).await), [none.clone(), none.clone(), json!("too-large")]);
    let most = family(json!([waits(), waits()]), json!({"leave": true}));
    let (most, children) = with_children(&host, most.limits(LimitsRequest::default().children(1))).await;
    assert_eq!(children.len(), 1);
    within(most.cancel(please_stop())).await;
    outcome(&most).await;
}

#[tokio::test]
async fn r23_r24_a_family_reaches_its_own_without_a_capability() {
    let (host, _) = fixture().await;
    let waiter = json!({"task_type": "wait-any", "input": {"keys": ["go"], "times": 2}});
    let teller = json!({"task_type": "notify-scope", "input": {"signal": "go", "payload": 1, "all": true}});
    let (parent, children) = with_children(&host, family(json!([waiter]), json!({"end_wait": "go"}))).await;
    parked(&children[0], 1).await;
    go_on(&parent).await;
    // The parent has ended the child's first wait.
    parked(&children[0], 2).await;
    within(children[0].notify(key("go"), Some(json!(7)), Party::Host)).await;
    let ends = data(outcome(&parent).await);
    assert_eq!(ends[0]["succeeded"][0]["result"], "wait-cancelled");
    assert_eq!(ends[0]["succeeded"][1]["payload"], json!(7));

    let waiter = json!({"task_type": "wait-any", "input": {"keys": ["go"]}});
    let told = start(&host, "family", json!({"children": [waiter, waiter, teller]})).await;
    let ends = data(outcome(&told).await);
    for end in [&ends[0], &ends[1]] {
        assert_eq!((&end["succeeded"][0]["payload"], &end["succeeded"][0]["sender"]), (&json!(1), &json!("task")));
    }
    assert_eq!(ends[2], json!({"succeeded": 3}), "the parent is reached as well");
}
