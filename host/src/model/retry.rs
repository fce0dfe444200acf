//! When a failed task is tried again, and after what time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outcome::{Failure, FailureKind};
use super::wire::millis;

/// When a task that failed is tried again. The attempts share the task's limits: fuel, deadline, log.
///
/// Only failures that the task itself calls retryable are tried again, a success before an enforced plan was done, and with [`RetryPolicy::crashes`] also traps,
/// panics and faults of the host. What a limit ended is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, the first included. 1, the default, is no retry.
    pub attempts: u32,
    /// The time before the second attempt. Default one second. It doubles with each attempt after that.
    #[serde(rename = "backoff_ms", with = "millis")]
    pub backoff: Duration,
    /// The longest time between two attempts. Default five minutes.
    #[serde(rename = "backoff_max_ms", with = "millis")]
    pub backoff_max: Duration,
    /// How much of each time is left to chance, in percent: so that tasks which failed together do not come back
    /// together. Default 20.
    pub jitter_percent: u8,
    /// Whether traps, panics and faults of the host are tried again as well. Default no.
    pub crashes: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 1,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_mins(5),
            jitter_percent: 20,
            crashes: false,
        }
    }
}

impl RetryPolicy {
    /// At most this many attempts in all, with the default times between them.
    pub fn attempts(attempts: u32) -> Self {
        Self { attempts, ..Self::default() }
    }

    /// With this time before the second attempt.
    #[must_use]
    pub fn backoff(mut self, first: Duration, max: Duration) -> Self {
        (self.backoff, self.backoff_max) = (first, max);
        self
    }

    /// With crashes tried again too.
    #[must_use]
    pub fn with_crashes(mut self) -> Self {
        self.crashes = true;
        self
    }

    /// Whether this failure of this attempt is followed by another.
    pub(crate) fn tries_again(&self, failure: &Failure, attempt: u32) -> bool {
        let worth_it = match failure.kind {
            FailureKind::Guest | FailureKind::Plan => failure.retryable,
            FailureKind::Trap | FailureKind::Panic | FailureKind::Host => self.crashes,
            FailureKind::OutOfFuel
            | FailureKind::Timeout
            | FailureKind::Idle
            | FailureKind::Memory
            | FailureKind::OutputLimit
            | FailureKind::Exited
            | FailureKind::Budget
            | FailureKind::Denied
            | FailureKind::NotStarted
            // Whether it is begun again is its type's to say, and not the policy's.
            | FailureKind::Lost => false,
        };
        worth_it && attempt < self.attempts
    }

    /// The time after this attempt. `chance` is 0 to 1 and shortens the part that is left to it.
    pub(crate) fn pause(&self, attempt: u32, chance: f64) -> Duration {
        let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let full = self.backoff.checked_mul(doubled).unwrap_or(Duration::MAX).min(self.backoff_max);
        let left_to_chance = f64::from(self.jitter_percent.min(100)) / 100.0 * chance.clamp(0.0, 1.0);
        full.mul_f64(1.0 - left_to_chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r38_times_double_up_to_a_bound_and_chance_shortens_them() {
        let policy = RetryPolicy::attempts(9).backoff(Duration::from_secs(1), Duration::from_secs(5));
        let pauses: Vec<u64> = (1..6).map(|attempt| policy.pause(attempt, 0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        assert_eq!(policy.pause(1, 1.0), Duration::from_millis(800));
        assert_eq!(policy.pause(u32::MAX, 0.0), Duration::from_secs(5));
    }

    #[test]
    fn r38_only_what_may_help_is_tried_again() {
        let policy = RetryPolicy::attempts(2);
        let said = Failure { retryable: true, ..Failure::new(FailureKind::Guest, "busy") };
        assert!(policy.tries_again(&said, 1));
        assert!(!policy.tries_again(&said, 2), "the attempts are used up");
        assert!(!policy.tries_again(&Failure::new(FailureKind::Guest, "no"), 1));
        assert!(!policy.tries_again(&Failure::new(FailureKind::Trap, "trap"), 1));
        assert!(policy.with_crashes().tries_again(&Failure::new(FailureKind::Trap, "trap"), 1));
        assert!(!policy.with_crashes().tries_again(&Failure::new(FailureKind::OutOfFuel, "fuel"), 1));
    }
}
