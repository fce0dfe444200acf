//! T3: guests that do nothing for ever: they sleep, they wait, they never say that they are alive.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{FailureKind, LimitsRequest, SimulatedClock, StartRequest, TaskHandle};

use crate::support::alone::alone;
use crate::support::builder;
use crate::support::looks::turn;
use crate::support::oracle::{Beside, Watched};
use crate::support::request;
use crate::support::task::{failed, failure, forced, outcome, parked, please_stop, reported, start_as, started};
use crate::support::within;

const MINUTE: Duration = Duration::from_mins(1);

async fn with_clock() -> (Arc<SimulatedClock>, Watched) {
    let clock = Arc::new(SimulatedClock::new());
    let watched = Watched::with(builder().clock(clock.clone())).await;
    (clock, watched)
}

/// A task that does nothing for ever ends at its deadline, and another one when it is cancelled.
async fn ends(request: StartRequest, at_it: impl AsyncFn(&TaskHandle)) {
    let (clock, watched) = with_clock().await;
    let request = request.timeout(MINUTE);
    let begun = async |beside: &Beside<'_>| {
        let task = start_as(beside.host, request.clone()).await;
        at_it(&task).await;
        beside.goes_on_while(&task).await;
        task
    };
    watched
        .withstands(async |beside| {
            let task = begun(beside).await;
            clock.advance(Duration::from_millis(59_999));
            beside.goes_on_while(&task).await;
            clock.advance(Duration::from_millis(1));
            failed(outcome(&task).await, FailureKind::Timeout);
            vec![task]
        })
        .await;
    watched
        .withstands(async |beside| {
            let task = begun(beside).await;
            within(task.cancel(please_stop().grace(Duration::ZERO))).await;
            assert_eq!(outcome(&task).await, forced());
            vec![task]
        })
        .await;
}

#[test]
fn t03_a_sleep_without_end_ends_at_the_deadline() {
    // The longest that the clock can say.
    alone(|| ends(request("sleep", json!({"ms": u64::MAX / 1_000_000})), started));
}

#[test]
fn t03_a_wait_without_end_ends_at_the_deadline() {
    alone(|| ends(request("wait", json!({"key": "never"})), async |task: &TaskHandle| parked(task, 1).await));
}

fn idle(request: StartRequest, idle: Duration) -> StartRequest {
    request.limits(LimitsRequest::default().idle(idle))
}

#[test]
fn t03_a_loop_that_never_says_that_it_lives_is_given_up() {
    alone(|| async {
        let (clock, watched) = with_clock().await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, idle(request("spin", json!(null)), MINUTE)).await;
                reported(&task).await;
                beside.goes_on_while(&task).await;
                given_up(&clock, beside, &task).await;
                vec![task]
            })
            .await;
    });
}

#[test]
fn t03_a_sleep_is_idle_and_a_wait_is_not() {
    alone(|| async {
        let (clock, watched) = with_clock().await;
        watched
            .withstands(async |beside| {
                let sleeping = idle(request("sleep", json!({"ms": u64::MAX / 1_000_000})), MINUTE);
                let sleeping = start_as(beside.host, sleeping).await;
                started(&sleeping).await;
                let waiting = idle(request("wait", json!({"key": "never"})), MINUTE);
                let waiting = start_as(beside.host, waiting.timeout(30 * MINUTE)).await;
                parked(&waiting, 1).await;
                given_up(&clock, beside, &sleeping).await;
                beside.goes_on_while(&waiting).await;
                clock.advance(30 * MINUTE);
                failed(outcome(&waiting).await, FailureKind::Timeout);
                vec![sleeping, waiting]
            })
            .await;
    });
}

/// Lets time pass until the task is given up as idle, which takes its idle time after its last sign of life.
async fn given_up(clock: &SimulatedClock, beside: &Beside<'_>, task: &TaskHandle) {
    let told = within(async {
        let mut halves = 0;
        loop {
            // The last call may be noticed a little late, and the idle time begins then.
            clock.advance(MINUTE / 2);
            halves += 1;
            turn(beside.host).await;
            if let Some(outcome) = task.state().outcome {
                return outcome;
            }
            assert!(halves < 20, "an idle task lives on: {:?}", task.state());
        }
    })
    .await;
    let told = failure(told);
    assert_eq!(told.kind.word(), "idle", "{told:?}");
    assert!(told.kind.is_limit());
}
