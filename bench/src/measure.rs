//! How things are measured: blocks of ours and of raw in turn, in CPU time of the whole process or in wall time.
//!
//! Why not criterion or divan: both measure one closure until it is steady and then the next, minutes later, and
//! compare what is left. On a machine with neighbours the two have then seen different machines. Here the two are
//! measured within the same tenths of a second, and it is the ratio of such a pair that is kept. Both also time a
//! closure's own thread by the wall, and our work happens on a dozen threads.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

/// What the process has burnt so far, on all its threads.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The CPU time of some work, on all threads, for one of so many things in it, in nanoseconds.
pub(crate) fn cpu_each(things: u32, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = cpu();
    work()?;
    Ok(cpu().saturating_sub(before).as_secs_f64() * 1e9 / f64::from(things))
}

/// The wall time of some work, in nanoseconds.
pub(crate) fn wall(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = Instant::now();
    work()?;
    Ok(before.elapsed().as_secs_f64() * 1e9)
}

/// So many blocks of ours and of raw, next to each other. Who goes first changes from block to block. What comes
/// before them only warms up.
pub(crate) fn blocks(
    count: usize,
    mut ours: impl FnMut() -> Result<f64>,
    mut raw: impl FnMut() -> Result<f64>,
) -> Result<Vec<(f64, f64)>> {
    ours()?;
    raw()?;
    (0..count)
        .map(|number| {
            if number % 2 == 0 {
                let ours = ours()?;
                return Ok((ours, raw()?));
            }
            let raw = raw()?;
            Ok((ours()?, raw))
        })
        .collect()
}

/// The same in other units: nanoseconds to microseconds is a factor of 0.001.
pub(crate) fn scaled(blocks: &[(f64, f64)], factor: f64) -> Vec<(f64, f64)> {
    blocks.iter().map(|(ours, raw)| (ours * factor, raw * factor)).collect()
}
