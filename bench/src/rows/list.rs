//! Which rows there are.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use taskcell_bench::Figure;

use super::{
    busy, calls, cancel, durable, fanout, growth, kernels, load, memory, program, progress, start, wake, workers,
};

/// How to measure.
pub(crate) struct Bench {
    /// Fewer and smaller blocks.
    pub(crate) quick: bool,
    /// The finished `hello` plugin.
    pub(crate) hello: Vec<u8>,
    /// Where the finished `approval` plugin is.
    pub(crate) approval: PathBuf,
    /// A directory on a disk.
    pub(crate) disk: PathBuf,
    /// The finished program.
    pub(crate) program: Option<PathBuf>,
}

impl Bench {
    /// One of two numbers, for a look and for good.
    pub(crate) fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// Measures a row.
type Row = fn(&Bench) -> Result<Vec<Figure>>;

/// The rows, by number.
const ROWS: [(u8, &str, Row); 14] = [
    (1, "start to outcome in memory, 64 in flight", start::measure),
    (2, "two workers against one", workers::measure),
    (3, "start to outcome on the disk, 64 in flight", durable::measure),
    (4, "calls of the host", calls::measure),
    (5, "reports of progress", progress::measure),
    (6, "notify to parked again", wake::measure),
    (7, "guest CPU", kernels::measure),
    (8, "cancel to cell gone", cancel::measure),
    (9, "state and start while guests spin", busy::measure),
    (10, "memory of tasks that wait", memory::measure),
    (11, "events to those who follow", fanout::measure),
    (12, "loading a plugin", load::measure),
    (13, "the program's first line", program::measure),
    (14, "growth", growth::measure),
];

/// Measures the rows of these numbers, or all.
pub(crate) fn measure(bench: &Bench, wanted: &[u8]) -> Result<Vec<Figure>> {
    for number in wanted {
        let known: Vec<_> = ROWS.iter().map(|row| row.0).collect();
        ensure!(known.contains(number), "there is no row {number}; there are {known:?}");
    }
    let mut figures = Vec::new();
    for (number, what, row) in ROWS {
        if wanted.is_empty() || wanted.contains(&number) {
            eprintln!("bench: row {number}, {what}");
            figures.extend(row(bench)?);
        }
    }
    Ok(figures)
}
