//! Row 8: how long it takes until one of many busy loops is gone, against emptying a raw slot. In wall time, as whoever
//! cancels sees it: from the wish until the cell and its directory are gone.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use taskcell::{Host, TaskHandle};
use taskcell_bench::{Figure, Owed, quantile};
use wasmtime::Engine;

use super::Bench;
use crate::{
    guests::{self, Loop},
    ours::{Kind, Ours, force, start},
    raw::{Bare, Guest, Way, engine},
    slots::{Slot, Slots, turn},
};

/// How many loops there are.
const LOOPS: [usize; 3] = [1, 64, 1000];
/// Loops that do something else than spin, at most: each of them has up to 65 MiB.
const HEAVY_MAX: usize = 32;

/// A kind of loop, for both sides.
struct Sort {
    kind: Kind,
    /// Fuel that it has burnt when each of its pages was touched once: the raw one has had two turns then.
    warm: u64,
    raw: Arc<Guest<Bare>>,
    way: Way,
}

/// So many loops: the first are of the kind that is cancelled, the others spin.
struct Crowd<'a> {
    all: usize,
    heavy: &'a Sort,
    spinning: &'a Sort,
    cancels: usize,
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let ours = Ours::new()?;
    let engine = engine()?;
    let sort = |what| Sort::new(&ours, &engine, what);
    let (spin, fill, strings) = (sort(Loop::Spin)?, sort(Loop::Fill)?, sort(Loop::Strings)?);
    let slice = turn(&spin.raw, spin.way);
    let mut figures = Vec::new();
    for (name, heavy, cancels) in [
        ("spin", &spin, bench.pick(25, 100)),
        ("fill 64 MiB", &fill, bench.pick(8, 20)),
        ("1 MiB strings", &strings, bench.pick(15, 50)),
    ] {
        let bulk = turn(&heavy.raw, heavy.way);
        for all in LOOPS {
            let crowd = Crowd { all, heavy, spinning: &spin, cancels };
            let owed = match (name, all) {
                ("spin", 1000) => [Owed::Ours(50.0), Owed::Ours(300.0)],
                ("spin", _) => [Owed::Nothing; 2],
                // One slice, and one bulk operation.
                _ => [Owed::Ours((slice + bulk).as_secs_f64() * 1e6); 2],
            };
            let name = format!("cancel to gone, {name}, 1 of {all}");
            figures.extend(figures_of(bench, &ours, &crowd, &name, owed)?);
        }
    }
    Ok(figures)
}

/// The median, and what one of a hundred is above. The crowds of the two sides take turns, because two at once would
/// slow each other down.
fn figures_of(bench: &Bench, ours: &Ours, crowd: &Crowd<'_>, name: &str, owed: [Owed; 2]) -> Result<[Figure; 2]> {
    let mut medians = Vec::new();
    let mut worst = Vec::new();
    for _ in 0..bench.pick(3, 6) {
        let (ours, raw) = (ours.cancels(crowd)?, raw_cancels(crowd));
        medians.push((quantile(&ours, 0.5), quantile(&raw, 0.5)));
        worst.push((quantile(&ours, 0.99), quantile(&raw, 0.99)));
    }
    let [median_owed, worst_owed] = owed;
    Ok([
        Figure::of_blocks(8, format!("{name}, p50 (us wall)"), &medians, median_owed),
        Figure::of_blocks(8, format!("{name}, p99 (us wall)"), &worst, worst_owed),
    ])
}

impl Sort {
    fn new(ours: &Ours, engine: &Engine, what: Loop) -> Result<Self> {
        let bytes = guests::busy(what)?;
        let slice = match what {
            Loop::Spin | Loop::Fill => 1_000_000,
            // Raw wasmtime yields by fuel alone, of which such a loop burns about ten units in a call: with the usual
            // slice a turn takes seconds.
            Loop::Strings => 40,
        };
        let warm = match what {
            Loop::Spin | Loop::Strings => 1,
            // A byte is a unit, and it gives way before it fills: the first time the kernel finds the pages for it.
            Loop::Fill => 2 * (64 << 20),
        };
        let way = Way { slice: Some(slice), hook: true };
        let raw = Arc::new(Guest::new(engine, &bytes, "go")?);
        Ok(Self { raw, kind: ours.load(bytes, "go", json!({}))?, warm, way })
    }
}

impl Crowd<'_> {
    fn heavy(&self) -> usize {
        self.all.min(HEAVY_MAX)
    }

    fn sort(&self, number: usize) -> &Sort {
        if number < self.heavy() { self.heavy } else { self.spinning }
    }

    /// Whom to cancel, and what time to let pass before: different ones, at different places in their slices.
    fn victims(&self) -> impl Iterator<Item = (usize, Duration)> {
        let micros = |number: u64| Duration::from_micros(500 + number * 1237 % 1500);
        let heavy = self.heavy();
        (0..self.cancels).map(move |number| (number * 7 % heavy, micros(number as u64)))
    }
}

impl Ours {
    fn cancels(&self, crowd: &Crowd<'_>) -> Result<Vec<f64>> {
        let kind = |number| (crowd.sort(number).kind.clone(), crowd.sort(number).warm);
        let kinds: Vec<(Kind, u64)> = (0..crowd.all).map(kind).collect();
        let victims = crowd.victims().collect();
        // On a thread of the runtime's, where an embedder's own code is too.
        self.runtime.block_on(self.runtime.spawn(cancels(Arc::clone(&self.host), kinds, victims)))?
    }
}

async fn cancels(host: Arc<Host>, kinds: Vec<(Kind, u64)>, victims: Vec<(usize, Duration)>) -> Result<Vec<f64>> {
    let mut tasks = Vec::new();
    for (kind, _) in &kinds {
        tasks.push(start(&host, kind).await?);
    }
    for (task, (_, warm)) in tasks.iter().zip(&kinds) {
        running(task, *warm).await?;
    }
    let mut samples = Vec::new();
    for (number, pause) in victims {
        tokio::time::sleep(pause).await;
        let (task, (kind, warm)) = tasks.get_mut(number).zip(kinds.get(number)).context("no such task")?;
        let before = Instant::now();
        task.cancel(force()).await;
        task.gone().await;
        samples.push(before.elapsed().as_secs_f64() * 1e6);
        *task = start(&host, kind).await?;
        running(task, *warm).await?;
    }
    for task in &tasks {
        ensure!(task.state().outcome.is_none(), "one was cancelled, and another ended: {:?}", task.state().outcome);
    }
    for task in &tasks {
        task.cancel(force()).await;
    }
    for task in &tasks {
        task.gone().await;
    }
    Ok(samples)
}

/// Waits until the task has burnt so much fuel.
async fn running(task: &TaskHandle, fuel: u64) -> Result<()> {
    loop {
        let state = task.state();
        ensure!(state.outcome.is_none(), "a loop has ended: {:?}", state.outcome);
        if state.usage.fuel >= fuel {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn raw_cancels(crowd: &Crowd<'_>) -> Vec<f64> {
    let slots = Slots::new();
    let add = |number| {
        let sort = crowd.sort(number);
        slots.add(&sort.raw, sort.way)
    };
    let mut guests: Vec<Arc<Slot>> = (0..crowd.all).map(add).collect();
    let running = |slot: &Slot| {
        while !slot.has_run() {
            thread::sleep(Duration::from_millis(1));
        }
    };
    for slot in &guests {
        running(slot);
    }
    let mut samples = Vec::new();
    for (number, pause) in crowd.victims() {
        thread::sleep(pause);
        if let Some(slot) = guests.get_mut(number) {
            samples.push(slot.empty().as_secs_f64() * 1e6);
            *slot = add(number);
            running(slot);
        }
    }
    samples
}
