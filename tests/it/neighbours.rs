//! What one task does to those beside it: nothing.

use std::time::Duration;

use serde_json::json;
use taskcell::Outcome;

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
