//! Which guests may have their turns beside their actors, on the program's own threads: those whose turns are short.
//!
//! A turn of most guests takes a few microseconds, and two changes between threads take longer. What keeps a guest from holding
//! the program's threads up there, beside what bounds each of its turns anywhere (`pace.rs`):
//!
//! - It has little memory. What one instruction can do is bounded by that, and fuel says nothing about it: 64 MiB are filled in 5 ms.
//! - It calls nothing of the embedder's, which may block.
//! - When a turn takes long all the same, the guests of its plugin are sent away for a hundred times as long. So a plugin takes no
//!   more than a hundredth of one thread in that way, whatever it does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::ports::clock::{Clock, SystemClock};

/// Bytes of memory with which a guest stays. The kernel clears and the guest fills so much in some 0.2 ms.
pub(super) const MEMORY_BYTES_MAX: u64 = 2 << 20;
/// How long a turn may take that is short, half of what fuel lets a guest have.
pub(super) const SHORT: Duration = Duration::from_micros(50);
/// For how many times as long as a turn took that was not.
const AWAY: u32 = 100;

/// How a plugin's guests behave beside their actors.
#[derive(Debug)]
pub(super) struct Manners {
    /// The machine's own: what a turn takes from others is real time, which nobody simulates.
    clock: SystemClock,
    /// Where their timers and files are served.
    context: Handle,
    /// Until when they are sent away, in microseconds of that clock; 0 while nobody was.
    away_until: AtomicU64,
}

impl Manners {
    pub(super) fn new(context: Handle) -> Self {
        Self { clock: SystemClock::new(), context, away_until: AtomicU64::new(0) }
    }

    /// Whether their turns have been short of late.
    pub(super) fn are_good(&self) -> bool {
        let until = self.away_until.load(Ordering::Relaxed);
        // Most never had a long turn, and need no look at the clock.
        until == 0 || micros(self.clock.steady()) >= until
    }

    /// Around one turn of one of them.
    pub(super) fn around(&self, turn: &mut dyn FnMut()) {
        let _context = self.context.enter();
        let began = self.clock.steady();
        turn();
        let ended = self.clock.steady();
        self.took(ended.saturating_sub(began), ended);
    }

    fn took(&self, time: Duration, ended: Duration) {
        if time > SHORT {
            let until = ended.saturating_add(time.saturating_mul(AWAY));
            self.away_until.fetch_max(micros(until), Ordering::Relaxed);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_plugin_is_sent_away_for_a_hundred_times_its_long_turn() {
        let manners = Manners::new(Handle::current());
        manners.took(SHORT, Duration::from_secs(1));
        assert!(manners.are_good());
        let now = manners.clock.steady();
        manners.took(Duration::from_hours(1), now);
        assert!(!manners.are_good());
        assert_eq!(manners.away_until.load(Ordering::Relaxed), micros(now + Duration::from_hours(100)));
        manners.took(Duration::from_millis(1), now);
        assert_eq!(manners.away_until.load(Ordering::Relaxed), micros(now + Duration::from_hours(100)), "no shorter");
    }

    #[tokio::test]
    async fn whoever_was_sent_away_may_come_back() {
        let manners = Manners::new(Handle::current());
        manners.took(Duration::from_micros(100), Duration::ZERO);
        while !manners.are_good() {
            tokio::task::yield_now().await;
        }
        assert!(manners.clock.steady() >= Duration::from_millis(10));
    }

    #[test]
    fn a_turn_is_within_the_context_of_its_timers() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let manners = Manners::new(runtime.handle().clone());
        let mut found = None;
        manners.around(&mut || found = Handle::try_current().ok());
        assert_eq!(found.map(|handle| handle.id()), Some(runtime.handle().id()));
        assert!(Handle::try_current().is_err());
    }
}
