//! What the process uses, as the kernel, the disk and the store say.

use std::{
    fmt::Write as _,
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use rusqlite::{Connection, OpenFlags};
use taskcell_bench::{Curve, write_curves};

use crate::process;

/// The curves that say nothing while there is work: threads for what blocks come and go, and so do the pages of cells.
const THREADS: &str = "threads";
const CELLS: &str = "cells MiB";
/// MiB that a memory keeps when nobody uses it, as the host's `engine.rs` has it.
const KEEPS: f64 = 2.0;
/// Memories that wasmtime keeps so for the next user; of further ones it keeps nothing. Its default, which the host leaves.
const KEPT_MAX: f64 = 100.0;
/// Longer than tokio keeps a thread for blocking work that has nothing to do: 10 s.
const REST: Duration = Duration::from_secs(12);

/// Everything that is watched, and when it began.
pub(crate) struct Watch<'a> {
    /// The directory of the host, unless it has none.
    dir: Option<&'a Path>,
    began: Instant,
    last: (Instant, u64),
    curves: Vec<Curve>,
    /// How much was done at each look.
    places: Vec<f64>,
    /// Threads, and MiB of the cells' pool, when nobody had anything to do: before, and in the end.
    at_rest: Vec<(f64, f64)>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(dir: Option<&'a Path>) -> Self {
        let now = Instant::now();
        let mut curves = vec![
            // The allocator keeps some of what it once had.
            Curve::new("memory MiB", 0.1, 8.0),
            Curve::new(CELLS, 0.0, 0.0),
            Curve::new("descriptors", 0.0, 8.0),
            Curve::new(THREADS, 0.0, 0.0),
        ];
        if dir.is_some() {
            // The log grows up to where it begins anew.
            curves.push(Curve::new("disk MiB", 0.1, 8.0));
            curves.push(Curve::new("rows", 0.1, 1000.0));
        }
        print!("{:>9} {:>9} {:>7}", "done", "each s", "s");
        for curve in &curves {
            print!("{:>14}", curve.name);
        }
        println!();
        Self { dir, began: now, last: (now, 0), curves, places: Vec::new(), at_rest: Vec::new() }
    }

    /// Waits until the threads are gone that are kept for further work, and counts the others.
    #[expect(clippy::disallowed_methods, reason = "nothing else tells when they are gone")]
    pub(crate) fn look_at_rest(&mut self) -> Result<()> {
        thread::sleep(REST);
        self.at_rest.push((process::look()?.threads, process::pool_mib()?));
        Ok(())
    }

    /// Looks at everything, and says it in a line.
    pub(crate) fn look(&mut self, done: u64) -> Result<()> {
        let (used, pool) = (process::look()?, process::pool_mib()?);
        let mut samples = vec![used.memory_mib - pool, pool, used.descriptors, used.threads];
        if let Some(dir) = self.dir {
            samples.push(mib(bytes_below(dir)?));
            samples.push(rows(dir)?);
        }
        let (now, (before, done_before)) = (Instant::now(), self.last);
        self.last = (now, done);
        let rate = whole(done - done_before) / now.duration_since(before).as_secs_f64();
        let mut line = format!("{done:>9} {rate:>9.0} {:>7.0}", now.duration_since(self.began).as_secs_f64());
        for (curve, sample) in self.curves.iter_mut().zip(samples) {
            write!(line, "{sample:>14.1}")?;
            curve.push(sample);
        }
        println!("{line}");
        self.places.push(whole(done));
        Ok(())
    }

    /// Draws the curves, or writes them down.
    pub(crate) fn plot(&self, to: &Path) -> Result<()> {
        write_curves(&self.places, &self.curves, to)
    }

    /// Says of each curve whether it is flat. `false` if one is not, or nobody can tell.
    pub(crate) fn verdict(&self) -> bool {
        println!();
        let mut all = true;
        for curve in &self.curves {
            if [THREADS, CELLS].contains(&curve.name) {
                continue;
            }
            let Some(verdict) = curve.verdict() else {
                println!("{:12} has too few samples", curve.name);
                all = false;
                continue;
            };
            let word = if verdict.is_flat { "flat" } else { "GROWS" };
            println!(
                "{:12} {word:6} the first half ends at {:.1}, the second is at most {:.1}; up to {:.1} is flat (+{:.0} %, +{})",
                curve.name,
                verdict.middle,
                verdict.highest,
                verdict.allowed,
                curve.part * 100.0,
                curve.fixed
            );
            all &= verdict.is_flat;
        }
        all & self.is_at_rest()
    }

    /// Whether what comes and goes has gone.
    fn is_at_rest(&self) -> bool {
        let [(threads, _), (left, pool)] = self.at_rest[..] else {
            println!("nobody has looked when it was at rest");
            return false;
        };
        let word = |is_fine| if is_fine { "rests" } else { "GROWS" };
        println!("{THREADS:12} {:6} {left} when all is done, and {threads} before", word(left <= threads));
        println!(
            "{CELLS:12} {:6} {pool:.1} when all is done, up to {:.1}",
            word(pool <= KEPT_MAX * KEEPS),
            KEPT_MAX * KEEPS
        );
        left <= threads && pool <= KEPT_MAX * KEEPS
    }
}

#[expect(clippy::cast_precision_loss, reason = "nothing that is counted here is so large")]
fn whole(number: u64) -> f64 {
    number as f64
}

fn mib(bytes: u64) -> f64 {
    whole(bytes) / f64::from(1 << 20)
}

/// What lies on the disk, in all files of a directory.
fn bytes_below(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let entries = match fs::read_dir(dir) {
        // Tasks come and go meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_below(&entry.path())?,
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}

/// All rows of the store.
fn rows(dir: &Path) -> Result<f64> {
    let db = Connection::open_with_flags(dir.join("tasks.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let sql = "SELECT (SELECT count(*) FROM streams) + (SELECT count(*) FROM events) + (SELECT count(*) FROM tasks)";
    let rows: i64 = db.query_row(sql, [], |row| row.get(0))?;
    Ok(whole(rows.unsigned_abs()))
}
