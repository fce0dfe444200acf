//! The end of a version of a plugin: of its tasks, and then of itself.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::model::hook::Hook;
use crate::model::request::CancelRequest;
use crate::model::signal::Party;

use super::host::Inner;
use super::shared::Shared;
use super::stopping::{LAST_WORD, StopReport, Stopped, stop};
use super::unloading::Unload;
use super::version::Version;

impl Inner {
    /// Lets the tasks of a version that has left end, and then the version. The report comes at the deadline at the
    /// latest, and a second.
    pub(super) fn see_off(
        self: &Arc<Self>,
        version: Arc<Version>,
        how: Unload,
        why: String,
    ) -> oneshot::Receiver<StopReport> {
        let (tell, told) = oneshot::channel();
        let over = self.around.clock.steady().saturating_add(how.deadline());
        let farewell = Farewell { inner: Arc::clone(self), version, how, why, over };
        self.spawn(Box::pin(farewell.run(Account { tell: Some(tell), stopped: Vec::new() })));
        told
    }
}

/// The end of a version.
struct Farewell {
    inner: Arc<Inner>,
    version: Arc<Version>,
    how: Unload,
    why: String,
    /// When those that still live are stopped where they are, on the steady clock.
    over: Duration,
}

impl Farewell {
    async fn run(self, mut account: Account) {
        let clock = Arc::clone(&self.inner.around.clock);
        self.end_tasks(&mut account).await;
        {
            let mut shut = pin!(self.inner.shut(&self.version));
            tokio::select! {
                biased;
                () = &mut shut => {}
                () = clock.sleep_until(self.patience()) => {
                    account.close();
                    shut.await;
                }
            }
        }
        self.inner.registry.forget_version(self.version.number);
        // The code goes with the last who holds it, and that before anybody hears that it is gone.
        drop(self);
        account.close();
    }

    /// When whoever waits is told what there is to tell.
    fn patience(&self) -> Duration {
        self.over.saturating_add(LAST_WORD)
    }

    /// Comes back when nobody uses the version any more, and it was told that it cannot be used.
    async fn end_tasks(&self, account: &mut Account) {
        let clock = Arc::clone(&self.inner.around.clock);
        let mut tally = self.version.watch_tally();
        let (mut known, mut stopping) = (HashSet::new(), JoinSet::new());
        let mut parting = pin!(self.inner.tell(&self.version, Hook::OnDisabled));
        let mut told = false;
        loop {
            let users = tally.borrow_and_update().users;
            // Starts that were under way become tasks, and tasks start children.
            for task in self.inner.registry.live_of(self.version.number) {
                if known.insert(task.id) {
                    stopping.spawn_on(self.stop(task), &self.inner.runtime);
                }
            }
            if told && users == 0 && stopping.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                Some(stopped) = stopping.join_next() => account.stopped.extend(stopped),
                _ = &mut parting, if !told => told = true,
                _ = tally.changed() => {}
                () = clock.sleep_until(self.patience()), if account.tell.is_some() && stopping.is_empty() => {
                    account.close();
                }
            }
        }
    }

    fn stop(&self, task: Arc<Shared>) -> impl Future<Output = (u64, Stopped)> + Send + 'static {
        let grace = self.how.grace(task.kind);
        let request = CancelRequest::new(Party::Host, self.why.clone()).grace(grace.unwrap_or_default());
        let (number, over) = (task.number, self.over);
        async move { (number, stop(task, request, grace.is_some(), over).await) }
    }
}

/// What whoever waits for the end of a version is told.
struct Account {
    /// `None` once it was told.
    tell: Option<oneshot::Sender<StopReport>>,
    /// With the tasks' numbers, which are the order of their starts.
    stopped: Vec<(u64, Stopped)>,
}

impl Account {
    /// Tells what is known, once.
    fn close(&mut self) {
        let Some(tell) = self.tell.take() else { return };
        let mut stopped = std::mem::take(&mut self.stopped);
        stopped.sort_by_key(|(number, _)| *number);
        let _ = tell.send(StopReport { tasks: stopped.into_iter().map(|(_, task)| task).collect() });
    }
}
