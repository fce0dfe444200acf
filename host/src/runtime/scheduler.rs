//! Fires schedules: one job of the host's, which sleeps until the next moment and wakes on what is asked.

use std::collections::{HashMap, HashSet};
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

use super::handle::TaskHandle;
use super::host::{Inner, StartError};
use super::schedule_books::{Books, Trouble};
use super::schedules::{Ask, Change, Reply, ScheduleError};
use super::start::{check_only, new_id, start_scheduled};

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

/// Keeps the schedules of a host.
pub(super) struct Scheduler {
    host: Weak<Inner>,
    books: Books,
    asked: mpsc::Receiver<Ask>,
    starts: JoinSet<StartEnd>,
    starting: HashSet<TaskId>,
    /// Whoever fired by hand, and waits for the task.
    waiting: HashMap<TaskId, Reply<TaskHandle>>,
    /// When the store is tried again, and the pause before that.
    retry: Option<(Duration, Duration)>,
}

impl Scheduler {
    pub(super) fn new(host: Weak<Inner>, books: Books, asked: mpsc::Receiver<Ask>) -> Self {
        let (starts, starting, waiting) = (JoinSet::new(), HashSet::new(), HashMap::new());
        Self { host, books, asked, starts, starting, waiting, retry: None }
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
            let wake = self.turn().await;
            let clock = Arc::clone(&self.books.clock);
            let sleep = async {
                match wake {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(end) = self.starts.join_next(), if !self.starts.is_empty() => {
                    if let Ok(end) = end {
                        self.ended(end).await;
                    }
                }
                ask = self.asked.recv() => match ask {
                    Some(ask) => self.answer(ask).await,
                    None => return,
                },
                () = sleep => {}
            }
        }
    }

    /// Does what is due, and returns when to look again.
    async fn turn(&mut self) -> Option<Duration> {
        if let Some((at, _)) = self.retry.filter(|(at, _)| *at > self.books.clock.steady()) {
            return Some(at);
        }
        match self.look().await {
            Ok(wake) => {
                self.retry = None;
                wake
            }
            Err(StoreError::Unavailable) => Some(self.try_later()),
        }
    }

    fn try_later(&mut self) -> Duration {
        let pause = self.retry.map_or(RETRY_MIN, |(_, pause)| pause.saturating_mul(2).min(RETRY_MAX));
        let at = self.books.clock.steady().saturating_add(pause);
        self.retry = Some((at, pause));
        at
    }

    async fn look(&mut self) -> Result<Option<Duration>, StoreError> {
        self.books.settle().await?;
        let Some(host) = self.host.upgrade() else { return Ok(None) };
        for id in self.books.ids() {
            self.fire_if_due(id, &host).await?;
            for firing in self.books.take_to_start(id) {
                self.start(id, firing, &host);
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

    /// The task of the schedule's last firing, if it lives in this host.
    fn running(&self, id: ScheduleId, host: &Inner) -> Option<TaskId> {
        let last = self.books.schedule(id)?.last.as_ref()?.firing.task;
        host.registry.by_id(last).is_some_and(|task| task.outcome().is_none()).then_some(last)
    }

    /// Starts the task of a firing, which is in the store already.
    fn start(&mut self, id: ScheduleId, firing: Firing, host: &Arc<Inner>) {
        let Some(request) = self.books.schedule(id).map(|schedule| schedule.request(&firing)) else { return };
        if !self.starting.insert(firing.task) {
            return;
        }
        let (host, store) = (Arc::downgrade(host), self.books.store());
        self.starts.spawn(async move {
            let started = Box::pin(start_once(host, store, request, firing.task)).await;
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
            Some(command) => self.books.write(id, command).await.map(|_| ()),
            None => Err(Trouble::Store),
        };
        if written == Err(Trouble::Store) {
            self.try_later();
        }
        if let Some(reply) = self.waiting.remove(&firing.task) {
            let handle = started.map_err(ScheduleError::Start);
            let _ = reply.send(handle.and_then(|handle| handle.ok_or(ScheduleError::Store)));
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
            Ask::Fire { id, by, reply } => {
                let task = new_id();
                let fire = ScheduleCommand::FireNow { now: self.books.clock.date(), task, by };
                match self.write(id, fire).await {
                    // Its start follows with the next look.
                    Ok(Some(ScheduleEvent::Firing { .. })) => {
                        self.waiting.insert(task, reply);
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
                Ok(self.books.remove(id, by).await?)
            }
        }
    }

    async fn write(
        &mut self,
        id: ScheduleId,
        command: ScheduleCommand,
    ) -> Result<Option<ScheduleEvent>, ScheduleError> {
        self.known(id).await?;
        Ok(self.books.write(id, command).await?)
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
    let unreadable = |StoreError::Unavailable| StartError::Store(CommitError::Unavailable);
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
