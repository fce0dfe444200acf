//! Where the workers sit: since when each is in its present poll.

use std::time::{Duration, Instant};

use crate::sync::{AtomicU64, Ordering};

/// Nobody sits there.
const FREE: u64 = 0;
/// Somebody does, and is between two polls.
const BETWEEN: u64 = 1;

/// The seats, of which the first belong to the regular workers and the others to spare ones.
pub(crate) struct Seats {
    origin: Instant,
    /// `FREE`, `BETWEEN`, or the microsecond in which the present poll began.
    since: Vec<AtomicU64>,
}

impl Seats {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a poll takes is a matter of real time; it decides about spare workers only"
    )]
    pub(crate) fn new(seats: usize) -> Self {
        Self { origin: Instant::now(), since: (0..seats).map(|_| AtomicU64::new(FREE)).collect() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX).max(BETWEEN + 1)
    }

    fn set(&self, seat: usize, to: u64) {
        if let Some(since) = self.since.get(seat) {
            since.store(to, Ordering::Relaxed);
        }
    }

    /// Takes a free seat from the given one on.
    pub(crate) fn take(&self, from: usize) -> Option<usize> {
        let mut seats = self.since.iter().enumerate().skip(from);
        let free =
            |since: &AtomicU64| since.compare_exchange(FREE, BETWEEN, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        seats.find(|(_, since)| free(since)).map(|(seat, _)| seat)
    }

    pub(crate) fn leave(&self, seat: usize) {
        self.set(seat, FREE);
    }

    pub(crate) fn begin(&self, seat: usize) {
        // The fences of the watch put this in one order with the watchdog's falling asleep: one of the two sees the other.
        self.set(seat, self.now());
    }

    pub(crate) fn end(&self, seat: usize) {
        self.set(seat, BETWEEN);
    }

    /// Whether any worker is in a poll. Sees every poll whose worker has woken the watch after it had begun.
    pub(crate) fn is_polling(&self) -> bool {
        self.since.iter().any(|since| since.load(Ordering::Relaxed) > BETWEEN)
    }

    /// Workers that are in one poll for longer than this, and workers that there are.
    pub(crate) fn stuck(&self, longer_than: Duration) -> (usize, usize) {
        let now = self.now();
        let limit = u64::try_from(longer_than.as_micros()).unwrap_or(u64::MAX);
        let mut counts = (0, 0);
        for since in &self.since {
            match since.load(Ordering::Relaxed) {
                FREE => {}
                BETWEEN => counts.1 += 1,
                began => {
                    counts.1 += 1;
                    counts.0 += usize::from(now.saturating_sub(began) > limit);
                }
            }
        }
        counts
    }
}
