//! A task's signs of life, with a real guest, on a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{FailureKind, LimitsRequest, SimulatedClock};

use crate::support::task::{failed, outcome, please_stop, reported, start_as};
use crate::support::{builder, request, with_fixture, within};

#[tokio::test]
async fn r29_a_guest_that_says_it_is_alive_outlives_its_idle_time_and_a_silent_one_does_not() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let idle = Duration::from_mins(1);
    let limits = || LimitsRequest::default().idle(idle);
    let beats = start_as(&host, request("heartbeat", json!({"sleep_ms": 0})).limits(limits())).await;
    let silent = start_as(&host, request("sleep-quietly", json!({"ms": 3_600_000})).limits(limits())).await;
    reported(&beats).await;
    reported(&silent).await;
    let calls = || beats.state().usage.host_calls;
    for _ in 0..5 {
        let before = calls();
        within(async {
            while calls() <= before + 10 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        clock.advance(idle * 9 / 10);
        tokio::task::yield_now().await;
    }
    failed(outcome(&silent).await, FailureKind::Idle);
    assert_eq!(beats.state().outcome, None, "four times its idle time: {:?}", beats.state());
    within(beats.cancel(please_stop().grace(Duration::ZERO))).await;
    outcome(&beats).await;
}
