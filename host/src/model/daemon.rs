//! Daemons: what bounds them, and when one that ended is started again.

use std::time::Duration;

use super::limits::{Limits, LimitsRequest};
use super::manifest::TaskKind;
use super::outcome::Outcome;
use super::retry::RetryPolicy;
use super::signal::Party;

/// What a daemon's fuel is counted for.
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// A life that was shorter was no life: it counts against the daemon.
const SHORT: Duration = Duration::from_mins(1);

/// Short lives, one after the other, after which a daemon is not started again. With their pauses they take half a minute.
const SHORT_LIVES_MAX: u32 = 5;

/// The limits of a task of this kind. The operator's times are for tasks that are to end: a daemon has those only that its
/// own type or a request asks for; and its fuel is for an hour.
pub(crate) fn limits_of(kind: TaskKind, operator: &Limits, plugin: &LimitsRequest, wishes: &LimitsRequest) -> Limits {
    match kind {
        TaskKind::Task => {
            let wanted = [plugin, wishes].into_iter().filter(|request| !request.is_empty());
            wanted.fold(*operator, |limits, request| limits.lowered_to(*request))
        }
        TaskKind::Daemon => {
            let operator = Limits { timeout: Duration::MAX, idle: Duration::MAX, ..*operator };
            let plugin = LimitsRequest { timeout: None, idle: None, ..*plugin };
            let limits = operator.lowered_to(plugin).lowered_to(*wishes);
            Limits { fuel: limits.fuel.min(limits.fuel_per_hour), ..limits }
        }
    }
}

/// How often a daemon has ended soon after its start, without having lived in between.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Patience {
    short_lives: u32,
    /// Starts in a row that came to nothing, for reasons that are not the daemon's.
    false_starts: u32,
}

/// What follows when a daemon has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum AfterLife {
    /// It is started again after this time.
    Again(Duration),
    /// Somebody wanted it to end, so it stays ended.
    Rest,
    /// It is not worth it: so many short lives it had.
    GiveUp { lives: u32 },
}

impl Patience {
    /// A daemon that lived so long has ended.
    ///
    /// `chance`: 0 to 1, for the time until it is started again.
    pub(crate) fn ended(&mut self, outcome: &Outcome, lived: Duration, chance: f64) -> AfterLife {
        match outcome {
            Outcome::Cancelled { by: Party::Itself, .. } | Outcome::Succeeded { .. } | Outcome::Failed(_) => {}
            Outcome::Cancelled { .. } => return AfterLife::Rest,
        }
        self.false_starts = 0;
        if lived >= SHORT {
            self.short_lives = 0;
        }
        self.short_lives += 1;
        if self.short_lives >= SHORT_LIVES_MAX {
            return AfterLife::GiveUp { lives: self.short_lives };
        }
        AfterLife::Again(RetryPolicy::default().pause(self.short_lives, chance))
    }

    /// It could not be started now, which is no fault of its own. After how long to try again: ever later, up to some
    /// minutes, and always.
    pub(crate) fn not_started(&mut self, chance: f64) -> Duration {
        self.false_starts = self.false_starts.saturating_add(1);
        RetryPolicy::default().pause(self.false_starts, chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::{Failure, FailureKind};

    const MINUTE: Duration = Duration::from_mins(1);

    fn crashed() -> Outcome {
        Outcome::Failed(Failure::new(FailureKind::Trap, "trap"))
    }

    fn cancelled(by: Party) -> Outcome {
        let (reason, message) = (String::new(), String::new());
        Outcome::Cancelled { by, reason, forced: false, begun: true, message, data: None }
    }

    #[test]
    fn r6_a_daemon_that_keeps_failing_comes_back_ever_later_and_then_not_at_all() {
        let mut patience = Patience::default();
        let lives: Vec<AfterLife> = (0..5).map(|_| patience.ended(&crashed(), MINUTE / 2, 0.0)).collect();
        let again = |seconds| AfterLife::Again(Duration::from_secs(seconds));
        assert_eq!(lives, [again(1), again(2), again(4), again(8), AfterLife::GiveUp { lives: 5 }]);
    }

    #[test]
    fn r6_a_life_in_between_is_a_new_beginning_however_it_ended() {
        let mut patience = Patience::default();
        let done = Outcome::Succeeded { message: String::new(), data: None };
        for outcome in [crashed(), done, cancelled(Party::Itself)] {
            for _ in 0..4 {
                assert!(matches!(patience.ended(&outcome, Duration::ZERO, 0.0), AfterLife::Again(_)));
            }
            let again = patience.ended(&outcome, MINUTE, 0.0);
            assert_eq!(again, AfterLife::Again(Duration::from_secs(1)), "it lived");
            patience = Patience::default();
        }
    }

    #[test]
    fn r6_a_start_that_comes_to_nothing_is_no_short_life_and_is_tried_for_ever() {
        let mut patience = Patience::default();
        let pauses: Vec<u64> = (0..100).map(|_| patience.not_started(0.0).as_secs()).collect();
        assert_eq!((&pauses[..4], pauses[99]), (&[1, 2, 4, 8][..], 300));
        let again = |seconds| AfterLife::Again(Duration::from_secs(seconds));
        assert_eq!(patience.ended(&crashed(), Duration::ZERO, 0.0), again(1));
        assert_eq!(patience.not_started(0.0), Duration::from_secs(1), "it was started in between");
        assert_eq!(patience.ended(&crashed(), Duration::ZERO, 0.0), again(2));
    }

    #[test]
    fn r6_a_daemon_that_somebody_stopped_stays_stopped() {
        for by in [Party::Person, Party::Agent, Party::Host] {
            assert_eq!(Patience::default().ended(&cancelled(by), MINUTE, 0.0), AfterLife::Rest);
        }
    }

    #[test]
    fn r6_the_operators_times_are_not_for_daemons_and_their_fuel_is_for_an_hour() {
        let operator = Limits::default().fuel(1000).fuel_per_hour(100).memory_bytes(50);
        let plugin = LimitsRequest::default().timeout(MINUTE).idle(MINUTE).memory_bytes(40);
        let task = limits_of(TaskKind::Task, &operator, &plugin, &LimitsRequest::default());
        assert_eq!((task.timeout, task.idle, task.fuel, task.memory_bytes), (MINUTE, MINUTE, 1000, 40));
        let daemon = limits_of(TaskKind::Daemon, &operator, &plugin, &LimitsRequest::default());
        let never = Duration::MAX;
        assert_eq!((daemon.timeout, daemon.idle, daemon.fuel, daemon.memory_bytes), (never, never, 100, 40));
        // What a type or a request asks for holds, and never raises anything.
        let wishes = LimitsRequest::default().idle(MINUTE).fuel_per_hour(u64::MAX).fuel(10);
        let modest = limits_of(TaskKind::Daemon, &operator, &plugin, &wishes);
        assert_eq!((modest.timeout, modest.idle, modest.fuel), (never, MINUTE, 10));
    }
}
