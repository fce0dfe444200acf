//! How fast a task may write, and whether it does anything at all: rules over moments that are passed in.

use std::time::Duration;

/// A second: what the rates are per, and what a burst may save up.
const SECOND: Duration = Duration::from_secs(1);
/// The shortest time between two looks at a task, whatever its limits say. Protects the host from a limit of nothing.
const LOOK_MIN: Duration = Duration::from_millis(1);

/// Gives out so many tokens in a second, and saves up a burst of them.
#[derive(Debug)]
pub(crate) struct Bucket {
    every: Duration,
    burst: Duration,
    /// When all tokens that were taken will have been earned.
    earned: Duration,
}

impl Bucket {
    /// Tokens at even intervals; none is saved up.
    pub(crate) fn even(per_second: u32) -> Self {
        let every = SECOND / per_second.max(1);
        Self { every, burst: every, earned: Duration::ZERO }
    }

    /// As many at once as there are in a second.
    pub(crate) fn bursting(per_second: u32) -> Self {
        Self { burst: SECOND, ..Self::even(per_second) }
    }

    /// When there is a token.
    pub(crate) fn ready_at(&self) -> Duration {
        self.earned.saturating_add(self.every).saturating_sub(self.burst)
    }

    /// Takes a token. One that is not there yet makes the next come later.
    pub(crate) fn take(&mut self, now: Duration) {
        self.earned = self.earned.max(now).saturating_add(self.every);
    }
}

/// What a look at a cell's gauges shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Calls of any kind that it began or ended.
    pub(crate) activity: u64,
    /// Units of fuel that it burnt.
    pub(crate) fuel: u64,
}

/// What a look found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nothing was called for the idle time.
    Idle,
    /// Nothing was called for the stall time, and so much fuel was burnt meanwhile.
    Stalled { fuel: u64, quiet: Duration },
}

/// Looks at a task four times in its idle or stall time, whichever is shorter. So it finds a silence out never too
/// early, and too late by a quarter at most.
#[derive(Debug)]
pub(crate) struct Quiet {
    idle: Duration,
    stall: Duration,
    /// `None` while nobody expects the task to do anything.
    watch: Option<Watch>,
}

#[derive(Debug, Clone, Copy)]
struct Watch {
    /// The first look that saw the newest call.
    since: Duration,
    /// What it read then.
    then: Reading,
    /// The fuel at the newest look: a task that does not burn any now does not spin.
    fuel_before: u64,
    /// Whether this silence was told as a stall.
    told: bool,
    next: Option<Duration>,
}

impl Quiet {
    pub(crate) fn new(idle: Duration, stall: Duration) -> Self {
        Self { idle, stall, watch: None }
    }

    /// Whether the task is expected to do something from now on.
    pub(crate) fn run(&mut self, runs: bool, now: Duration, reading: Reading) {
        if runs != self.watch.is_some() {
            self.watch = None;
            if runs {
                self.begin(now, reading);
            }
        }
    }

    /// The task did something.
    pub(crate) fn called(&mut self, now: Duration, reading: Reading) {
        if self.watch.is_some() {
            self.begin(now, reading);
        }
    }

    fn begin(&mut self, now: Duration, reading: Reading) {
        let watch = Watch { since: now, then: reading, fuel_before: reading.fuel, told: false, next: None };
        self.watch = Some(Watch { next: self.next_after(&watch, now), ..watch });
    }

    /// When to look again.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        self.watch.as_ref()?.next
    }

    fn next_after(&self, watch: &Watch, now: Duration) -> Option<Duration> {
        let period = (self.idle.min(self.stall) / 4).max(LOOK_MIN);
        // A moment further away than time can count never comes.
        let moments =
            [now.checked_add(period), watch.since.checked_add(self.idle), watch.since.checked_add(self.stall)];
        moments.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Looks.
    pub(crate) fn look(&mut self, now: Duration, reading: Reading) -> Option<Silence> {
        let mut watch = self.watch?;
        if reading.activity != watch.then.activity {
            self.begin(now, reading);
            return None;
        }
        let quiet = now.saturating_sub(watch.since);
        let burns = reading.fuel > watch.fuel_before;
        watch.fuel_before = reading.fuel;
        let found = if quiet >= self.idle {
            Some(Silence::Idle)
        } else if burns && quiet >= self.stall && !watch.told {
            watch.told = true;
            Some(Silence::Stalled { fuel: reading.fuel.saturating_sub(watch.then.fuel), quiet })
        } else {
            None
        };
        watch.next = self.next_after(&watch, now);
        self.watch = Some(watch);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const fn read(activity: u64, fuel: u64) -> Reading {
        Reading { activity, fuel }
    }

    #[test]
    fn a_bucket_gives_a_second_at_once_and_then_one_by_one() {
        let mut bucket = Bucket::bursting(4);
        for _ in 0..4 {
            assert!(bucket.ready_at() <= SECOND);
            bucket.take(SECOND);
        }
        assert_eq!(bucket.ready_at(), ms(1250));
        bucket.take(ms(1250));
        assert_eq!(bucket.ready_at(), ms(1500));
        let mut even = Bucket::even(4);
        even.take(SECOND);
        assert_eq!(even.ready_at(), ms(1250), "nothing is saved up");
        assert_eq!(Bucket::even(0).every, SECOND, "a rate of none is one");
    }

    #[test]
    fn r29_a_silence_is_never_found_too_early_and_a_quarter_too_late_at_most() {
        for call_at in 0..200 {
            let mut quiet = Quiet::new(ms(100), Duration::MAX);
            quiet.run(true, ms(0), read(0, 0));
            let end = loop {
                let now = quiet.next_look().unwrap();
                // The task calls all the time until its last call.
                let activity = u64::try_from(now.min(ms(call_at)).as_micros()).unwrap();
                if let Some(silence) = quiet.look(now, read(activity, 0)) {
                    assert_eq!(silence, Silence::Idle);
                    break now;
                }
            };
            let silent = end.checked_sub(ms(call_at)).unwrap();
            assert!(silent >= ms(100) && silent <= ms(125), "{call_at}: {silent:?}");
        }
    }

    #[test]
    fn a_stall_burns_fuel_and_is_told_once_for_each_silence() {
        let mut quiet = Quiet::new(Duration::MAX, ms(40));
        quiet.run(true, ms(0), read(0, 0));
        assert_eq!(quiet.next_look(), Some(ms(10)));
        assert_eq!(quiet.look(ms(10), read(1, 5)), None);
        for at in [20, 30, 40] {
            assert_eq!(quiet.look(ms(at), read(1, at)), None);
        }
        assert_eq!(quiet.look(ms(50), read(1, 105)), Some(Silence::Stalled { fuel: 100, quiet: ms(40) }));
        assert_eq!(quiet.look(ms(900), read(1, 900)), None, "told already");
        assert_eq!(quiet.look(ms(910), read(2, 910)), None);
        assert_eq!(quiet.look(ms(950), read(2, 910)), None, "it sleeps");
        assert_eq!(quiet.look(ms(960), read(2, 911)), Some(Silence::Stalled { fuel: 1, quiet: ms(50) }));
    }

    #[test]
    fn a_task_that_nobody_expects_anything_of_is_not_looked_at() {
        let mut quiet = Quiet::new(ms(100), ms(40));
        assert_eq!((quiet.next_look(), quiet.look(ms(500), read(0, 0))), (None, None));
        quiet.run(true, ms(500), read(0, 0));
        quiet.run(false, ms(590), read(0, 0));
        assert_eq!(quiet.next_look(), None);
        quiet.run(true, ms(700), read(0, 0));
        assert_eq!(quiet.look(ms(799), read(0, 0)), None, "its silence before does not count");
    }
}
