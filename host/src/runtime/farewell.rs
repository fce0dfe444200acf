//! The end of a version of a plugin: of its tasks, and then of itself.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::model::hook::Hook;
use crate::model::outcome::{Failure, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::model::text;

use super::host::Inner;
use super::shared::Shared;
use super::stopping::{LAST_WORD, StopReport, Stopped, stop};
use super::unloading::Unload;
use super::version::{Tally, Version};

/// Tasks that came to be after the end began and are listed, and bytes of what each of them said. There may be any number of
/// them: protects the host's memory from a plugin that goes on starting tasks.
const LATER_MAX: usize = 10_000;
const LATER_WORDS_BYTES: usize = 256;

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
        self.spawn(Box::pin(farewell.run(Account::new(tell))));
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
        let tally = self.version.tally();
        let mut shutdown = self.inner.shutdown.subscribe();
        let (mut births, mut known, mut stopping) = (None, HashSet::new(), JoinSet::new());
        let mut parting = pin!(self.inner.tell(&self.version, Hook::OnDisabled));
        let mut told = false;
        loop {
            let (Tally { users, born, unborn }, seen) = tally.look(|tally| *tally);
            // Starts that were under way become tasks, and tasks start children.
            let later = births.is_some();
            if births.replace(born) != Some(born) {
                let mut live = self.inner.registry.live_of(self.version.number);
                live.retain(|task| task.state().outcome.is_none() && known.insert(task.id));
                for task in live {
                    let number = task.number;
                    let stopped = self.stop(task);
                    stopping.spawn_on(async move { (Place { number, later }, stopped.await) }, &self.inner.runtime);
                }
            }
            // Whoever is about to start one is refused when the host goes, and need not be waited for.
            let awaited = if *shutdown.borrow_and_update() { users.saturating_sub(unborn) } else { users };
            if told && awaited == 0 && stopping.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                Some(ended) = stopping.join_next() => if let Ok((place, stopped)) = ended {
                    if stopped.outcome.is_some() {
                        // It is not found among the live ones again.
                        known.remove(&stopped.id);
                    }
                    account.note(place, stopped);
                },
                _ = &mut parting, if !told => told = true,
                () = tally.changed(seen) => {}
                Ok(()) = shutdown.changed() => {}
                () = clock.sleep_until(self.patience()), if account.is_open() && stopping.is_empty() => {
                    account.close();
                }
            }
        }
    }

    fn stop(&self, task: Arc<Shared>) -> impl Future<Output = Stopped> + Send + use<> {
        let grace = self.how.grace(task.kind);
        let request = CancelRequest::new(Party::Host, self.why.clone()).grace(grace.unwrap_or_default());
        stop(task, request, grace.is_some(), self.over)
    }
}

/// Which of the tasks it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// The order of their starts.
    number: u64,
    /// Whether it came to be after the end began. There may be any number of those.
    later: bool,
}

/// What whoever waits for the end of a version is told. Nothing is kept for nobody.
#[derive(Debug)]
struct Account {
    /// `None` once it was told.
    tell: Option<oneshot::Sender<StopReport>>,
    stopped: Vec<(Place, Stopped)>,
    /// How many of them came to be after the end began, and how many more did that are not kept.
    later: usize,
    more: usize,
}

impl Account {
    fn new(tell: oneshot::Sender<StopReport>) -> Self {
        Self { tell: Some(tell), stopped: Vec::new(), later: 0, more: 0 }
    }

    /// Whether somebody waits.
    fn is_open(&self) -> bool {
        self.tell.as_ref().is_some_and(|tell| !tell.is_closed())
    }

    /// Keeps what became of a task, for whoever waits.
    fn note(&mut self, place: Place, stopped: Stopped) {
        if !self.is_open() {
            self.stopped = Vec::new();
            return;
        }
        if !place.later {
            self.stopped.push((place, stopped));
        } else if self.later < LATER_MAX {
            self.later += 1;
            let outcome = stopped.outcome.map(shortened);
            self.stopped.push((place, Stopped { outcome, ..stopped }));
        } else {
            self.more += 1;
        }
    }

    /// Tells what is known, once.
    fn close(&mut self) {
        let mut stopped = std::mem::take(&mut self.stopped);
        let Some(tell) = self.tell.take() else { return };
        stopped.sort_by_key(|(place, _)| *place);
        let tasks = stopped.into_iter().map(|(_, task)| task).collect();
        let _ = tell.send(StopReport { tasks, more: self.more });
    }
}

/// How a task ended, and not what it came to nor much of what it said.
fn shortened(outcome: Outcome) -> Outcome {
    let short = |words: String| text::shortened(&words, LATER_WORDS_BYTES).into_owned();
    match outcome {
        Outcome::Succeeded { message, data: _ } => Outcome::Succeeded { message: short(message), data: None },
        Outcome::Failed(failure) => {
            Outcome::Failed(Failure { message: short(failure.message), error: None, backtrace: Vec::new(), ..failure })
        }
        Outcome::Cancelled { by, reason, forced, begun, message, data: _ } => {
            Outcome::Cancelled { by, reason: short(reason), forced, begun, message: short(message), data: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::ids::{TaskId, TaskKey, TaskRef};
    use crate::model::outcome::FailureKind;

    fn stopped(number: u64, outcome: Outcome) -> Stopped {
        let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::new("k").unwrap() };
        Stopped { id: TaskId::from_random(number.into()), task, outcome: Some(outcome), forced: false }
    }

    fn succeeded() -> Outcome {
        Outcome::Succeeded { message: "done".to_owned(), data: Some(json!("x")) }
    }

    #[test]
    fn r36_of_tasks_that_came_later_no_data_is_kept() {
        let (tell, mut told) = oneshot::channel();
        let mut account = Account::new(tell);
        let failed = Failure { error: Some(json!("x")), ..Failure::new(FailureKind::Guest, "no") };
        account.note(Place { number: 3, later: true }, stopped(3, Outcome::Failed(failed.clone())));
        account.note(Place { number: 2, later: true }, stopped(2, succeeded()));
        account.note(Place { number: 1, later: false }, stopped(1, succeeded()));
        account.close();
        let outcomes: Vec<_> = told.try_recv().unwrap().tasks.into_iter().filter_map(|task| task.outcome).collect();
        let bare = Outcome::Succeeded { message: "done".to_owned(), data: None };
        assert_eq!(outcomes, [succeeded(), bare, Outcome::Failed(Failure { error: None, ..failed })]);
        account.note(Place { number: 4, later: false }, stopped(4, succeeded()));
        assert!(account.stopped.is_empty(), "it was told");
    }

    #[test]
    fn f14_of_tasks_that_came_later_so_many_are_listed_each_with_a_few_words() {
        let (tell, mut told) = oneshot::channel();
        let mut account = Account::new(tell);
        for number in 0..LATER_MAX as u64 + 5 {
            let failure =
                Failure { backtrace: vec!["frame".into()], ..Failure::new(FailureKind::Trap, "w".repeat(1000)) };
            account.note(Place { number, later: true }, stopped(number, Outcome::Failed(failure)));
        }
        account.close();
        let report = told.try_recv().unwrap();
        assert_eq!((report.tasks.len(), report.more), (LATER_MAX, 5));
        let Some(Outcome::Failed(failure)) = &report.tasks[0].outcome else { panic!("it failed") };
        assert!(failure.message.len() < 300 && failure.backtrace.is_empty());
    }

    #[test]
    fn r36_nothing_is_kept_for_nobody() {
        let (tell, told) = oneshot::channel();
        let mut account = Account::new(tell);
        account.note(Place { number: 1, later: false }, stopped(1, succeeded()));
        assert_eq!(account.stopped.len(), 1);
        drop(told);
        account.note(Place { number: 2, later: false }, stopped(2, succeeded()));
        assert_eq!(account.stopped.capacity(), 0);
    }
}
