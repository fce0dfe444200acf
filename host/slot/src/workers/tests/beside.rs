//! What an owner and its guest owe each other and everybody else.

use std::task::Wake;

use super::*;
use crate::guest::Beside;
use crate::owner::{Conduct, Life, Owner, TURNS};

/// One that may stay while this says so, and whose turns are counted.
#[derive(Default)]
struct Counted {
    is_sent_away: AtomicBool,
    turns: AtomicUsize,
    last_turns: AtomicUsize,
}

impl Conduct for Counted {
    fn may_stay(&self) -> bool {
        !self.is_sent_away.load(Ordering::Relaxed)
    }

    fn around(&self, is_last: bool, turn: &mut dyn FnMut()) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.last_turns.fetch_add(usize::from(is_last), Ordering::Relaxed);
        turn();
    }
}

impl Counted {
    fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }
}

/// Whoever is woken, counted.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// An owner, its guest and the workers' pool, all polled by hand.
struct Scene {
    pool: Arc<Pool>,
    owner: Arc<Owner>,
    conduct: Arc<Counted>,
    bell: Arc<Bell>,
}

impl Scene {
    fn new() -> Self {
        Self { pool: Arc::default(), owner: Arc::default(), conduct: Arc::default(), bell: Arc::default() }
    }

    fn guest<F>(&self, future: F) -> Guest<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let conduct = Arc::clone(&self.conduct) as Arc<dyn Conduct>;
        Guest::perhaps_beside(future, &self.pool, Some(Beside { owner: Arc::clone(&self.owner), conduct }))
    }

    fn poll<F: Future>(&self, life: Pin<&mut Life<F>>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.bell));
        life.poll(&mut Context::from_waker(&waker))
    }

    /// Whether a worker finds a turn to give, which it gives.
    fn works(&self) -> bool {
        match self.pool.next(false) {
            Some(Job::Turn(guest)) => guest.turn(),
            Some(Job::Ends(ended)) => self.pool.tell_here(ended),
            Some(Job::Burial(content)) => self.pool.bury_here(content),
            None => return false,
        }
        true
    }
}

fn end<T>(guest: &mut Guest<T>) -> Option<Result<T, GuestEnd>> {
    match Pin::new(guest).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(end) => Some(end),
        Poll::Pending => None,
    }
}

#[test]
fn a_guest_has_its_turns_where_its_owner_is_whatever_that_waits_for() {
    let scene = Scene::new();
    let mut life = std::pin::pin!(Arc::clone(&scene.owner).live(pending::<()>()));
    assert!(scene.poll(life.as_mut()).is_pending());
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut guest = scene.guest(told);
    assert_eq!(scene.bell.0.load(Ordering::Relaxed), 1, "the owner is called");
    assert!(scene.poll(life.as_mut()).is_pending());
    assert_eq!(scene.conduct.turns(), 1);
    tell.send(7).unwrap();
    assert_eq!(scene.bell.0.load(Ordering::Relaxed), 2);
    assert!(end(&mut guest).is_none() && scene.poll(life.as_mut()).is_pending());
    assert_eq!(end(&mut guest).unwrap().unwrap(), Ok(7));
    assert!(!scene.works(), "no worker has seen it");
}

#[test]
fn owner_and_guest_wake_each_other_and_nobody_else() {
    let scene = Scene::new();
    let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel::<tokio::sync::oneshot::Sender<()>>();
    let mut guest = scene.guest(async move {
        let (reply, answer) = tokio::sync::oneshot::channel();
        ask.send(reply).unwrap();
        answer.await
    });
    let answering = async move {
        while let Some(reply) = asked.recv().await {
            reply.send(()).unwrap();
        }
        pending::<()>().await;
    };
    let mut life = std::pin::pin!(Arc::clone(&scene.owner).live(answering));
    assert!(scene.poll(life.as_mut()).is_pending());
    assert_eq!(end(&mut guest).unwrap().unwrap(), Ok(()));
    assert_eq!((scene.conduct.turns(), scene.bell.0.load(Ordering::Relaxed)), (2, 0));
}

#[test]
fn whoever_burns_goes_to_the_workers() {
    let scene = Scene::new();
    let _guest = scene.guest(burn(Arc::default()));
    let mut life = std::pin::pin!(Arc::clone(&scene.owner).live(pending::<()>()));
    assert!(scene.poll(life.as_mut()).is_pending());
    assert!(scene.works() && scene.works());
    assert!(scene.poll(life.as_mut()).is_pending());
    assert_eq!(scene.conduct.turns(), 1, "and stays there while it burns");
}

#[test]
fn whoever_may_not_stay_has_its_turns_from_the_workers() {
    let scene = Scene::new();
    scene.conduct.is_sent_away.store(true, Ordering::Relaxed);
    let mut guest = scene.guest(async { 7 });
    assert!(scene.works() && scene.works());
    assert_eq!(end(&mut guest).unwrap().unwrap(), 7);
    assert_eq!(scene.conduct.turns(), 0);
}

#[test]
fn an_owner_that_goes_leaves_its_guest_to_the_workers() {
    let scene = Scene::new();
    let mut guest = scene.guest(async { 7 });
    assert!(!scene.works());
    drop(Arc::clone(&scene.owner).live(pending::<()>()));
    assert!(scene.works() && scene.works());
    assert_eq!(end(&mut guest).unwrap().unwrap(), 7);
    let mut late = scene.guest(async { 8 });
    assert!(scene.works() && scene.works());
    assert_eq!(end(&mut late).unwrap().unwrap(), 8);
    assert_eq!(scene.conduct.turns(), 0);
}

#[test]
fn an_owner_gives_way_to_others_however_often_its_guest_is_woken() {
    let scene = Scene::new();
    let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel::<Waker>();
    let _guest = scene.guest(poll_fn(move |cx| {
        ask.send(cx.waker().clone()).unwrap();
        Poll::<()>::Pending
    }));
    // Whatever the guest asks, it is told at once.
    let answering = async move {
        while let Some(asks) = asked.recv().await {
            asks.wake();
        }
    };
    let mut life = std::pin::pin!(Arc::clone(&scene.owner).live(answering));
    assert!(scene.poll(life.as_mut()).is_pending());
    assert_eq!(scene.conduct.turns(), TURNS as usize);
    assert_eq!(scene.conduct.last_turns.load(Ordering::Relaxed), 1);
    assert_eq!(scene.bell.0.load(Ordering::Relaxed), 1, "it goes on after the others, which it says once");
    assert!(scene.poll(life.as_mut()).is_pending());
    assert_eq!(scene.conduct.turns(), 2 * TURNS as usize);
    assert_eq!(scene.conduct.last_turns.load(Ordering::Relaxed), 2);
}

#[test]
fn of_very_many_the_others_have_workers() {
    let scene = Scene::new();
    let owners: Vec<Arc<Owner>> = (0..100).map(|_| Arc::default()).collect();
    let beside = |owner: &Arc<Owner>| {
        let conduct = Arc::clone(&scene.conduct) as Arc<dyn Conduct>;
        Guest::perhaps_beside(pending::<()>(), &scene.pool, Some(Beside { owner: Arc::clone(owner), conduct }))
    };
    let count = || {
        let guests: Vec<_> = owners.iter().map(beside).collect();
        let by_workers = std::iter::from_fn(|| scene.works().then_some(())).count();
        (guests, by_workers)
    };
    let (_guests, by_workers) = count();
    assert_eq!(by_workers, 100 - 32);
    // Whoever had its turn, or cannot have it any more, leaves its place to another.
    for owner in owners.iter().take(10) {
        drop(Arc::clone(owner).live(pending::<()>()));
    }
    for owner in owners.iter().skip(10).take(22) {
        let mut life = std::pin::pin!(Arc::clone(owner).live(pending::<()>()));
        assert!(scene.poll(life.as_mut()).is_pending());
    }
    assert_eq!(scene.conduct.turns(), 22);
    while scene.works() {}
    let others: Vec<_> = owners.iter().skip(32).map(beside).collect();
    assert_eq!(std::iter::from_fn(|| scene.works().then_some(())).count(), others.len() - 32);
}

#[test]
fn r33_a_guest_that_waits_for_its_turn_is_stopped() {
    let scene = Scene::new();
    let (held, dropped) = mpsc::channel::<()>();
    let guest = scene.guest(async move {
        let _held = held;
        pending::<()>().await;
    });
    drop(guest);
    assert!(scene.works(), "what it held is dropped by those whose work that is");
    assert_eq!(dropped.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    let mut life = std::pin::pin!(Arc::clone(&scene.owner).live(pending::<()>()));
    assert!(scene.poll(life.as_mut()).is_pending());
}

#[test]
fn f22_nothing_begins_to_run_when_the_workers_are_gone() {
    let scene = Scene::new();
    let has_run = Arc::<AtomicBool>::default();
    let runs = Arc::clone(&has_run);
    let mut guest = scene.guest(async move { runs.store(true, Ordering::Relaxed) });
    scene.pool.shut();
    let mut life = std::pin::pin!(Arc::clone(&scene.owner).live(pending::<()>()));
    assert!(scene.poll(life.as_mut()).is_pending());
    scene.pool.worker_came();
    scene.pool.worker_went();
    scene.pool.reap();
    assert!(matches!(end(&mut guest), Some(Err(GuestEnd::Stopped))));
    assert!(!has_run.load(Ordering::Relaxed));
}

#[test]
fn t11_a_panic_beside_its_owner_stays_within_its_guest() {
    let scene = Scene::new();
    let mut guest = scene.guest(async { panic!("boom") });
    let mut life = std::pin::pin!(Arc::clone(&scene.owner).live(pending::<()>()));
    assert!(scene.poll(life.as_mut()).is_pending());
    let Some(Err(GuestEnd::Panicked(payload))) = end(&mut guest) else { panic!("it has another end") };
    assert_eq!(*payload.downcast_ref::<&str>().unwrap(), "boom");
}

#[test]
fn no_wake_up_is_lost_between_owners_workers_and_others() {
    const STEPS: usize = 2000;
    let workers = Arc::new(workers(2, 0));
    let conduct = Arc::<Counted>::default();
    let (ended, ends) = mpsc::channel();
    for number in 0..4 {
        let (workers, conduct, ended) = (Arc::clone(&workers), Arc::clone(&conduct), ended.clone());
        let live = move || {
            let owner = Arc::<Owner>::default();
            let (ask, mut asked) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>(1);
            let turns = Arc::clone(&conduct);
            let guest = async move {
                for step in 0..STEPS {
                    let (reply, answer) = tokio::sync::oneshot::channel();
                    ask.send(reply).await.unwrap();
                    answer.await.unwrap();
                    // It is sent away and comes back.
                    turns.is_sent_away.store((step + number) % 3 == 0, Ordering::Relaxed);
                }
            };
            let guest = workers.spawn_beside(guest, Arc::clone(&owner), conduct);
            let life = owner.live(async move {
                while let Some(reply) = asked.recv().await {
                    reply.send(()).unwrap();
                }
                guest.await
            });
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            ended.send(runtime.block_on(life).is_ok()).unwrap();
        };
        std::thread::Builder::new().spawn(live).unwrap();
    }
    for _ in 0..4 {
        assert_eq!(ends.recv_timeout(PATIENCE), Ok(true));
    }
    assert!(conduct.turns() > 0);
}
