//! Which guests may have their turns beside their actors, on the program's own threads: those whose turns are short.
//!
//! A turn of most guests takes a few microseconds, and two changes between threads take longer. What keeps a guest from holding
//! the program's threads up there, beside what bounds each of its turns anywhere (`pace.rs`):
//!
//! - It has little memory. What one instruction can do is bounded by that, and fuel says nothing about it: 64 MiB are filled in 5 ms.
//! - It calls nothing of the embedder's, which may block, and has no granted folder: its files are closed when it is dropped,
//!   and the disk may not answer.
//! - When turns take longer all the same, the guests of its plugin are sent away for fifty times as much as that was too long. So
//!   those that do nothing but burn take a twenty-fifth of one thread in that way.
//!
//! A thread that others take the processor from is no fault of its guest's. So time alone makes a plugin suspect; processor time,
//! which costs a call of the system for each turn, is looked at of those only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;

use crate::ports::clock::{Clock, SystemClock};

/// Bytes of memory with which a guest stays. The kernel clears and the guest fills so much in some 0.2 ms.
pub(super) const MEMORY_BYTES_MAX: u64 = 2 << 20;
/// How long a turn may take that is short, half of what fuel lets a guest have.
pub(super) const SHORT: Duration = Duration::from_micros(50);
/// For how many times as much as a turn was too long. Of a plugin's short turns about one in 200 takes 60 to 80 us, for
/// page faults and interrupts: with a hundred times the whole turn 40 % of them went to the workers for that.
const AWAY: u32 = 50;

/// How a plugin's guests behave beside their actors.
#[derive(Debug)]
pub(super) struct Manners {
    /// The machine's own: what a turn takes from others is real time, which nobody simulates.
    clock: SystemClock,
    /// Where their timers and files are served.
    context: Handle,
    /// Until when their turns' processor time is looked at, in microseconds of that clock; 0 while there was no reason.
    suspect_until: AtomicU64,
    /// Until when they are sent away, the same.
    away_until: AtomicU64,
}

impl Manners {
    pub(super) fn new(context: Handle) -> Self {
        Self { clock: SystemClock::new(), context, suspect_until: AtomicU64::new(0), away_until: AtomicU64::new(0) }
    }

    /// Whether their turns have been short of late.
    pub(super) fn are_good(&self) -> bool {
        // Most never had a long turn, and need no look at the clock.
        !self.is_before(&self.away_until)
    }

    fn is_before(&self, moment: &AtomicU64) -> bool {
        let moment = moment.load(Ordering::Relaxed);
        moment != 0 && micros(self.clock.steady()) < moment
    }

    /// Around one turn of one of them.
    pub(super) fn around(&self, turn: &mut dyn FnMut()) {
        let _context = self.context.enter();
        let worked_before = self.is_before(&self.suspect_until).then(processor_time);
        let began = self.clock.steady();
        turn();
        let ended = self.clock.steady();
        let took = ended.saturating_sub(began);
        if took > SHORT {
            self.took_long(took, ended, worked_before.map(|before| processor_time().saturating_sub(before)));
        }
    }

    /// A turn took longer than is short, and worked for so much of that, if somebody looked.
    fn took_long(&self, took: Duration, ended: Duration, worked: Option<Duration>) {
        let too_much = worked.unwrap_or(took).saturating_sub(SHORT);
        let until = |times: u32| micros(ended.saturating_add(too_much.saturating_mul(times)));
        if worked.is_some() && !too_much.is_zero() {
            self.away_until.fetch_max(until(AWAY), Ordering::Relaxed);
        }
        // They are looked at when they are back.
        self.suspect_until.fetch_max(until(2 * AWAY), Ordering::Relaxed);
    }
}

/// What this thread has worked since it began, or nothing where nobody can tell: then nobody is sent away.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Into::into)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn a_plugin_is_sent_away_for_fifty_times_what_was_too_long() {
        let manners = Manners::new(Handle::current());
        let now = manners.clock.steady();
        manners.took_long(SHORT + HOUR, now, None);
        assert!(manners.are_good(), "somebody may have taken the processor from it");
        assert!(manners.is_before(&manners.suspect_until));
        manners.took_long(SHORT + HOUR, now, Some(SHORT));
        assert!(manners.are_good(), "somebody has");
        manners.took_long(SHORT + HOUR, now, Some(SHORT + HOUR / 2));
        assert!(!manners.are_good());
        let moments = || [&manners.away_until, &manners.suspect_until].map(|moment| moment.load(Ordering::Relaxed));
        assert_eq!(moments(), [micros(now + HOUR * 25), micros(now + HOUR * 100)]);
        manners.took_long(SHORT + HOUR, now, Some(2 * SHORT));
        assert_eq!(moments(), [micros(now + HOUR * 25), micros(now + HOUR * 100)], "no shorter");
    }

    #[tokio::test]
    async fn who_burns_is_sent_away_and_may_come_back() {
        let manners = Manners::new(Handle::current());
        let burn = &mut || {
            let before = processor_time();
            while processor_time().saturating_sub(before) <= 2 * SHORT {
                std::hint::spin_loop();
            }
        };
        manners.around(burn);
        assert!(manners.are_good(), "the first time is only time");
        // On a machine that takes longer for the second than the suspicion lasts, it takes more.
        while manners.are_good() {
            manners.around(burn);
        }
        while !manners.are_good() {
            tokio::task::yield_now().await;
        }
        assert!(manners.clock.steady() >= SHORT * AWAY);
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
