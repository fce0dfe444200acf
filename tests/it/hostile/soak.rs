//! Tasks without number, each started, held up, cancelled and dropped: nothing of them stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use taskcell::{CancelRequest, Host, Outcome, Party, StartRequest, StopReport, Unload};
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

/// Waits for a signal that never comes.
fn waiter(name: &str) -> Handmade {
    Handmade::new(name).imports(&imports::SIGNALS).field(r#"(data (i32.const 2500) "never")"#).run(
        "(call $wait (i32.const 2500) (i32.const 5) (i32.const 0) (i64.const 0) (i32.const 2048)) (i32.const 1024)",
    )
}

#[test]
fn t46_20_000_tasks_that_are_started_held_up_and_cancelled_leave_nothing() {
    alone(|| async {
        // Else each would be remembered for days, which is what it would cost.
        let watched = Arc::new(Watched::with(builder().running_max(IN_FLIGHT + 8).ended_max(100)).await);
        let waiter = waiter("waiter");
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

/// Each loads two versions.
const LOADS: u32 = 5000;
/// Plugins that come and go at the same time, each in two versions.
const COMING: u32 = 8;

/// One version of a plugin that has a daemon, which waits for ever, and so does its task.
fn coming(number: u32, version: u32) -> Vec<u8> {
    let name = format!("coming-{number}");
    let manifest = format!(
        r#"{{"manifest":1,"name":"{name}","version":"{version}","tasks":[{{"name":"go"}},{{"name":"stay","kind":"daemon"}}]}}"#
    );
    waiter(&name).manifest(manifest).bytes()
}

/// Waits until those are gone that ended with their plugin, however long it waited for them.
async fn all_gone(host: &Host, report: &StopReport) {
    for stopped in &report.tasks {
        if let Some(task) = host.task(stopped.id) {
            within(task.gone()).await;
        }
    }
}

/// Loads a plugin, lets its task and its daemon park, replaces it, and unloads that with the other version's.
async fn load_cycle(watched: &Watched, number: u32, versions: &[Vec<u8>; 2]) {
    let host = &watched.host;
    let [first, second] = versions;
    let name = format!("coming-{number}");
    within(host.load_plugin_bytes("made", first.clone())).await.unwrap();
    let task = start_as(host, StartRequest::new(&name, "go")).await;
    parked(&task, 1).await;
    let replaced = within(host.replace_plugin_bytes("made", second.clone(), Unload::Force)).await.unwrap();
    assert!(replaced.report.tasks.iter().any(|stopped| stopped.id == task.id()), "{replaced:?}");
    all_gone(host, &replaced.report).await;
    let task = start_as(host, StartRequest::new(&name, "go")).await;
    parked(&task, 1).await;
    let report = within(host.unload_plugin(&name, Unload::Force)).await.unwrap();
    assert!(report.tasks.iter().any(|stopped| stopped.id == task.id()), "{report:?}");
    all_gone(host, &report).await;
    assert!(host.plugin_is_enabled(&name).is_none());
}

async fn load_cycles(watched: &Arc<Watched>, count: u32) {
    let mut coming_and_going = JoinSet::new();
    for number in 0..COMING {
        let watched = Arc::clone(watched);
        coming_and_going.spawn(async move {
            let versions = [coming(number, 1), coming(number, 2)];
            for _ in 0..count / COMING {
                load_cycle(&watched, number, &versions).await;
            }
        });
    }
    while let Some(done) = coming_and_going.join_next().await {
        done.unwrap();
    }
}

#[test]
fn t46_10_000_versions_that_are_loaded_and_unloaded_with_their_daemons_leave_nothing() {
    alone(|| async {
        let watched = Arc::new(Watched::with(builder().running_max(IN_FLIGHT + 8).ended_max(100)).await);
        load_cycles(&watched, LOADS / 25).await;
        watched
            .withstands(async |beside| {
                load_cycles(&watched, LOADS).await;
                beside.goes_on().await;
                Vec::new()
            })
            .await;
    });
}
