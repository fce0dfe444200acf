//! Row 7: a guest's own work, against fuel without yields, and against no metering at all.

use anyhow::Result;
use serde_json::json;
use taskcell_bench::{Figure, Owed};

use super::Bench;
use crate::{
    guests,
    measure::{blocks, cpu_each, scaled},
    ours::Ours,
    raw::{Bare, Guest, Way, engine, run_many, unmetered_engine},
};

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let ours = Ours::new()?;
    let runtime = ours.runtime.handle();
    let engines =
        [("fuel, no yields", engine()?, Owed::Ratio(1.05)), ("unmetered", unmetered_engine()?, Owed::Nothing)];
    let mut figures = Vec::new();
    for (name, guest) in guests::KERNELS {
        let bytes = guest()?;
        let kind = ours.load(bytes.clone(), "go", json!({}))?;
        for (against, engine, owed) in &engines {
            let raw = Guest::<Bare>::new(engine, &bytes, "go")?;
            let blocks = blocks(
                bench.pick(11, 41),
                || cpu_each(1, || ours.run_many(&kind, 1, 1)),
                || cpu_each(1, || run_many(runtime, &raw, Way::default(), 1)),
            )?;
            let name = format!("{name}, against {against} (ms CPU)");
            figures.push(Figure::of_blocks(7, name, &scaled(&blocks, 1e-6), *owed));
        }
    }
    Ok(figures)
}
