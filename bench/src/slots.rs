//! Raw slots: guests' futures in mutexes, polled in turn by raw threads, and emptied by whoever wants one gone.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::raw::{Bare, Guest, Way, step_back, threads};

type Future = Pin<Box<dyn std::future::Future<Output = Result<()>> + Send>>;

/// A guest.
#[derive(Default)]
pub(crate) struct Slot {
    guest: Mutex<Option<Future>>,
    polls: AtomicU64,
    /// Whether somebody wants it empty: then no worker takes the lock again before him, which it could do for ever,
    /// because a lock is not a queue.
    wanted: AtomicBool,
}

/// Guests that run in turn, and the threads that poll them. The threads end when this is dropped.
pub(crate) struct Slots {
    round: Arc<Round>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Round {
    queue: Mutex<VecDeque<Arc<Slot>>>,
    over: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    pub(crate) fn new() -> Self {
        let round = Arc::<Round>::default();
        let threads = (0..threads())
            .map(|_| {
                let round = Arc::clone(&round);
                thread::spawn(move || round.serve())
            })
            .collect();
        Self { round, threads }
    }

    /// Lets a guest run, before all others.
    pub(crate) fn add(&self, guest: &Arc<Guest<Bare>>, way: Way) -> Arc<Slot> {
        let slot = Arc::new(Slot::default());
        slot.fill(guest, way);
        lock(&self.round.queue).push_front(Arc::clone(&slot));
        slot
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.round.over.store(true, Ordering::Relaxed);
        for thread in mem::take(&mut self.threads) {
            drop(thread.join());
        }
    }
}

impl Round {
    fn serve(&self) {
        step_back();
        while !self.over.load(Ordering::Relaxed) {
            let next = lock(&self.queue).pop_front();
            match next {
                Some(slot) if slot.poll() => lock(&self.queue).push_back(slot),
                Some(_) => {}
                None => thread::yield_now(),
            }
        }
    }
}

impl Slot {
    fn fill(&self, guest: &Arc<Guest<Bare>>, way: Way) {
        let guest = Arc::clone(guest);
        *lock(&self.guest) = Some(Box::pin(async move { guest.run(way).await }));
    }

    /// Gives the guest a turn. Whether it wants another.
    fn poll(&self) -> bool {
        if self.wanted.load(Ordering::Relaxed) {
            return false;
        }
        let mut guest = lock(&self.guest);
        let Some(future) = guest.as_mut() else { return false };
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.polls.fetch_add(1, Ordering::Relaxed);
        matches!(polled, Poll::Pending)
    }

    pub(crate) fn has_run(&self) -> bool {
        self.polls.load(Ordering::Relaxed) > 1
    }

    /// Takes the guest out and drops it; how long that took.
    pub(crate) fn empty(&self) -> Duration {
        let before = Instant::now();
        self.wanted.store(true, Ordering::Relaxed);
        let guest = lock(&self.guest).take();
        drop(guest);
        before.elapsed()
    }
}

/// The wall time of one turn of a guest that is alone.
pub(crate) fn turn(guest: &Arc<Guest<Bare>>, way: Way) -> Duration {
    let slot = Slot::default();
    slot.fill(guest, way);
    // The first touches the memory.
    let turns = (0..6).map(|_| {
        let before = Instant::now();
        slot.poll();
        before.elapsed()
    });
    turns.skip(1).min().unwrap_or_default()
}
