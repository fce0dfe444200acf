//! The watch and the seats: when the watchdog may sleep, and who sits where.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::guest::Guest;
use crate::pool::Pool;
use crate::queues::{check, run};
use crate::seats::Seats;
use crate::watch::Watch;

#[test]
fn whoever_begins_a_poll_wakes_the_watchdog() {
    loom::model(|| {
        let (seats, watch) = (Arc::new(Seats::new(1)), Arc::new(Watch::default()));
        let (taken, waking) = (Arc::clone(&seats), Arc::clone(&watch));
        let worker = thread::spawn(move || {
            let seat = taken.take(0).unwrap();
            taken.begin(seat);
            // The poll never ends.
            waking.wake();
        });
        watch.sleep(|| !seats.is_polling());
        worker.join().unwrap();
    });
}

#[test]
fn f22_the_end_wakes_the_watchdog() {
    loom::model(|| {
        let (pool, watch): (Arc<Pool>, Arc<Watch>) = Default::default();
        let (ends, waking) = (Arc::clone(&pool), Arc::clone(&watch));
        let end = thread::spawn(move || {
            ends.shut();
            waking.wake();
        });
        watch.sleep(|| !pool.is_shut());
        end.join().unwrap();
    });
}

#[test]
fn a_spare_worker_finds_whoever_comes_while_the_only_worker_is_stuck() {
    check(3, || {
        let pool: Arc<Pool> = Arc::default();
        let (seats, watch) = (Arc::new(Seats::new(1)), Arc::new(Watch::default()));
        let freed = Arc::new((Mutex::new(false), Condvar::new()));
        let (stuck, sits, waking) = (Arc::clone(&freed), Arc::clone(&seats), Arc::clone(&watch));
        let worker = thread::spawn(move || {
            let seat = sits.take(0).unwrap();
            sits.begin(seat);
            waking.wake();
            let mut free = stuck.0.lock().unwrap();
            while !*free {
                free = stuck.1.wait(free).unwrap();
            }
        });
        let (spare, sees, watchdog) = (Arc::clone(&pool), Arc::clone(&seats), Arc::clone(&watch));
        let dog = thread::spawn(move || {
            while !spare.is_shut() {
                // Enough of the watchdog and of the spare worker that it hires: neither may stop looking.
                while let Some(job) = spare.next(false) {
                    run(&spare, job);
                }
                watchdog.sleep(|| !spare.has_work() && !sees.is_polling() && !spare.is_shut());
                thread::yield_now();
            }
        });
        let ends = Arc::clone(&pool);
        let guest = Guest::new(
            async move {
                *freed.0.lock().unwrap() = true;
                freed.1.notify_one();
                ends.shut();
            },
            &pool,
        );
        worker.join().unwrap();
        dog.join().unwrap();
        drop(guest);
    });
}

#[test]
fn nobody_sits_where_somebody_else_does() {
    loom::model(|| {
        let (seats, sitting) = (Arc::new(Seats::new(1)), Arc::new(AtomicUsize::new(0)));
        let others = [(); 2].map(|()| {
            let (seats, sitting) = (Arc::clone(&seats), Arc::clone(&sitting));
            thread::spawn(move || {
                let Some(seat) = seats.take(0) else { return };
                assert_eq!(sitting.fetch_add(1, Ordering::AcqRel), 0);
                sitting.fetch_sub(1, Ordering::AcqRel);
                seats.leave(seat);
            })
        });
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(seats.take(0), Some(0), "it is free again");
    });
}
