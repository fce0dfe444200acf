//! Row 14: what a start, a signal, a page of the list and a cancel cost among a hundred other tasks, and among a hundred
//! thousand: queued ones, ones that wait in their cells, and ended ones.

use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::json;
use taskcell::{Host, Party, SignalKey, TaskFilter, TaskHandle};
use taskcell_bench::{Figure, median};

use super::Bench;
use crate::{
    guests,
    ours::{Kind, Ours, force, start},
};

/// The slope that is owed.
const SLOPE_MAX: f64 = 0.1;
/// Tasks on a page of the list.
const PAGE: usize = 100;
/// How many there may be in their cells: beyond it the system has no mappings left.
const RUNNING_MAX: u32 = 5_000;

/// What the others do meanwhile.
#[derive(Clone, Copy)]
enum Others {
    Queued,
    Running,
    Ended,
}

impl Others {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Queued, "queued"), (Self::Running, "running"), (Self::Ended, "ended")];
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let crowds: &[u32] = bench.pick(&[100, 1000, 10_000], &[100, 1000, 10_000, 100_000]);
    let mut figures = Vec::new();
    for (others, name) in Others::ALL {
        let mut costs = [const { Vec::new() }; 4];
        for crowd in crowds {
            let crowd = match others {
                Others::Running => (*crowd).min(RUNNING_MAX),
                Others::Queued | Others::Ended => *crowd,
            };
            let found = Crowd::new(others, crowd)?.costs(bench.pick(200, 500))?;
            for (all, cost) in costs.iter_mut().zip(found) {
                all.push((f64::from(crowd), cost));
            }
        }
        for (what, costs) in ["start", "notify", "a page of the list", "cancel"].into_iter().zip(costs) {
            let last = costs.last().map_or(0.0, |last| last.0);
            let name = format!("{what} among {last} {name} (us wall)");
            figures.push(Figure::of_growth(14, name, &costs, SLOPE_MAX));
        }
    }
    Ok(figures)
}

/// A host with so many tasks.
struct Crowd {
    ours: Ours,
    waits: Kind,
    one: TaskHandle,
    queued: bool,
}

impl Crowd {
    fn new(others: Others, crowd: u32) -> Result<Self> {
        let many = crowd as usize + 1000;
        let cells = match others {
            Others::Running => crowd + 100,
            // One cell, which is taken: what is started then, is queued.
            Others::Queued => 1,
            Others::Ended => 100,
        };
        let ours = Ours::with_cells(cells, Host::builder().queued_max(many).ended_max(many))?;
        let waits = ours.load(guests::waits()?, "go", json!({}))?;
        let one = ours.park(&waits, 1)?.pop().context("no task")?;
        match others {
            Others::Queued => ours.runtime.block_on(async {
                for _ in 0..crowd {
                    start(&ours.host, &waits).await?;
                }
                anyhow::Ok(())
            })?,
            Others::Running => drop(ours.park(&waits, crowd)?),
            Others::Ended => {
                let nothing = ours.load(guests::nothing()?, "go", json!({}))?;
                ours.run_many(&nothing, crowd, 64)?;
            }
        }
        Ok(Self { ours, waits, one, queued: matches!(others, Others::Queued) })
    }

    /// The medians of a start, a signal, a page and a cancel, in microseconds.
    fn costs(self, samples: usize) -> Result<[f64; 4]> {
        let Self { ours, waits, one, queued } = self;
        let host = ours.host.clone();
        let costs = ours.runtime.block_on(ours.runtime.spawn(async move {
            let mut times = [const { Vec::new() }; 4];
            let key = SignalKey::new("bench")?;
            for _ in 0..samples {
                let before = Instant::now();
                let task = start(&host, &waits).await?;
                let started = Instant::now();
                one.notify(key.clone(), None, Party::Host).await;
                let told = Instant::now();
                std::hint::black_box(host.list(&TaskFilter::default(), None, PAGE));
                let listed = Instant::now();
                // What became of the last step is waited for before the next.
                while !queued && task.state().waiting.is_none() || one.state().waiting.is_none() {
                    tokio::task::yield_now().await;
                }
                let waits = Instant::now();
                task.cancel(force()).await;
                let cancelled = Instant::now();
                task.gone().await;
                let steps = [started - before, told - started, listed - told, cancelled - waits];
                for (times, step) in times.iter_mut().zip(steps) {
                    times.push(step.as_secs_f64() * 1e6);
                }
            }
            anyhow::Ok(times.map(|times| median(&times)))
        }))??;
        // What is left of it is of no interest, and there may be much.
        ours.runtime.block_on(ours.host.shutdown());
        Ok(costs)
    }
}
