//! The schedules as they are in the store, and as this host knows them.
//!
//! Each schedule has a stream of its own, and one more stream lists them all: a schedule is there when it is listed. So a
//! name belongs to one of them, whichever host adds it. Both are fenced: of two hosts that write, one looks again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::ids::{ScheduleId, TaskId};
use crate::model::schedule::{Firing, ListedSchedule, Schedule, ScheduleEvent, ScheduleRequest, When};
use crate::model::scheduling::{OPEN_MAX, ScheduleCommand, ScheduleRefusal, ScheduleState, TAKE_UP_MS, Tick, decide};
use crate::model::signal::Party;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StreamId, TaskStore};

use super::schedules::ScheduleError;
use super::start::new_schedule_id;

/// How often a writer tries again because another host was faster.
const TRIES_MAX: u32 = 64;
/// Events read from the store at a time.
const PAGE: usize = 64;
/// The longest sleep until a date. Nobody tells the host that the date was set or that the machine slept; so it looks.
const LOOK_MAX: Duration = Duration::from_mins(1);
/// The shortest sleep. Protects the machine from a schedule that is due and cannot fire.
const LOOK_MIN: Duration = Duration::from_secs(1);

/// One schedule.
#[derive(Debug, Default)]
struct Book {
    state: ScheduleState,
    /// When its time has passed, on the steady clock. Only for a schedule that fires after a time.
    passed_at: Option<Duration>,
    /// Tasks that this host has to start.
    ours: HashSet<TaskId>,
    /// Whether a commit was answered in such a way that the store has to be asked what became of it.
    uncertain: bool,
}

/// Why a command was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Refused(ScheduleRefusal),
    Store,
}

impl From<StoreError> for Trouble {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

impl From<Trouble> for ScheduleError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(ScheduleRefusal::Unknown) => Self::Unknown,
            Trouble::Refused(ScheduleRefusal::Busy) => Self::Busy,
            Trouble::Store => Self::Store,
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Books {
    store: Arc<dyn TaskStore>,
    pub(super) clock: Arc<dyn Clock>,
    changed: watch::Sender<u64>,
    max: usize,
    known: BTreeMap<ScheduleId, Book>,
    /// The list in the store, and the number of its event.
    list: Vec<ListedSchedule>,
    head: Option<EventSeq>,
    /// Whether they were read once.
    read: bool,
    /// Whether the list has to be read again.
    stale: bool,
}

impl Books {
    pub(super) fn new(
        store: Arc<dyn TaskStore>,
        clock: Arc<dyn Clock>,
        changed: watch::Sender<u64>,
        max: usize,
    ) -> Self {
        let (known, list) = (BTreeMap::new(), Vec::new());
        Self { store, clock, changed, max, known, list, head: None, read: false, stale: true }
    }

    pub(super) fn store(&self) -> Arc<dyn TaskStore> {
        Arc::clone(&self.store)
    }

    pub(super) fn ids(&self) -> Vec<ScheduleId> {
        self.known.keys().copied().collect()
    }

    pub(super) fn schedule(&self, id: ScheduleId) -> Option<&Schedule> {
        self.known.get(&id).filter(|book| !book.state.removed)?.state.schedule.as_ref()
    }

    /// Whether the task of this firing is still to be started.
    pub(super) fn is_open(&self, id: ScheduleId, task: TaskId) -> bool {
        self.schedule(id).is_some_and(|schedule| schedule.open.iter().any(|firing| firing.task == task))
    }

    /// Lets everything be read again: something was cut off, and nobody knows how far it had come.
    pub(super) fn doubt(&mut self) {
        self.stale = true;
        for book in self.known.values_mut() {
            book.uncertain = true;
        }
    }

    pub(super) fn all(&self) -> Vec<Schedule> {
        let mut all: Vec<_> = self.known.keys().filter_map(|id| self.schedule(*id)).cloned().collect();
        all.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
        all
    }

    /// Whether it would be time for the schedule, as far as this host knows it.
    pub(super) fn look(&self, id: ScheduleId, running: Option<TaskId>, task: TaskId) -> Option<Tick> {
        let book = self.known.get(&id)?;
        let waited = book.passed_at.is_some_and(|at| at <= self.clock.steady());
        let tick = Tick { now: self.clock.date(), waited, running, task };
        matches!(decide(&book.state, ScheduleCommand::Tick(tick)), Ok(Some(_))).then_some(tick)
    }

    /// Firings whose tasks this host has to start: its own, and those that another one has left lying.
    pub(super) fn take_to_start(&mut self, id: ScheduleId) -> Vec<Firing> {
        let now = self.clock.date();
        let Some(book) = self.known.get_mut(&id) else { return Vec::new() };
        let Some(schedule) = book.state.schedule.as_ref() else { return Vec::new() };
        let ours = |firing: &&Firing| book.ours.contains(&firing.task) || take_up_in(firing, now).is_zero();
        let firings: Vec<Firing> = schedule.open.iter().filter(ours).copied().collect();
        book.ours.extend(firings.iter().map(|firing| firing.task));
        firings
    }

    /// When to look again, on the steady clock.
    pub(super) fn wake(&self) -> Option<Duration> {
        let (steady, now) = (self.clock.steady(), self.clock.date());
        let moments = self.known.values().filter_map(|book| {
            let schedule = book.state.schedule.as_ref().filter(|_| !book.state.removed)?;
            let fires = schedule.next.filter(|_| schedule.paused.is_none() && schedule.open.len() < OPEN_MAX);
            let fires = fires.map(|next| match book.passed_at {
                Some(at) => at,
                None => steady.saturating_add(next.since(now).min(LOOK_MAX)),
            });
            let others = schedule.open.iter().filter(|firing| !book.ours.contains(&firing.task));
            let takes_up = others.map(|firing| steady.saturating_add(take_up_in(firing, now))).min();
            fires.into_iter().chain(takes_up).min()
        });
        moments.min().map(|at| if at > steady { at } else { steady.saturating_add(LOOK_MIN) })
    }

    /// Reads what there is when that is needed: the list at first, and whatever is uncertain.
    pub(super) async fn settle(&mut self) -> Result<(), StoreError> {
        if self.stale {
            self.sync().await?;
        }
        let uncertain: Vec<_> = self.known.iter().filter(|(_, book)| book.uncertain).map(|(id, _)| *id).collect();
        for id in uncertain {
            self.reload(id).await?;
        }
        Ok(())
    }

    /// Reads the list, and the schedules that are new in it. Finishes removals that were begun.
    pub(super) async fn sync(&mut self) -> Result<(), StoreError> {
        self.read_list().await?;
        let listed: HashSet<ScheduleId> = self.list.iter().map(|listed| listed.id).collect();
        self.known.retain(|id, _| listed.contains(id));
        let mut removed = Vec::new();
        for id in listed {
            if self.known.entry(id).or_default().state.schedule.is_none() {
                self.reload(id).await?;
            }
            // One without a stream too: it had one before it was listed.
            if self.known.get(&id).is_none_or(|book| book.state.removed) {
                removed.push(id);
            }
        }
        (self.read, self.stale) = (true, false);
        for id in removed {
            self.bury(id).await?;
        }
        Ok(())
    }

    /// Reads everything that other hosts have written.
    pub(super) async fn refresh(&mut self) -> Result<(), StoreError> {
        self.sync().await?;
        for id in self.ids() {
            self.reload(id).await?;
        }
        Ok(())
    }

    async fn read_list(&mut self) -> Result<(), StoreError> {
        let events = self.store.read(StreamId::Schedules, EventSeq::default(), PAGE).await?;
        let Some(Event { seq, body: EventBody::Schedules { list }, .. }) = events.into_iter().next_back() else {
            (self.list, self.head) = (Vec::new(), None);
            return Ok(());
        };
        (self.list, self.head) = (list, Some(seq));
        Ok(())
    }

    /// Reads on in a schedule's stream. One whose stream is gone is forgotten.
    pub(super) async fn reload(&mut self, id: ScheduleId) -> Result<(), StoreError> {
        let stream = StreamId::Schedule(id);
        loop {
            let Some(book) = self.known.get_mut(&id) else { return Ok(()) };
            let events = self.store.read(stream, book.state.seq, PAGE).await?;
            if events.is_empty() {
                if self.store.head(stream).await?.is_none() {
                    self.known.remove(&id);
                    return Ok(());
                }
                break;
            }
            for Event { seq, at, body, .. } in events {
                if let EventBody::Schedule { change } = body {
                    book.state.apply(seq, at, &change);
                }
            }
        }
        let (steady, now, first) = (self.clock.steady(), self.clock.date(), !self.read);
        if let Some(book) = self.known.get_mut(&id) {
            book.uncertain = false;
            let Some(schedule) = &book.state.schedule else { return Ok(()) };
            if first {
                // Whoever was about to start them is no more: this host, before it was started again.
                book.ours.extend(schedule.open.iter().map(|firing| firing.task));
            }
            book.passed_at = book.passed_at.or_else(|| passes_at(schedule, steady, now));
        }
        Ok(())
    }

    /// Lets a command be decided and written. Returns what happened; `None` when there was nothing to do.
    pub(super) async fn write(
        &mut self,
        id: ScheduleId,
        command: ScheduleCommand,
    ) -> Result<Option<ScheduleEvent>, Trouble> {
        for _ in 0..TRIES_MAX {
            let book = self.known.get_mut(&id).ok_or(Trouble::Refused(ScheduleRefusal::Unknown))?;
            let Some(change) = decide(&book.state, command.clone()).map_err(Trouble::Refused)? else { return Ok(None) };
            if let ScheduleEvent::Firing { firing, .. } = &change {
                // Before it is written: of a commit without an answer nobody else would know whose it is.
                book.ours.insert(firing.task);
            }
            let (seq, at) = (book.state.seq.next(), self.clock.date());
            let event = Event::new(seq, at, EventBody::Schedule { change: change.clone() });
            let fence = Fence::After(book.state.seq);
            match self.store.commit(StreamId::Schedule(id), fence, vec![Record::Event(event)]).await {
                Ok(()) => {
                    book.state.apply(seq, at, &change);
                    if let Some(schedule) = &book.state.schedule {
                        book.ours.retain(|task| schedule.open.iter().any(|firing| firing.task == *task));
                    }
                    self.sum_up(id).await;
                    self.tell();
                    return Ok(Some(change));
                }
                Err(CommitError::Fenced) => self.reload(id).await?,
                Err(CommitError::Full | CommitError::Unavailable) => {
                    book.uncertain = true;
                    return Err(Trouble::Store);
                }
            }
        }
        Err(Trouble::Store)
    }

    /// Writes a summary when one is due, and lets the store forget what is older. When that fails, it is due again.
    async fn sum_up(&mut self, id: ScheduleId) {
        let Some(book) = self.known.get_mut(&id) else { return };
        let Some((change, forgotten)) = book.state.summary() else { return };
        let (seq, at, fence) = (book.state.seq.next(), self.clock.date(), Fence::After(book.state.seq));
        let event = Event::new(seq, at, EventBody::Schedule { change: change.clone() });
        let records = vec![Record::Event(event), Record::Forget(forgotten)];
        match self.store.commit(StreamId::Schedule(id), fence, records).await {
            Ok(()) => book.state.apply(seq, at, &change),
            Err(CommitError::Fenced | CommitError::Full | CommitError::Unavailable) => book.uncertain = true,
        }
    }

    /// Adds a schedule: first its own stream, then its place in the list, from which on it is there.
    pub(super) async fn add(&mut self, request: ScheduleRequest) -> Result<ScheduleId, ScheduleError> {
        let now = self.clock.date();
        let next = request.check(now)?;
        let id = new_schedule_id();
        let schedule = Schedule::new(id, request.clone(), now, next);
        let mut stored = false;
        for _ in 0..TRIES_MAX {
            self.sync().await?;
            match self.room_for(&request).await {
                Ok(None) => {}
                found_or_refused => {
                    if stored {
                        // Not listed, so nobody knows it; what is left is only in the way.
                        let _ = self.store.remove(StreamId::Schedule(id)).await;
                    }
                    return found_or_refused.map(|found| found.unwrap_or(id));
                }
            }
            if !stored {
                let created = ScheduleEvent::Created { schedule: Box::new(schedule.clone()) };
                let event = Event::new(EventSeq(1), now, EventBody::Schedule { change: created });
                let commit = self.store.commit(StreamId::Schedule(id), Fence::Absent, vec![Record::Event(event)]);
                commit.await.map_err(|_| ScheduleError::Store)?;
                stored = true;
            }
            let mut list = self.list.clone();
            list.push(ListedSchedule { id, name: request.name.clone() });
            match self.write_list(list).await {
                Ok(()) => {
                    self.known.insert(id, Book::default());
                    self.reload(id).await?;
                    self.tell();
                    return Ok(id);
                }
                Err(CommitError::Fenced) => {}
                Err(CommitError::Full | CommitError::Unavailable) => return Err(ScheduleError::Store),
            }
        }
        Err(ScheduleError::Store)
    }

    /// Makes room in the list. `Some` when the schedule is there already, and that is what was asked for.
    async fn room_for(&mut self, request: &ScheduleRequest) -> Result<Option<ScheduleId>, ScheduleError> {
        if let Some(id) = self.list.iter().find(|listed| listed.name == request.name).map(|listed| listed.id) {
            let same = request.keep_same && self.schedule(id).is_some_and(|present| present.is_same(request));
            let taken = || ScheduleError::NameInUse { name: request.name.clone(), id };
            return same.then_some(Some(id)).ok_or_else(taken);
        }
        while self.list.len() >= self.max {
            let over = self.known.keys().filter_map(|id| self.schedule(*id)).filter(|schedule| schedule.is_over());
            let oldest = over.min_by_key(|schedule| schedule.created).map(|schedule| schedule.id);
            self.remove(oldest.ok_or(ScheduleError::TooMany { max: self.max })?, Party::Host).await?;
            self.sync().await?;
        }
        Ok(None)
    }

    /// Removes a schedule. From its last event on it is no more; what is left of it goes now, or when the list is next read.
    pub(super) async fn remove(&mut self, id: ScheduleId, by: Party) -> Result<(), Trouble> {
        self.write(id, ScheduleCommand::Remove { by }).await?;
        if self.bury(id).await.is_err() {
            self.stale = true;
        }
        Ok(())
    }

    /// Takes away what is left of a schedule that is no more: its stream first, because nobody would find one that is not
    /// listed.
    async fn bury(&mut self, id: ScheduleId) -> Result<(), StoreError> {
        self.store.remove(StreamId::Schedule(id)).await?;
        self.known.remove(&id);
        self.tell();
        for _ in 0..TRIES_MAX {
            let list: Vec<_> = self.list.iter().filter(|listed| listed.id != id).cloned().collect();
            if list.len() == self.list.len() {
                return Ok(());
            }
            match self.write_list(list).await {
                Ok(()) => {}
                Err(CommitError::Fenced) => self.read_list().await?,
                Err(CommitError::Full | CommitError::Unavailable) => return Err(StoreError::Unavailable),
            }
        }
        Err(StoreError::Unavailable)
    }

    async fn write_list(&mut self, list: Vec<ListedSchedule>) -> Result<(), CommitError> {
        let seq = self.head.unwrap_or_default().next();
        let event = Event::new(seq, self.clock.date(), EventBody::Schedules { list: list.clone() });
        let fence = self.head.map_or(Fence::Absent, Fence::After);
        let records = vec![Record::Event(event), Record::Forget(self.head.unwrap_or_default())];
        let written = self.store.commit(StreamId::Schedules, fence, records).await;
        match written {
            Ok(()) => (self.list, self.head) = (list, Some(seq)),
            Err(CommitError::Fenced | CommitError::Full | CommitError::Unavailable) => self.stale = true,
        }
        written
    }

    fn tell(&self) {
        self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}

/// How long a firing that another host has begun is left to it.
fn take_up_in(firing: &Firing, now: Timestamp) -> Duration {
    Timestamp(firing.at.0.saturating_add(TAKE_UP_MS)).since(now).min(Duration::from_millis(TAKE_UP_MS))
}

/// When the time of a schedule has passed that fires after a time. What the date says is only believed in what it takes
/// away: it may have been set.
fn passes_at(schedule: &Schedule, steady: Duration, now: Timestamp) -> Option<Duration> {
    let When::After { after } = schedule.when else { return None };
    Some(steady.saturating_add(schedule.next?.since(now).min(after)))
}
