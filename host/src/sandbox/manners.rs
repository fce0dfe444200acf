//! Which guests may have their turns beside their actors, on the program's own threads: those whose turns are short.
//!
//! A turn of most guests takes a few microseconds, and two changes between threads take longer. What keeps guests from holding
//! the program's threads up there, beside what bounds each of their turns anywhere (`pace.rs`):
//!
//! - They have little memory. Fuel counts the bytes that one instruction touches, but not the page faults: a first fill of 64 MiB
//!   takes 5 ms.
//! - They call no interface of the embedder's, which may block; the audit log must not. They have no granted folders and got no
//!   files along, and whoever has opened something in its scratch directory stays away: files are closed where their guest's turn is or its cell is
//!   dropped, and the disk may not answer.
//! - Each has credit, of which a turn takes as long as it lasts, and to which each wish for a turn adds a little: the
//!   actor has worked for what it is wished for. Whoever sends it a signal from outside adds a whole short turn. So how much guests take
//!   of those threads goes by how often their actors work, and by what the program wants of them. Who wakes itself by its own calls
//!   all the time, turn after turn, has its next 64 from the workers, unless somebody outside wants something of it meanwhile.
//! - When turns take long all the same, the guests of the plugin are sent away for fifty times as much as that was too long.
//!
//! A thread that others take the processor from is no fault of its guest's. It costs credit, which comes back; but time alone makes a plugin suspect; processor time,
//! which costs a call of the system for each turn, is looked at of those only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;

use crate::ports::clock::{Clock, SystemClock};
use crate::ports::news::News;
use crate::ports::scratch::Scratch;

/// Bytes of memory with which a guest stays. As 64 MiB are filled in 5 ms, so much is in 0.16.
pub(super) const MEMORY_BYTES_MAX: u64 = 2 << 20;
/// How long a turn may take that is short, half of what fuel lets a guest have.
pub(super) const SHORT: Duration = Duration::from_micros(50);
/// For how many times as much as a turn was too long. Of the turns of `hello`, which are short, one in 260 takes more than 50 us of
/// processor time, 76 on average: with a hundred times the whole turn 40 % of all went to the workers for that.
const AWAY: u32 = 50;

/// Microseconds of credit that a guest begins with, and that it can have. Making it takes some of them.
const CREDIT_MAX: i64 = 200;
/// What it gets for each wish for a turn: less than a wake of a short guest takes in all (12 to 17 us, row 6).
const CREDIT_PER_WISH: i64 = 10;
/// What it gets beside that for each time that somebody outside wants something of it, a whole short turn: whoever wants it has
/// caused that use of the program's threads.
const CREDIT_WHEN_WANTED: i64 = 50;
/// What it owes at most: 64 wishes.
const CREDIT_MIN: i64 = -64 * CREDIT_PER_WISH;

/// Whether one guest may have its turns beside its actor.
#[derive(Debug)]
pub(super) struct Stay {
    manners: Arc<Manners>,
    news: Arc<News>,
    /// Its scratch directory, if it has one.
    scratch: Option<Arc<Scratch>>,
    credit: AtomicI64,
    /// Whether it has too much memory.
    outgrown: AtomicBool,
    /// Whether the next poll is there.
    is_next: AtomicBool,
    /// Whether the present poll is.
    is_beside: AtomicBool,
}

impl Stay {
    pub(super) fn new(manners: Arc<Manners>, news: Arc<News>, scratch: Option<Arc<Scratch>>) -> Self {
        Self {
            manners,
            news,
            scratch,
            credit: AtomicI64::new(CREDIT_MAX),
            outgrown: AtomicBool::new(false),
            is_next: AtomicBool::new(false),
            is_beside: AtomicBool::new(false),
        }
    }

    /// Whether it may have the turn that it wishes for.
    pub(super) fn may_stay(&self) -> bool {
        let wanted = i64::from(self.news.take_wanted()).saturating_mul(CREDIT_WHEN_WANTED);
        let credit = self.account(CREDIT_PER_WISH.saturating_add(wanted));
        let has_files = self.scratch.as_ref().is_some_and(|scratch| scratch.has_files());
        credit > 0 && !has_files && !self.outgrown.load(Ordering::Relaxed) && self.manners.are_good()
    }

    /// Around a turn there.
    pub(super) fn around(&self, is_last: bool, turn: &mut dyn FnMut()) {
        self.is_next.store(true, Ordering::Relaxed);
        if is_last {
            // Before the turn, at whose end others may wish for the next one.
            self.account(i64::MIN);
        }
        let took = self.manners.around(turn);
        self.account(-i64::try_from(took.as_micros()).unwrap_or(i64::MAX));
    }

    /// Adds to its credit, and returns that.
    fn account(&self, micros: i64) -> i64 {
        let sum = |credit: i64| credit.saturating_add(micros).clamp(CREDIT_MIN, CREDIT_MAX);
        match self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |credit| Some(sum(credit))) {
            Ok(before) | Err(before) => sum(before),
        }
    }

    /// A poll begins.
    pub(super) fn begins_poll(&self) {
        self.is_beside.store(self.is_next.swap(false, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether the present poll is beside the actor.
    pub(super) fn is_beside(&self) -> bool {
        self.is_beside.load(Ordering::Relaxed)
    }

    /// Notes how much memory it has. Says whether that is too much for where it is; it does not come back.
    pub(super) fn outgrows(&self, memory_bytes: u64) -> bool {
        let outgrows = memory_bytes > MEMORY_BYTES_MAX;
        if outgrows {
            self.outgrown.store(true, Ordering::Relaxed);
        }
        outgrows && self.is_beside()
    }

    #[cfg(test)]
    pub(super) fn has_outgrown(&self) -> bool {
        self.outgrown.load(Ordering::Relaxed)
    }
}

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
    fn are_good(&self) -> bool {
        // Most never had a long turn, and need no look at the clock.
        !self.is_before(&self.away_until)
    }

    fn is_before(&self, moment: &AtomicU64) -> bool {
        let moment = moment.load(Ordering::Relaxed);
        moment != 0 && micros(self.clock.steady()) < moment
    }

    /// Around one turn of one of them. Returns what it took.
    fn around(&self, turn: &mut dyn FnMut()) -> Duration {
        let _context = self.context.enter();
        let worked_before = self.is_before(&self.suspect_until).then(processor_time);
        let began = self.clock.steady();
        turn();
        let ended = self.clock.steady();
        let took = ended.saturating_sub(began);
        if took > SHORT {
            self.took_long(took, ended, worked_before.map(|before| processor_time().saturating_sub(before)));
        }
        took
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
    use crate::model::ids::TaskId;

    use super::*;

    fn stay() -> Stay {
        Stay::new(Arc::new(Manners::new(Handle::current())), Arc::default(), None)
    }

    /// So many of so many wishes are granted to a guest whose turns take so long.
    fn granted(stay: &Stay, wishes: u32, micros: i64) -> u32 {
        let mut granted = 0;
        for _ in 0..wishes {
            if stay.may_stay() {
                granted += 1;
                stay.account(-micros);
            }
        }
        granted
    }

    #[tokio::test]
    async fn a_guest_has_ten_microseconds_for_each_turn_that_it_wishes_for() {
        assert_eq!(granted(&stay(), 1000, 3), 1000, "short turns are all beside the actor");
        assert_eq!(granted(&stay(), 1000, 10), 1000);
        let of_longer = granted(&stay(), 1000, 45);
        assert!((1000 * 10 / 45..1000 * 10 / 45 + 10).contains(&of_longer), "{of_longer}");
        let waits_long = stay();
        assert_eq!(granted(&waits_long, 10, 100_000), 1);
        assert_eq!(granted(&waits_long, 54, 0), 0, "what it owes has a bound");
        assert_eq!(granted(&waits_long, 2, 0), 1);
    }

    #[tokio::test]
    async fn whoever_is_wanted_from_outside_has_a_short_turn_for_each_time() {
        let stay = stay();
        let of_its_own = granted(&stay, 1000, 50);
        assert!(of_its_own < 210, "{of_its_own}");
        for _ in 0..1000 {
            stay.news.want_turn();
            assert_eq!(granted(&stay, 1, 50), 1);
        }
        let later = granted(&stay, 1000, 50);
        assert!(later < 210, "what it has saved up has a bound: {later}");
        stay.news.want_turn();
        stay.news.want_turn();
        assert_eq!(stay.news.take_wanted(), 2);
        assert_eq!(stay.news.take_wanted(), 0, "each time counts once");
    }

    #[tokio::test]
    async fn whoever_wakes_itself_all_the_time_has_its_next_turns_elsewhere() {
        let stay = stay();
        let mut turns = 0;
        assert!(stay.may_stay());
        stay.around(false, &mut || turns += 1);
        assert!(stay.may_stay());
        stay.around(true, &mut || {
            turns += 1;
            assert!(!stay.may_stay(), "already while the turn ends");
        });
        assert_eq!(turns, 2);
        assert_eq!((0..62).filter(|_| stay.may_stay()).count(), 0, "one wish was counted in the turn");
        while !stay.may_stay() {}
    }

    #[tokio::test]
    async fn whoever_has_opened_files_stays_with_the_workers() {
        let top = tempfile::tempdir().unwrap();
        let dir = cap_std::fs::Dir::open_ambient_dir(top.path(), cap_std::ambient_authority()).unwrap();
        let scratch = Arc::new(Scratch::new(Arc::new(dir), TaskId::from_random(7)));
        let stay = Stay { scratch: Some(Arc::clone(&scratch)), ..stay() };
        assert!(stay.may_stay());
        scratch.open().unwrap();
        assert!(stay.may_stay(), "its library has asked where it may write");
        scratch.use_files();
        assert!(!stay.may_stay());
    }

    #[tokio::test]
    async fn memory_that_was_grown_elsewhere_keeps_a_guest_there() {
        let stay = stay();
        stay.begins_poll();
        assert!(!stay.outgrows(MEMORY_BYTES_MAX + 1), "on a worker nothing has to happen at once");
        assert!(!stay.may_stay());
    }

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
