//! T1: loops without end, wherever guest code runs, end by budget, deadline or cancel.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{FailureKind, LoadError, SimulatedClock, StartRequest, TaskHandle};

use crate::support::alone::alone;
use crate::support::builder;
use crate::support::component::Handmade;
use crate::support::oracle::{Beside, Watched};
use crate::support::task::{failed, forced, outcome, please_stop, start_as, started};
use crate::support::{request, within};

const MINUTE: Duration = Duration::from_mins(1);

/// The three ways in which a loop is ended, one after the other, each beside a neighbour that goes on.
async fn ends_in_all_ways(plugin: Option<Handmade>, request: StartRequest) {
    let clock = Arc::new(SimulatedClock::new());
    let watched = Watched::with(builder().clock(clock.clone())).await;
    if let Some(plugin) = &plugin {
        watched.load(plugin).await;
    }
    let request = request.timeout(MINUTE);
    let turns = async |beside: &Beside<'_>| -> TaskHandle {
        let task = start_as(beside.host, request.clone()).await;
        started(&task).await;
        beside.goes_on_while(&task).await;
        task
    };
    watched
        .withstands(async |beside| {
            let task = start_as(beside.host, request.clone().fuel(200_000_000)).await;
            failed(outcome(&task).await, FailureKind::OutOfFuel);
            let used = task.state().usage.fuel;
            assert!((190_000_000..=200_000_000).contains(&used), "{used}");
            vec![task]
        })
        .await;
    watched
        .withstands(async |beside| {
            let task = turns(beside).await;
            clock.advance(MINUTE);
            failed(outcome(&task).await, FailureKind::Timeout);
            vec![task]
        })
        .await;
    watched
        .withstands(async |beside| {
            let task = turns(beside).await;
            within(task.cancel(please_stop().grace(Duration::ZERO))).await;
            assert_eq!(outcome(&task).await, forced());
            vec![task]
        })
        .await;
}

fn go() -> StartRequest {
    StartRequest::new("made", "go")
}

#[test]
fn t01_a_loop_in_run_is_ended_in_all_ways() {
    alone(|| ends_in_all_ways(None, request("spin", json!(null))));
}

#[test]
fn t01_a_loop_in_realloc_is_ended_in_all_ways() {
    // The host asks for room for the input before `run` is called.
    let plugin = Handmade::new("made").realloc("(loop (br 0)) unreachable");
    alone(|| ends_in_all_ways(Some(plugin), go()));
}

#[test]
fn t01_a_loop_in_the_start_function_is_ended_in_all_ways() {
    // `describe` has 50 million units of fuel, and is to come to its end: the loop is for tasks only.
    let plugin = Handmade::new("made")
        .task_function("fuel-remaining", "(result u64)", "(result i64)")
        .field("(func $begin (if (i64.gt_u (call $fuel-remaining) (i64.const 100000000)) (then (loop (br 0)))))")
        .field("(start $begin)");
    alone(|| ends_in_all_ways(Some(plugin), go()));
}

#[test]
fn t01_a_loop_while_loading_is_a_load_error() {
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                for plugin in [
                    Handmade::new("bad").describe("(loop (br 0)) unreachable"),
                    Handmade::new("bad").field("(func $for_ever (loop (br 0))) (start $for_ever)"),
                ] {
                    let error = within(beside.host.load_plugin_bytes("bad", plugin.bytes())).await.unwrap_err();
                    assert!(matches!(&error, LoadError::Describe(text) if text.contains("out-of-fuel")), "{error:?}");
                }
                Vec::new()
            })
            .await;
    });
}

#[test]
fn t01_a_loop_that_grows_its_memory_by_nothing_gets_no_fuel_back() {
    // An instruction that the host does for the guest, whose fuel is in a register meanwhile.
    let plugin = Handmade::new("made").run(
        "(local $left i32)
         (loop
           (local.set $left (i32.const 100))
           (loop
             (local.set $left (i32.sub (local.get $left) (i32.const 1)))
             (br_if 0 (local.get $left)))
           (drop (memory.grow (i32.const 0)))
           (br 0))
         unreachable",
    );
    alone(|| ends_in_all_ways(Some(plugin), go()));
}
