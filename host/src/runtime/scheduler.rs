//! Fires schedules: one job of the host's, which sleeps until the next moment and wakes on what is asked.
//!
//! It outlives a store that panics: whatever it was about to write is uncertain then, and is read again.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::model::ids::{ScheduleId, TaskId};
use crate::model::request::StartRequest;
use crate::model::schedule::{Firing, ScheduleEvent};
use crate::model::scheduling::ScheduleCommand;
use crate::model::text;
use crate::ports::store::{CommitError, StoreError, StreamId, TaskStore};

use super::guard::guarded;
use super::handle::TaskHandle;
use super::host::Inner;
use super::schedule_books::{Books, Trouble};
use super::schedules::{Ask, Change, Reply, ScheduleError};
use super::start::{check_only, new_id, start_scheduled};
use super::start_error::StartError;

/// Bytes of the reason that a start was refused for.
const REASON_BYTES_MAX: usize = 4 << 10;
/// The first pause after the store did not work, and the longest.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// A start that came to its end.
struct StartEnd {
    id: ScheduleId,
    firing: Firing,
    /// The handle, if the task lives in this host.
    started: Result<Option<TaskHandle>, StartError>,
}

/// What the scheduler wakes up for.
enum Wake {
    Ended(StartEnd),
    Asked(Ask),
    Time,
}

/// When something is tried again, and the pause before that.
#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Duration,
    pause: Duration,
}

impl Retry {
    /// The next one, after a pause that is twice as long.
    fn after(last: Option<Self>, now: Duration) -> Self {
        let pause = last.map_or(RETRY_MIN, |last| last.pause.saturating_mul(2).min(RETRY_MAX));
        Self { at: now.saturating_add(pause), pause }
    }
}

/// A firing whose start failed, or could not be written down.
#[derive(Debug, Clone, Copy)]
struct PutOff {
    id: ScheduleId,
    retry: Retry,
    /// Whether its task was started, and only that has to be written down: the task may be forgotten by then.
    started: bool,
}

/// Keeps the schedules of a host.
pub(super) struct Scheduler {
    host: Weak<Inner>,
    books: Books,
    asked: mpsc::Receiver<Ask>,
    starts: JoinSet<StartEnd>,
    starting: HashSet<TaskId>,
    /// Firings whose starts failed, and not by their requests' fault.
    put_off: HashMap<TaskId, PutOff>,
    /// Whoever fired by hand, and waits for the task.
    waiting: HashMap<TaskId, (ScheduleId, Reply<TaskHandle>)>,
    /// When the schedules themselves are read or written again, after the store failed at that.
    retry: Option<Retry>,
}

impl Scheduler {
    pub(super) fn new(host: Weak<Inner>, books: Books, asked: mpsc::Receiver<Ask>) -> Self {
        let (starts, starting) = (JoinSet::new(), HashSet::new());
        let (put_off, waiting) = (HashMap::new(), HashMap::new());
        Self { host, books, asked, starts, starting, put_off, waiting, retry: None }
    }

    /// Until the host shuts down. What is under way then is in the store, and goes on in the next host.
    pub(super) async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|down| *down) => {}
            () = self.work() => {}
        }
    }

    async fn work(&mut self) {
        loop {
            // Nothing can be started before; whoever asks is answered meanwhile. Looked at once for both: what is over between
            // two looks would be waited for by nobody.
            let standing_by = self.host.upgrade().filter(|host| !host.standby.is_over());
            let turn = if standing_by.is_some() { Ok(None) } else { guarded(pin!(self.turn())).await };
            let until = turn.unwrap_or_else(|_| Some(self.recover()));
            let clock = Arc::clone(&self.books.clock);
            let over = async {
                match &standing_by {
                    Some(host) => host.standby.over().await,
                    None => std::future::pending().await,
                }
            };
            let sleep = async {
                match until {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let wake = tokio::select! {
                // A start gives back what came of it, also when something in it panicked.
                Some(Ok(end)) = self.starts.join_next(), if !self.starts.is_empty() => Wake::Ended(end),
                ask = self.asked.recv() => match ask {
                    Some(ask) => Wake::Asked(ask),
                    None => return,
                },
                () = sleep => Wake::Time,
                () = over => Wake::Time,
            };
            if guarded(pin!(self.step(wake))).await.is_err() {
                self.recover();
            }
        }
    }

    async fn step(&mut self, wake: Wake) {
        match wake {
            Wake::Ended(end) => self.ended(end).await,
            Wake::Asked(ask) => self.answer(ask).await,
            // The turn that follows does what there is to do.
            Wake::Time => {}
        }
    }

    /// Something panicked: nobody knows what it had written.
    fn recover(&mut self) -> Duration {
        self.books.doubt();
        self.try_later()
    }

    /// Does what is due, and returns when to look again.
    async fn turn(&mut self) -> Option<Duration> {
        self.let_go();
        if let Some(Retry { at, .. }) = self.retry.filter(|retry| retry.at > self.books.clock.steady()) {
            return Some(at);
        }
        match self.look().await {
            Ok(wake) => {
                self.retry = None;
                let put_off = self.put_off.iter().filter(|(task, _)| !self.starting.contains(task));
                put_off.map(|(_, put_off)| put_off.retry.at).chain(wake).min()
            }
            Err(StoreError::Unavailable | StoreError::Damaged) => Some(self.try_later()),
        }
    }

    /// Forgets firings that nobody has to start any more, and tells those who wait for them.
    fn let_go(&mut self) {
        let (books, starting) = (&self.books, &self.starting);
        self.put_off.retain(|task, put_off| books.is_open(put_off.id, *task));
        let over =
            |task: &TaskId, (id, _): &mut (ScheduleId, _)| !starting.contains(task) && !books.is_open(*id, *task);
        for (_, (id, reply)) in self.waiting.extract_if(over) {
            // Removed; or another host has started it, where nobody here has a handle to it.
            let known = books.schedule(id).is_some();
            let _ = reply.send(Err(if known { ScheduleError::Store } else { ScheduleError::Unknown }));
        }
    }

    fn try_later(&mut self) -> Duration {
        let retry = Retry::after(self.retry, self.books.clock.steady());
        self.retry = Some(retry);
        retry.at
    }

    async fn look(&mut self) -> Result<Option<Duration>, StoreError> {
        let Some(host) = self.host.upgrade() else { return Ok(None) };
        self.books.settle().await?;
        for id in self.books.ids() {
            self.fire_if_due(id, &host).await?;
            let now = self.books.clock.steady();
            for firing in self.books.take_to_start(id) {
                if self.put_off.get(&firing.task).is_none_or(|put_off| put_off.retry.at <= now) {
                    self.start(id, firing, &host);
                }
            }
        }
        Ok(self.books.wake())
    }

    async fn fire_if_due(&mut self, id: ScheduleId, host: &Inner) -> Result<(), StoreError> {
        while let Some(tick) = self.books.look(id, self.running(id, host), new_id()) {
            match self.books.write(id, ScheduleCommand::Tick(tick)).await {
                Ok(Some(_)) => {}
                Ok(None) | Err(Trouble::Refused(_)) => return Ok(()),
                Err(Trouble::Store) => return Err(StoreError::Unavailable),
            }
        }
        Ok(())
    }

    /// The task of the schedule's last moment, or of its last firing by hand, if it lives in this host.
    fn running(&self, id: ScheduleId, host: &Inner) -> Option<TaskId> {
        let schedule = self.books.schedule(id)?;
        let last = schedule.last.as_ref().map(|last| last.firing);
        let lives = |task: TaskId| host.registry.by_id(task).is_some_and(|task| task.outcome().is_none());
        let tasks = schedule.last_started.into_iter().chain(last).map(|firing| firing.task);
        tasks.into_iter().find(|task| lives(*task))
    }

    /// Starts the task of a firing, which is in the store already.
    fn start(&mut self, id: ScheduleId, firing: Firing, host: &Arc<Inner>) {
        let Some(request) = self.books.schedule(id).map(|schedule| schedule.request(&firing)) else { return };
        if !self.starting.insert(firing.task) {
            return;
        }
        if self.put_off.get(&firing.task).is_some_and(|put_off| put_off.started) {
            self.starts.spawn(std::future::ready(StartEnd { id, firing, started: Ok(None) }));
            return;
        }
        let (host, store) = (Arc::downgrade(host), self.books.store());
        self.starts.spawn(async move {
            let started = pin!(Box::pin(start_once(host, store, request, firing.task)));
            // Whatever panicked, the firing is still there to be started.
            let unknown = |_| Err(StartError::Store(CommitError::Unavailable));
            let started = guarded(started).await.unwrap_or_else(unknown);
            StartEnd { id, firing, started }
        });
    }

    /// Writes down what came of a start. When that fails, the firing stays open, and the task is found when it is tried again.
    async fn ended(&mut self, StartEnd { id, firing, started }: StartEnd) {
        self.starting.remove(&firing.task);
        let number = firing.number;
        let command = match &started {
            Ok(_) => Some(ScheduleCommand::Started { number }),
            // Not the request's fault: it is tried again, after a while or by the next host.
            Err(StartError::Store(_) | StartError::ShuttingDown) => None,
            Err(error) => {
                let reason = text::shortened(&error.to_string(), REASON_BYTES_MAX).into_owned();
                Some(ScheduleCommand::Failed { number, reason })
            }
        };
        let written = match command {
            Some(command) => {
                let written = self.books.write(id, command).await.map(|_| ());
                if written == Err(Trouble::Store) {
                    self.try_later();
                }
                written
            }
            None => Err(Trouble::Store),
        };
        let last = self.put_off.remove(&firing.task).map(|put_off| put_off.retry);
        if written == Err(Trouble::Store) {
            let retry = Retry::after(last, self.books.clock.steady());
            self.put_off.insert(firing.task, PutOff { id, retry, started: started.is_ok() });
        }
        if let Some((_, reply)) = self.waiting.remove(&firing.task) {
            let _ = reply.send(match started {
                Ok(handle) => handle.ok_or(ScheduleError::Store),
                // It may be started yet.
                Err(StartError::Store(_) | StartError::ShuttingDown) => Err(ScheduleError::Store),
                Err(error) => Err(ScheduleError::Start(error)),
            });
        }
    }

    async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Add { request, reply } => {
                let startable = match self.host.upgrade() {
                    Some(host) => check_only(&host, &request.task).map_err(ScheduleError::Start),
                    None => Err(ScheduleError::ShuttingDown),
                };
                let added = match startable {
                    Ok(()) => self.books.add(*request).await,
                    Err(error) => Err(error),
                };
                if added.is_ok() {
                    self.retry = None;
                }
                let _ = reply.send(added);
            }
            Ask::List { reply } => {
                let read = self.books.refresh().await;
                let _ = reply.send(read.map(|()| self.books.all()).map_err(ScheduleError::from));
            }
            Ask::Get { id, reply } => {
                let read = self.known(id).await;
                let known = || self.books.schedule(id).cloned().ok_or(ScheduleError::Unknown);
                let _ = reply.send(read.and_then(|()| known()));
            }
            Ask::Change { id, change, by, reply } => {
                let _ = reply.send(self.change(id, change, by).await);
            }
            Ask::Fire { reply, .. } if !self.host.upgrade().is_some_and(|host| host.standby.is_over()) => {
                let _ = reply.send(Err(ScheduleError::Start(StartError::NotRecovered)));
            }
            Ask::Fire { id, by, reply } => {
                let task = new_id();
                let fire = ScheduleCommand::FireNow { now: self.books.clock.date(), task, by };
                match self.write(id, fire).await {
                    // Its start follows with the next look.
                    Ok(Some(ScheduleEvent::Firing { .. })) => {
                        self.waiting.insert(task, (id, reply));
                    }
                    Ok(_) => {
                        let _ = reply.send(Err(ScheduleError::Unknown));
                    }
                    Err(error) => {
                        let _ = reply.send(Err(error));
                    }
                }
            }
        }
    }

    async fn change(
        &mut self,
        id: ScheduleId,
        change: Change,
        by: crate::model::signal::Party,
    ) -> Result<(), ScheduleError> {
        let now = self.books.clock.date();
        match change {
            Change::Pause => self.write(id, ScheduleCommand::Pause { by }).await.map(|_| ()),
            Change::Resume => self.write(id, ScheduleCommand::Resume { now, by }).await.map(|_| ()),
            Change::Remove => {
                self.known(id).await?;
                self.books.remove(id, by).await?;
                self.retry = None;
                Ok(())
            }
        }
    }

    async fn write(
        &mut self,
        id: ScheduleId,
        command: ScheduleCommand,
    ) -> Result<Option<ScheduleEvent>, ScheduleError> {
        self.known(id).await?;
        let written = self.books.write(id, command).await?;
        if written.is_some() {
            // The store works: nothing has to wait any longer.
            self.retry = None;
        }
        Ok(written)
    }

    /// Reads what there is to know of a schedule, which another host may have added.
    async fn known(&mut self, id: ScheduleId) -> Result<(), ScheduleError> {
        if self.books.schedule(id).is_none() {
            self.books.sync().await?;
        }
        Ok(self.books.reload(id).await?)
    }
}

/// Starts a task with an id that is given, unless there is one with this id. Of several who try, one starts it.
async fn start_once(
    host: Weak<Inner>,
    store: Arc<dyn TaskStore>,
    request: StartRequest,
    task: TaskId,
) -> Result<Option<TaskHandle>, StartError> {
    let unreadable = |error: StoreError| StartError::Store(error.into());
    let host = host.upgrade().ok_or(StartError::ShuttingDown)?;
    let here = || host.registry.by_id(task).map(TaskHandle::new);
    // What an earlier try may have left is no task: it never ran.
    host.registry.orphans.take_back(&*store, task).await.map_err(unreadable)?;
    if store.head(StreamId::Task(task)).await.map_err(unreadable)?.is_some() {
        return Ok(here());
    }
    match start_scheduled(&host, request, task).await {
        Ok(handle) => Ok(Some(handle)),
        Err(StartError::Store(CommitError::Fenced)) => Ok(here()),
        Err(error) => Err(error),
    }
}
