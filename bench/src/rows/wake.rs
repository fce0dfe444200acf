//! Row 6: from a signal to a guest that has run and waits again, among many that wait, against waking a raw fiber.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use taskcell_bench::{Figure, Owed};

use super::Bench;
use crate::{
    floor::Floor,
    guests,
    measure::{blocks, cpu_each, scaled},
    ours::Ours,
    raw::{Bare, Guest, Parked, Way, engine_for},
};

/// How many wait.
const FEW: u32 = 1000;
const WAITING: [u32; 2] = [FEW, 10_000];
/// So many of either side fit into one process.
const TOGETHER_MAX: u32 = 4000;
/// Senders at once.
const SENDERS: usize = 64;
/// What is owed, in microseconds of CPU time.
const WAKE_MAX: f64 = 4.0;
const WAY: Way = Way { slice: Some(1_000_000), hook: true };

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures: Vec<Figure> = WAITING.into_iter().map(|waiting| figure(bench, waiting)).collect::<Result<_>>()?;
    figures.push(floor(bench, FEW)?);
    Ok(figures)
}

/// Raw guests, each in a task that is told first.
fn floor(bench: &Bench, waiting: u32) -> Result<Figure> {
    let guest = Arc::new(Guest::<Bare>::new(&engine_for(2 * waiting)?, &guests::waits()?, "go")?);
    let floor = Floor::new()?;
    let told = floor.park(&guest, WAY, waiting)?;
    let mut parked = (0..waiting).map(|_| guest.park(WAY)).collect::<Result<Vec<_>>>()?;
    let blocks = blocks(
        bench.pick(9, 25),
        || cpu_each(waiting, || floor.wake(&told, SENDERS)),
        || cpu_each(waiting, || parked.iter_mut().try_for_each(Parked::wake)),
    )?;
    let name = format!("floor: raw in tasks that are told, {waiting} wait (us CPU)");
    Ok(Figure::of_blocks(6, name, &scaled(&blocks, 1e-3), Owed::Nothing))
}

fn figure(bench: &Bench, waiting: u32) -> Result<Figure> {
    let bytes = guests::waits()?;
    let parked = || -> Result<_> {
        let guest = Arc::new(Guest::<Bare>::new(&engine_for(waiting)?, &bytes, "go")?);
        (0..waiting).map(|_| guest.park(WAY)).collect::<Result<Vec<_>>>()
    };
    let count = bench.pick(9, 25);
    // The system has no mappings for both sides at once when there are many: then one comes after the other.
    let first = if waiting > TOGETHER_MAX {
        let mut raw = parked()?;
        let round = |_| cpu_each(waiting, || raw.iter_mut().try_for_each(Parked::wake));
        Some((0..=count).map(round).collect::<Result<Vec<_>>>()?.split_off(1))
    } else {
        None
    };
    let ours = Ours::with_cells(waiting, taskcell::Host::builder())?;
    let kind = ours.load(bytes.clone(), "go", json!({}))?;
    let tasks = Arc::new(ours.park(&kind, waiting)?);
    let wake = || cpu_each(waiting, || ours.wake(&tasks, SENDERS));
    let blocks = if let Some(raw) = first {
        wake()?;
        raw.into_iter().map(|raw| Ok((wake()?, raw))).collect::<Result<Vec<_>>>()?
    } else {
        let mut raw = parked()?;
        blocks(count, wake, || cpu_each(waiting, || raw.iter_mut().try_for_each(Parked::wake)))?
    };
    ours.end(&tasks);
    let name = format!("notify to parked again, {waiting} wait (us CPU)");
    Ok(Figure::of_blocks(6, name, &scaled(&blocks, 1e-3), Owed::Ours(WAKE_MAX)))
}
