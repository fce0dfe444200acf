//! Tasks without number, each started, held up, cancelled and dropped: nothing of them stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use taskcell::{CancelRequest, Outcome, Party, StartRequest};
use tokio::task::JoinSet;

use crate::support::alone::alone;
use crate::support::builder;
use crate::support::component::Handmade;
use crate::support::imports;
use crate::support::oracle::Watched;
use crate::support::task::{outcome, parked, start_as, started};
use crate::support::within;

const CYCLES: u32 = 20_000;
/// Before anything is measured: as many as fill what remembers ended tasks, several times.
const WARM_UP: u32 = 1000;
const IN_FLIGHT: u32 = 64;

/// One task of each kind in turn: parked in a wait, and spinning.
async fn cycle(watched: &Watched, number: u32) {
    let spins = number % 2 == 1;
    let request = StartRequest::new(if spins { "spinner" } else { "waiter" }, "go");
    let task = start_as(&watched.host, request).await;
    if spins {
        started(&task).await;
    } else {
        parked(&task, 1).await;
    }
    within(task.cancel(CancelRequest::force(Party::Host, "enough"))).await;
    let ended = outcome(&task).await;
    assert!(matches!(ended, Outcome::Cancelled { by: Party::Host, forced: true, .. }), "{ended:?}");
    within(task.gone()).await;
}

async fn cycles(watched: &Arc<Watched>, count: u32) {
    let next = Arc::new(AtomicU32::new(0));
    let mut in_flight = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (watched, next) = (Arc::clone(watched), Arc::clone(&next));
        in_flight.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                cycle(&watched, number).await;
            }
        });
    }
    while let Some(done) = in_flight.join_next().await {
        done.unwrap();
    }
}

#[test]
fn t46_20_000_tasks_that_are_started_held_up_and_cancelled_leave_nothing() {
    alone(|| async {
        // Else each would be remembered for days, which is what it would cost.
        let watched = Arc::new(Watched::with(builder().running_max(IN_FLIGHT + 8).ended_max(100)).await);
        let waiter = Handmade::new("waiter").imports(&imports::SIGNALS).field(r#"(data (i32.const 2500) "never")"#).run(
            "(call $wait (i32.const 2500) (i32.const 5) (i32.const 0) (i64.const 0) (i32.const 2048)) (i32.const 1024)",
        );
        let spinner = Handmade::new("spinner").run("(loop (br 0)) unreachable");
        for plugin in [waiter, spinner] {
            within(watched.host.load_plugin_bytes("made", plugin.bytes())).await.unwrap();
        }
        cycles(&watched, WARM_UP).await;
        watched
            .withstands(async |beside| {
                cycles(&watched, CYCLES).await;
                beside.goes_on().await;
                Vec::new()
            })
            .await;
    });
}
