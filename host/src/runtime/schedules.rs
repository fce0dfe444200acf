//! Schedules, as a caller sees them: added, looked at, paused, fired by hand and removed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot, watch};

use crate::model::event::{Event, EventSeq};
use crate::model::ids::ScheduleId;
use crate::model::schedule::{Schedule, ScheduleFault, ScheduleRequest};
use crate::model::scheduling::OPEN_MAX;
use crate::model::signal::Party;
use crate::ports::store::{StoreError, StreamId, TaskStore};

use super::handle::TaskHandle;
use super::host::Inner;
use super::schedule_books::Books;
use super::scheduler::Scheduler;
use super::start_error::StartError;

/// Questions on their way to whoever keeps the schedules. An asker waits when there are more.
const ASKED: usize = 64;
/// Events read from the store at a time.
const PAGE: usize = 64;

/// The schedules of a host.
///
/// They are in the host's store. Several hosts may work on one store: each moment fires once, in one of them. What one of
/// them adds another knows when it is asked for its list, or starts anew; what one pauses or removes fires in none.
///
/// Whatever is asked here is done in order. A host begins to keep schedules when
/// [`Host::schedules`](crate::Host::schedules) is first called.
///
/// Cancel safety: when the future of a method is dropped, what was asked is done or not; [`Schedules::list`] tells.
///
/// ```no_run
/// # async fn example(host: taskcell::Host) -> Result<(), Box<dyn std::error::Error>> {
/// use taskcell::{Party, ScheduleRequest, StartRequest};
///
/// host.load_plugin("digest.wasm").await?;
/// let schedules = host.schedules();
/// let task = StartRequest::new("digest", "digest");
/// let nightly = ScheduleRequest::every("nightly digest", "30 2 * * *", "Europe/Berlin", task).keep_same();
/// let id = schedules.add(nightly).await?;
/// for schedule in schedules.list().await? {
///     println!("{} fires next at {:?}", schedule.name, schedule.next);
/// }
/// let task = schedules.fire_now(id, Party::Person).await?;
/// println!("{}", task.wait().await);
/// schedules.pause(id, Party::Person).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Schedules {
    asks: mpsc::Sender<Ask>,
    store: Arc<dyn TaskStore>,
    /// Moves with each event of a schedule that this host writes.
    changed: watch::Receiver<u64>,
}

impl fmt::Debug for Schedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schedules")
    }
}

/// Why something was not done with a schedule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The schedule that was to be added cannot be kept.
    #[error(transparent)]
    Fault(#[from] ScheduleFault),
    /// Its task cannot be started.
    #[error("the schedule's task cannot be started: {0}")]
    Start(#[from] StartError),
    /// Another schedule has the name.
    #[error("another schedule is called {name:?}; remove it first, or give another name")]
    NameInUse {
        /// The name.
        name: String,
        /// The schedule that has it.
        id: ScheduleId,
    },
    /// There are as many schedules as there may be, and none of them is over.
    #[error("there are {max} schedules already, and no more may be; remove some")]
    TooMany {
        /// The most that there may be.
        max: usize,
    },
    /// There is no such schedule, or no longer.
    #[error("there is no such schedule")]
    Unknown,
    /// Too many of its tasks are being started at this moment.
    #[error("{OPEN_MAX} tasks of the schedule are being started already; try again when they have been")]
    Busy,
    /// The store cannot be read or written now. What was asked for may have been written, and is done then: a task that was
    /// fired by hand is started as soon as that works.
    #[error("the store of the schedules does not work now; look at the list before you try again")]
    Store,
    /// The host is shutting down.
    #[error("the host is shutting down")]
    ShuttingDown,
}

impl From<StoreError> for ScheduleError {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

/// The way back to whoever asked.
pub(super) type Reply<T> = oneshot::Sender<Result<T, ScheduleError>>;

/// What a caller wants.
pub(super) enum Ask {
    Add { request: Box<ScheduleRequest>, reply: Reply<ScheduleId> },
    List { reply: Reply<Vec<Schedule>> },
    Get { id: ScheduleId, reply: Reply<Schedule> },
    Change { id: ScheduleId, change: Change, by: Party, reply: Reply<()> },
    Fire { id: ScheduleId, by: Party, reply: Reply<TaskHandle> },
}

/// What is to become of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Pause,
    Resume,
    Remove,
}

impl Schedules {
    /// Adds a schedule. When there is no room, the oldest one that is over makes some.
    ///
    /// # Errors
    /// When it cannot be kept, names no moments, has a name that another one has, or could not be started as things are
    /// now. Nothing has happened then.
    pub async fn add(&self, request: ScheduleRequest) -> Result<ScheduleId, ScheduleError> {
        self.ask(|reply| Ask::Add { request: Box::new(request), reply }).await
    }

    /// All schedules, by the time when they were added. Those that are over are among them until they make room.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self) -> Result<Vec<Schedule>, ScheduleError> {
        self.ask(|reply| Ask::List { reply }).await
    }

    /// A schedule, as it is now.
    ///
    /// # Errors
    /// When there is none, or the store cannot be read.
    pub async fn get(&self, id: ScheduleId) -> Result<Schedule, ScheduleError> {
        self.ask(|reply| Ask::Get { id, reply }).await
    }

    /// Lets a schedule fire no more until it is resumed. Moments that come meanwhile are not made up for. One that is
    /// paused stays so.
    ///
    /// # Errors
    /// When there is no such schedule, or the store does not take it.
    pub async fn pause(&self, id: ScheduleId, by: Party) -> Result<(), ScheduleError> {
        self.ask(|reply| Ask::Change { id, change: Change::Pause, by, reply }).await
    }

    /// Lets a paused schedule go on with the next moment that is ahead. One that was to fire once, at a moment that has
    /// come meanwhile, is over.
    ///
    /// # Errors
    /// When there is no such schedule, or the store does not take it.
    pub async fn resume(&self, id: ScheduleId, by: Party) -> Result<(), ScheduleError> {
        self.ask(|reply| Ask::Change { id, change: Change::Resume, by, reply }).await
    }

    /// Removes a schedule with its history. Tasks that it has started go on.
    ///
    /// # Errors
    /// When there is no such schedule, or the store does not take it.
    pub async fn remove(&self, id: ScheduleId, by: Party) -> Result<(), ScheduleError> {
        self.ask(|reply| Ask::Change { id, change: Change::Remove, by, reply }).await
    }

    /// Starts a schedule's task now, also when it is paused, over, or its last task still lives. Its next moment stays.
    ///
    /// # Errors
    /// When there is no such schedule, or its task cannot be started. With [`ScheduleError::Store`] it may be started yet.
    pub async fn fire_now(&self, id: ScheduleId, by: Party) -> Result<TaskHandle, ScheduleError> {
        self.ask(|reply| Ask::Fire { id, by, reply }).await
    }

    /// What happened to a schedule after this event, and goes on to happen. The last hundred events at least are kept;
    /// what is kept begins with a summary.
    pub fn events(&self, id: ScheduleId, after: EventSeq) -> ScheduleEvents {
        let (store, changed) = (Arc::clone(&self.store), self.changed.clone());
        ScheduleEvents { store, changed, id, after, page: VecDeque::new() }
    }

    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, ScheduleError> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| ScheduleError::ShuttingDown)?;
        // One whose question was cut off by a panic of the store's is told what is known.
        let cut_off = || if self.asks.is_closed() { ScheduleError::ShuttingDown } else { ScheduleError::Store };
        answer.await.unwrap_or_else(|_| Err(cut_off()))
    }
}

/// The events of one schedule, in order. Those that other hosts write show when this one writes the next.
pub struct ScheduleEvents {
    store: Arc<dyn TaskStore>,
    changed: watch::Receiver<u64>,
    id: ScheduleId,
    after: EventSeq,
    page: VecDeque<Event>,
}

impl fmt::Debug for ScheduleEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduleEvents").field("id", &self.id).field("after", &self.after).finish_non_exhaustive()
    }
}

impl ScheduleEvents {
    /// The next event, or `None` when there is no such schedule, it was removed, or the host has shut down. The body is
    /// always [`EventBody::Schedule`](crate::EventBody::Schedule).
    ///
    /// # Errors
    /// When the store cannot be read now. The stream keeps its place: call again later.
    ///
    /// Cancel safety: no event is lost.
    pub async fn next(&mut self) -> Result<Option<Event>, StoreError> {
        let stream = StreamId::Schedule(self.id);
        loop {
            if let Some(event) = self.page.pop_front() {
                self.after = event.seq;
                return Ok(Some(event));
            }
            // Noted before reading, so that an event in between is not slept through.
            self.changed.mark_unchanged();
            self.page = self.store.read(stream, self.after, PAGE).await?.into();
            if !self.page.is_empty() {
                continue;
            }
            if self.store.head(stream).await?.is_none() || self.changed.changed().await.is_err() {
                return Ok(None);
            }
        }
    }
}

/// The schedules of a host, which it begins to keep when somebody first asks for them.
#[derive(Debug)]
pub(super) struct Scheduling {
    /// How many there may be.
    max: usize,
    begun: OnceLock<Schedules>,
}

impl Scheduling {
    pub(super) fn new(max: usize) -> Self {
        Self { max, begun: OnceLock::new() }
    }

    /// The handle. With the first one they begin to fire.
    pub(super) fn handle(&self, inner: &Arc<Inner>) -> Schedules {
        let begin = || {
            let (asks, asked) = mpsc::channel(ASKED);
            let (change, changed) = watch::channel(0);
            let store = Arc::clone(&inner.around.store);
            let books = Books::new(Arc::clone(&store), Arc::clone(&inner.around.clock), change, self.max);
            let scheduler = Scheduler::new(Arc::downgrade(inner), books, asked);
            inner.spawn(Box::pin(scheduler.run(inner.shutdown.subscribe())));
            Schedules { asks, store, changed }
        };
        self.begun.get_or_init(begin).clone()
    }
}
