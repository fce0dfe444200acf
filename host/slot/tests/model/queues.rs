//! The queues: workers, whoever hands them guests or wakes these, the reaper, and the end of it all.
//!
//! That nobody is forgotten is shown by the end: here the last guest sends the workers home, and a worker that sleeps
//! although there is something to do is a deadlock, which loom reports.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};

use crate::guest::{Guest, Life};
use crate::pool::{Job, Pool};

/// Tries everything that takes at most so many switches away from a thread which could go on. Faults need few.
pub(crate) fn check(switches: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(model);
}

pub(crate) fn run(pool: &Pool, job: Job) {
    match job {
        Job::Turn(cell) => cell.turn(),
        Job::Ends(ended) => pool.tell_here(ended),
        Job::Burial(content) => pool.bury_here(content),
    }
}

/// A worker, as `workers.rs` has them.
pub(crate) fn worker(pool: &Arc<Pool>) -> JoinHandle<()> {
    pool.worker_came();
    let pool = Arc::clone(pool);
    thread::spawn(move || {
        while let Some(job) = pool.next(true) {
            run(&pool, job);
        }
        pool.worker_went();
    })
}

fn reaper(pool: &Arc<Pool>) -> JoinHandle<()> {
    let pool = Arc::clone(pool);
    thread::spawn(move || pool.reap())
}

/// Counts its drops. The count is looked at when all threads have ended, and loom need not look into it.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What lies in a slot, and is dropped before it has run.
struct Held(#[expect(dead_code, reason = "it is there to be dropped")] Dropped);

impl Life for Held {
    fn poll(&mut self, _cx: &mut Context<'_>) -> bool {
        true
    }

    fn tell(&mut self) {}
}

/// A guest that gives way so many times before it ends.
struct Busy {
    turns: u32,
    /// Guests that have not ended yet; the last one shuts the pool.
    left: Arc<AtomicUsize>,
    pool: Arc<Pool>,
}

impl Future for Busy {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.turns > 0 {
            self.turns -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.pool.shut();
        }
        Poll::Ready(())
    }
}

#[test]
fn nobody_who_wants_to_run_is_forgotten() {
    check(3, || {
        let pool: Arc<Pool> = Arc::default();
        let left = Arc::new(AtomicUsize::new(2));
        let workers = [worker(&pool), worker(&pool)];
        let guest = |turns| {
            let busy = Busy { turns, left: Arc::clone(&left), pool: Arc::clone(&pool) };
            Guest::new(busy, &pool)
        };
        let guests = [guest(1), guest(0)];
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(left.load(Ordering::SeqCst), 0, "all have ended by themselves");
        drop(guests);
    });
}

/// What a parked guest waits for.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<(bool, Option<Waker>)>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        let waker = {
            let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
            rung.0 = true;
            rung.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        if rung.0 {
            return Poll::Ready(());
        }
        rung.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[test]
fn a_wake_up_from_outside_finds_a_worker() {
    check(3, || {
        let pool: Arc<Pool> = Arc::default();
        let bell = Arc::new(Bell::default());
        let worker = worker(&pool);
        let (heard, ends) = (Arc::clone(&bell), Arc::clone(&pool));
        let guest = Guest::new(
            async move {
                std::future::poll_fn(|cx| heard.poll(cx)).await;
                ends.shut();
            },
            &pool,
        );
        bell.ring();
        worker.join().unwrap();
        drop(guest);
    });
}

#[test]
fn a_guest_that_is_stuck_in_its_poll_keeps_no_other_from_an_idle_worker() {
    check(3, || {
        let pool: Arc<Pool> = Arc::default();
        let workers = [worker(&pool), worker(&pool)];
        let freed = Arc::new((Mutex::new(false), Condvar::new()));
        let stuck = Arc::clone(&freed);
        let holder = Guest::new(
            async move {
                let mut free = stuck.0.lock().unwrap();
                while !*free {
                    free = stuck.1.wait(free).unwrap();
                }
            },
            &pool,
        );
        let ends = Arc::clone(&pool);
        let other = Guest::new(
            async move {
                *freed.0.lock().unwrap() = true;
                freed.1.notify_one();
                ends.shut();
            },
            &pool,
        );
        for worker in workers {
            worker.join().unwrap();
        }
        drop((holder, other));
    });
}

#[test]
fn f22_the_end_leaves_nothing_behind() {
    check(2, || {
        let pool: Arc<Pool> = Arc::default();
        let drops: Arc<AtomicUsize> = Arc::default();
        let threads = [worker(&pool), reaper(&pool)];
        let ends = Arc::clone(&pool);
        let end = thread::spawn(move || ends.shut());
        let guest = |turns| {
            let mine = Dropped(Arc::clone(&drops));
            let busy = Busy { turns, left: Arc::new(AtomicUsize::new(2)), pool: Arc::clone(&pool) };
            Guest::new(
                async move {
                    let _mine = mine;
                    busy.await;
                },
                &pool,
            )
        };
        // One is stopped by its owner, the other by the end, unless they have ended before.
        drop(guest(1));
        let last = guest(0);
        end.join().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(!pool.has_work());
        drop(last);
        assert_eq!(drops.load(Ordering::SeqCst), 2, "each was dropped, and once");
    });
}

#[test]
fn what_is_buried_is_dropped_whoever_is_still_there() {
    check(3, || {
        let pool: Arc<Pool> = Arc::default();
        let drops: Arc<AtomicUsize> = Arc::default();
        let reaper = reaper(&pool);
        let ends = Arc::clone(&pool);
        let end = thread::spawn(move || ends.shut());
        let mine = Dropped(Arc::clone(&drops));
        pool.bury(Box::new(Held(mine)));
        end.join().unwrap();
        reaper.join().unwrap();
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    });
}
