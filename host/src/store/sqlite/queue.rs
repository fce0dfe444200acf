//! The way to a thread: bounded, and in order. The thread says for how many jobs it wants to be woken, because a wake-up
//! costs as much as a small job.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where the jobs go in. When it is dropped there will be no more.
#[derive(Debug)]
pub(super) struct Queue<T> {
    lane: Arc<Lane<T>>,
    room: Arc<Semaphore>,
    room_max: u32,
}

/// A job, and the room that it takes up until it is done.
#[derive(Debug)]
pub(super) struct Queued<T> {
    pub(super) job: T,
    _room: OwnedSemaphorePermit,
}

/// The thread is no more.
#[derive(Debug)]
pub(super) struct Gone;

/// Where they come out, for one thread or for several. When the last of them is dropped, so is what waits.
#[derive(Debug)]
pub(super) struct Jobs<T>(Arc<Exit<T>>);

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// As many wait as were asked for.
    Enough,
    /// The time is over.
    Late,
    /// There will be no more than wait now.
    Over,
}

#[derive(Debug)]
struct Exit<T>(Arc<Lane<T>>);

#[derive(Debug)]
struct Lane<T> {
    line: Mutex<Line<T>>,
    came: Condvar,
}

#[derive(Debug)]
struct Line<T> {
    jobs: VecDeque<Queued<T>>,
    /// With how many whoever sleeps is woken.
    enough: usize,
    /// Whether there may be more.
    is_open: bool,
    /// Whether somebody takes them.
    is_served: bool,
}

impl<T> Lane<T> {
    fn lock(&self) -> MutexGuard<'_, Line<T>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Queue<T> {
    /// A queue with this much room.
    pub(super) fn new(room_max: u32) -> (Self, Jobs<T>) {
        let rank = Line { jobs: VecDeque::new(), enough: 1, is_open: true, is_served: true };
        let lane = Arc::new(Lane { line: Mutex::new(rank), came: Condvar::new() });
        let room = Arc::new(Semaphore::new(usize::try_from(room_max).unwrap_or(Semaphore::MAX_PERMITS)));
        (Self { lane: Arc::clone(&lane), room, room_max }, Jobs(Arc::new(Exit(lane))))
    }

    /// Waits for room and hands the job over. Whoever asked first is first.
    ///
    /// Cancel safety: the job was handed over, or was not.
    pub(super) async fn send(&self, weight: usize, job: T) -> Result<(), Gone> {
        let weight = u32::try_from(weight).unwrap_or(u32::MAX).clamp(1, self.room_max);
        let room = Arc::clone(&self.room).acquire_many_owned(weight).await.map_err(|_| Gone)?;
        let mut rank = self.lane.lock();
        if !rank.is_served {
            return Err(Gone);
        }
        rank.jobs.push_back(Queued { job, _room: room });
        let is_enough = rank.jobs.len() >= rank.enough;
        drop(rank);
        if is_enough {
            self.lane.came.notify_one();
        }
        Ok(())
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        self.lane.lock().is_open = false;
        self.lane.came.notify_all();
    }
}

impl<T> Clone for Jobs<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Jobs<T> {
    /// Takes whatever waits.
    pub(super) fn take_all(&self, into: &mut VecDeque<Queued<T>>) {
        into.append(&mut self.0.0.lock().jobs);
    }

    /// Waits until so many wait, at least one. For one thread that takes all of them; see [`Jobs::next`] for several.
    pub(super) fn wait(&self, enough: usize, how_long: Option<Duration>) -> Waited {
        let lane = &self.0.0;
        let mut rank = lane.lock();
        rank.enough = enough.max(1);
        let is_short = |rank: &mut Line<T>| rank.is_open && rank.jobs.len() < rank.enough;
        let rank = match how_long {
            None => lane.came.wait_while(rank, is_short).unwrap_or_else(PoisonError::into_inner),
            Some(how_long) => {
                lane.came.wait_timeout_while(rank, how_long, is_short).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        match (rank.jobs.len() >= rank.enough, rank.is_open) {
            (true, _) => Waited::Enough,
            (false, true) => Waited::Late,
            (false, false) => Waited::Over,
        }
    }

    /// The next job; `None` when there will be none.
    pub(super) fn next(&self) -> Option<Queued<T>> {
        let lane = &self.0.0;
        let wants = |rank: &mut Line<T>| rank.is_open && rank.jobs.is_empty();
        lane.came.wait_while(lane.lock(), wants).unwrap_or_else(PoisonError::into_inner).jobs.pop_front()
    }
}

impl<T> Drop for Exit<T> {
    fn drop(&mut self) {
        let left = {
            let mut rank = self.0.lock();
            rank.is_served = false;
            std::mem::take(&mut rank.jobs)
        };
        // Outside the lock: whoever waits for one of them learns it now.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(jobs: &Jobs<u32>) -> Vec<u32> {
        let mut all = VecDeque::new();
        jobs.take_all(&mut all);
        all.into_iter().map(|queued| queued.job).collect()
    }

    #[tokio::test]
    async fn whoever_sleeps_is_woken_by_as_many_as_he_asked_for() {
        let (queue, jobs) = Queue::new(100);
        let sleeping = jobs.clone();
        let life = move || (sleeping.wait(3, None), taken(&sleeping));
        let sleeper = std::thread::Builder::new().spawn(life).unwrap();
        for job in [1, 2, 3] {
            assert!(!sleeper.is_finished());
            queue.send(1, job).await.unwrap();
        }
        let (waited, mut all) = sleeper.join().unwrap();
        all.extend(taken(&jobs));
        assert_eq!((waited, all), (Waited::Enough, vec![1, 2, 3]));
        assert_eq!(jobs.wait(1, Some(Duration::ZERO)), Waited::Late);
        queue.send(1, 4).await.unwrap();
        assert_eq!(jobs.wait(2, Some(Duration::ZERO)), Waited::Late);
        assert_eq!(jobs.wait(0, None), Waited::Enough);
        drop(queue);
        assert_eq!((jobs.wait(1, None), jobs.wait(2, None)), (Waited::Enough, Waited::Over));
        assert_eq!(taken(&jobs), [4]);
    }

    #[tokio::test]
    async fn the_end_of_either_side_is_learned_by_the_other() {
        let (queue, jobs) = Queue::new(100);
        queue.send(1, 1).await.unwrap();
        drop(queue);
        assert_eq!((jobs.next().map(|queued| queued.job), jobs.next().is_none()), (Some(1), true));

        let (queue, jobs) = Queue::new(100);
        let (told, mut learned) = tokio::sync::oneshot::channel::<()>();
        queue.send(100, Some(told)).await.unwrap();
        let other = jobs.clone();
        drop(jobs);
        assert!(learned.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty));
        drop(other);
        assert!(learned.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Closed));
        // Its room is free again, and nobody is there.
        assert!(queue.send(100, None).await.is_err());
    }
}
