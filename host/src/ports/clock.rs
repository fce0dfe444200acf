//! Time comes in here, and nowhere else.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

pub use crate::model::time::Timestamp;

/// A future that a trait object can return.
pub(crate) type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A source of time: a date for the records, and a steady reading for deadlines.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The date. It may jump when somebody sets the machine's clock; nothing is decided by it.
    fn date(&self) -> Timestamp;

    /// Time since some fixed moment. It never goes back.
    fn steady(&self) -> Duration;

    /// Completes when [`Clock::steady`] has reached `until`. Dropping the future is always fine.
    fn sleep_until(&self, until: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose steady time starts now.
    #[expect(clippy::disallowed_methods, reason = "this is where the machine's clock is read")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the machine's clock is read")]
    fn date(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn steady(&self) -> Duration {
        self.origin.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is where real time is waited for")]
    fn sleep_until(&self, until: Duration) -> BoxFuture<'static, ()> {
        match self.origin.checked_add(until) {
            Some(moment) => Box::pin(tokio::time::sleep_until(moment.into())),
            // Further away than the machine can count: never.
            None => Box::pin(std::future::pending()),
        }
    }
}

/// A clock that stands still until somebody moves it: for tests, of this crate and of its users.
///
/// ```
/// use std::time::Duration;
/// use taskcell::{Clock, SimulatedClock};
///
/// let clock = SimulatedClock::new();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.steady(), Duration::from_secs(3600));
/// ```
#[derive(Debug, Default)]
pub struct SimulatedClock {
    inner: Mutex<Simulated>,
}

#[derive(Debug, Default)]
struct Simulated {
    now: Duration,
    count: u64,
    /// Sleepers by the moment they wake at, then by the order they came.
    sleepers: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
}

impl SimulatedClock {
    /// A clock at zero.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Simulated> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves time on and wakes whoever slept until then.
    pub fn advance(&self, by: Duration) {
        let mut inner = self.lock();
        inner.now += by;
        let after = (inner.now + Duration::from_nanos(1), 0);
        let later = inner.sleepers.split_off(&after);
        let due = std::mem::replace(&mut inner.sleepers, later);
        drop(inner);
        for (_, sleeper) in due {
            // A sleeper that gave up is no matter.
            let _ = sleeper.send(());
        }
    }

    /// How many futures sleep on this clock right now.
    pub fn sleepers(&self) -> usize {
        let mut inner = self.lock();
        inner.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        inner.sleepers.len()
    }
}

impl Clock for SimulatedClock {
    fn date(&self) -> Timestamp {
        Timestamp(u64::try_from(self.steady().as_millis()).unwrap_or(u64::MAX))
    }

    fn steady(&self) -> Duration {
        self.lock().now
    }

    fn sleep_until(&self, until: Duration) -> BoxFuture<'static, ()> {
        let mut inner = self.lock();
        if until <= inner.now {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        inner.count += 1;
        let place = (until, inner.count);
        inner.sleepers.insert(place, wake);
        Box::pin(async move {
            // The clock is gone, so its time never comes.
            if woken.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn simulated_time_wakes_those_who_are_due_and_nobody_else() {
        let clock = SimulatedClock::new();
        let soon = clock.sleep_until(Duration::from_secs(1));
        let late = clock.sleep_until(Duration::from_secs(2));
        clock.advance(Duration::from_secs(1));
        soon.await;
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_secs(1));
        late.await;
        assert_eq!(clock.sleepers(), 0);
    }

    #[tokio::test]
    async fn a_moment_that_is_past_does_not_wait() {
        let clock = SimulatedClock::new();
        clock.sleep_until(Duration::ZERO).await;
    }
}
