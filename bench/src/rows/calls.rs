//! Row 4: a guest's call of the host, against a function that is ready at once, with a call hook.

use anyhow::Result;
use serde_json::json;
use taskcell::{Host, Limits};
use taskcell_bench::{Figure, Owed};

use super::Bench;
use crate::{
    guests::{self, Call},
    measure::{blocks, cpu_each},
    ours::Ours,
    raw::{Bare, Guest, Way, engine, run_many},
};

/// What is called, how it is shown, and how often in one task: so often that the start does not count.
const CALLS: [(Call, &str, u32); 7] = [
    (Call::Heartbeat, "heartbeat, no argument", 200_000),
    (Call::Log(20), "log, 20 B", 100_000),
    (Call::Log(1 << 10), "log, 1 KiB", 100_000),
    (Call::Log(1 << 20), "log, 1 MiB", 500),
    (Call::Write(20), "output, 20 B", 100_000),
    (Call::Write(1 << 10), "output, 1 KiB", 50_000),
    (Call::Write(1 << 20), "output, 1 MiB", 500),
];
const WAY: Way = Way { slice: Some(1_000_000), hook: true };

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let engine = engine()?;
    // The newest of what is printed is in memory either way. Beside that, a host writes what is older to the disk: that is the
    // disk's time and not the call's, so it is shown and nothing is owed for it.
    let mut limits = Limits::default();
    limits.spill_bytes = 0;
    let in_memory = Ours::of(Host::builder().limits(limits))?;
    let on_disk = Ours::new()?;
    let measure = |(call, name, count): (Call, &str, u32), ours: &Ours, kept: &str, owed: Owed| {
        let bytes = guests::calls(call, count)?;
        let raw = Guest::<Bare>::new(&engine, &bytes, "go")?;
        let kind = ours.load(bytes, "go", json!({}))?;
        let blocks = blocks(
            bench.pick(11, 41),
            || cpu_each(count, || ours.run_many(&kind, 1, 1)),
            || cpu_each(count, || run_many(ours.runtime.handle(), &raw, WAY, 1)),
        )?;
        Ok(Figure::of_blocks(4, format!("host call, {name}{kept} (ns CPU)"), &blocks, owed))
    };
    let calls = CALLS.into_iter().map(|call| measure(call, &in_memory, "", Owed::Ratio(1.5)));
    let prints = CALLS.into_iter().filter(|(call, ..)| !matches!(call, Call::Heartbeat));
    let kept = prints.map(|call| measure(call, &on_disk, ", what is older on disk", Owed::Nothing));
    calls.chain(kept).collect()
}
