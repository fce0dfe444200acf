//! Row 14: what a start, a signal, a page of the list and a cancel cost among a hundred other tasks, and among a hundred
//! thousand: queued ones, ones that wait in their cells, and ended ones. The hosts with few and with many are there at the
//! same time and take turns, because a machine may be half as fast a second later.

use std::hint::black_box;

use anyhow::{Context as _, Result};
use serde_json::json;
use taskcell::{Host, Profile, TaskFilter, TaskHandle};
use taskcell_bench::{Figure, median};

use super::Bench;
use crate::{
    guests,
    measure::cpu_each,
    ours::{Kind, Ours},
};

/// The slope that is owed.
const SLOPE_MAX: f64 = 0.1;
/// Tasks on a page of the list.
const PAGE: usize = 100;
/// How many there may be in the cells of one host, so that the system has mappings for all hosts together.
const RUNNING_MAX: u32 = 9_000;
/// Ended tasks that a host keeps whose crowd does something else.
const ENDED_MAX: usize = 100;
/// So many of each step are measured at a time.
const AT_A_TIME: u32 = 64;
/// What is measured in each.
const STEPS: [&str; 4] = ["start", "notify", "a page of the list", "cancel"];

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
        let most = if matches!(others, Others::Running) { RUNNING_MAX } else { u32::MAX };
        let mut crowds: Vec<_> = crowds.iter().map(|crowd| *crowd.min(&most)).collect();
        crowds.dedup();
        let mut hosts = crowds.into_iter().map(|crowd| Crowd::new(others, crowd)).collect::<Result<Vec<_>>>()?;
        // Who goes first changes, and what comes first only warms up.
        for round in 0..=bench.pick(8, 24) {
            for host in &mut hosts {
                host.measure(round > 0)?;
            }
            hosts.reverse();
        }
        hosts.sort_unstable_by_key(|host| host.others);
        for (step, what) in STEPS.into_iter().enumerate() {
            let costs: Vec<_> = hosts.iter().map(|host| host.cost(step)).collect();
            let last = costs.last().map_or(0.0, |last| last.0);
            let name = format!("{what} among {last} {name} (us CPU)");
            figures.push(Figure::of_growth(14, name, &costs, SLOPE_MAX));
        }
        // What is left of them is of no interest, and there may be much.
        for host in hosts {
            host.ours.runtime.block_on(host.ours.host.shutdown());
        }
    }
    Ok(figures)
}

/// A host with so many tasks.
struct Crowd {
    ours: Ours,
    others: u32,
    waits: Kind,
    one: TaskHandle,
    queued: bool,
    /// What each step took, in microseconds.
    times: [Vec<f64>; STEPS.len()],
}

impl Crowd {
    fn new(others: Others, crowd: u32) -> Result<Self> {
        let queued = crowd as usize + 1000;
        // It stays as large as it is while it is measured, and each start has another task forgotten in every host.
        let ended = if matches!(others, Others::Ended) { crowd as usize } else { ENDED_MAX };
        let cells = match others {
            Others::Running => crowd + 100,
            // One cell, which is taken: what is started then, is queued.
            Others::Queued => 1,
            Others::Ended => 100,
        };
        // Dense also with few, so that the hosts differ in nothing else.
        let ours = Ours::with(cells, Host::builder().profile(Profile::Dense).queued_max(queued).ended_max(ended))?;
        let waits = ours.load(guests::waits()?, "go", json!({}))?;
        let one = ours.park(&waits, 1)?.pop().context("no task")?;
        match others {
            Others::Queued => drop(ours.start(&waits, crowd)?),
            Others::Running => drop(ours.park(&waits, crowd)?),
            Others::Ended => {
                let nothing = ours.load(guests::nothing()?, "go", json!({}))?;
                ours.run_many(&nothing, crowd, 64)?;
            }
        }
        Ok(Self {
            ours,
            others: crowd,
            waits,
            one,
            queued: matches!(others, Others::Queued),
            times: [const { Vec::new() }; STEPS.len()],
        })
    }

    /// What a start, a signal, a page and a cancel take: a start until the task waits, or is in the queue, a signal until it waits
    /// again, a cancel until its cell is gone. Kept or not.
    fn measure(&mut self, keep: bool) -> Result<()> {
        let Self { ours, waits, one, .. } = &*self;
        let mut tasks = Vec::new();
        let found = [
            cpu_each(AT_A_TIME, || {
                tasks = if self.queued { ours.start(waits, AT_A_TIME) } else { ours.park(waits, AT_A_TIME) }?;
                Ok(())
            })?,
            cpu_each(AT_A_TIME, || ours.wake_often(one, AT_A_TIME))?,
            cpu_each(AT_A_TIME, || {
                for _ in 0..AT_A_TIME {
                    black_box(ours.host.list(&TaskFilter::default(), None, PAGE));
                }
                Ok(())
            })?,
            cpu_each(AT_A_TIME, || {
                ours.end(&tasks);
                Ok(())
            })?,
        ];
        if keep {
            for (times, time) in self.times.iter_mut().zip(found) {
                times.push(time / 1000.0);
            }
        }
        Ok(())
    }

    /// How many others there are, and the median of a step among them.
    fn cost(&self, step: usize) -> (f64, f64) {
        (f64::from(self.others), self.times.get(step).map_or(0.0, |times| median(times)))
    }
}
