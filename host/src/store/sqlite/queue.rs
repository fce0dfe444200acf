//! The way to a thread: bounded, and in order.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where the jobs go in.
#[derive(Debug)]
pub(super) struct Queue<T> {
    jobs: mpsc::Sender<Queued<T>>,
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

impl<T> Queue<T> {
    /// A queue with this much room.
    pub(super) fn new(room_max: u32) -> (Self, mpsc::Receiver<Queued<T>>) {
        let (jobs, taken) = mpsc::channel();
        let room = Arc::new(Semaphore::new(usize::try_from(room_max).unwrap_or(Semaphore::MAX_PERMITS)));
        (Self { jobs, room, room_max }, taken)
    }

    /// Waits for room and hands the job over. Whoever asked first is first.
    ///
    /// Cancel safety: the job was handed over, or was not.
    pub(super) async fn send(&self, weight: usize, job: T) -> Result<(), Gone> {
        let weight = u32::try_from(weight).unwrap_or(u32::MAX).clamp(1, self.room_max);
        let room = Arc::clone(&self.room).acquire_many_owned(weight).await.map_err(|_| Gone)?;
        self.jobs.send(Queued { job, _room: room }).map_err(|_| Gone)
    }
}

/// One receiver for several threads, each of which takes what comes next.
#[derive(Debug)]
pub(super) struct Shared<T>(Arc<Mutex<mpsc::Receiver<Queued<T>>>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    pub(super) fn new(jobs: mpsc::Receiver<Queued<T>>) -> Self {
        Self(Arc::new(Mutex::new(jobs)))
    }

    /// The next job; `None` when there will be none.
    pub(super) fn next(&self) -> Option<Queued<T>> {
        // Whoever waits here has the lock, and the others wait for that.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }
}
