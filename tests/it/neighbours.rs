//! What one task does to those beside it: nothing.

use std::time::Duration;

use serde_json::json;
use taskcell::{Outcome, Phase};

use crate::support::task::{data, forced, outcome, please_stop, reported, result, start, started};
use crate::support::{builder, fixture, with_fixture, within};

/// Ends a task's loop at once.
fn now() -> taskcell::CancelRequest {
    please_stop().grace(Duration::ZERO)
}

#[tokio::test]
async fn r33_a_busy_loop_is_cancelled_and_its_neighbour_goes_on_to_its_end() {
    let (host, _) = fixture().await;
    let busy = start(&host, "spin", json!(null)).await;
    started(&busy).await;
    let neighbour = start(&host, "steps", json!({"n": 2000})).await;
    reported(&neighbour).await;
    within(busy.cancel(now())).await;
    assert_eq!(outcome(&busy).await, forced());
    assert_eq!(data(outcome(&neighbour).await), json!({"done": 2000, "stopped": false}));
}

#[tokio::test]
async fn t01_more_busy_loops_than_cores_leave_room_for_a_neighbour() {
    let (host, _) = fixture().await;
    let mut busy = Vec::new();
    for _ in 0..8 {
        let task = start(&host, "spin", json!(null)).await;
        started(&task).await;
        busy.push(task);
    }
    assert_eq!(result(&host, "steps", json!({"n": 50})).await, json!({"done": 50, "stopped": false}));
    for task in busy {
        assert_eq!(task.state().phase, Phase::Running);
        within(task.cancel(now())).await;
        assert_eq!(outcome(&task).await, forced());
    }
}

#[tokio::test]
async fn r33_of_200_busy_loops_the_cancelled_one_ends_and_no_other() {
    let (host, _) = with_fixture(builder().running_max(256)).await;
    let mut busy = Vec::new();
    for _ in 0..200 {
        let task = start(&host, "spin", json!(null)).await;
        busy.push(task);
    }
    for task in &busy {
        started(task).await;
    }
    let chosen = busy.swap_remove(77);
    within(chosen.cancel(now())).await;
    assert_eq!(outcome(&chosen).await, forced());
    for task in &busy {
        assert_eq!(task.state().phase, Phase::Running);
    }
    within(host.shutdown()).await;
    for task in &busy {
        assert!(matches!(task.state().outcome, Some(Outcome::Cancelled { forced: true, .. })));
    }
}

#[tokio::test]
async fn t05_a_neighbour_of_a_stack_overflow_notices_nothing() {
    let (host, _) = fixture().await;
    let neighbour = start(&host, "steps", json!({"n": 500})).await;
    reported(&neighbour).await;
    for _ in 0..5 {
        let deep = start(&host, "recurse", json!(null)).await;
        assert!(matches!(outcome(&deep).await, Outcome::Failed(_)));
    }
    assert_eq!(data(outcome(&neighbour).await)["done"], json!(500));
}

#[tokio::test]
async fn t46_a_cell_is_as_new_for_every_task() {
    let (host, _) = with_fixture(builder().running_max(2)).await;
    for round in 0..20 {
        // Each dirties its memory, and the next sees none of it; a place is never lost.
        assert_eq!(result(&host, "allocate", json!({"mib": 8})).await, json!(8 << 20));
        let trapped = start(&host, "trap", json!(null)).await;
        assert!(matches!(outcome(&trapped).await, Outcome::Failed(_)), "{round}");
    }
    assert_eq!(result(&host, "echo", json!("fresh")).await, json!("fresh"));
}
