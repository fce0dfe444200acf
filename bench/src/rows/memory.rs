//! Row 10: the memory of a task that waits, page tables included, against a raw store that waits: of a guest that does nothing
//! else, and of the `approval` plugin, as its author compiles it.

use anyhow::Result;
use taskcell_bench::{Figure, Owed};

use super::Bench;
use crate::park;

/// How many wait.
const WAITING: [u32; 3] = [1000, 10_000, 50_000];

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (whose, file) in [("task", None), ("plugin's task", Some(bench.approval.as_path()))] {
        for waiting in WAITING {
            let mut blocks = Vec::new();
            for _ in 0..bench.pick(1, 5) {
                match (park::elsewhere(waiting, file, false)?, park::elsewhere(waiting, file, true)?) {
                    (Ok(ours), Ok(raw)) => blocks.push((ours / 1024.0, raw / 1024.0)),
                    (ours, raw) => {
                        for (side, end) in [("Taskcell", ours.err()), ("raw wasmtime", raw.err())] {
                            if let Some(why) = end {
                                eprintln!("bench: {side} cannot have {waiting} tasks that wait here: {why}");
                            }
                        }
                        break;
                    }
                }
            }
            if !blocks.is_empty() {
                let name = format!("memory of a {whose} that waits, of {waiting} (KiB)");
                figures.push(Figure::of_blocks(10, name, &blocks, Owed::Ratio(1.2)));
            }
        }
    }
    Ok(figures)
}
