//! What comes to a task's actor: what its cell says, and the bell that it is called with.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;

use super::mailbox::Mailbox;
use super::runner::GuestCall;

/// Calls of a guest on their way to its actor. One guest makes one call at a time.
const CALL_QUEUE: usize = 4;

/// A cell's notice board. The cell writes at any rate and is never held up; the actor reads when it gets to it.
#[derive(Debug)]
pub(crate) struct News {
    progress: Mutex<Option<ProgressReport>>,
    /// Whether a report is up that the actor was not told of.
    untold: AtomicBool,
    fuel_low: AtomicBool,
    fuel_out: AtomicBool,
    /// Whether something is written here that the actor has not looked at.
    is_new: AtomicBool,
    /// How often somebody outside has wanted something of the guest since it wished for its last turn.
    wanted: AtomicU32,
    /// What the guest asks, and waits for an answer to. Boxed, because a call is large.
    calls: Mailbox<Box<GuestCall>>,
    /// Wakes the actor, whatever it is called for.
    bell: AtomicWaker,
}

impl Default for News {
    fn default() -> Self {
        Self::with_calls(Mailbox::new(CALL_QUEUE))
    }
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
    fn with_calls(calls: Mailbox<Box<GuestCall>>) -> Self {
        Self {
            progress: Mutex::default(),
            untold: AtomicBool::new(false),
            fuel_low: AtomicBool::new(false),
            fuel_out: AtomicBool::new(false),
            is_new: AtomicBool::new(false),
            wanted: AtomicU32::new(0),
            calls,
            bell: AtomicWaker::new(),
        }
    }

    /// That nobody reads: every call finds that the task is over.
    pub(crate) fn of_nobody() -> Self {
        Self::with_calls(Mailbox::closed())
    }

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
            self.look();
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
        self.look();
    }

    /// Takes the warning down, and says whether there was one.
    pub(crate) fn take_fuel_warning(&self) -> bool {
        self.fuel_low.swap(false, Ordering::AcqRel)
    }

    /// Says that there is no fuel left, and that the cell stands still until more comes.
    pub(crate) fn is_out_of_fuel(&self) {
        self.fuel_out.store(true, Ordering::Release);
        self.look();
    }

    /// Takes that down, and says whether it was up.
    pub(crate) fn take_out_of_fuel(&self) -> bool {
        self.fuel_out.swap(false, Ordering::AcqRel)
    }

    /// Says that somebody outside wants something of the guest: a person, the agent or the program, and no other guest.
    pub(crate) fn want_turn(&self) {
        self.wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was said since this was asked last.
    pub(crate) fn take_wanted(&self) -> u32 {
        // Most turns are wished for by the guest's own calls.
        if self.wanted.load(Ordering::Relaxed) == 0 { 0 } else { self.wanted.swap(0, Ordering::Relaxed) }
    }

    /// Has the actor look around, for something that is not written here.
    pub(crate) fn look(&self) {
        self.is_new.store(true, Ordering::Release);
        self.bell.wake();
    }

    /// Completes when something is new. Cancel safety: nothing is lost.
    #[cfg(test)]
    pub(crate) async fn changed(&self) {
        self.called(|| self.take_new()).await;
    }

    /// The same, for one whose poll has looked for something else in [`News::called`] before this: it hears the bell already.
    pub(crate) async fn changed_meanwhile(&self) {
        meanwhile(|| self.take_new()).await;
    }

    fn take_new(&self) -> Option<()> {
        // Nearly always there is nothing.
        (self.is_new.load(Ordering::Acquire) && self.is_new.swap(false, Ordering::AcqRel)).then_some(())
    }

    /// Hands a call over, once there is room. Says whether somebody listens.
    ///
    /// Cancel safety: when the future is dropped, the call was not made.
    pub(crate) async fn call(&self, call: Box<GuestCall>) -> bool {
        let is_sent = self.calls.send(call).await;
        self.ring();
        is_sent
    }

    /// Completes with the next call. Cancel safety: nothing is lost.
    pub(crate) async fn next_call(&self) -> Box<GuestCall> {
        self.called(|| self.calls.take()).await
    }

    /// The same, for one whose poll has looked for something else in [`News::called`] before this: it hears the bell already.
    pub(crate) async fn next_call_meanwhile(&self) -> Box<GuestCall> {
        meanwhile(|| self.calls.take()).await
    }

    /// A call that is there already.
    pub(crate) fn take_call(&self) -> Option<Box<GuestCall>> {
        self.calls.take()
    }

    /// Whether a call waits to be taken.
    pub(crate) fn is_called(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Nobody listens any more: whoever has called or calls now finds that the task is over.
    pub(crate) fn hang_up(&self) {
        self.calls.close();
        // With it goes the actor, of which nothing is kept.
        drop(self.bell.take());
    }

    /// Wakes the actor, which looks at all that it waits for in [`News::called`].
    pub(crate) fn ring(&self) {
        self.bell.wake();
    }

    /// Completes with what `look` finds, which is asked again with each ring of the bell. One task waits here, the actor's; it may
    /// wait for several things at once.
    pub(crate) async fn called<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        std::future::poll_fn(|cx| self.poll_called(cx, &mut look)).await
    }

    fn poll_called<T>(&self, cx: &Context<'_>, look: &mut impl FnMut() -> Option<T>) -> Poll<T> {
        // Before looking, so that a ring in between is not slept through.
        self.bell.register(cx.waker());
        look().map_or(Poll::Pending, Poll::Ready)
    }
}

/// Completes with what `look` finds. Something else has the task woken.
async fn meanwhile<T>(mut look: impl FnMut() -> Option<T>) -> T {
    std::future::poll_fn(|_| look().map_or(Poll::Pending, Poll::Ready)).await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Wake, Waker};

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

    #[test]
    fn nothing_of_whoever_listened_is_kept_when_nobody_does_any_more() {
        struct Listener;
        impl Wake for Listener {
            fn wake(self: Arc<Self>) {}
        }
        let listener = Arc::new(Listener);
        let (news, waker) = (News::default(), Waker::from(Arc::clone(&listener)));
        let mut next = pin!(news.next_call());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&listener), 2, "it is to be woken");
        news.hang_up();
        assert_eq!(Arc::strong_count(&listener), 1);
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
