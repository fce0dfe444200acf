//! T2: host calls without end, cheap ones and large ones. Each is ready at once, so nothing but the host makes them give
//! way.

use std::time::Duration;

use serde_json::json;
use taskcell::{FailureKind, Outcome, StartRequest};

use crate::support::alone::alone;
use crate::support::component::{Handmade, MANIFEST_AT};
use crate::support::imports::{self, Imports};
use crate::support::oracle::{Bounds, Watched};
use crate::support::task::{failed, forced, outcome, please_stop, start, start_as, started};
use crate::support::within;

/// For half a dozen guests: the pool keeps 2 MiB of each one's memory, and the host their newest output.
const SIX: Bounds = Bounds { at_most: 256 << 20, left_over: 80 << 20 };

/// A guest that does this over and over.
fn for_ever(set: &Imports, body: &str) -> Handmade {
    Handmade::new("made").imports(set).run(format!("(loop {body} (br 0)) unreachable"))
}

fn go() -> StartRequest {
    StartRequest::new("made", "go")
}

/// Beside several of these at once a neighbour makes its steps, and each of them is cancelled in the middle.
async fn leaves_room_and_is_cancelled(plugin: Handmade) {
    let watched = Watched::new().await;
    watched.load(&plugin.pages(16)).await;
    watched
        .withstands_within(SIX, async |beside| {
            // More than there are cores.
            let mut tasks = Vec::new();
            for _ in 0..6 {
                let task = start_as(beside.host, go()).await;
                started(&task).await;
                tasks.push(task);
            }
            for task in &tasks {
                beside.goes_on_while(task).await;
            }
            for task in &tasks {
                within(task.cancel(please_stop().grace(Duration::ZERO))).await;
                assert_eq!(outcome(task).await, forced());
                beside.goes_on().await;
            }
            tasks
        })
        .await;
}

#[test]
fn t02_a_storm_of_cheap_calls_leaves_room_and_is_cancelled() {
    alone(|| leaves_room_and_is_cancelled(for_ever(&imports::TASK, "(call $heartbeat)")));
}

#[test]
fn t02_texts_of_1_mib_leave_room_and_are_cancelled() {
    let body = format!(
        "(call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const {MANIFEST_AT}) (i32.const {}))",
        1 << 20
    );
    alone(|| leaves_room_and_is_cancelled(for_ever(&imports::LOG, &body)));
}

#[test]
fn t02_bytes_of_1_mib_leave_room_and_are_cancelled() {
    let body =
        format!("(call $write (i32.const 0) (i32.const {MANIFEST_AT}) (i32.const {}) (i32.const 2048))", 1 << 20);
    alone(|| leaves_room_and_is_cancelled(for_ever(&imports::OUTPUT, &body)));
}

#[test]
fn t02_clocks_and_random_numbers_leave_room_and_are_cancelled() {
    // Synchronous functions of WASI, which never wait.
    alone(|| {
        leaves_room_and_is_cancelled(for_ever(
            &imports::CLOCK_AND_RANDOM,
            "(drop (call $now)) (drop (call $random-u64))",
        ))
    });
}

#[test]
fn t02_a_storm_of_calls_burns_fuel_and_ends() {
    alone(|| async {
        let watched = Watched::new().await;
        watched.load(&for_ever(&imports::TASK, "(call $heartbeat)")).await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, go().fuel(5_000_000)).await;
                failed(outcome(&task).await, FailureKind::OutOfFuel);
                assert!(task.state().usage.host_calls > 10_000);
                vec![task]
            })
            .await;
    });
}

#[test]
fn t02_millions_of_cheap_calls_come_to_their_end() {
    // Two and not ten, so that it takes seconds in a build that is not optimised; the storms above have no end at all.
    let body = "(local $left i32) (local.set $left (i32.const 2000000))
        (loop (call $heartbeat)
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br_if 0 (local.get $left)))
        (i32.const 1024)";
    alone(|| async {
        let watched = Watched::new().await;
        watched.load(&Handmade::new("made").imports(&imports::TASK).run(body)).await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, go()).await;
                beside.goes_on_while(&task).await;
                assert!(matches!(outcome(&task).await, Outcome::Succeeded { .. }));
                assert_eq!(task.state().usage.host_calls, 2_000_000);
                vec![task]
            })
            .await;
    });
}

#[test]
fn t02_calls_that_a_real_guest_makes_leave_room_and_are_cancelled() {
    let floods = ["log", "clock", "random", "fuel", "progress", "write", "cancel-requested"];
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands_within(SIX, async |beside| {
                let mut tasks = Vec::new();
                for kind in floods {
                    let bytes = if matches!(kind, "log" | "write") { 1 << 20 } else { 64 };
                    let task = start(beside.host, "call-flood", json!({"kind": kind, "bytes": bytes})).await;
                    started(&task).await;
                    tasks.push(task);
                }
                // A bulk instruction cannot be interrupted, only given little to do: 64 MiB are a few milliseconds.
                let fill = start(beside.host, "fill", json!({"mib": 64})).await;
                started(&fill).await;
                tasks.push(fill);
                for task in &tasks {
                    beside.goes_on_while(task).await;
                    within(task.cancel(please_stop().grace(Duration::ZERO))).await;
                    assert_eq!(outcome(task).await, forced());
                }
                tasks
            })
            .await;
    });
}

/// As many calls without a loop's head between them as never let the host's own rhythm and the guest's fall together.
fn in_a_row(call: &str) -> String {
    call.repeat(72)
}

#[test]
fn t02_a_storm_of_calls_in_a_row_leaves_room_and_is_cancelled() {
    alone(|| leaves_room_and_is_cancelled(for_ever(&imports::TASK, &in_a_row("(call $heartbeat)"))));
}

#[test]
fn t02_thousands_of_1_mib_texts_in_a_row_leave_room_and_are_cancelled() {
    // Between them the guest's code does not look at its fuel even once.
    let call = format!(
        "(call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const {MANIFEST_AT}) (i32.const {}))",
        1 << 20
    );
    alone(|| leaves_room_and_is_cancelled(for_ever(&imports::LOG, &call.repeat(3000))));
}
