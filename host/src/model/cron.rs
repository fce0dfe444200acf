//! Cron expressions: the moments that one names, in its time zone.
//!
//! The time zones come with the program. So nothing is read from the machine, and every host that shares a store finds
//! the same moments.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use super::time::Timestamp;

/// Bytes of an expression, and of a zone's name. Protects the log; the longest useful ones are far below.
const TEXT_BYTES_MAX: usize = 256;

/// Changes of a zone's clock behind which a search begins anew when it found nothing. Once in a while a zone crosses the
/// date line and leaves out a day, and a search that meets such a day ends there.
const CHANGES: usize = 4;

/// What is wrong with a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// It cannot be read.
    #[error(
        "{expression:?} is no cron expression: {fault}; it has five fields (minute, hour, day of the month, month, day of \
         the week), such as \"30 2 * * MON-FRI\""
    )]
    Expression {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        fault: String,
    },
    /// There is no such time zone.
    #[error(
        "no time zone is called {zone:?}; the names are those of the IANA database, such as \"Europe/Berlin\" and \"UTC\""
    )]
    Zone {
        /// The name.
        zone: String,
    },
    /// It can be read, and there is no such date: 30 February, for example.
    #[error("no date fits the cron expression {expression:?}; look at its day and its month")]
    Never {
        /// The expression.
        expression: String,
    },
}

/// An expression that can be read, in a zone that there is.
#[derive(Debug)]
pub(crate) struct CronTimes {
    pattern: Cron,
    zone: TimeZone,
}

impl CronTimes {
    /// Reads an expression of five fields, or a word such as `@daily`.
    pub(crate) fn parse(expression: &str, zone: &str) -> Result<Self, CronError> {
        let fault = |fault: String| CronError::Expression { expression: shortened(expression), fault };
        if expression.len() > TEXT_BYTES_MAX || expression.chars().any(char::is_control) {
            return Err(fault(format!("it is longer than {TEXT_BYTES_MAX} bytes or holds control characters")));
        }
        let unknown = || CronError::Zone { zone: shortened(zone) };
        if zone.len() > TEXT_BYTES_MAX {
            return Err(unknown());
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let pattern = parser.parse(expression).map_err(|error| fault(error.to_string()))?;
        Ok(Self { pattern, zone: TimeZone::get(zone).map_err(|_| unknown())? })
    }

    /// The first moment after this one. `None` when there is none up to the year 5000.
    pub(crate) fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let from = after.instant()?;
        let changes = || self.zone.following(from).take(CHANGES).map(|change| change.timestamp());
        let found = self.find(from, false).or_else(|| changes().find_map(|change| self.find(change, true)))?;
        // Whoever asks goes on from the answer, and must not come to stand still.
        Timestamp::of_instant(found).filter(|found| *found > after)
    }

    fn find(&self, from: jiff::Timestamp, inclusive: bool) -> Option<jiff::Timestamp> {
        let found = self.pattern.find_next_occurrence(&from.to_zoned(self.zone.clone()), inclusive).ok()?;
        Some(found.timestamp())
    }
}

/// A moment as a person reads it, in UTC.
pub(crate) fn utc(at: Timestamp) -> Option<String> {
    Some(at.instant()?.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn shortened(text: &str) -> String {
    super::text::shortened(text, TEXT_BYTES_MAX).into_owned()
}

/// A moment as people and files write it, in UTC.
pub(crate) fn written_date(at: Timestamp) -> String {
    at.instant().map_or_else(|| at.0.to_string(), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(u64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_millisecond()).unwrap())
    }

    /// The next moments after a date, as people write them.
    #[track_caller]
    fn expect(expression: &str, zone: &str, after: &str, moments: &[&str]) {
        let times = CronTimes::parse(expression, zone).unwrap();
        let mut from = at(after);
        for expected in moments {
            from = times.next_after(from).unwrap();
            let found = jiff::Timestamp::from_millisecond(i64::try_from(from.0).unwrap()).unwrap();
            assert_eq!(found.to_string(), *expected, "{expression} after {after}");
        }
    }

    #[test]
    fn r19_a_cron_expression_names_moments_in_its_zone() {
        expect("30 2 * * MON-FRI", "UTC", "2026-03-06T02:30:00Z", &["2026-03-09T02:30:00Z", "2026-03-10T02:30:00Z"]);
        expect(
            "0 9 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            &["2026-03-07T14:00:00Z", "2026-03-08T13:00:00Z"],
        );
        expect("@daily", "utc", "2026-03-06T23:59:59.999Z", &["2026-03-07T00:00:00Z"]);
        expect("0 0 29 2 *", "UTC", "2097-01-01T00:00:00Z", &["2104-02-29T00:00:00Z"]);
    }

    #[test]
    fn r19_a_time_that_the_clocks_leave_out_is_the_first_after_it() {
        let berlin = "Europe/Berlin";
        let morning = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        expect("30 2 * * *", berlin, "2026-03-27T12:00:00Z", &morning);
        // Of what comes round anyway nothing is made up for.
        expect("*/30 * * * *", berlin, "2026-03-29T00:30:00Z", &["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
        // A day that a zone leaves out altogether is no end of the schedule.
        expect("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", &["2011-12-30T22:00:00Z"]);
        expect("0 0 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", &["2011-12-30T10:00:00Z"]);
    }

    #[test]
    fn r19_a_time_that_comes_twice_counts_once() {
        let once = ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
        expect("30 2 * * *", "Europe/Berlin", "2026-10-23T12:00:00Z", &once);
        let each = ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"];
        expect("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", &each);
    }

    #[test]
    fn r19_what_is_no_expression_or_no_zone_is_refused_and_said() {
        for bad in ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 32 1 *", "@reboot", "a\nb", &"*".repeat(300)] {
            let error = CronTimes::parse(bad, "UTC").unwrap_err();
            assert!(matches!(error, CronError::Expression { .. }), "{bad:?}: {error}");
            assert!(error.to_string().len() < 1000 && !error.to_string().contains('\n'), "{error}");
        }
        for zone in ["", "Mars/Olympus", "../../etc/passwd", "+01:00", &"x".repeat(300)] {
            assert!(matches!(CronTimes::parse("@daily", zone), Err(CronError::Zone { .. })), "{zone:?}");
        }
        for never in ["0 0 30 2 *", "0 0 31 4,6 *"] {
            assert_eq!(CronTimes::parse(never, "UTC").unwrap().next_after(at("2026-03-27T12:00:00Z")), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Whatever is written there, reading it ends with an answer, and the moments go forward.
        #[test]
        fn r19_any_text_is_answered(text in "[0-9*,/#LW+?A-Z@ -]{0,24}", day in 0_u64..40_000, zone in 0_usize..3) {
            let zone = ["UTC", "Europe/Berlin", "Pacific/Apia"].into_iter().nth(zone).unwrap_or("UTC");
            if let Ok(times) = CronTimes::parse(&text, zone) {
                let from = Timestamp(day * 86_400_000 + 1);
                prop_assert!(times.next_after(from).is_none_or(|next| next > from));
            }
        }

        /// An ordinary expression has a next moment whenever it is asked, and none is left out.
        #[test]
        fn r19_moments_are_found_one_after_the_other(minute in 0..60, hour in 0..24, from in 0_u64..4_000_000_000_000) {
            let times = CronTimes::parse(&format!("{minute} {hour} * * *"), "Europe/Berlin").unwrap();
            let first = times.next_after(Timestamp(from)).unwrap();
            let day = 24 * 3_600_000;
            prop_assert!(first.0 > from && first.0 - from <= day + 2 * 3_600_000);
            prop_assert_eq!(times.next_after(Timestamp(first.0 - 1)), Some(first));
        }

        #[test]
        fn r19_no_moment_is_out_of_reach(millis in any::<u64>()) {
            let times = CronTimes::parse("@hourly", "UTC").unwrap();
            prop_assert!(times.next_after(Timestamp(millis)).is_none_or(|next| next.0 > millis));
        }
    }
}
