//! What the workers owe their guests and their owner.

mod beside;

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Once, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::pool::{Job, Pool};
use crate::{Guest, GuestEnd, Settings, Workers};

/// What all these tests may take together, on the slowest machine. They take a second.
const PATIENCE: Duration = Duration::from_mins(5);

/// Ends a run in which a test hangs: a lost wake-up shows as nothing else.
fn watch_over_the_tests() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let watch = || {
            let (_nobody, never) = mpsc::channel::<()>();
            let _ = never.recv_timeout(PATIENCE);
            eprintln!("a test of the workers hangs: it is the one that has begun and not ended");
            std::process::abort();
        };
        std::thread::Builder::new().spawn(watch).unwrap();
    });
}

fn workers(threads: usize, spares: usize) -> Workers {
    watch_over_the_tests();
    Workers::new(Settings { threads, spares, ..Settings::default() }).unwrap()
}

/// Tells when it is dropped, and on which thread.
struct Tell(mpsc::Sender<Option<String>>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.send(std::thread::current().name().map(str::to_owned));
    }
}

fn tell() -> (Tell, mpsc::Receiver<Option<String>>) {
    let (sender, receiver) = mpsc::channel();
    (Tell(sender), receiver)
}

/// Burns for ever, one short turn at a time, and counts its turns.
async fn burn(turns: Arc<AtomicUsize>) {
    poll_fn(|cx| {
        turns.fetch_add(1, Ordering::Relaxed);
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    })
    .await;
}

#[tokio::test]
async fn a_guest_returns_its_result() {
    let workers = workers(1, 0);
    let answer = workers.spawn(async {
        let mut turns = 0;
        poll_fn(|cx| {
            turns += 1;
            cx.waker().wake_by_ref();
            if turns < 5 { Poll::Pending } else { Poll::Ready(turns) }
        })
        .await
    });
    assert_eq!(answer.await.unwrap(), 5);
}

#[tokio::test]
async fn t11_a_panic_stays_within_its_guest() {
    let workers = workers(1, 0);
    let end = workers.spawn(async { panic!("boom") }).await;
    let Err(GuestEnd::Panicked(payload)) = end else { panic!("{end:?}") };
    assert_eq!(*payload.downcast_ref::<&str>().unwrap(), "boom");
    assert_eq!(workers.spawn(async { 7 }).await.unwrap(), 7);
}

#[tokio::test]
async fn a_panic_while_a_guest_is_dropped_harms_nobody() {
    struct Mine;
    impl Drop for Mine {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }
    let workers = workers(1, 0);
    for _ in 0..3 {
        let mine = Mine;
        drop(workers.spawn(async move {
            let _mine = mine;
            pending::<()>().await;
        }));
        assert_eq!(workers.spawn(async { 7 }).await.unwrap(), 7);
    }
}

#[test]
fn a_parked_guest_is_taken_out_and_dropped_elsewhere() {
    let workers = workers(1, 0);
    let (mine, dropped) = tell();
    let (ready, parked) = mpsc::channel();
    let guest = workers.spawn(async move {
        let _mine = mine;
        let _ = ready.send(());
        pending::<()>().await;
    });
    parked.recv().unwrap();
    drop(guest);
    let thread = dropped.recv().unwrap().unwrap();
    assert!(thread.starts_with("taskcell-"), "{thread}");
}

#[test]
fn r33_a_guest_that_only_burns_is_stopped_and_no_other() {
    let workers = workers(2, 0);
    let turns: Vec<Arc<AtomicUsize>> = (0..100).map(|_| Arc::default()).collect();
    let mut guests: Vec<_> = turns.iter().map(|turns| workers.spawn(burn(Arc::clone(turns)))).collect();
    let (mine, dropped) = tell();
    let burning = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&burning);
    let guest = workers.spawn(async move {
        let _mine = mine;
        burn(count).await;
    });
    while burning.load(Ordering::Relaxed) < 10 {
        std::thread::yield_now();
    }
    drop(guest);
    dropped.recv().unwrap();
    let before: Vec<usize> = turns.iter().map(|turns| turns.load(Ordering::Relaxed)).collect();
    for (turns, before) in turns.iter().zip(before) {
        while turns.load(Ordering::Relaxed) < before + 3 {
            std::thread::yield_now();
        }
    }
    guests.clear();
}

#[test]
fn who_was_woken_gets_a_turn_while_others_only_burn() {
    let workers = workers(1, 0);
    let burning: Vec<_> = (0..50).map(|_| workers.spawn(burn(Arc::default()))).collect();
    let (tell, steps) = mpsc::channel();
    let waker = Arc::new(std::sync::Mutex::new(None));
    let place = Arc::clone(&waker);
    let _guest = workers.spawn(poll_fn(move |cx| {
        *place.lock().unwrap() = Some(cx.waker().clone());
        let _ = tell.send(());
        Poll::<()>::Pending
    }));
    for _ in 0..100 {
        steps.recv().unwrap();
        let waker = loop {
            if let Some(waker) = waker.lock().unwrap().take() {
                break waker;
            }
        };
        waker.wake();
    }
    drop(burning);
}

#[tokio::test]
async fn an_end_is_told_although_the_next_poll_does_not_end() {
    let workers = workers(1, 0);
    let (open, gate) = mpsc::channel::<()>();
    let first = workers.spawn(async move { gate.recv().unwrap() });
    // Both wait behind the first, so that the one which ends has another woken one behind it.
    let ends = workers.spawn(async { 7 });
    let (release, held) = mpsc::channel::<()>();
    let stuck = workers.spawn(async move { held.recv().unwrap() });
    open.send(()).unwrap();
    assert_eq!(ends.await.unwrap(), 7, "its end is told by the watchdog");
    release.send(()).unwrap();
    first.await.unwrap();
    stuck.await.unwrap();
}

/// Does what a worker does, where there is no watchdog. Says whether there was something to do.
fn step(pool: &Pool) -> bool {
    match pool.next(false) {
        Some(Job::Turn(cell)) => cell.turn(),
        Some(Job::Ends(ended)) => pool.tell_here(ended),
        Some(Job::Burial(content)) => pool.bury_here(content),
        None => return false,
    }
    true
}

/// Whether it is known that this guest is over. To be asked until it is.
fn is_told<T>(guest: &mut Guest<T>) -> bool {
    Pin::new(guest).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn an_end_is_told_before_a_worker_has_nothing_to_do() {
    let pool: Arc<Pool> = Arc::default();
    let mut guest = Guest::new(async { 7 }, &pool);
    assert!(step(&pool) && !is_told(&mut guest), "its turn");
    assert!(step(&pool) && is_told(&mut guest), "and its end");
    assert!(!step(&pool));
}

#[test]
fn ends_are_told_together_while_others_were_woken() {
    let pool: Arc<Pool> = Arc::default();
    let mut guests: Vec<_> = (0..20).map(|number| Guest::new(async move { number }, &pool)).collect();
    for _ in 0..8 {
        assert!(step(&pool));
        assert!(!guests.iter_mut().any(is_told));
    }
    assert!(step(&pool));
    let told: Vec<bool> = guests.iter_mut().map(is_told).collect();
    assert_eq!(told, (0..20).map(|number| number < 8).collect::<Vec<_>>());
}

#[test]
fn an_end_is_told_before_the_turn_of_one_that_burns() {
    let pool: Arc<Pool> = Arc::default();
    let turns: Arc<AtomicUsize> = Arc::default();
    let _burning = Guest::new(burn(Arc::clone(&turns)), &pool);
    let mut guest = Guest::new(async { 7 }, &pool);
    assert!(step(&pool) && step(&pool) && !is_told(&mut guest), "a turn of each");
    assert!(step(&pool) && is_told(&mut guest));
    assert_eq!(turns.load(Ordering::Relaxed), 1);
}

#[test]
fn an_end_that_comes_after_the_end_of_the_workers_is_told() {
    let pool: Arc<Pool> = Arc::default();
    let shut = Arc::clone(&pool);
    let mut guest = Guest::new(
        async move {
            shut.shut();
            7
        },
        &pool,
    );
    assert!(step(&pool) && !is_told(&mut guest));
    assert!(step(&pool) && is_told(&mut guest));
    assert!(!step(&pool));
}

/// Tells that it is being dropped, and is not before that is allowed.
struct Stays(mpsc::Sender<()>, mpsc::Receiver<()>);

impl Drop for Stays {
    fn drop(&mut self) {
        let _ = self.0.send(());
        let _ = self.1.recv();
    }
}

#[test]
fn a_spare_worker_comes_for_one_that_drops_for_long_what_was_stopped() {
    let workers = workers(1, 1);
    let (drops, dropping) = mpsc::channel();
    let (allow, allowed) = mpsc::channel();
    let (start, begins) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let stays = Stays(drops, allowed);
    let guest = workers.spawn(async move {
        let _stays = stays;
        start.send(()).unwrap();
        goes_on.recv().unwrap();
        pending::<()>().await;
    });
    begins.recv().unwrap();
    // It is in its poll: what it holds is left to its worker.
    drop(guest);
    go_on.send(()).unwrap();
    dropping.recv().unwrap();
    let (tell, told) = mpsc::channel();
    let _other = workers.spawn(async move { tell.send(()) });
    told.recv().unwrap();
    allow.send(()).unwrap();
}

#[tokio::test]
async fn each_of_many_ends_is_told() {
    let workers = workers(2, 0);
    let guests: Vec<_> = (0..1000).map(|number| workers.spawn(async move { number })).collect();
    for (number, guest) in guests.into_iter().enumerate() {
        assert_eq!(guest.await.unwrap(), number);
    }
}

#[test]
fn who_only_burns_gets_a_turn_while_others_wake_each_other_all_the_time() {
    let workers = workers(1, 0);
    let places: Arc<[std::sync::Mutex<Option<Waker>>; 2]> = Arc::default();
    let passes = Arc::new(AtomicUsize::new(0));
    let players: Vec<_> = [(0, 1), (1, 0)]
        .into_iter()
        .map(|(mine, theirs)| {
            let (places, passes) = (Arc::clone(&places), Arc::clone(&passes));
            workers.spawn(poll_fn(move |cx| {
                *places[mine].lock().unwrap() = Some(cx.waker().clone());
                passes.fetch_add(1, Ordering::Relaxed);
                if let Some(waker) = places[theirs].lock().unwrap().take() {
                    waker.wake();
                }
                Poll::<()>::Pending
            }))
        })
        .collect();
    while passes.load(Ordering::Relaxed) < 100 {
        std::thread::yield_now();
    }
    let turns = Arc::new(AtomicUsize::new(0));
    let burning = workers.spawn(burn(Arc::clone(&turns)));
    let before = passes.load(Ordering::Relaxed);
    while turns.load(Ordering::Relaxed) < 100 {
        assert!(passes.load(Ordering::Relaxed) - before < 10_000_000, "starved");
        std::thread::yield_now();
    }
    drop((players, burning));
}

#[test]
fn a_spare_worker_comes_for_one_that_is_stuck_and_goes_again() {
    let workers = workers(1, 1);
    let (free, stuck) = mpsc::channel::<()>();
    let held = Arc::new(AtomicBool::new(false));
    let holds = Arc::clone(&held);
    let stuck = std::sync::Mutex::new(stuck);
    let _holder = workers.spawn(async move {
        holds.store(true, Ordering::SeqCst);
        // A poll that does not end, as a host function that blocks would be.
        let _ = stuck.lock().unwrap().recv();
    });
    while !held.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    let (tell, told) = mpsc::channel();
    let _other = workers.spawn(async move { tell.send(()) });
    told.recv().unwrap();
    drop(free);
    // The spare one leaves when there is nothing left to do for it.
    while workers.threads() > 1 {
        std::thread::yield_now();
    }
}

#[test]
fn f22_dropping_the_workers_stops_every_guest() {
    let workers = workers(2, 0);
    let (mine, dropped) = tell();
    let (parked, parked_dropped) = tell();
    let burning = workers.spawn(async move {
        let _mine = mine;
        burn(Arc::default()).await;
    });
    let waiting = workers.spawn(async move {
        let _parked = parked;
        pending::<()>().await;
    });
    drop(workers);
    dropped.recv().unwrap();
    drop(waiting);
    parked_dropped.recv().unwrap();
    drop(burning);
}

#[tokio::test]
async fn a_guest_that_comes_too_late_is_stopped() {
    let workers = workers(1, 0);
    let crew = Arc::clone(&workers.crew);
    drop(workers);
    let late = Guest::new(async { 1 }, &crew.pool);
    assert!(matches!(late.await, Err(GuestEnd::Stopped)));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn guests_run_at_a_lower_priority_than_whoever_made_the_workers() {
    let own = rustix::process::getpriority_process(None).unwrap();
    let workers = workers(1, 0);
    let guests = workers.spawn(async { rustix::process::getpriority_process(None).unwrap() }).await.unwrap();
    assert_eq!(guests, (own + 10).min(19));
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), own, "only theirs");
}

#[test]
fn nobody_is_called_for_a_guest_that_burns_alone() {
    watch_over_the_tests();
    let pool: Arc<Pool> = Arc::default();
    let turns = Arc::new(AtomicUsize::new(0));
    let _burning = Guest::new(burn(Arc::clone(&turns)), &pool);
    // This thread is the worker that has it; another one sleeps.
    let Some(Job::Turn(cell)) = pool.next(false) else { panic!("there is a guest") };
    let sleeper = {
        let pool = Arc::clone(&pool);
        std::thread::Builder::new().spawn(move || matches!(pool.next(true), Some(Job::Turn(_)))).unwrap()
    };
    while pool.idle_and_called() != (1, 0) {
        std::thread::yield_now();
    }
    cell.turn();
    assert_eq!((turns.load(Ordering::Relaxed), pool.idle_and_called()), (1, (1, 0)));
    // For a second one somebody is.
    let _other = Guest::new(burn(turns), &pool);
    assert!(sleeper.join().unwrap());
}
