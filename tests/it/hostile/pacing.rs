//! A guest's pace is its host's to set: paused in the middle of a loop, topped up, asked for fuel, and stopped with a
//! receipt that says what was done.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{
    CancelAnswer, CancelRequest, ControlAnswer, Effect, Event, EventBody, EventSeq, FailureKind, Host, Party, Phase,
    SimulatedClock, StartRequest, TaskHandle,
};

use crate::support::alone::alone;
use crate::support::builder;
use crate::support::component::{Handmade, MANIFEST_AT};
use crate::support::imports;
use crate::support::looks::elsewhere;
use crate::support::oracle::{Beside, Watched};
use crate::support::request;
use crate::support::task::{data, failed, forced, outcome, please_stop, reported, seen, start, start_as, started};
use crate::support::within;

/// Numbers that take a few thousand million units of fuel to add up.
const NUMBERS: u64 = 600_000_000;
/// Less than that, and more than is burnt before anybody can react.
const BUDGET: u64 = 1_500_000_000;

/// Readings that are the same while a task stands still.
const SAME: u32 = 10;

/// Waits until a paused task burns nothing, and returns what it has burnt: the same at many readings in a row, with others
/// making their steps in between. The slice that was under way when the gate was shut goes on to its end, for which it may
/// have to wait: those steps are made beside their actors, on threads that go before its own.
async fn stands_still(beside: &Beside<'_>, task: &TaskHandle) -> u64 {
    let (mut last, mut same) = (task.state().usage.fuel, 0);
    while same < SAME {
        beside.goes_on().await;
        let now = task.state().usage.fuel;
        assert!(now < last + 10_000_000, "it goes on: {last}, then {now}");
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

#[test]
fn r35_a_loop_is_paused_uses_no_fuel_is_resumed_topped_up_and_finishes() {
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, request("busy-sum", json!({"n": NUMBERS})).fuel(BUDGET)).await;
                reported(&task).await;
                assert_eq!(within(task.pause(Party::Person, "a break")).await, ControlAnswer::Done);
                assert_eq!(within(task.pause(Party::Host, "again")).await, ControlAnswer::Unchanged);
                let paused = task.state().paused.expect("it is paused");
                assert_eq!((paused.by, paused.reason.as_str()), (Party::Person, "a break"));

                let burnt = stands_still(beside, &task).await;
                beside.goes_on_while(&task).await;
                assert_eq!(task.state().usage.fuel, burnt, "a paused task burns nothing");

                assert_eq!(within(task.resume(Party::Person)).await, ControlAnswer::Done);
                assert_eq!(within(task.resume(Party::Person)).await, ControlAnswer::Unchanged);
                // In the middle of its loop, and past what it was given at first.
                assert_eq!(within(task.add_fuel(10 * BUDGET, Party::Person)).await, ControlAnswer::Done);
                let sum = NUMBERS * (NUMBERS + 1) / 2;
                assert_eq!(data(outcome(&task).await), json!(sum));
                let state = task.state();
                assert!(state.usage.fuel > BUDGET, "{}", state.usage.fuel);
                assert_eq!(state.fuel_budget, 11 * BUDGET);
                assert_eq!(state.paused, None);
                vec![task]
            })
            .await;
    });
}

#[test]
fn r48_without_the_fuel_that_would_have_been_added_the_same_loop_runs_out() {
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, request("busy-sum", json!({"n": NUMBERS})).fuel(BUDGET)).await;
                failed(outcome(&task).await, FailureKind::OutOfFuel);
                seen(&task, |body| matches!(body, EventBody::BudgetLow { .. })).await;
                vec![task]
            })
            .await;
    });
}

/// Starts a task that asks for fuel, and waits until it does.
async fn asks(host: &Host, timeout_ms: Option<u64>) -> TaskHandle {
    let input = json!({"units": 5_000, "reason": "one more page", "timeout_ms": timeout_ms});
    let task = start_as(host, request("request-fuel", input).timeout(Duration::from_mins(1))).await;
    seen(&task, |body| matches!(body, EventBody::FuelRequested { .. })).await;
    let asked = task.state().fuel_request.expect("it has asked");
    assert_eq!((asked.units, asked.reason.as_str()), (5_000, "one more page"));
    task
}

async fn answer(task: &TaskHandle) -> Value {
    data(outcome(task).await)
}

#[test]
fn r48_a_request_for_fuel_is_granted_denied_or_ends_by_itself() {
    alone(|| async {
        let clock = Arc::new(SimulatedClock::new());
        let watched = Watched::with(builder().clock(clock.clone())).await;
        watched
            .withstands(async |beside| {
                let granted = asks(beside.host, None).await;
                // Longer than its time: whoever waits for an answer about fuel does not run out of that.
                clock.advance(Duration::from_mins(5));
                beside.goes_on_while(&granted).await;
                assert_eq!(within(granted.add_fuel(7_000, Party::Person)).await, ControlAnswer::Done);
                assert_eq!(answer(&granted).await["granted"], json!(7_000));

                let denied = asks(beside.host, None).await;
                assert_eq!(within(denied.refuse_fuel(Party::Person, "enough")).await, ControlAnswer::Done);
                assert_eq!(answer(&denied).await["refused"], json!("denied"));

                let late = asks(beside.host, Some(1_000)).await;
                clock.advance(Duration::from_secs(1));
                assert_eq!(answer(&late).await["refused"], json!("timed-out"));

                let cancelled = asks(beside.host, None).await;
                within(cancelled.cancel(please_stop())).await;
                assert_eq!(answer(&cancelled).await["refused"], json!("cancelled"));
                vec![granted, denied, late, cancelled]
            })
            .await;
    });
}

#[test]
fn r48_a_loop_that_asks_whenever_it_is_low_is_fed_and_ends() {
    const MORE: u64 = 50_000_000;
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                let input = json!({"units": MORE, "grants": 3});
                let task = start_as(beside.host, request("burn-then-ask", input).fuel(MORE)).await;
                let mut events = task.events(EventSeq::default());
                for number in 0..3 {
                    within(async {
                        let is_asked = |event: Event| matches!(event.body, EventBody::FuelRequested { .. });
                        while !is_asked(events.next().await.unwrap().unwrap()) {}
                    })
                    .await;
                    let answer = within(task.add_fuel(MORE, Party::Agent)).await;
                    assert_eq!(answer, ControlAnswer::Done, "grant {number}");
                }
                assert_eq!(data(outcome(&task).await)["grants"], json!(3));
                assert!(task.state().usage.fuel > MORE);
                vec![task]
            })
            .await;
    });
}

#[test]
fn r33_a_paused_loop_is_cancelled_by_force_all_the_same() {
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                let task = start(beside.host, "spin", json!(null)).await;
                reported(&task).await;
                within(task.pause(Party::Person, "a break")).await;
                stands_still(beside, &task).await;
                within(task.cancel(please_stop().grace(Duration::ZERO))).await;
                assert_eq!(outcome(&task).await, forced());
                within(task.gone()).await;
                vec![task]
            })
            .await;
    });
}

#[test]
fn r33_the_receipt_of_a_cancel_says_when_and_what_was_done_before() {
    // Two messages, and then a loop.
    let plugin = Handmade::new("made").imports(&imports::AGENT).field(r#"(data (i32.const 2500) "half done")"#).run(
        "(call $agent (i32.const 2500) (i32.const 4) (i32.const 0) (i32.const 2048))
             (call $agent (i32.const 2500) (i32.const 9) (i32.const 0) (i32.const 2048))
             (loop (br 0)) unreachable",
    );
    alone(|| async {
        let watched = Watched::new().await;
        watched.load(&plugin).await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, StartRequest::new("made", "go")).await;
                seen(&task, |body| matches!(body, EventBody::AgentMessage { message, .. } if message == "half done"))
                    .await;
                beside.goes_on_while(&task).await;
                let request = CancelRequest::force(Party::Agent, "changed its mind");
                assert_eq!(within(task.cancel(request.clone())).await, CancelAnswer::Requested);
                let receipt = within(task.receipt()).await.expect("it was asked for");
                assert_eq!(receipt.request, request);
                assert_eq!(receipt.outcome, outcome(&task).await);
                assert!(receipt.asked_at <= receipt.outcome_at && receipt.outcome_at <= receipt.gone_at, "{receipt:?}");
                assert!(receipt.to_outcome <= receipt.to_gone, "{receipt:?}");
                let messages: Vec<&str> = receipt
                    .effects
                    .iter()
                    .map(|effect| match effect {
                        Effect::AgentMessage { message, .. } => message.as_str(),
                        other => panic!("{other:?}"),
                    })
                    .collect();
                assert_eq!(messages, ["half", "half done"]);
                assert_eq!(task.state().phase, Phase::Ended);

                let nobody_asked = start(beside.host, "echo", json!(1)).await;
                outcome(&nobody_asked).await;
                assert_eq!(within(nobody_asked.receipt()).await, None);
                vec![task, nobody_asked]
            })
            .await;
    });
}

/// So many processes come and go, and the neighbour makes its further steps, between two looks at a gauge before it is believed:
/// far longer than any bulk operation takes.
const STILL: u32 = 200;

/// Pauses a guest that does this over and over, and sees that it burns nothing.
async fn is_held(plugin: Handmade) {
    let watched = Watched::new().await;
    watched.load(&plugin).await;
    watched
        .withstands(async |beside| {
            let task = start_as(beside.host, StartRequest::new("made", "go")).await;
            started(&task).await;
            beside.goes_on_while(&task).await;
            assert_eq!(within(task.pause(Party::Person, "a break")).await, ControlAnswer::Done);
            // What was under way goes on to its end, and a fill of a large memory says nothing meanwhile.
            let burnt = within(async {
                loop {
                    let burnt = task.state().usage.fuel;
                    for _ in 0..STILL {
                        elsewhere().await;
                    }
                    beside.goes_on_while(&task).await;
                    if task.state().usage.fuel == burnt {
                        break burnt;
                    }
                }
            })
            .await;
            beside.goes_on_while(&task).await;
            assert_eq!(task.state().usage.fuel, burnt, "a paused task burns nothing");
            within(task.resume(Party::Person)).await;
            within(async {
                while task.state().usage.fuel == burnt {
                    elsewhere().await;
                }
            })
            .await;
            within(task.cancel(please_stop().grace(Duration::ZERO))).await;
            assert_eq!(outcome(&task).await, forced());
            vec![task]
        })
        .await;
}

fn over_and_over(body: &str) -> Handmade {
    Handmade::new("made").run(format!("(loop {body} (br 0)) unreachable"))
}

#[test]
fn r35_a_loop_of_fills_is_paused() {
    // A bulk instruction uses up more than a slice at once.
    let fill = format!("(memory.fill (i32.const {MANIFEST_AT}) (i32.const 1) (i32.const {}))", 32 << 20);
    alone(|| is_held(over_and_over(&fill).pages(512)));
}

#[test]
fn r35_a_loop_of_calls_is_paused() {
    alone(|| is_held(over_and_over("(call $heartbeat)").imports(&imports::TASK)));
}

#[test]
fn r35_a_loop_of_calls_in_a_row_is_paused() {
    alone(|| is_held(over_and_over(&"(call $heartbeat)".repeat(72)).imports(&imports::TASK)));
}
