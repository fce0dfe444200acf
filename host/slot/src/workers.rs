//! The threads: workers that run guests, the reaper, and the watchdog that adds spare workers and tells ends that wait too long.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::guest::{Beside, Guest};
use crate::owner::{Conduct, Owner};
use crate::pool::{Job, Pool};
use crate::seats::Seats;
use crate::watch::Watch;

/// How long one poll may take before a spare worker comes: several times the longest slice of guest time there is.
const SLOW: Duration = Duration::from_millis(5);
/// How often the watchdog looks while guests run.
const LOOK: Duration = Duration::from_millis(2);
/// Looks without anything to see, after which the watchdog sleeps until it is woken.
const QUIET_LOOKS: u32 = 500;

/// What is done around a thread's life: it is given the life, and calls it.
pub type Around = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// How the workers are to be.
pub struct Settings {
    /// Workers that there are all the time.
    pub threads: usize,
    /// Workers that may come in addition while others are stuck in a long poll.
    pub spares: usize,
    /// How much the workers' priority is below that of the thread that makes them: 0 to 19, in the system's steps. Only
    /// Linux knows priorities of single threads; elsewhere this does nothing.
    pub nice: i32,
    /// What every thread that touches guests does around its life: for instance, entering an async runtime's context.
    pub around: Around,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("threads", &self.threads)
            .field("spares", &self.spares)
            .field("nice", &self.nice)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    /// As many workers as the machine runs threads at once, as many spare ones, ten steps below the host's priority.
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, Into::into);
        Self { threads, spares: threads.max(2), nice: 10, around: Arc::new(|live| live()) }
    }
}

/// Threads that run guests.
///
/// Dropping this stops every guest that wants to run: those that wait for their turn at once, those that are being
/// polled when their poll is over. A parked guest runs no more, and is dropped with its [`Guest`]. It does not wait.
pub struct Workers {
    crew: Arc<Crew>,
}

struct Crew {
    pool: Arc<Pool>,
    seats: Seats,
    settings: Settings,
    watch: Watch,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("settings", &self.crew.settings).finish_non_exhaustive()
    }
}

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub fn new(settings: Settings) -> std::io::Result<Self> {
        let seats = Seats::new(settings.threads.max(1) + settings.spares);
        let crew = Arc::new(Crew { pool: Arc::default(), seats, settings, watch: Watch::default() });
        // Dropped on an error, which sends those home who are there already.
        let workers = Self { crew: Arc::clone(&crew) };
        for _ in 0..crew.settings.threads.max(1) {
            crew.hire(0)?;
        }
        let reaper = Arc::clone(&crew);
        spawn("taskcell-reaper", move || (reaper.settings.around)(&mut || reaper.pool.reap()))?;
        spawn("taskcell-watch", move || (crew.settings.around)(&mut || crew.watch()))?;
        Ok(workers)
    }

    /// Hands a guest over.
    pub fn spawn<F>(&self, future: F) -> Guest<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Guest::new(future, &self.crew.pool)
    }

    /// Hands a guest over that may have turns beside its owner, which must [live](Owner::live) for that.
    pub fn spawn_beside<F>(&self, future: F, owner: Arc<Owner>, conduct: Arc<dyn Conduct>) -> Guest<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Guest::perhaps_beside(future, &self.crew.pool, Some(Beside { owner, conduct }))
    }

    /// How many workers there are now, spare ones included.
    #[cfg(test)]
    fn threads(&self) -> usize {
        self.crew.pool.workers()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.crew.pool.shut();
        self.crew.watch.wake();
    }
}

impl Crew {
    /// Adds a worker on a free seat from the given one on; without a free seat nothing happens.
    fn hire(self: &Arc<Self>, from: usize) -> std::io::Result<()> {
        let Some(seat) = self.seats.take(from) else { return Ok(()) };
        let crew = Arc::clone(self);
        self.pool.worker_came();
        let hired = spawn("taskcell-guest", move || {
            lower_priority(crew.settings.nice);
            (crew.settings.around)(&mut || crew.work(seat));
            crew.seats.leave(seat);
            crew.pool.worker_went();
        });
        hired.inspect_err(|_| {
            self.seats.leave(seat);
            self.pool.worker_went();
        })
    }

    /// A worker's life.
    fn work(&self, seat: usize) {
        let spare = seat >= self.settings.threads.max(1);
        while let Some(job) = self.pool.next(!spare) {
            self.seats.begin(seat);
            self.watch.wake();
            match job {
                Job::Turn(cell) => cell.turn(),
                Job::Ends(ended) => self.pool.tell_here(ended),
                Job::Burial(content) => self.pool.bury_here(content),
            }
            self.seats.end(seat);
            if spare && self.has_enough() {
                self.pool.tell_ends();
                self.pool.leave_turn();
                return;
            }
        }
    }

    /// Whether there are as many workers as there should be, without those that are stuck.
    fn has_enough(&self) -> bool {
        let (stuck, all) = self.seats.stuck(SLOW);
        all - stuck > self.settings.threads.max(1)
    }

    /// The watchdog's life.
    fn watch(self: &Arc<Self>) {
        let mut quiet = 0;
        while !self.pool.is_shut() {
            self.pool.tell_ends();
            let (stuck, all) = self.seats.stuck(SLOW);
            if !self.pool.has_work() {
                quiet += 1;
            } else if all - stuck < self.settings.threads.max(1) {
                // Without a spare the others are slower, and that is all.
                let _ = self.hire(self.settings.threads.max(1));
            } else {
                quiet = 0;
            }
            if quiet < QUIET_LOOKS {
                self.watch.rest(LOOK);
            } else {
                self.watch.sleep(|| !self.pool.has_work() && !self.seats.is_polling() && !self.pool.is_shut());
                quiet = 0;
            }
        }
        // Those whose workers are still in a poll. Whoever ends from now on is told by its worker.
        self.pool.tell_ends();
    }
}

fn spawn(name: &str, life: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(life).map(drop)
}

/// Lets the host's threads go first.
fn lower_priority(steps: i32) {
    // On Linux this is the calling thread's own; on other systems it would be the whole process's.
    if cfg!(target_os = "linux")
        && let Ok(present) = rustix::process::getpriority_process(None)
    {
        // Refused only where priorities are forbidden; then all are equal.
        let _ = rustix::process::setpriority_process(None, present.saturating_add(steps).min(19));
    }
}

#[cfg(test)]
mod tests;
