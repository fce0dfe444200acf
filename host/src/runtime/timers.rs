//! The moments that a task's actor waits for.

use std::task::Poll;
use std::time::Duration;

use taskcell_slot::Owner;

use crate::model::approval::ApprovalNumber;
use crate::model::limits::Limits;
use crate::ports::clock::{BoxFuture, Clock};

use super::pace::Quiet;

/// Which moment came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// The grace of a cancel request is over.
    Grace,
    /// The task's time is over.
    Deadline,
    /// A wait's time is over.
    Wait(u64),
    /// The time of a request for fuel is over.
    FuelRequest,
    /// The time of a wait for an instruction is over.
    Instruction,
    /// The time of a wait for a child is over.
    Child,
    /// The time to decide is over.
    Approval(ApprovalNumber),
    /// The task may begin, or be tried again.
    Due,
    /// Whoever waits for the task does so no longer.
    Detach,
    /// A daemon has its fuel for another hour.
    Hour,
    /// It is time to see whether the task does anything.
    Look,
    /// The report that is up may be written down.
    Progress,
    /// The guest's next call may be taken.
    Turn,
}

/// The moments, on the steady clock. Each is set, moved or cleared; the earliest is waited for.
#[derive(Debug)]
pub(crate) struct Timers {
    pub(crate) grace: Option<Duration>,
    pub(crate) deadline: Countdown,
    pub(crate) wait: Option<(u64, Duration)>,
    pub(crate) fuel_request: Option<Duration>,
    pub(crate) instruction: Option<Duration>,
    pub(crate) child: Option<Duration>,
    pub(crate) approval: Option<(ApprovalNumber, Duration)>,
    /// When the task may begin, or be tried again.
    pub(crate) due_at: Option<Duration>,
    /// When whoever waits for the task stops to.
    pub(crate) detach: Option<Duration>,
    /// When a daemon's next hour begins.
    pub(crate) hour: Option<Duration>,
    pub(crate) quiet: Quiet,
    pub(crate) progress: Option<Duration>,
    pub(crate) turn: Option<Duration>,
}

impl Timers {
    /// For a task that does not run now, and has run so long before.
    pub(crate) fn after(limits: &Limits, ran: Duration) -> Self {
        // Without an end there is no less of it.
        let left = if limits.timeout == Duration::MAX { Duration::MAX } else { limits.timeout.saturating_sub(ran) };
        Self {
            grace: None,
            deadline: Countdown { left, since: None },
            wait: None,
            fuel_request: None,
            instruction: None,
            child: None,
            approval: None,
            due_at: None,
            detach: None,
            hour: None,
            quiet: Quiet::new(limits.idle, limits.stall),
            progress: None,
            turn: None,
        }
    }

    /// The guest has no call open that could take too long.
    pub(crate) fn without_calls(&mut self) {
        (self.wait, self.fuel_request, self.instruction, self.child) = (None, None, None, None);
    }

    /// The earliest moment. Of two at the same time the one that ends the task truly comes first: a person's wish,
    /// then the deadline, then a wait.
    pub(crate) fn earliest(&self) -> Option<(Duration, Alarm)> {
        let mut earliest: Option<(Duration, Alarm)> = None;
        let mut at = |moment: Option<Duration>, alarm: Alarm| {
            if let Some(at) = moment
                && earliest.is_none_or(|(before, _)| at < before)
            {
                earliest = Some((at, alarm));
            }
        };
        at(self.grace, Alarm::Grace);
        at(self.deadline.ends(), Alarm::Deadline);
        if let Some((wait, moment)) = self.wait {
            at(Some(moment), Alarm::Wait(wait));
        }
        at(self.fuel_request, Alarm::FuelRequest);
        at(self.instruction, Alarm::Instruction);
        at(self.child, Alarm::Child);
        if let Some((number, moment)) = self.approval {
            at(Some(moment), Alarm::Approval(number));
        }
        at(self.due_at, Alarm::Due);
        at(self.detach, Alarm::Detach);
        at(self.hour, Alarm::Hour);
        at(self.quiet.next_look(), Alarm::Look);
        at(self.progress, Alarm::Progress);
        at(self.turn, Alarm::Turn);
        earliest
    }
}

/// A task's sleep until its next moment. One serves many turns: making one, and taking it back, costs locks that all tasks
/// share.
#[derive(Default)]
pub(crate) struct Sleep(Option<(Duration, BoxFuture<'static, ()>)>);

impl Sleep {
    /// Completes at this moment; or earlier, when it was to end earlier in another turn: whoever sleeps looks again then.
    /// Never, when there is no moment. Cancel safety: nothing is lost.
    ///
    /// `owner`: whose life this is. While its guest waits for a turn beside it no sleep is made: it looks again after that, and most
    /// guests end by then. To be polled within that owner's life.
    pub(crate) async fn until(&mut self, moment: Option<Duration>, clock: &dyn Clock, owner: &Owner) {
        let Some(moment) = moment else { return std::future::pending().await };
        let slept = match &mut self.0 {
            Some((ends, sleep)) if *ends <= moment => sleep,
            late => {
                after_guest(owner).await;
                &mut late.insert((moment, clock.sleep_until(moment))).1
            }
        };
        slept.await;
        self.0 = None;
    }
}

/// Completes when no guest waits for a turn beside its owner: when the owner's life is polled again, which this sees to.
async fn after_guest(owner: &Owner) {
    std::future::poll_fn(|cx| {
        if owner.is_asked() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// A time that is left, and becomes less only while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Countdown {
    left: Duration,
    /// Since when it runs.
    since: Option<Duration>,
}

impl Countdown {
    /// Lets it run or stand. Says whether that was a change.
    pub(crate) fn run(&mut self, runs: bool, now: Duration) -> bool {
        if runs == self.since.is_some() {
            return false;
        }
        self.left = self.left(now);
        self.since = runs.then_some(now);
        true
    }

    /// What is left now.
    pub(crate) fn left(&self, now: Duration) -> Duration {
        let ran = self.since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        // Without an end there is no less of it.
        if self.left == Duration::MAX { Duration::MAX } else { self.left.saturating_sub(ran) }
    }

    /// When it will be over, if it runs on; `None` while it stands, and when that is further away than time can count.
    pub(crate) fn ends(&self) -> Option<Duration> {
        self.since?.checked_add(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Waker};

    use taskcell_slot::{Conduct, Settings, Workers};

    use crate::ports::clock::SimulatedClock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_earliest_comes_first_and_a_wish_before_a_limit() {
        let mut timers = Timers::after(&Limits { timeout: SECOND * 3, ..Limits::default() }, Duration::ZERO);
        timers.wait = Some((7, SECOND * 2));
        assert_eq!(timers.earliest(), Some((SECOND * 2, Alarm::Wait(7))));
        timers.deadline.run(true, Duration::ZERO);
        timers.grace = Some(SECOND * 3);
        timers.wait = Some((7, SECOND * 3));
        assert_eq!(timers.earliest(), Some((SECOND * 3, Alarm::Grace)));
    }

    #[tokio::test]
    async fn a_sleep_serves_later_moments_too_and_ends_early_for_them() {
        let clock = SimulatedClock::new();
        let (mut sleep, owner) = (Sleep::default(), Owner::default());
        let asleep = async |sleep: &mut Sleep, seconds: u32| {
            let mut sleeping = pin!(sleep.until(Some(SECOND * seconds), &clock, &owner));
            poll_fn(|cx| Poll::Ready(sleeping.as_mut().poll(cx).is_pending())).await
        };
        assert!(asleep(&mut sleep, 5).await && asleep(&mut sleep, 9).await);
        clock.advance(SECOND * 5);
        assert!(!asleep(&mut sleep, 9).await, "it was to end at five");
        assert!(asleep(&mut sleep, 9).await && asleep(&mut sleep, 7).await, "and now it is another");
        clock.advance(SECOND * 2);
        assert!(!asleep(&mut sleep, 7).await);
    }

    struct Stays;

    impl Conduct for Stays {
        fn may_stay(&self) -> bool {
            true
        }

        fn around(&self, _is_last: bool, turn: &mut dyn FnMut()) {
            turn();
        }
    }

    #[test]
    fn an_alarm_is_set_also_when_the_guest_that_had_its_turn_before_has_nothing_to_say() {
        let workers = Workers::new(Settings::default()).unwrap();
        let (clock, owner) = (SimulatedClock::new(), Arc::new(Owner::default()));
        let turns = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&turns);
        let guest = poll_fn(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Poll::<()>::Pending
        });
        // It has asked before its owner looks for the first time.
        let _guest = workers.spawn_beside(guest, Arc::clone(&owner), Arc::new(Stays));
        assert!(owner.is_asked());
        let mut sleep = Sleep::default();
        let asked = Arc::clone(&owner);
        let mut life = pin!(Arc::clone(&owner).live(async { sleep.until(Some(SECOND), &clock, &asked).await }));
        let mut once = || life.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(once().is_pending());
        assert_eq!((turns.load(Ordering::Relaxed), clock.sleepers()), (1, 1));
        clock.advance(SECOND);
        assert!(once().is_ready());
    }

    #[test]
    fn a_countdown_stands_while_it_is_stopped() {
        let mut countdown = Countdown { left: SECOND * 10, since: None };
        assert_eq!(countdown.ends(), None);
        assert!(countdown.run(true, SECOND));
        assert_eq!(countdown.ends(), Some(SECOND * 11));
        assert!(!countdown.run(true, SECOND * 2), "it runs already");
        assert!(countdown.run(false, SECOND * 5));
        assert_eq!((countdown.left(SECOND * 99), countdown.ends()), (SECOND * 6, None));
        countdown.run(true, SECOND * 100);
        assert_eq!(countdown.ends(), Some(SECOND * 106));
    }

    #[test]
    fn a_countdown_without_an_end_never_ends() {
        let mut countdown = Countdown { left: Duration::MAX, since: None };
        countdown.run(true, SECOND);
        countdown.run(false, SECOND * 5);
        countdown.run(true, SECOND * 6);
        assert_eq!((countdown.left(SECOND * 7), countdown.ends()), (Duration::MAX, None));
    }
}
