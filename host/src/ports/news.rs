//! What a cell tells its actor without waiting for an answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// A cell's notice board. The cell writes at any rate and is never held up; the actor reads when it gets to it.
#[derive(Debug, Default)]
pub(crate) struct News {
    progress: Mutex<Option<ProgressReport>>,
    /// Whether a report is up that the actor was not told of.
    untold: AtomicBool,
    fuel_low: AtomicBool,
    fuel_out: AtomicBool,
    changed: Notify,
}

/// How far a task is: the newest report, and how many older ones it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgressReport {
    pub(crate) message: String,
    pub(crate) percent: Option<u8>,
    /// Whether the progress begins anew with this report, or with one that was merged into it.
    pub(crate) restarted: bool,
    /// Reports that were merged into this one.
    pub(crate) merged: u64,
}

impl News {
    /// Puts a report up, in the place of one that was not read yet. The actor hears of it when [`News::tell`] is called, or the
    /// guest has ended: of one that ends in the same turn it need not hear twice.
    pub(crate) fn put_up(&self, message: String, percent: Option<u8>, restarted: bool) {
        let mut place = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let report = match place.take() {
            None => ProgressReport { message, percent, restarted, merged: 0 },
            Some(old) => ProgressReport {
                message,
                // Progress does not go back unless it begins anew.
                percent: if restarted { percent } else { percent.max(old.percent) },
                restarted: restarted || old.restarted,
                merged: old.merged.saturating_add(1),
            },
        };
        let first = report.merged == 0;
        *place = Some(report);
        if first {
            self.untold.store(true, Ordering::Relaxed);
        }
    }

    /// Tells the actor of a report that was put up.
    pub(crate) fn tell(&self) {
        // Nearly always there is none.
        if self.untold.load(Ordering::Relaxed) && self.untold.swap(false, Ordering::Relaxed) {
            self.changed.notify_one();
        }
    }

    /// Puts a report up and tells the actor.
    #[cfg(test)]
    pub(crate) fn report(&self, message: String, percent: Option<u8>, restarted: bool) {
        self.put_up(message, percent, restarted);
        self.tell();
    }

    /// Takes the report down.
    pub(crate) fn take_report(&self) -> Option<ProgressReport> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Says that most of the fuel is gone.
    pub(crate) fn warn_of_fuel(&self) {
        self.fuel_low.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Takes the warning down, and says whether there was one.
    pub(crate) fn take_fuel_warning(&self) -> bool {
        self.fuel_low.swap(false, Ordering::AcqRel)
    }

    /// Says that there is no fuel left, and that the cell stands still until more comes.
    pub(crate) fn is_out_of_fuel(&self) {
        self.fuel_out.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Takes that down, and says whether it was up.
    pub(crate) fn take_out_of_fuel(&self) -> bool {
        self.fuel_out.swap(false, Ordering::AcqRel)
    }

    /// Has the actor look around, for something that is not written here.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    /// Completes when something is new. Cancel safety: nothing is lost.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_put_up_is_told_when_that_is_said_and_once() {
        let news = News::default();
        let is_told =
            async || tokio::select! { biased; () = news.changed() => true, () = std::future::ready(()) => false };
        news.put_up("a".to_owned(), None, false);
        news.put_up("b".to_owned(), None, false);
        assert!(!is_told().await, "the guest's turn goes on");
        news.tell();
        assert!(is_told().await);
        news.tell();
        assert!(!is_told().await, "there is nothing new");
        assert_eq!(news.take_report().map(|report| report.message), Some("b".to_owned()));
    }

    #[tokio::test]
    async fn reports_merge_and_never_go_back() {
        let news = News::default();
        for (message, percent) in [("a", Some(10)), ("b", Some(40)), ("c", Some(30)), ("d", None)] {
            news.report(message.to_owned(), percent, false);
        }
        news.changed().await;
        let expected = ProgressReport { message: "d".to_owned(), percent: Some(40), restarted: false, merged: 3 };
        assert_eq!(news.take_report(), Some(expected));
        assert_eq!(news.take_report(), None);
        news.report("e".to_owned(), Some(90), false);
        news.report("again".to_owned(), Some(0), true);
        let expected = ProgressReport { message: "again".to_owned(), percent: Some(0), restarted: true, merged: 1 };
        assert_eq!(news.take_report(), Some(expected));
    }
}
