//! One of a thousand loops is cancelled: that one only, at once, and its outcome says by whom and why.

use std::time::Duration;

use taskcell::{
    CancelAnswer, CancelRequest, Host, HostBuilder, Limits, Outcome, Party, Phase, StartRequest, TaskHandle,
};

use crate::support::alone::alone;
use crate::support::builder;
use crate::support::component::{Handmade, MANIFEST_AT};
use crate::support::imports;
use crate::support::looks::elsewhere;
use crate::support::oracle::{Bounds, Watched};
use crate::support::task::{outcome, start_as, started};
use crate::support::within;

/// Loops that run at once.
const CROWD: usize = 1000;
/// Of these some are looked at more closely.
const LOOKED_AT: usize = 20;
/// A thousand small guests, their stacks and their records. The pool keeps a little of each of their memories for the
/// next guest.
const FOR_ALL: Bounds = Bounds { at_most: 1 << 30, left_over: CROWD as u64 * (192 << 10) };

/// Room for all of them, who call nobody for as long as a round of them takes.
fn roomy() -> HostBuilder {
    builder().running_max(1100).limits(Limits::default().idle(Duration::from_hours(1)))
}

/// A guest that does this over and over, and has little else in it.
fn for_ever(body: &str) -> Handmade {
    Handmade::new("made").run(format!("(loop {body} (br 0)) unreachable"))
}

async fn started_as(host: &Host, plugin: &str) -> TaskHandle {
    start_as(host, StartRequest::new(plugin, "go")).await
}

fn because(reason: &str) -> CancelRequest {
    CancelRequest::new(Party::Agent, reason).grace(Duration::ZERO)
}

/// Cancels this one, for a reason of its own, and checks that its end says so.
async fn is_cancelled(task: &TaskHandle, reason: &str) {
    assert_eq!(within(task.cancel(because(reason))).await, CancelAnswer::Requested);
    match outcome(task).await {
        Outcome::Cancelled { by: Party::Agent, reason: told, forced: true, .. } => assert_eq!(told, reason),
        other => panic!("{other:?}"),
    }
}

/// Checks that all of these run, and that some of them burn fuel.
async fn all_run(tasks: &[TaskHandle]) {
    for task in tasks {
        let state = task.state();
        assert!(state.phase == Phase::Running && state.cancel.is_none(), "{state:?}");
    }
    // Each needs a turn, and a round of a thousand takes long: all of them have theirs in the same one.
    let looked_at = tasks.iter().step_by(tasks.len().div_ceil(LOOKED_AT));
    let burnt: Vec<_> = looked_at.map(|task| (task, task.state().usage.fuel)).collect();
    for (task, before) in burnt {
        // No task of this host comes and goes quickly among a thousand.
        within(async {
            while task.state().usage.fuel == before {
                elsewhere().await;
            }
        })
        .await;
    }
}

/// A thousand of this guest, of which one is cancelled, and then another.
async fn one_of_a_thousand(plugin: Handmade) {
    let watched = Watched::with(roomy()).await;
    watched.load(&plugin).await;
    watched
        .withstands_within(FOR_ALL, async |beside| {
            let mut crowd = Vec::with_capacity(CROWD);
            for _ in 0..CROWD {
                crowd.push(started_as(beside.host, "made").await);
            }
            for task in &crowd {
                started(task).await;
            }
            all_run(&crowd).await;
            let mut ended = Vec::new();
            for (place, reason) in [(499, "the five hundredth"), (7, "and the eighth")] {
                let chosen = crowd.swap_remove(place);
                is_cancelled(&chosen, reason).await;
                all_run(&crowd).await;
                ended.push(chosen);
            }
            beside.goes_on_in_a_crowd().await;
            for task in &crowd {
                within(task.cancel(because("the test is over"))).await;
            }
            ended.append(&mut crowd);
            ended
        })
        .await;
}

#[test]
fn r33_of_1000_busy_loops_the_cancelled_one_ends_and_no_other() {
    alone(|| one_of_a_thousand(for_ever("")));
}

#[test]
fn r33_of_1000_loops_with_texts_of_1_mib_the_cancelled_one_ends_and_no_other() {
    // Refused each time as too long for a message, after it has crossed.
    let call = format!(
        "(call $progress (i32.const {MANIFEST_AT}) (i32.const {}) (i32.const 0) (i32.const 0) (i32.const 2048))",
        1 << 20
    );
    alone(|| one_of_a_thousand(for_ever(&call).imports(&imports::TASK).pages(16)));
}

#[test]
fn r33_among_1000_loops_and_fills_of_64_mib_the_cancelled_one_ends_and_no_other() {
    /// A thousand of these would need 64 GiB, so that there are only as many as 2 GiB allow, among a thousand loops.
    const FILLERS: usize = 32;
    alone(|| async {
        let with_fillers = Bounds {
            at_most: FOR_ALL.at_most + FILLERS as u64 * (66 << 20),
            // 2 MiB of a memory are kept.
            left_over: FOR_ALL.left_over + FILLERS as u64 * (2 << 20),
        };
        let watched = Watched::with(roomy()).await;
        watched.load(&for_ever("")).await;
        let fill = format!("(memory.fill (i32.const {MANIFEST_AT}) (i32.const 1) (i32.const {}))", 64 << 20);
        let filler = Handmade::new("filler").pages(1024).run(format!("(loop {fill} (br 0)) unreachable"));
        within(watched.host.load_plugin_bytes("filler", filler.bytes())).await.unwrap();
        watched
            .withstands_within(with_fillers, async |beside| {
                let mut crowd = Vec::with_capacity(CROWD);
                for _ in 0..CROWD - FILLERS {
                    crowd.push(started_as(beside.host, "made").await);
                }
                let mut fillers = Vec::with_capacity(FILLERS);
                for _ in 0..FILLERS {
                    fillers.push(started_as(beside.host, "filler").await);
                }
                for task in crowd.iter().chain(&fillers) {
                    started(task).await;
                }
                all_run(&fillers).await;
                let filler = fillers.swap_remove(FILLERS / 2);
                is_cancelled(&filler, "it fills").await;
                let looping = crowd.swap_remove(CROWD / 2);
                is_cancelled(&looping, "it loops").await;
                all_run(&fillers).await;
                all_run(&crowd).await;
                beside.goes_on_in_a_crowd().await;
                let mut all = vec![filler, looping];
                all.append(&mut fillers);
                all.append(&mut crowd);
                for task in &all {
                    within(task.cancel(because("the test is over"))).await;
                }
                all
            })
            .await;
    });
}
