//! One slot: its workers, wakers and cancellers.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::slot::{Slot, Turn};

/// What lies in the slot: counts its drops and its polls.
struct Content {
    drops: Arc<AtomicUsize>,
    polls: Arc<AtomicUsize>,
}

impl Drop for Content {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

struct Bench {
    slot: Arc<Slot<Content>>,
    drops: Arc<AtomicUsize>,
    polls: Arc<AtomicUsize>,
}

impl Bench {
    fn new() -> Self {
        let (drops, polls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let content = Content { drops: Arc::clone(&drops), polls: Arc::clone(&polls) };
        Self { slot: Arc::new(Slot::new(content)), drops, polls }
    }
}

fn pending(content: &mut Content) -> bool {
    content.polls.fetch_add(1, Ordering::SeqCst);
    false
}

/// A worker's loop as long as the slot wants to go on. Says whether it saw the end.
fn work(slot: &Slot<Content>) -> bool {
    loop {
        match slot.turn(pending) {
            Turn::Again => {}
            Turn::Parked => return false,
            Turn::Over(_) | Turn::Stopped(_) | Turn::Empty => return true,
        }
    }
}

#[test]
fn a_stopped_slot_is_emptied_once_whoever_comes_first() {
    loom::model(|| {
        let bench = Bench::new();
        let slot = Arc::clone(&bench.slot);
        let worker = thread::spawn(move || work(&slot));
        let slot = Arc::clone(&bench.slot);
        let other = thread::spawn(move || drop(slot.stop()));
        drop(bench.slot.stop());
        worker.join().unwrap();
        other.join().unwrap();
        assert_eq!(bench.drops.load(Ordering::SeqCst), 1, "emptied, and not twice");
        assert!(!bench.slot.wake(), "nobody queues an empty slot");
    });
}

#[test]
fn a_wake_up_is_never_lost() {
    loom::model(|| {
        let bench = Bench::new();
        let slot = Arc::clone(&bench.slot);
        // Whoever wakes a parked slot queues it, which here means to work it off.
        let waker = thread::spawn(move || {
            if slot.wake() {
                work(&slot);
            }
        });
        let before = bench.polls.load(Ordering::SeqCst);
        work(&bench.slot);
        waker.join().unwrap();
        let polls = bench.polls.load(Ordering::SeqCst) - before;
        assert!((1..=2).contains(&polls), "one poll for the beginning, and one more when woken after it: {polls}");
        // Parked for good: the next wake-up queues it, so none was swallowed.
        assert!(bench.slot.wake());
    });
}

#[test]
fn a_wake_up_against_a_stop_leaves_nothing_behind() {
    loom::model(|| {
        let bench = Bench::new();
        assert!(!work(&bench.slot), "parked");
        let slot = Arc::clone(&bench.slot);
        let waker = thread::spawn(move || {
            if slot.wake() {
                work(&slot);
            }
        });
        drop(bench.slot.stop());
        waker.join().unwrap();
        assert_eq!(bench.drops.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_guest_that_ends_while_it_is_stopped_is_dropped_once() {
    loom::model(|| {
        let bench = Bench::new();
        let slot = Arc::clone(&bench.slot);
        let worker = thread::spawn(move || drop(slot.turn(|_| true)));
        drop(bench.slot.stop());
        worker.join().unwrap();
        assert_eq!(bench.drops.load(Ordering::SeqCst), 1);
    });
}
