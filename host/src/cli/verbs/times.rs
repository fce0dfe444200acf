//! Times as people say them.

use jiff::{Timestamp as Instant, Zoned, civil};

use crate::Timestamp;
use crate::cli::{environment, values};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// From here on the date says more.
const DATE_FROM: u64 = 7 * DAY;

/// A moment that is over: a time ago, a time of the day, which is the last one; a date with a time; or one with a zone.
pub(super) fn since(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let zone = now.time_zone();
    let local = |at: civil::DateTime| at.to_zoned(zone.clone()).map(|at| at.timestamp());
    let of_day = |time: civil::Time| {
        let today = local(now.date().to_datetime(time))?;
        if today <= now.timestamp() { Ok(today) } else { local(now.date().yesterday()?.to_datetime(time)) }
    };
    // A date before a time: a time is found in a date as well.
    let at = match values::duration(text) {
        Ok(ago) => now.timestamp().checked_sub(ago),
        Err(_) => text
            .parse::<Instant>()
            .or_else(|_| text.parse::<civil::DateTime>().and_then(local))
            .or_else(|_| text.parse::<civil::Time>().and_then(of_day)),
    };
    at.ok().and_then(Timestamp::of_instant).ok_or_else(|| {
        "this is no moment; write for example 2h, 30m, 18:30, '2030-12-24 18:30' or 2030-12-24T18:30:00Z".to_owned()
    })
}

/// The moment that others are told from.
#[derive(Debug, Clone)]
pub(super) struct Now(Zoned);

impl Now {
    /// This moment, in the person's time zone.
    pub(super) fn new() -> Self {
        Self(environment::now())
    }

    fn seconds_to(&self, at: Timestamp) -> Option<(bool, u64)> {
        let at = i64::try_from(at.0).ok()?;
        let away = at.checked_sub(self.0.timestamp().as_millisecond())?;
        Some((away > 0, away.unsigned_abs() / 1000))
    }

    fn local(&self, at: Timestamp) -> Option<Zoned> {
        Some(at.instant()?.to_zoned(self.0.time_zone().clone()))
    }

    /// `just now`, `5m ago`, `in 2h`, `3 days ago`, `2026-11-21`.
    pub(super) fn told(&self, at: Timestamp) -> String {
        let Some((future, seconds)) = self.seconds_to(at) else { return "at no time".to_owned() };
        let away = match seconds {
            0..5 if !future => return "just now".to_owned(),
            0..MINUTE => format!("{seconds}s"),
            MINUTE..HOUR => format!("{}m", seconds / MINUTE),
            HOUR..DAY => format!("{}h", seconds / HOUR),
            DAY..DATE_FROM if seconds / DAY == 1 => "1 day".to_owned(),
            DAY..DATE_FROM => format!("{} days", seconds / DAY),
            _ => return self.local(at).map_or_else(String::new, |at| at.strftime("%Y-%m-%d").to_string()),
        };
        if future { format!("in {away}") } else { format!("{away} ago") }
    }

    /// The time of the day, and the date if it is another.
    pub(super) fn clock(&self, at: Timestamp) -> String {
        let Some(at) = self.local(at) else { return "--:--:--".to_owned() };
        at.strftime(if at.date() == self.0.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
    }

    /// The name of the person's time zone; the world's if it has none.
    pub(super) fn zone(&self) -> String {
        self.0.time_zone().iana_name().unwrap_or("UTC").to_owned()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// 2030-12-24 18:00:00.
    pub(in crate::cli::verbs) const NOW_MS: u64 = 1_924_362_000_000;

    pub(in crate::cli::verbs) fn now() -> Now {
        Now("2030-12-24T18:00:00+01:00[+01:00]".parse().unwrap())
    }

    #[test]
    fn moments_are_told_by_how_far_they_are() {
        assert_eq!(now().0.timestamp().as_millisecond(), i64::try_from(NOW_MS).unwrap());
        let told = |away: i64| now().told(Timestamp(NOW_MS.checked_add_signed(away * 1000).unwrap()));
        for (away, said) in [
            (0, "just now"),
            (-4, "just now"),
            (-5, "5s ago"),
            (3, "in 3s"),
            (-90, "1m ago"),
            (-7_300, "2h ago"),
            (7_300, "in 2h"),
            (-86_400, "1 day ago"),
            (-3 * 86_400, "3 days ago"),
            (-30 * 86_400, "2030-11-24"),
        ] {
            assert_eq!(told(away), said, "{away}");
        }
        assert_eq!(now().told(Timestamp(u64::MAX)), "at no time");
    }

    #[test]
    fn a_moment_that_is_over_is_read_as_a_person_writes_it() {
        for (text, before_ms) in [
            ("2h", 7_200_000),
            ("90s", 90_000),
            ("17:30", 1_800_000),
            ("18:00", 0),
            ("18:00:01", 86_399_000),
            ("2030-12-24 17:00", 3_600_000),
            ("2030-12-24T16:00:00Z", 3_600_000),
        ] {
            assert_eq!(since(text, &now().0), Ok(Timestamp(NOW_MS - before_ms)), "{text}");
        }
        for none in ["", "yesterday", "25:00", "2"] {
            assert!(since(none, &now().0).is_err(), "{none}");
        }
    }

    #[test]
    fn the_clock_has_a_date_when_it_is_not_today() {
        assert_eq!(now().clock(Timestamp(NOW_MS + 65_000)), "18:01:05");
        assert_eq!(now().clock(Timestamp(NOW_MS - 86_400_000)), "2030-12-23 18:00:00");
    }
}
