//! T15: tasks that wait for each other end at their deadlines, and a fork bomb at the limits of its tree.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{
    CancelRequest, Concurrency, EventBody, FailureKind, Grants, Host, LimitsRequest, Outcome, Party, SimulatedClock,
    TaskHandle, TaskKey,
};

use crate::support::alone::alone;
use crate::support::oracle::{Bounds, Watched};
use crate::support::task::{failed, outcome, parked, seen, start_as};
use crate::support::{builder, request, within};

#[test]
fn t15_tasks_that_wait_for_each_other_end_at_their_deadlines() {
    alone(|| async {
        let clock = Arc::new(SimulatedClock::new());
        let watched = Watched::with(builder().clock(clock.clone())).await;
        watched
            .withstands(async |beside| {
                // Each waits for the other's signal, and would send its own only then.
                let waits = |own: &str, peer: &str| {
                    let request = request("two-way", json!({"peer": peer})).timeout(Duration::from_secs(5));
                    let may_signal = Grants::default().signal();
                    request.key(TaskKey::new(own).unwrap()).grants(may_signal)
                };
                let one = start_as(beside.host, waits("a", "b")).await;
                let other = start_as(beside.host, waits("b", "a")).await;
                parked(&one, 1).await;
                parked(&other, 1).await;
                beside.goes_on_while(&one).await;
                clock.advance(Duration::from_secs(5));
                failed(outcome(&one).await, FailureKind::Timeout);
                failed(outcome(&other).await, FailureKind::Timeout);
                vec![one, other]
            })
            .await;
    });
}

#[test]
fn t15_a_parent_and_a_child_that_wait_for_each_other_end_at_their_deadlines() {
    alone(|| async {
        let clock = Arc::new(SimulatedClock::new());
        let watched = Watched::with(builder().clock(clock.clone())).await;
        watched
            .withstands(async |beside| {
                // It waits for the child's end, and the child for a signal that nobody sends.
                let children = json!({"children": [{"task_type": "wait", "input": {"key": "never"}}]});
                let parent = request("family", children).timeout(Duration::from_secs(5));
                let parent = start_as(beside.host, parent).await;
                seen(&parent, |body| matches!(body, EventBody::ChildWaitStarted { .. })).await;
                let child = beside.host.task(parent.state().children[0].id).unwrap();
                parked(&child, 1).await;
                beside.goes_on_while(&parent).await;
                clock.advance(Duration::from_secs(5));
                failed(outcome(&parent).await, FailureKind::Timeout);
                failed(outcome(&child).await, FailureKind::Timeout);
                vec![parent, child]
            })
            .await;
    });
}

/// How many copies may live at once.
const TREE: u32 = 24;

/// For so many guests, and what the allocator keeps of them.
const FOR_ALL: Bounds = Bounds { at_most: 1 << 30, left_over: 64 << 20 };

/// Every task of a tree of copies, once each of them has tried to make more and may not.
async fn full_grown(host: &Host, root: &TaskHandle) -> Vec<TaskHandle> {
    let mut tasks = vec![root.clone()];
    let mut at = 0;
    while let Some(task) = tasks.get(at).cloned() {
        parked(&task, 1).await;
        let started = task.state().children.into_iter().filter(|child| child.outcome.is_none());
        tasks.extend(started.map(|child| host.task(child.id).unwrap()));
        at += 1;
    }
    tasks
}

/// Starts a fork bomb under these limits, and returns how many copies there were when none could be made any more, after
/// all of them were stopped by stopping the first.
async fn bomb(limits: &LimitsRequest) -> usize {
    let watched = Watched::with(builder()).await;
    let mut copies = 0;
    watched
        .withstands_within(FOR_ALL, async |beside| {
            let root = start_as(beside.host, request("fork", json!(null)).limits(*limits)).await;
            let tasks = full_grown(beside.host, &root).await;
            copies = tasks.len();
            for task in &tasks {
                let report = task.state().progress.unwrap().message;
                assert!(report.ends_with("too-large"), "{report}");
            }
            beside.goes_on_while(&root).await;
            within(root.cancel(CancelRequest::new(Party::Person, "enough"))).await;
            for task in &tasks {
                let ended = outcome(task).await;
                assert!(matches!(ended, Outcome::Cancelled { by: Party::Person, .. }), "{ended:?}");
            }
            tasks
        })
        .await;
    copies
}

#[test]
fn t15_a_fork_bomb_ends_at_the_limit_of_its_tree() {
    alone(|| async {
        let copies = bomb(&LimitsRequest::default().tree(TREE)).await;
        assert_eq!(copies, TREE as usize);
    });
}

#[test]
fn t15_a_fork_bomb_ends_at_the_limits_of_children_and_depth() {
    alone(|| async {
        // Two, four and eight below the first.
        assert_eq!(bomb(&LimitsRequest::default().children(2).tree_depth(3)).await, 1 + 2 + 4 + 8);
    });
}

#[test]
fn t15_a_fork_bomb_on_a_full_host_waits_for_its_turn_and_goes_when_it_is_stopped() {
    alone(|| async {
        // Everything as it is by default, on a host that has room for a few.
        let watched =
            Watched::with(builder().running_max(8).concurrency(Concurrency::of(8).per_plugin(8).per_parent(2))).await;
        watched
            .withstands_within(FOR_ALL, async |beside| {
                let root = start_as(beside.host, request("fork", json!(null))).await;
                parked(&root, 1).await;
                within(root.cancel(CancelRequest::new(Party::Person, "enough").grace(Duration::ZERO))).await;
                let ended = outcome(&root).await;
                assert!(matches!(ended, Outcome::Cancelled { .. }), "{ended:?}");
                let mut tasks = vec![root];
                let mut at = 0;
                while let Some(task) = tasks.get(at).cloned() {
                    outcome(&task).await;
                    tasks.extend(task.state().children.iter().filter_map(|child| beside.host.task(child.id)));
                    at += 1;
                }
                tasks
            })
            .await;
    });
}
