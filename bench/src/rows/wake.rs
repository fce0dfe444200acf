//! Row 6: from a signal to a guest that has run and waits again, among many that wait, against waking a raw fiber.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use taskcell_bench::{Figure, Owed};

use super::Bench;
use crate::{
    guests,
    measure::{blocks, cpu_each, scaled},
    ours::Ours,
    raw::{Bare, Guest, Parked, Way, engine_for},
};

/// How many wait.
const WAITING: [u32; 2] = [1000, 10_000];
/// Senders at once.
const SENDERS: usize = 64;
/// What is owed, in microseconds of CPU time.
const WAKE_MAX: f64 = 4.0;
const WAY: Way = Way { slice: Some(1_000_000), hook: true };

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    WAITING.into_iter().map(|waiting| figure(bench, waiting)).collect()
}

fn figure(bench: &Bench, waiting: u32) -> Result<Figure> {
    let bytes = guests::waits()?;
    let guest = Arc::new(Guest::<Bare>::new(&engine_for(waiting)?, &bytes, "go")?);
    let ours = Ours::with_cells(waiting, taskcell::Host::builder())?;
    let kind = ours.load(bytes, "go", json!({}))?;
    let tasks = Arc::new(ours.park(&kind, waiting)?);
    let mut raw = (0..waiting).map(|_| guest.park(WAY)).collect::<Result<Vec<_>>>()?;
    let blocks = blocks(
        bench.pick(9, 25),
        || cpu_each(waiting, || ours.wake(&tasks, SENDERS)),
        || cpu_each(waiting, || raw.iter_mut().try_for_each(Parked::wake)),
    )?;
    ours.end(&tasks);
    let name = format!("notify to parked again, {waiting} wait (us CPU)");
    Ok(Figure::of_blocks(6, name, &scaled(&blocks, 1e-3), Owed::Ours(WAKE_MAX)))
}
