//! Owners and the guests beside them: whoever wakes an owner, or asks it for a turn, is heard, also at its end.
//!
//! A life that is not polled again although there is something to see is a deadlock, which loom reports.

use std::future::{pending, poll_fn, ready};
use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::guest::{Beside, Guest};
use crate::owner::{Conduct, Life, Owner, TURNS};
use crate::pool::Pool;
use crate::queues::{Bell, check, run, worker};

/// An owner's task in its runtime.
#[derive(Default)]
struct Task {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.woken.notify_one();
    }
}

impl Task {
    fn poll<F: Future>(self: &Arc<Self>, life: Pin<&mut Life<F>>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(self));
        life.poll(&mut Context::from_waker(&waker))
    }

    /// Polls this life to its end: at first, and then whenever it was woken.
    fn run<F: Future>(self: &Arc<Self>, life: Life<F>) -> F::Output {
        // It takes locks when it goes. A deadlock ends this loop by a panic, and then loom has no locks to give.
        let mut life = ManuallyDrop::new(Box::pin(life));
        loop {
            if let Poll::Ready(end) = self.poll(life.as_mut()) {
                drop(ManuallyDrop::into_inner(life));
                return end;
            }
            let mut is_woken = self.is_woken.lock().unwrap_or_else(PoisonError::into_inner);
            while !*is_woken {
                is_woken = self.woken.wait(is_woken).unwrap_or_else(PoisonError::into_inner);
            }
            *is_woken = false;
        }
    }
}

/// One that always may stay.
struct Stays;

impl Conduct for Stays {
    fn may_stay(&self) -> bool {
        true
    }

    fn around(&self, _is_last: bool, turn: &mut dyn FnMut()) {
        turn();
    }
}

/// What loom need not look into is looked at when all threads have ended.
#[derive(Default)]
struct Scene {
    pool: Arc<Pool>,
    owner: Arc<Owner>,
    task: Arc<Task>,
    /// Polls of guests.
    polls: Arc<std::sync::atomic::AtomicUsize>,
}

impl Scene {
    fn live<F: Future>(&self, life: F) -> Life<F> {
        Arc::clone(&self.owner).live(life)
    }

    /// Something to see, and the owner's waker to say so.
    fn news(&self) -> News {
        News { is_there: Arc::default(), owner: Waker::from(Arc::clone(&self.owner)) }
    }

    /// Has another thread make a guest, which is over with its first turn and says so.
    fn asker(&self, news: &News) -> thread::JoinHandle<Guest<()>> {
        let (pool, polls, news) = (Arc::clone(&self.pool), Arc::clone(&self.polls), news.clone());
        let beside = self.beside();
        thread::spawn(move || {
            let guest = async move {
                polls.fetch_add(1, Ordering::SeqCst);
                news.tell();
            };
            Guest::perhaps_beside(guest, &pool, Some(beside))
        })
    }

    fn beside(&self) -> Beside {
        Beside { owner: Arc::clone(&self.owner), conduct: Arc::new(Stays) }
    }

    /// What is left is the workers'. Says how many turns that was.
    fn work(&self) -> usize {
        let before = self.polls();
        while let Some(job) = self.pool.next(false) {
            run(&self.pool, job);
        }
        self.polls() - before
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    /// Looked at when the owner's life is over.
    fn is_left_as_it_was(&self) {
        assert_eq!(Arc::strong_count(&self.task), 1, "nobody keeps the task");
        let places = std::iter::repeat_with(|| self.pool.join_owner()).take_while(|joined| *joined).count();
        assert_eq!(places, 32, "whoever waited beside the owner has left, and once");
    }
}

#[derive(Clone)]
struct News {
    /// All that orders this is the owner and whoever wakes it.
    is_there: Arc<AtomicBool>,
    owner: Waker,
}

impl News {
    fn tell(&self) {
        self.is_there.store(true, Ordering::Relaxed);
        self.owner.wake_by_ref();
    }

    fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }
}

fn until<const N: usize>(news: [News; N]) -> impl Future<Output = ()> {
    poll_fn(move |_| if news.iter().all(News::is_there) { Poll::Ready(()) } else { Poll::Pending })
}

#[test]
fn whoever_wakes_an_owner_has_it_look_again() {
    check(3, || {
        let scene = Scene::default();
        let news = [scene.news(), scene.news()];
        let tellers = news.clone().map(|news| thread::spawn(move || news.tell()));
        scene.task.run(scene.live(until(news)));
        for teller in tellers {
            teller.join().unwrap();
        }
        scene.is_left_as_it_was();
    });
}

#[test]
fn an_owner_that_gives_way_to_others_looks_again_after_them() {
    check(3, || {
        let scene = Scene::default();
        let news = scene.news();
        let tells = news.clone();
        let teller = thread::spawn(move || tells.tell());
        let mut heard = pin!(until([news]));
        let mut wakes = 0..TURNS;
        scene.task.run(scene.live(poll_fn(|cx| {
            // It wakes itself as often as it may before others have their turn.
            if wakes.next().is_some() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            heard.as_mut().poll(cx)
        })));
        teller.join().unwrap();
        scene.is_left_as_it_was();
    });
}

#[test]
fn a_guest_that_asks_its_owner_has_its_turn_there() {
    loom::model(|| {
        let scene = Scene::default();
        let news = scene.news();
        // A guest that goes needs loom as well.
        let asker = ManuallyDrop::new(scene.asker(&news));
        // There are no workers, so it has its turn here or never.
        scene.task.run(scene.live(until([news])));
        drop(ManuallyDrop::into_inner(asker).join().unwrap());
        assert_eq!((scene.polls(), scene.work()), (1, 0));
        scene.is_left_as_it_was();
    });
}

#[test]
fn a_guest_that_is_woken_has_its_turn_from_its_owner_or_from_a_worker() {
    check(3, || {
        let scene = Scene::default();
        let worker = worker(&scene.pool);
        let bell = Arc::new(Bell::default());
        let ringing = Arc::clone(&bell);
        let ringer = thread::spawn(move || ringing.ring());
        let beside = scene.beside();
        scene.task.run(scene.live(async {
            let guest = poll_fn(move |cx| bell.poll(cx));
            Guest::perhaps_beside(guest, &scene.pool, Some(beside)).await.unwrap();
        }));
        ringer.join().unwrap();
        scene.pool.shut();
        worker.join().unwrap();
        scene.is_left_as_it_was();
    });
}

#[test]
fn an_owner_that_leaves_something_until_its_guest_has_had_its_turn_comes_to_it() {
    check(3, || {
        let scene = Scene::default();
        let news = scene.news();
        let tells = news.clone();
        let teller = thread::spawn(move || tells.tell());
        let (owner, polls) = (Arc::clone(&scene.owner), Arc::clone(&scene.polls));
        // It has asked before its owner looks for the first time, and tells nobody that it has had its turn.
        let guest = poll_fn(move |_| {
            polls.fetch_add(1, Ordering::SeqCst);
            Poll::<()>::Pending
        });
        let guest = ManuallyDrop::new(Guest::perhaps_beside(guest, &scene.pool, Some(scene.beside())));
        scene.task.run(scene.live(async {
            poll_fn(|cx| {
                if !owner.is_asked() {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            assert_eq!(scene.polls(), 1);
            until([news]).await;
        }));
        drop(ManuallyDrop::into_inner(guest));
        teller.join().unwrap();
        scene.is_left_as_it_was();
    });
}

/// Guests ask for turns while an owner lives this life, has one poll and goes.
fn each_has_one_turn<F: Future>(life: impl Fn() -> F + Sync + Send + 'static) {
    check(3, move || {
        let scene = Scene::default();
        let askers = [scene.asker(&scene.news()), scene.asker(&scene.news())];
        {
            let mut life = pin!(scene.live(life()));
            let _ = scene.task.poll(life.as_mut());
        }
        let guests = askers.map(thread::JoinHandle::join);
        scene.work();
        assert_eq!(scene.polls(), 2, "neither was forgotten, and neither was there twice");
        for guest in guests {
            let told = guest.map(|guest| pin!(guest).poll(&mut Context::from_waker(Waker::noop())));
            assert!(matches!(told, Ok(Poll::Ready(Ok(())))));
        }
        scene.is_left_as_it_was();
    });
}

#[test]
fn of_guests_that_ask_an_owner_which_is_dropped_each_has_one_turn() {
    each_has_one_turn(pending::<()>);
}

#[test]
fn of_guests_that_ask_an_owner_whose_life_ends_each_has_one_turn() {
    each_has_one_turn(|| ready(()));
}
