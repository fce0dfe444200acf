//! Forgetting ended tasks whose time is over, also while nothing is started and nothing ends.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::actor::stopped;
use super::effects::forget;
use super::host::{Host, Inner};

/// How long the host waits at most and at least before it looks again. A task may stay so much longer than it has to.
const LOOK_MAX: Duration = Duration::from_mins(1);
const LOOK_MIN: Duration = Duration::from_secs(1);

/// What a host has forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct GcReport {
    /// How many ended tasks.
    pub tasks: usize,
}

impl Host {
    /// Forgets now what the host would forget in time: ended tasks that are older or more than it keeps
    /// ([`HostBuilder::ended_kept`](crate::HostBuilder::ended_kept)), with their logs and files, unless somebody holds a
    /// handle to them; and what is left of starts whose stores failed.
    ///
    /// Cancel safety: when the future is dropped, some of it is done.
    pub async fn gc(&self) -> GcReport {
        self.inner().gc().await
    }
}

impl Inner {
    pub(super) async fn gc(&self) -> GcReport {
        self.registry.orphans.take_all_back(&*self.around.store).await;
        let mut report = GcReport::default();
        loop {
            let forgotten = self.registry.sweep(self.around.clock.steady());
            if forgotten.is_empty() {
                return report;
            }
            report.tasks += forgotten.len();
            forget(&self.around, forgotten).await;
        }
    }

    /// Forgets what is over from now on, until the host shuts down.
    pub(super) fn keep_books_short(self: &Arc<Self>) {
        let (host, mut shutdown) = (Arc::downgrade(self), self.shutdown.subscribe());
        self.spawn(Box::pin(async move {
            tokio::select! {
                biased;
                () = stopped(&mut shutdown) => {}
                () = look_again_and_again(host) => {}
            }
        }));
    }
}

async fn look_again_and_again(host: Weak<Inner>) {
    loop {
        let Some(inner) = host.upgrade() else { return };
        let clock = Arc::clone(&inner.around.clock);
        let now = clock.steady();
        let pause = inner.registry.keeps_for().clamp(LOOK_MIN, LOOK_MAX);
        if inner.registry.next_over().is_some_and(|over| over < now) {
            inner.gc().await;
        }
        drop(inner);
        clock.sleep_until(now.saturating_add(pause)).await;
    }
}
