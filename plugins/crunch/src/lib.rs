//! Burns CPU: `primes` on a real problem, ready to stop at any moment, and asking for more fuel when it runs low; `spin`
//! for nothing and deaf.

mod sieve;
mod tank;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskcell_guest::{FuelError, TaskCtl, TaskError, plugin, task};

use sieve::Sieve;
use tank::Tank;

/// How long somebody has to answer a request for fuel. The task's deadline stands still meanwhile.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

#[derive(Deserialize, JsonSchema)]
struct Input {
    /// The last number that is looked at.
    #[schemars(range(max = 1_000_000_000_000_u64))]
    upto: u64,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Output {
    /// How many primes there are.
    count: u64,
    /// The largest of them; none below 2.
    largest: Option<u64>,
}

/// Counts the primes up to a number and finds the largest, by a segmented sieve of Eratosthenes. Asks for more fuel when
/// what it has will not do; without it, the task fails with what it has found so far.
#[task]
fn primes(ctl: &TaskCtl, input: Input) -> Result<Output, TaskError> {
    let mut output = Output { count: 0, largest: None };
    let mut told = None;
    let mut sieve = Sieve::upto(input.upto);
    let mut tank = Tank::new(ctl);
    while let Some(segment) = sieve.next_segment() {
        // One look for each 65 536 numbers: often enough to stop at once, and too seldom to cost anything.
        ctl.checkpoint()?;
        output.count += segment.count;
        output.largest = segment.largest.or(output.largest);
        if told != Some(segment.percent) {
            ctl.report_progress(format!("{} primes up to {}", output.count, segment.last), segment.percent)?;
            told = Some(segment.percent);
        }
        if let Some(units) = tank.lacks(ctl, sieve.segments_left()) {
            let reason = format!("to get from {} to {}, at {} %", segment.last, input.upto, segment.percent);
            match ctl.request_fuel_within(units, reason, PATIENCE) {
                Ok(_) => tank = Tank::new(ctl),
                Err(no @ (FuelError::Denied(_) | FuelError::TimedOut)) => {
                    return Err(TaskError::new(format!("stopped at {}: {no}", segment.last)).with_details(output));
                }
                Err(other) => return Err(other.into()),
            }
        }
    }
    Ok(output)
}

/// Turns in circles for ever and never looks whether it shall stop: it shows what a forced cancel does.
#[task]
fn spin(_ctl: &TaskCtl, (): ()) -> Result<(), TaskError> {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

plugin! {
    name: "crunch",
    version: env!("CARGO_PKG_VERSION"),
    author: "The Taskcell developers",
    description: "Burns CPU, on a real problem and for nothing.",
    tasks: [primes, spin],
}

#[cfg(test)]
mod tests {
    use taskcell_guest::testing::FakeHost;

    use super::*;

    #[test]
    fn primes_are_counted_and_the_largest_is_found() {
        // The counts of the tables (OEIS A006880), and both sides of a segment's border.
        let cases = [
            (0, 0, None),
            (1, 0, None),
            (2, 1, Some(2)),
            (10, 4, Some(7)),
            (100, 25, Some(97)),
            (65_535, 6_542, Some(65_521)),
            (65_537, 6_543, Some(65_537)),
            (1_000_000, 78_498, Some(999_983)),
        ];
        for (upto, count, largest) in cases {
            let output = FakeHost::new().run(primes, Input { upto });
            assert_eq!(output, Ok(Output { count, largest }), "up to {upto}");
        }
    }

    #[test]
    fn progress_rises_to_a_hundred_and_is_told_once_a_percent() {
        let host = FakeHost::new();
        host.run(primes, Input { upto: 10_000_000 }).unwrap();
        let percents: Vec<u8> = host.progress().iter().filter_map(|report| report.percent).collect();
        assert!(percents.is_sorted_by(|one, next| one < next), "{percents:?}");
        assert_eq!(percents.last(), Some(&100));
    }

    /// Ten segments of 100 units each, and fuel for four of them.
    fn short_of_fuel() -> (FakeHost, Input) {
        let host = FakeHost::new();
        host.set_fuel(500);
        host.burn_at_each_look(100);
        (host, Input { upto: 655_361 })
    }

    #[test]
    fn it_asks_for_the_fuel_that_the_rest_takes() {
        let (host, input) = short_of_fuel();
        host.grant_fuel(2_000);
        assert_eq!(host.run(primes, input).unwrap().largest, Some(655_357));
        let requests = host.fuel_requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].reason, "to get from 131073 to 655361, at 20 %");
        assert!(requests[0].units >= 800, "eight segments of 100 units are left: {requests:?}");
    }

    #[test]
    fn it_asks_again_when_it_was_given_little() {
        let (host, input) = short_of_fuel();
        for _ in 0..9 {
            host.grant_fuel(150);
        }
        assert!(host.run(primes, input).is_ok());
        assert!(host.fuel_requests().len() > 1);
    }

    #[test]
    fn a_no_ends_it_with_what_it_has_found() {
        let (host, input) = short_of_fuel();
        host.refuse_fuel("too dear");
        let error = host.run(primes, input).unwrap_err();
        assert_eq!(error.message(), "stopped at 131073: no more fuel: too dear");
        assert_eq!(error.details().unwrap()["largest"], 131_071);
    }

    #[test]
    fn it_does_not_wait_for_an_answer_for_ever() {
        let (host, input) = short_of_fuel();
        let error = host.run(primes, input).unwrap_err();
        assert_eq!(error.message(), "stopped at 131073: nobody answered the request for fuel in time");
        assert_eq!(host.elapsed(), PATIENCE);
    }

    #[test]
    fn it_does_not_ask_when_it_has_enough() {
        let host = FakeHost::new();
        host.burn_at_each_look(100);
        host.run(primes, Input { upto: 655_361 }).unwrap();
        assert_eq!(host.fuel_requests(), []);
    }

    #[test]
    fn it_stops_in_the_middle() {
        let host = FakeHost::new();
        host.cancel_at_look(3);
        assert!(host.run(primes, Input { upto: 1_000_000_000 }).unwrap_err().is_cancelled());
        assert!(host.progress().len() <= 2);
    }
}
