//! The moments that a task's actor waits for.

use std::time::Duration;

use crate::ports::clock::Clock;

/// Which moment came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// The grace of a cancel request is over.
    Grace,
    /// The task's time is over.
    Deadline,
    /// A wait's time is over.
    Wait(u64),
}

/// The moments, on the steady clock. Each is set, moved or cleared; the earliest is waited for.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    pub(crate) grace: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) wait: Option<(u64, Duration)>,
}

impl Timers {
    /// The earliest moment. Of two at the same time the one that ends the task truly comes first: a person's wish,
    /// then the deadline, then a wait.
    fn earliest(&self) -> Option<(Duration, Alarm)> {
        let grace = self.grace.map(|at| (at, Alarm::Grace));
        let deadline = self.deadline.map(|at| (at, Alarm::Deadline));
        let wait = self.wait.map(|(wait, at)| (at, Alarm::Wait(wait)));
        [grace, deadline, wait].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Completes at the earliest moment; never, when there is none. Cancel safety: nothing is lost.
    pub(crate) async fn next(&self, clock: &dyn Clock) -> Alarm {
        match self.earliest() {
            Some((at, alarm)) => {
                clock.sleep_until(at).await;
                alarm
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_a_wish_before_a_limit() {
        let second = Duration::from_secs(1);
        let timers = Timers { grace: None, deadline: Some(second * 3), wait: Some((7, second * 2)) };
        assert_eq!(timers.earliest(), Some((second * 2, Alarm::Wait(7))));
        let timers = Timers { grace: Some(second), deadline: Some(second), wait: Some((7, second)) };
        assert_eq!(timers.earliest(), Some((second, Alarm::Grace)));
    }
}
