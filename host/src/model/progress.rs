//! How long a task still needs, by its own reports.

use std::time::Duration;

use super::time::Timestamp;

/// The two reports that an estimate rests on. They are known by their events' dates, so that the log alone gives the
/// same estimate again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// The first report with a percent since the progress began.
    first: Option<(Timestamp, u8)>,
    /// The newest report whose percent was higher than all before it.
    newest: Option<(Timestamp, u8)>,
}

impl Estimate {
    /// Takes a report in.
    pub(crate) fn report(&mut self, at: Timestamp, percent: Option<u8>, restarted: bool) {
        if restarted {
            *self = Self::default();
        }
        let Some(percent) = percent else { return };
        match (self.first, self.newest) {
            (None, _) => self.first = Some((at, percent)),
            (Some((_, highest)), None) | (Some(_), Some((_, highest))) if percent > highest => {
                self.newest = Some((at, percent));
            }
            (Some(_), _) => {}
        }
    }

    /// The task stood still for so many milliseconds up to now, which say nothing about how fast it is.
    pub(crate) fn stood_still(&mut self, millis: u64) {
        for (at, _) in self.first.iter_mut().chain(&mut self.newest) {
            at.0 = at.0.saturating_add(millis);
        }
    }

    /// The time left at this moment, if it goes on as it went. Nothing before a second, higher percent; nothing at 100;
    /// nothing when the date went back, or when the task has taken longer than it should have by this very estimate.
    pub(crate) fn left(&self, now: Timestamp) -> Option<Duration> {
        let ((began, from), (at, percent)) = self.first.zip(self.newest)?;
        let (took, gained) = (at.0.checked_sub(began.0)?, percent.checked_sub(from)?);
        let whole = took.checked_mul(u64::from(100u8.checked_sub(percent)?))?.checked_div(u64::from(gained))?;
        let left = whole.checked_sub(now.0.checked_sub(at.0)?)?;
        (left > 0).then(|| Duration::from_millis(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(reports: &[(u64, Option<u8>)]) -> Estimate {
        let mut estimate = Estimate::default();
        for (at, percent) in reports {
            estimate.report(Timestamp(*at), *percent, false);
        }
        estimate
    }

    #[test]
    fn r3_two_rising_reports_give_the_time_left_now() {
        let estimate = estimate(&[(10_000, Some(20)), (20_000, Some(40)), (21_000, None), (22_000, Some(40))]);
        assert_eq!(estimate.left(Timestamp(20_000)), Some(Duration::from_secs(30)));
        assert_eq!(estimate.left(Timestamp(45_000)), Some(Duration::from_secs(5)));
    }

    #[test]
    fn r3_numbers_that_do_not_allow_an_estimate_give_none() {
        assert_eq!(estimate(&[]).left(Timestamp(1)), None);
        assert_eq!(estimate(&[(1, Some(10))]).left(Timestamp(9)), None, "one report");
        assert_eq!(estimate(&[(1, Some(10)), (2, Some(10))]).left(Timestamp(9)), None, "it does not rise");
        assert_eq!(estimate(&[(1, None), (2, Some(10))]).left(Timestamp(9)), None, "one percent");
        assert_eq!(estimate(&[(1, Some(0)), (1, Some(50))]).left(Timestamp(1)), None, "no time between them");
        assert_eq!(estimate(&[(1, Some(0)), (9, Some(100))]).left(Timestamp(9)), None, "it is done");
        assert_eq!(estimate(&[(9, Some(0)), (1, Some(50))]).left(Timestamp(9)), None, "the date went back");
        assert_eq!(estimate(&[(0, Some(0)), (10, Some(50))]).left(Timestamp(20)), None, "the estimate was wrong");
        assert_eq!(estimate(&[(0, Some(0)), (u64::MAX, Some(1))]).left(Timestamp(u64::MAX)), None, "too large");
    }

    #[test]
    fn r3_progress_that_begins_anew_and_time_that_stood_still_do_not_count() {
        let mut estimate = estimate(&[(0, Some(0)), (10_000, Some(90))]);
        estimate.report(Timestamp(20_000), Some(0), true);
        assert_eq!(estimate.left(Timestamp(20_000)), None);
        estimate.stood_still(100_000);
        estimate.report(Timestamp(130_000), Some(50), false);
        assert_eq!(estimate.left(Timestamp(130_000)), Some(Duration::from_secs(10)));
    }
}
