//! What happens to all tasks, in one order, for whoever wants to follow it.
//!
//! The newest events are kept in a ring, each once. A subscriber has a place in it and nothing else, so one that is slow
//! costs nobody anything: when the ring has gone on without it, it is told how much it missed.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::event::Event;
use crate::model::filter::{TaskFilter, TaskIdentity};
use crate::model::snapshot::Phase;
use crate::model::state::event_bytes;

use super::host::{Host, Inner};

/// Events that a subscriber takes out of the ring at a time, and how much of their texts.
const BATCH: usize = 64;
const BATCH_BYTES: u64 = 64 << 10;
/// Events that are looked at for one batch without letting others at the ring.
const LOOKED_AT_ONCE: usize = 512;

/// How much of what happened is kept for those who are slow or come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeedLimits {
    pub(crate) events: usize,
    pub(crate) bytes: u64,
}

impl Default for FeedLimits {
    fn default() -> Self {
        Self { events: 16_384, bytes: 16 << 20 }
    }
}

/// A place in the order of everything that happened in this host, since somebody first wanted to know. Its text is for
/// keeping and giving back, not for reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPosition {
    /// Which host's: each draws a number, so that another one's place is not taken for its own.
    host: u32,
    place: u64,
}

/// This is no place in the order of what happened in this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no place in what happened in this host; subscribe anew, and read what was missed from the tasks' own logs"
)]
pub struct UnknownPosition;

impl fmt::Display for EventPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{:x}-{}", self.host, self.place)
    }
}

impl FromStr for EventPosition {
    type Err = UnknownPosition;

    fn from_str(text: &str) -> Result<Self, UnknownPosition> {
        let (host, place) = text.strip_prefix('e').and_then(|rest| rest.split_once('-')).ok_or(UnknownPosition)?;
        let host = u32::from_str_radix(host, 16).map_err(|_| UnknownPosition)?;
        let place = place.parse().map_err(|_| UnknownPosition)?;
        // One way to write each.
        let position = Self { host, place };
        if position.to_string() == text { Ok(position) } else { Err(UnknownPosition) }
    }
}

/// Which of a task's two logs an event is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventLane {
    /// Its own, which ends with `finished`.
    Task,
    /// What came after its end, with numbers of its own.
    After,
}

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TaskEvent {
    /// Its place in the order of everything that happened.
    pub position: EventPosition,
    /// To which task.
    pub of: Arc<TaskIdentity>,
    /// Where the task was in its life then.
    pub phase: Phase,
    /// In which of its logs it is.
    pub lane: EventLane,
    /// What.
    pub event: Event,
}

/// The subscriber was too slow, or away for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{missed} events of this host's tasks went by unseen; the tasks' own logs have them")]
#[non_exhaustive]
pub struct Lagged {
    /// How many events went by, those of tasks that the subscriber did not ask for included.
    pub missed: u64,
}

/// The events of a host's tasks, on their way to whoever follows them.
#[derive(Debug)]
pub(crate) struct Feed {
    limits: FeedLimits,
    /// What tells its places from another host's.
    host: u32,
    /// Whether anybody has ever subscribed. Until then nothing is kept.
    on: AtomicBool,
    ring: Mutex<Ring>,
    /// Changes when there is more, or there will be no more.
    changes: watch::Sender<()>,
}

/// A number that no two hosts have, but by chance.
fn drawn() -> u32 {
    uuid::Uuid::new_v4().as_fields().0
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Kept>,
    bytes: u64,
    /// The position of the newest; the oldest's follows from it.
    newest: u64,
    closed: bool,
}

#[derive(Debug)]
struct Kept {
    event: Arc<TaskEvent>,
    bytes: u64,
}

impl Ring {
    /// The position before the oldest that is kept.
    fn start(&self) -> u64 {
        self.newest.saturating_sub(self.events.len() as u64)
    }

    fn push(&mut self, event: impl FnOnce(u64) -> TaskEvent, bytes: u64, limits: FeedLimits) {
        self.newest += 1;
        self.events.push_back(Kept { event: Arc::new(event(self.newest)), bytes });
        self.bytes = self.bytes.saturating_add(bytes);
        while self.events.len() > limits.events || self.bytes > limits.bytes {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.bytes);
        }
    }
}

impl Feed {
    pub(crate) fn new(limits: FeedLimits) -> Self {
        Self {
            limits,
            host: drawn(),
            on: AtomicBool::new(false),
            ring: Mutex::default(),
            changes: watch::Sender::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody wants to know.
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Tells what happened to a task, once it is stored.
    pub(super) fn tell(&self, of: &Arc<TaskIdentity>, phase: Phase, lane: EventLane, events: &[Event]) {
        self.tell_each(of, lane, events.iter().map(|event| (phase, event)));
    }

    /// The same, with the phase that the task was in with each event.
    pub(super) fn tell_each<'a>(
        &self,
        of: &Arc<TaskIdentity>,
        lane: EventLane,
        events: impl Iterator<Item = (Phase, &'a Event)>,
    ) {
        if !self.is_on() {
            return;
        }
        let beside = of.bytes().saturating_add(size_of::<TaskEvent>() as u64);
        {
            let mut ring = self.lock();
            for (phase, event) in events {
                let bytes = event_bytes(&event.body).saturating_add(beside);
                let position = |place| EventPosition { host: self.host, place };
                let told = |place| TaskEvent {
                    position: position(place),
                    of: Arc::clone(of),
                    phase,
                    lane,
                    event: event.clone(),
                };
                ring.push(told, bytes, self.limits);
            }
        }
        self.changes.send_replace(());
    }

    /// Nothing happens any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changes.send_replace(());
    }

    /// Somebody follows, from now on or from an earlier place.
    pub(super) fn follow(self: &Arc<Self>, filter: TaskFilter, after: Option<u64>) -> Subscription {
        let changes = self.changes.subscribe();
        let place = {
            let ring = self.lock();
            // Under the lock, so that what comes after this place is kept.
            self.on.store(true, Ordering::Release);
            after.unwrap_or(ring.newest)
        };
        Subscription {
            feed: Arc::clone(self),
            filter,
            changes,
            place,
            seen: place,
            at_end: false,
            batch: VecDeque::new(),
        }
    }
}

/// Whoever may still tell something. When the last of them is gone, the subscribers learn that nothing more comes.
#[derive(Debug, Clone)]
pub(crate) struct FeedWriter {
    #[expect(dead_code, reason = "what counts is that it is dropped")]
    end: Arc<FeedEnd>,
}

#[derive(Debug)]
struct FeedEnd(Arc<Feed>);

impl FeedWriter {
    pub(crate) fn new(feed: &Arc<Feed>) -> Self {
        Self { end: Arc::new(FeedEnd(Arc::clone(feed))) }
    }
}

impl Drop for FeedEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The events of the tasks that somebody wants to follow. See [`Host::subscribe`].
pub struct Subscription {
    feed: Arc<Feed>,
    filter: TaskFilter,
    changes: watch::Receiver<()>,
    /// Up to where the ring was read.
    place: u64,
    /// Up to where the subscriber has everything.
    seen: u64,
    /// Whether the last look into the ring came to its end: there is nothing more until `changes` says so.
    at_end: bool,
    batch: VecDeque<Arc<TaskEvent>>,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("filter", &self.filter).field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Subscription {
    /// The next event, as soon as there is one; `None` when the host is gone and nothing more comes.
    ///
    /// # Errors
    /// When events went by before they could be handed out. The subscription goes on with the oldest that is kept.
    ///
    /// Cancel safety: no event is lost.
    pub async fn next(&mut self) -> Result<Option<Arc<TaskEvent>>, Lagged> {
        loop {
            if let Some(event) = self.batch.pop_front() {
                self.seen = event.position.place;
                return Ok(Some(event));
            }
            if self.at_end && matches!(self.changes.has_changed(), Ok(false)) {
                // The sender lives in `feed`.
                let _ = self.changes.changed().await;
            }
            // Before the look, so that what comes after it is a change.
            self.changes.mark_unchanged();
            match self.read()? {
                // Nothing was for this one: others may have their turn before it looks on.
                Read::More => tokio::task::yield_now().await,
                Read::Some | Read::None => {}
                Read::Closed => return Ok(None),
            }
        }
    }

    /// The next event, if there is one already.
    ///
    /// # Errors
    /// Like [`Subscription::next`].
    pub fn try_next(&mut self) -> Result<Option<Arc<TaskEvent>>, Lagged> {
        loop {
            if let Some(event) = self.batch.pop_front() {
                self.seen = event.position.place;
                return Ok(Some(event));
            }
            match self.read()? {
                Read::More | Read::Some => {}
                Read::Closed | Read::None => return Ok(None),
            }
        }
    }

    /// Up to where this subscriber has seen everything: with it [`Host::subscribe_after`] goes on here.
    pub fn position(&self) -> EventPosition {
        EventPosition { host: self.feed.host, place: self.seen }
    }

    fn read(&mut self) -> Result<Read, Lagged> {
        self.at_end = false;
        let ring = self.feed.lock();
        let missed = ring.start().saturating_sub(self.place);
        if missed > 0 {
            self.place = ring.start();
            self.seen = self.place;
            return Err(Lagged { missed });
        }
        if self.place == ring.newest {
            self.at_end = !ring.closed;
            self.seen = self.place;
            return Ok(if ring.closed { Read::Closed } else { Read::None });
        }
        let first = usize::try_from(self.place.saturating_sub(ring.start())).unwrap_or(usize::MAX);
        let mut bytes = 0;
        for kept in ring.events.iter().skip(first).take(LOOKED_AT_ONCE) {
            self.place += 1;
            if self.filter.takes(kept.event.of.seen(kept.event.phase)) {
                bytes += kept.bytes;
                self.batch.push_back(Arc::clone(&kept.event));
                if self.batch.len() == BATCH || bytes >= BATCH_BYTES {
                    break;
                }
            }
        }
        self.at_end = self.place == ring.newest && !ring.closed;
        if self.batch.is_empty() {
            self.seen = self.place;
            return Ok(Read::More);
        }
        Ok(Read::Some)
    }
}

/// What a look into the ring came to.
enum Read {
    Some,
    /// Nothing that is wanted, and there is more.
    More,
    None,
    Closed,
}

impl Inner {
    pub(super) fn subscribe(&self, filter: TaskFilter) -> Subscription {
        self.around.feed.follow(filter, None)
    }

    pub(super) fn subscribe_after(
        &self,
        filter: TaskFilter,
        after: EventPosition,
    ) -> Result<Subscription, UnknownPosition> {
        let feed = &self.around.feed;
        if after.host != feed.host || after.place > feed.lock().newest {
            return Err(UnknownPosition);
        }
        Ok(feed.follow(filter, Some(after.place)))
    }
}

impl Host {
    /// Follows what happens to the tasks that are meant, from now on: every event, in the order in which they were stored,
    /// without gaps. Each subscriber has a place of its own. One that is slow slows nobody: when the host has gone on by
    /// more than it keeps ([`HostBuilder::event_backlog`](crate::HostBuilder::event_backlog)), the subscriber is told how
    /// much it missed, and goes on from there. [`TaskHandle::events`](crate::TaskHandle::events) has all of one task's.
    ///
    /// A filter by phase looks at the phase that the task was in with that event.
    ///
    /// ```no_run
    /// # async fn example(host: &taskcell::Host) {
    /// use taskcell::TaskFilter;
    ///
    /// let mut events = host.subscribe(TaskFilter::session("s1"));
    /// loop {
    ///     match events.next().await {
    ///         Ok(Some(happened)) => println!("{}: {:?}", happened.of.task, happened.event.body),
    ///         Ok(None) => break,
    ///         Err(lagged) => println!("{lagged}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn subscribe(&self, filter: TaskFilter) -> Subscription {
        self.inner().subscribe(filter)
    }

    /// Follows what happens from a place on where a subscriber was before.
    ///
    /// # Errors
    /// When that is no place in what happened in this host.
    pub fn subscribe_after(&self, filter: TaskFilter, after: EventPosition) -> Result<Subscription, UnknownPosition> {
        self.inner().subscribe_after(filter, after)
    }
}
