//! Row 1: from a request to an outcome that somebody has read, against store + instantiate + call + drop.

use std::{sync::Arc, thread, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};
use taskcell_bench::{Figure, Owed};

use super::Bench;
use crate::{
    floor::Floor,
    guests,
    measure::{blocks, cpu_each, scaled, wall},
    ours::Ours,
    raw::{Bare, Data, Guest, Way, engine, run_here, run_many},
};

/// Tasks in flight.
const AT_ONCE: u32 = 64;
/// Units of fuel between two yields, as in the host.
const WAY: Way = Way { slice: Some(1_000_000), hook: false };

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = both::<Bare>(bench, "text guest", &guests::nothing()?, "go", &json!({}))?;
    figures.extend(both::<crate::raw::WithWasi>(bench, "hello plugin", &bench.hello, "hello", &json!({}))?);
    Ok(figures)
}

fn both<D: Data>(
    bench: &Bench,
    name: &str,
    bytes: &[u8],
    task_type: &'static str,
    input: &Value,
) -> Result<Vec<Figure>> {
    let ours = Ours::new()?;
    let kind = ours.load(bytes.to_vec(), task_type, input.clone())?;
    let raw = Arc::new(Guest::<D>::new(&engine()?, bytes, task_type)?);
    let floor = Floor::new()?;
    let runtime = ours.runtime.handle();

    let count = bench.pick(1000, 2000);
    let cpu = blocks(
        bench.pick(15, 41),
        || cpu_each(count, || ours.run_many(&kind, count, AT_ONCE)),
        || cpu_each(count, || run_many(runtime, &raw, WAY, count)),
    )?;
    let in_tasks = blocks(
        bench.pick(9, 25),
        || cpu_each(count, || floor.run_many(&raw, WAY, count, AT_ONCE)),
        || cpu_each(count, || run_many(runtime, &raw, WAY, count)),
    )?;
    // The host is idle between two: what is measured is a single task, with everybody asleep.
    let rest = || thread::sleep(Duration::from_millis(2));
    let idle = blocks(
        bench.pick(100, 400),
        || {
            rest();
            wall(|| ours.run_many(&kind, 1, 1))
        },
        || {
            rest();
            wall(|| run_here(runtime, &raw, WAY))
        },
    )?;
    Ok(vec![
        Figure::of_blocks(1, format!("start, {name}, 64 in flight (us CPU)"), &scaled(&cpu, 1e-3), Owed::Ratio(2.0)),
        Figure::of_blocks(
            1,
            format!("floor: raw {name} in tasks of a runtime (us CPU)"),
            &scaled(&in_tasks, 1e-3),
            Owed::Nothing,
        ),
        Figure::of_blocks(1, format!("start, {name}, idle host (us wall)"), &scaled(&idle, 1e-3), Owed::Nothing),
    ])
}
