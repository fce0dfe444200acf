//! The one thread that writes. What waits for it is written together; what cannot be written waits, or is refused.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::ports::clock::{Clock, SystemClock};
use crate::ports::store::CommitError;

use super::faults::Trouble;
use super::group::{self, Job, Places, Written};
use super::health::Pulse;
use super::open::Opened;
use super::owner::OwnerLock;
use super::pages::{Thoroughness, checkpoint};
use super::queue::{Jobs, Queued, Waited};
use super::recent::Recent;
use super::upkeep::Upkeep;

/// The longest that something lies only in the machine's memory. What asks for more is answered when it is on the disk.
const LAG_MAX: Duration = Duration::from_millis(200);
/// Jobs in one transaction.
const GROUP_JOBS_MAX: usize = 1024;
/// Bytes in one transaction, unless it is one job. Protects those who wait from whoever writes much.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// The part of the time that the last commit took for which the next transaction is held back at most: what is written
/// together shares that, and nothing else.
const GATHER: f32 = 0.5;
/// And never for longer than this.
const GATHER_MAX: Duration = Duration::from_millis(1);
/// What each of those who were answered together needs until it comes back, before that was seen: with 64 tasks in flight on two
/// processors, about.
const RETURN: Duration = Duration::from_micros(10);
/// Where all of them need longer than a commit takes, one of so many is waited for: the others come while those are written.
const RETURN_PART: usize = 3;
/// What was seen counts for so much less than what was seen before, or one wait that was held up would count for many.
const RETURN_WEIGHT: u32 = 4;
/// Until the first try after the disk was full; twice as long each time.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// The longest time between two tries.
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Nobody writes for so long before there is time for other things.
const IDLE: Duration = Duration::from_secs(1);

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    db: Connection,
    lock: OwnerLock,
    jobs: Jobs<Job>,
    pulse: Pulse,
    recent: Arc<Recent>,
    clock: SystemClock,
    /// In the order in which they came.
    waiting: VecDeque<Queued<Job>>,
    /// Whether there may be more jobs.
    is_open: bool,
    /// Since when something is written that a loss of power would take.
    unsafe_since: Option<Duration>,
    /// Whether SQLite syncs the log with each commit.
    syncs: bool,
    retry: Option<Retry>,
    last: Last,
    upkeep: Upkeep,
    places: Places,
    /// Whether nobody has written for a while.
    is_idle: bool,
}

/// The transaction before.
#[derive(Debug, Clone, Copy)]
struct Last {
    jobs: usize,
    committed_in: Duration,
    /// What each of those who were answered needs until it comes back: what was seen, on average.
    returns_in: Duration,
}

impl Last {
    /// How many of those who were answered then are waited for.
    fn worth_waiting_for(self) -> usize {
        let all_need = self.returns_in.saturating_mul(u32::try_from(self.jobs).unwrap_or(u32::MAX));
        if self.committed_in < all_need { self.jobs.div_ceil(RETURN_PART) } else { self.jobs }
    }

    /// So many came back in this time. Where nobody did, nobody may have wanted to.
    fn saw(&mut self, came: usize, within: Duration) {
        let Some(each) = within.checked_div(u32::try_from(came).unwrap_or(u32::MAX)) else { return };
        self.returns_in = (self.returns_in * (RETURN_WEIGHT - 1) + each) / RETURN_WEIGHT;
    }
}

/// When to try again what could not be written.
#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Duration,
    pause: Duration,
}

impl Writer {
    pub(super) fn new(opened: Opened, jobs: Jobs<Job>, pulse: Pulse, recent: Arc<Recent>) -> Self {
        let Opened { db, file, lock } = opened;
        Self {
            db,
            lock,
            jobs,
            pulse,
            recent,
            clock: SystemClock::new(),
            waiting: VecDeque::new(),
            is_open: true,
            unsafe_since: None,
            // As it was opened.
            syncs: true,
            retry: None,
            last: Last { jobs: 0, committed_in: Duration::ZERO, returns_in: RETURN },
            upkeep: Upkeep::of(&file),
            places: Places::default(),
            is_idle: false,
        }
    }

    /// Works until the store is dropped and everything that waits is written.
    pub(super) fn run(mut self) {
        while self.is_open {
            match self.rest() {
                Some(Duration::ZERO) => {
                    self.receive();
                    self.gather();
                    self.write();
                }
                Some(rest) => drop(self.wait(1, Some(rest))),
                None if self.upkeep.is_wanted() && !self.pulse.has_failed() => {
                    let patience = if self.is_idle { Duration::ZERO } else { IDLE };
                    self.is_idle = !self.wait(1, Some(patience));
                    if self.is_idle && self.is_open {
                        let done = self.upkeep.idle(&self.db);
                        self.put_off(done);
                    }
                }
                None => drop(self.wait(1, None)),
            }
        }
        while !self.waiting.is_empty() {
            self.write();
            if self.retry.take().is_some() {
                // Nobody is left who could wait for room.
                self.refuse_all();
            }
        }
        self.close();
    }

    /// How long there is nothing to do, even if nobody comes; `None` for ever.
    fn rest(&self) -> Option<Duration> {
        let until = |at: Duration| Some(at.saturating_sub(self.clock.steady()));
        match (self.retry, self.unsafe_since) {
            (Some(retry), _) => until(retry.at),
            (None, _) if !self.waiting.is_empty() => Some(Duration::ZERO),
            (None, Some(since)) => until(since.saturating_add(LAG_MAX)),
            (None, None) => None,
        }
    }

    /// Waits for so many jobs, and takes what is there. Says whether there were as many.
    fn wait(&mut self, jobs: usize, how_long: Option<Duration>) -> bool {
        let waited = self.jobs.wait(jobs, how_long);
        self.receive();
        // Those who have gone leave behind what they asked for last.
        self.is_open &= waited != Waited::Over;
        waited == Waited::Enough
    }

    /// Takes whatever is there.
    fn receive(&mut self) {
        let before = self.waiting.len();
        self.jobs.take_all(&mut self.waiting);
        let (has_failed, is_full) = (self.pulse.has_failed(), self.pulse.is_full());
        if !has_failed && !is_full {
            return;
        }
        for queued in self.waiting.split_off(before) {
            if has_failed {
                queued.job.refuse(CommitError::Unavailable);
            } else if queued.job.is_new() {
                queued.job.refuse(CommitError::Full);
            } else {
                self.waiting.push_back(queued);
            }
        }
    }

    /// Writes what waits, as much as goes into one transaction; and in any case what makes the log safe, when it is time.
    fn write(&mut self) {
        let group = self.group();
        let jobs = group.len();
        let is_late = self.unsafe_since.is_some_and(|since| since.saturating_add(LAG_MAX) <= self.clock.steady());
        // After the disk was full something is written in any case: only that shows whether it still is.
        let is_trial = self.retry.is_some();
        let syncs = is_late || is_trial || group.iter().any(|queued| queued.job.is_durable());
        match self.transact(&group, syncs, is_trial) {
            Ok(written) => {
                self.last = Last { jobs, committed_in: written.committed_in, ..self.last };
                self.wrote(group, &written, syncs);
            }
            Err(trouble) => {
                // What it had learned was taken back with it.
                self.places.forget_all();
                for queued in group.into_iter().rev() {
                    self.waiting.push_front(queued);
                }
                self.suffer(trouble);
            }
        }
    }

    /// Waits a moment for those who were answered together just now: most of them come back with what is next, and one sync
    /// for all is worth more than the first of them being early; where a sync is quick, for some of them. Whoever is alone waits
    /// for nobody.
    fn gather(&mut self) {
        let patience = self.last.committed_in.mul_f32(GATHER).min(GATHER_MAX);
        let here = self.waiting.len();
        let missing = self.last.worth_waiting_for().saturating_sub(here);
        if missing > 0 && !patience.is_zero() && !self.pulse.has_failed() {
            let since = self.clock.steady();
            self.wait(missing, Some(patience));
            let came = self.waiting.len().saturating_sub(here);
            self.last.saw(came, self.clock.steady().saturating_sub(since));
        }
    }

    /// The first that wait.
    fn group(&mut self) -> Vec<Queued<Job>> {
        let mut bytes = 0;
        let fits = |(place, queued): &(usize, &Queued<Job>)| {
            bytes += queued.job.bytes();
            *place == 0 || (*place < GROUP_JOBS_MAX && bytes <= GROUP_BYTES_MAX)
        };
        let count = self.waiting.iter().enumerate().take_while(fits).count();
        self.waiting.drain(..count).collect()
    }

    fn transact(&mut self, group: &[Queued<Job>], syncs: bool, is_trial: bool) -> Result<Written, Trouble> {
        if self.syncs != syncs {
            // Outside of a transaction; inside it would change nothing.
            self.db.pragma_update(None, "synchronous", if syncs { "FULL" } else { "NORMAL" })?;
            self.syncs = syncs;
        }
        // What was written without a sync is safe with the next commit that is synced, if that writes anything.
        let touch = is_trial || (syncs && self.unsafe_since.is_some());
        let jobs = group.iter().map(|queued| &queued.job);
        Ok(group::write(&mut self.db, jobs, touch, &mut self.places, &self.clock)?)
    }

    fn wrote(&mut self, group: Vec<Queued<Job>>, written: &Written, syncs: bool) {
        self.retry = None;
        self.pulse.works();
        if written.any {
            self.unsafe_since = if syncs { None } else { self.unsafe_since.or_else(|| Some(self.clock.steady())) };
            self.upkeep.wrote(group.len(), group.iter().map(|queued| queued.job.bytes()).sum());
        }
        for (queued, is_taken) in group.into_iter().zip(&written.taken) {
            queued.job.answer(*is_taken, &self.recent);
        }
        let done = self.upkeep.between(&self.db);
        self.put_off(done);
    }

    /// Upkeep that cannot be done now is done later, unless the disk has failed.
    fn put_off(&mut self, done: Result<(), Trouble>) {
        match done {
            Ok(()) | Err(Trouble::Full | Trouble::Busy) => {}
            Err(failed @ Trouble::Failed(_)) => self.suffer(failed),
        }
    }

    fn suffer(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Full => {
                self.pulse.full(self.clock.date());
                self.later();
                let (refused, waiting) = self.waiting.drain(..).partition::<Vec<_>, _>(|queued| queued.job.is_new());
                self.waiting = waiting.into();
                for queued in refused {
                    queued.job.refuse(CommitError::Full);
                }
            }
            Trouble::Busy => self.later(),
            Trouble::Failed(why) => {
                self.pulse.failed(&why);
                // What became of the last group only the file says.
                self.recent.forget_all();
                (self.retry, self.unsafe_since) = (None, None);
                self.refuse_all();
            }
        }
    }

    fn later(&mut self) {
        let pause = self.retry.map_or(RETRY_MIN, |retry| retry.pause.saturating_mul(2).min(RETRY_MAX));
        self.retry = Some(Retry { at: self.clock.steady().saturating_add(pause), pause });
    }

    fn refuse_all(&mut self) {
        for queued in self.waiting.drain(..) {
            queued.job.refuse(CommitError::Unavailable);
        }
    }

    /// Leaves everything in one file, and the directory to whoever comes next.
    fn close(mut self) {
        if self.unsafe_since.is_some() {
            let made_safe = self.transact(&[], true, false).map(drop);
            self.put_off(made_safe);
        }
        if !self.pulse.has_failed() {
            let moved = checkpoint(&self.db, Thoroughness::Truncate).map(drop).map_err(Trouble::from);
            self.put_off(moved);
        }
        let has_failed = self.pulse.has_failed();
        let Self { db, lock, .. } = self;
        if has_failed {
            // SQLite would move a log into the file of which nobody knows what is on the disk.
            let _ = db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        // Before the lock: whoever has that may open the file.
        drop(db);
        if !has_failed {
            lock.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(jobs: usize, committed_in: u64) -> Last {
        Last { jobs, committed_in: Duration::from_micros(committed_in), returns_in: RETURN }
    }

    #[test]
    fn all_are_waited_for_where_a_commit_takes_longer_than_they_do() {
        assert_eq!(last(64, 641).worth_waiting_for(), 64);
        assert_eq!(last(64, 200).worth_waiting_for(), 22);
        // Whoever is alone is here, and waits for nobody.
        assert_eq!([last(1, 200).worth_waiting_for(), last(1, 5).worth_waiting_for()], [1, 1]);
        assert_eq!(last(0, 0).worth_waiting_for(), 0);
    }

    #[test]
    fn how_fast_they_come_back_is_seen() {
        let mut last = last(64, 200);
        last.saw(0, Duration::from_millis(1));
        assert_eq!(last.returns_in, RETURN, "nobody may have wanted to");
        for _ in 0..20 {
            last.saw(50, Duration::from_micros(100));
        }
        assert!(last.returns_in < Duration::from_micros(3), "{last:?}");
        assert_eq!(last.worth_waiting_for(), 64);
    }
}
