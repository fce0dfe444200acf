//! How long something takes, and how much of it is done.

use std::time::{Duration, Instant};

use anyhow::Result;

/// How many tasks are alive when one is cancelled.
pub(crate) const CROWD: usize = 1000;
/// What a loop without an end is allowed where it has a time.
pub(crate) const ALLOWED: Duration = Duration::from_secs(1);
/// And where its steps are counted.
pub(crate) const ALLOWED_STEPS: u64 = 100_000_000;
/// How long something that should end is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long one that does not end is looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(2);
/// How long one that has said that it runs needs until it waits.
pub(crate) const SETTLED: Duration = Duration::from_millis(100);

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    pub(crate) quick: bool,
}

impl Amount {
    /// The first for a look, the second for good.
    pub(crate) fn pick<T>(self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// How long each of so many takes, in microseconds.
pub(crate) fn each(count: usize, mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    (0..count)
        .map(|_| {
            let before = Instant::now();
            work()?;
            Ok(micros(before.elapsed()))
        })
        .collect()
}

/// The same with a rest before each, so that everybody is asleep; what comes before them only warms up.
pub(crate) fn rested(count: usize, mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    for _ in 0..count.min(20) {
        work()?;
    }
    (0..count)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(2));
            let before = Instant::now();
            work()?;
            Ok(micros(before.elapsed()))
        })
        .collect()
}

/// Whom to cancel of so many, and how long to wait before: different ones, at different moments.
pub(crate) fn victims(cancels: usize) -> impl Iterator<Item = (usize, Duration)> {
    (0..cancels).map(|number| (number * 7 % CROWD, Duration::from_micros(500 + number as u64 * 1237 % 1500)))
}
