//! What must hold whatever a guest does: the host lives, the task has one end, its neighbour goes on, and nothing stays
//! behind. For tests that run [`alone`](super::alone::alone).

use std::time::Duration;

use serde_json::json;
use taskcell::{CancelAnswer, CancelRequest, EventBody, Host, HostBuilder, Outcome, Party, Phase, Plugin, TaskHandle};
use tempfile::TempDir;

use super::component::Handmade;
use super::looks::elsewhere;
use super::task::{events, outcome, please_stop, reported, result, start, started};
use super::{WATCHDOG, builder, guest, process, uncached, within};

/// Host calls that a neighbour must make for it to be said that it goes on: several turns of a fair share.
const CALLS: u64 = 1000;
/// The same among a thousand others that run, where one round takes a second and more.
const CALLS_IN_A_CROWD: u64 = 100;

/// How many bytes more than before the process may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// While the hostile guests run.
    pub(crate) at_most: u64,
    /// When they are gone.
    pub(crate) left_over: u64,
}

impl Bounds {
    /// For one hostile guest: its 128 MiB, and what crosses to the host; and much less than that when it is gone, for
    /// what the allocator keeps and what is remembered of ended tasks.
    pub(crate) const ONE: Self = Self { at_most: 256 << 20, left_over: 32 << 20 };
}

/// What is there at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    memory: u64,
    descriptors: usize,
    threads: usize,
    entries: usize,
}

/// A host under watch, with the fixture guest loaded, and warm.
pub(crate) struct Watched {
    pub(crate) host: Host,
    work_dir: TempDir,
}

impl Watched {
    /// A host made by the tests' own builder.
    pub(crate) async fn new() -> Self {
        Self::with(builder()).await
    }

    /// A host made by this builder.
    pub(crate) async fn with(builder: HostBuilder) -> Self {
        let work_dir = tempfile::tempdir().unwrap();
        let host = builder.work_dir(work_dir.path()).build().unwrap();
        within(host.load_plugin(guest("fixture"))).await.unwrap();
        let watched = Self { host, work_dir };
        watched.warm_up().await;
        watched
    }

    /// With a plugin made by hand as well.
    pub(crate) async fn load(&self, plugin: &Handmade) -> Plugin {
        within(self.host.load_plugin_bytes("made", plugin.bytes())).await.unwrap()
    }

    /// Everything that is made at its first use is made here.
    async fn warm_up(&self) {
        // Compiled in a child, for which something stays; the host under watch finds most plugins in the cache.
        within(uncached().load_plugin_bytes("warm", Handmade::new("warm").bytes())).await.unwrap();
        for _ in 0..2 {
            assert_eq!(result(&self.host, "steps", json!({"n": 10})).await["done"], json!(10));
            assert_eq!(result(&self.host, "allocate", json!({"mib": 8})).await, json!(8 << 20));
            let busy = [
                start(&self.host, "spin", json!(null)).await,
                start(&self.host, "spin", json!(null)).await,
                start(&self.host, "spin", json!(null)).await,
            ];
            for task in busy {
                started(&task).await;
                within(task.cancel(please_stop().grace(Duration::ZERO))).await;
                outcome(&task).await;
            }
        }
    }

    fn reading(&self) -> Reading {
        Reading {
            memory: process::resident_bytes(),
            descriptors: process::descriptors(),
            threads: process::threads(),
            entries: process::entries(self.work_dir.path()),
        }
    }

    /// Runs something hostile, which returns the tasks that it started, beside a neighbour; and checks that all is well.
    pub(crate) async fn withstands(&self, hostile: impl AsyncFnOnce(&Beside<'_>) -> Vec<TaskHandle>) {
        self.withstands_within(Bounds::ONE, hostile).await;
    }

    /// The same, where the process may grow by other amounts.
    #[expect(clippy::print_stdout, reason = "what it measured is worth seeing")]
    pub(crate) async fn withstands_within(
        &self,
        bounds: Bounds,
        hostile: impl AsyncFnOnce(&Beside<'_>) -> Vec<TaskHandle>,
    ) {
        let before = self.settled(None).await;
        process::forget_peak();
        let beside = Beside::start(&self.host).await;
        let tasks = hostile(&beside).await;
        for task in &tasks {
            has_one_end(task).await;
        }
        beside.goes_on().await;
        beside.ends_well().await;
        drop(tasks);
        let after = self.settled(Some((before, bounds))).await;
        let peak = process::peak_bytes().saturating_sub(before.memory);
        println!("measured: peak +{} MiB, left {} KiB", peak >> 20, after.memory.saturating_sub(before.memory) >> 10);
        assert!(peak <= bounds.at_most, "the process grew by {} MiB: {bounds:?}", peak >> 20);
    }

    /// Waits until what is there is no more than before, or, without a before, until it stands still.
    async fn settled(&self, before: Option<(Reading, Bounds)>) -> Reading {
        let mut last = self.reading();
        let mut still = 0;
        let settle = async {
            loop {
                // The system has nothing that tells when a thread or a page is gone.
                elsewhere().await;
                let now = self.reading();
                let fine = match before {
                    Some((before, bounds)) => {
                        now.memory <= before.memory + bounds.left_over
                            && now.descriptors <= before.descriptors
                            && now.threads <= before.threads
                            && now.entries <= before.entries
                    }
                    None => {
                        (now.descriptors, now.threads, now.entries) == (last.descriptors, last.threads, last.entries)
                    }
                };
                last = now;
                still = if fine { still + 1 } else { 0 };
                // Without a before: longer than an idle thread lives.
                if still >= if before.is_some() { 1 } else { 100 } {
                    return now;
                }
            }
        };
        match super::watchdog(settle).await {
            Some(reading) => reading,
            None => panic!("it does not come to rest: before {before:?}, now {:?}", self.reading()),
        }
    }
}

/// A well-behaved task, started before the hostile one on the same host. It steps on until it is asked to stop.
pub(crate) struct Beside<'a> {
    pub(crate) host: &'a Host,
    canary: TaskHandle,
}

impl<'a> Beside<'a> {
    async fn start(host: &'a Host) -> Self {
        // It makes calls all the time and no events, which a clock that stands still would hold up.
        let canary = start(host, "polite", json!(null)).await;
        reported(&canary).await;
        Self { host, canary }
    }

    fn calls(&self) -> u64 {
        let state = self.canary.state();
        assert_eq!(state.phase, Phase::Running, "the neighbour ended: {state:?}");
        state.usage.host_calls
    }

    /// Waits until the neighbour has made its further steps, and until another one has come and gone.
    pub(crate) async fn goes_on(&self) {
        self.makes(CALLS).await;
    }

    /// The same among a thousand others that run.
    pub(crate) async fn goes_on_in_a_crowd(&self) {
        self.makes(CALLS_IN_A_CROWD).await;
    }

    async fn makes(&self, calls: u64) {
        let enough = self.calls() + calls;
        let steps = async {
            while self.calls() < enough {
                elsewhere().await;
            }
        };
        let goes_on = super::watchdog(steps).await.is_some();
        assert!(goes_on, "the neighbour stands still: {:?}", self.canary.state());
        assert_eq!(result(self.host, "echo", json!("alive")).await, json!("alive"));
    }

    /// Waits until the neighbour has made its further steps while this task runs on.
    pub(crate) async fn goes_on_while(&self, task: &TaskHandle) {
        self.goes_on().await;
        let state = task.state();
        assert_eq!(state.phase, Phase::Running, "it should still be at it: {state:?}");
    }

    async fn ends_well(self) {
        let request = CancelRequest::new(Party::Host, "enough").grace(WATCHDOG);
        assert_eq!(within(self.canary.cancel(request)).await, CancelAnswer::Requested);
        let ended = outcome(&self.canary).await;
        assert!(matches!(ended, Outcome::Cancelled { by: Party::Host, forced: false, .. }), "{ended:?}");
        has_one_end(&self.canary).await;
    }
}

/// Checks that a task has one outcome, told once, as its last event, and the same to everybody.
pub(crate) async fn has_one_end(task: &TaskHandle) {
    let told = outcome(task).await;
    let log = events(task).await;
    let numbers = log.iter().map(|event| event.seq.0);
    assert!(numbers.eq(1..=log.len() as u64), "the log has a gap: {:?}", task.state());
    let ends: Vec<&Outcome> = log
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Finished { outcome, .. } => Some(&**outcome),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [&told], "one end, and the one that was told");
    let last = log.last().map(|event| &event.body);
    assert!(matches!(last, Some(EventBody::Finished { .. })), "the end comes last: {last:?}");
    assert_eq!(task.state().outcome.as_ref(), Some(&told));
    for event in &log {
        let line = serde_json::to_string(event).unwrap();
        assert!(!line.contains('\n'), "an event is one line: {line}");
    }
}
