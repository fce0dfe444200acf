//! One task's actor: the only writer of its log. Request → decision → event → effect.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::model::event::{Event, EventBody, WaitEnd};
use crate::model::machine::{Answer, Command, Decision, Refusal, RefusalKind, step};
use crate::model::manifest::Schemas;
use crate::model::outcome::{CellEnd, Failure, FailureKind, GuestOutcome};
use crate::model::request::CancelRequest;
use crate::model::signal::{NotifyAnswer, Party, Signal};
use crate::model::state::Artifact;
use crate::ports::agent::{AgentMessage, AgentSink, Delivery};
use crate::ports::clock::BoxFuture;
use crate::ports::runner::{CancelNotice, CellLink, CellWork, GuestCall, NoSignal, Permit, Reply, Runner};
use crate::ports::store::{Fence, Record, StreamId};

use super::guard::guarded;
use super::registry::Registry;
use super::shared::{Control, Head, Shared};
use super::timers::{Alarm, Timers};

/// Calls of a guest on their way to its actor. One guest makes one call at a time.
pub(crate) const CALL_QUEUE: usize = 4;

/// Files that one task may attach. Protects the host's disk and memory from a guest that attaches empty ones.
const ARTIFACTS_MAX: u32 = 1024;

/// A task's actor.
pub(crate) struct Actor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) sink: Option<Arc<dyn AgentSink>>,
    pub(crate) schemas: Schemas,
    pub(crate) may_signal: bool,
    pub(crate) control: mpsc::Receiver<Control>,
    pub(crate) calls: mpsc::Receiver<GuestCall>,
    pub(crate) cancel: watch::Sender<Option<CancelNotice>>,
    pub(crate) shutdown: watch::Receiver<bool>,
    pub(crate) timers: Timers,
    /// The guest's open wait, if it is parked.
    pub(crate) parked: Option<Reply<Result<Signal, NoSignal>>>,
    /// What the actor started for its guest: signals to others, copies of files.
    pub(crate) jobs: JoinSet<Option<Finding>>,
}

/// What a job found out that must go through the actor.
#[derive(Debug)]
pub(crate) enum Finding {
    Stored { artifact: Artifact, reply: Reply<Result<Artifact, Refusal>> },
}

/// Where the task's code is.
enum Cell {
    /// Waiting for room.
    Queued { admission: BoxFuture<'static, Permit>, ready: Box<(CellWork, CellLink)> },
    /// Running, or parked.
    Running(BoxFuture<'static, CellEnd>),
    /// There is no cell, or it is being dropped.
    Gone,
}

/// The task is over; nothing more is decided.
struct Ended;

impl Actor {
    /// Lives the task from its creation to its end, and cleans up after it.
    pub(crate) async fn run(mut self, work: CellWork, link: CellLink, alive: oneshot::Receiver<()>) {
        let admission = self.runner.admit(work.plugin);
        let mut cell = Cell::Queued { admission, ready: Box::new((work, link)) };
        loop {
            match guarded(self.turn(&mut cell)).await {
                Ok(Ok(())) => {}
                Ok(Err(Ended)) => break,
                Err(panic) => {
                    self.on_panic(&panic).await;
                    break;
                }
            }
        }
        // The outcome stands. Now the cell goes, and only then its directory.
        self.calls.close();
        self.control.close();
        // Whoever has asked something meanwhile is told at once that it is over, and not when the cell is gone.
        while self.control.try_recv().is_ok() {}
        drop(cell);
        let _ = alive.await;
        self.jobs.shutdown().await;
        self.clean_up().await;
    }

    /// Something in the host panicked on this task's behalf: its own end, and nobody else's.
    async fn on_panic(&mut self, panic: &str) {
        let failure =
            Failure::new(FailureKind::Host, format!("the host panicked while it worked for this task: {panic}"));
        let command = Command::CellEnded { end: CellEnd::Failed(failure), usage: self.shared.usage() };
        let ended = matches!(guarded(self.decide(command)).await, Ok(Err(Ended)));
        if !ended {
            let seq = self.shared.state().seq.next();
            let _ = self.give_up("the store panicked", seq);
        }
    }

    /// Waits for the next thing that happens, and deals with it.
    async fn turn(&mut self, cell: &mut Cell) -> Result<(), Ended> {
        let clock = Arc::clone(&self.shared.clock);
        tokio::select! {
            biased;
            () = stopped(&mut self.shutdown) => {
                self.cancel(CancelRequest::force(Party::Host, "the host is shutting down")).await
            }
            // Before anything that others can send in numbers.
            alarm = self.timers.next(&*clock) => self.on_alarm(alarm).await,
            Some(control) = self.control.recv() => self.on_control(control).await,
            step = cell.advance(&*self.runner) => self.on_cell(step).await,
            Some(found) = self.jobs.join_next() => self.on_finding(found.ok().flatten()).await,
            () = self.shared.news.changed() => self.on_news().await,
            Some(asked) = self.calls.recv() => {
                self.on_news().await?;
                self.on_call(asked).await
            }
        }
    }

    /// Writes down what the cell has put up on its board.
    async fn on_news(&mut self) -> Result<(), Ended> {
        if let Some(report) = self.shared.news.take_report() {
            self.decide(Command::Progress { message: report.message, percent: report.percent }).await?;
        }
        Ok(())
    }

    async fn on_control(&mut self, control: Control) -> Result<(), Ended> {
        match control {
            Control::Notify { key, signal, reply } => {
                let answer = self.decide(Command::Notify { key, signal }).await?;
                let _ = reply.send(notify_answer(&answer));
            }
            Control::CancelWait { key, reply } => {
                let answer = self.decide(Command::CancelWait { key }).await?;
                let _ = reply.send(answer == Answer::Done);
            }
            Control::Cancel { request, reply } => {
                let ended = self.cancel(request).await;
                let _ = reply.send(());
                ended?;
            }
        }
        Ok(())
    }

    async fn cancel(&mut self, request: CancelRequest) -> Result<(), Ended> {
        let usage = self.shared.usage();
        self.decide(Command::Cancel { request, usage }).await.map(|_| ())
    }

    async fn on_alarm(&mut self, alarm: Alarm) -> Result<(), Ended> {
        let usage = self.shared.usage();
        let command = match alarm {
            Alarm::Grace => {
                self.timers.grace = None;
                Command::GraceOver { usage }
            }
            Alarm::Deadline => {
                self.timers.deadline = None;
                Command::DeadlineReached { usage }
            }
            Alarm::Wait(wait) => {
                self.timers.wait = None;
                Command::WaitTimedOut { wait }
            }
        };
        self.decide(command).await.map(|_| ())
    }

    async fn on_cell(&mut self, step: CellStep) -> Result<(), Ended> {
        match step {
            CellStep::Started => self.decide(Command::Start).await.map(|_| ()),
            CellStep::Ended(end) => {
                // What the guest said before it ended comes before its end.
                self.on_news().await?;
                while let Ok(call) = self.calls.try_recv() {
                    self.on_call(call).await?;
                }
                let end = self.checked(end);
                let usage = self.shared.usage();
                self.decide(Command::CellEnded { end, usage }).await.map(|_| ())
            }
        }
    }

    /// Holds a result against the type's own output schema.
    fn checked(&self, end: CellEnd) -> CellEnd {
        match &end {
            CellEnd::Returned(GuestOutcome::Succeeded { data: Some(data), .. }) => {
                match self.schemas.output.check(data) {
                    Ok(()) => end,
                    Err(faults) => CellEnd::Failed(Failure {
                        error: Some(serde_json::json!({ "faults": faults })),
                        ..Failure::new(
                            FailureKind::Guest,
                            format!("its result does not match its own output schema: {}", faults.join("; ")),
                        )
                    }),
                }
            }
            CellEnd::Returned(_) | CellEnd::Failed(_) => end,
        }
    }

    async fn on_call(&mut self, call: GuestCall) -> Result<(), Ended> {
        match call {
            GuestCall::Wait { key, timeout, reply } => {
                // Before the decision, because a decision's effects look for it.
                self.parked = Some(reply);
                let answer = self.decide(Command::Wait { key, timeout }).await?;
                self.answer_wait(answer);
            }
            GuestCall::Poll { key, reply } => {
                let answer = self.decide(Command::Poll { key }).await?;
                let _ = reply.send(if let Answer::Signal(signal) = answer {
                    Ok(Some(signal))
                } else {
                    done(answer).map(|()| None)
                });
            }
            GuestCall::Notify { target, key, payload, reply } if target == self.shared.task => {
                let signal = Signal { payload, sender: Party::Itself, task: Some(target) };
                let answer = self.decide(Command::Notify { key, signal }).await?;
                let _ = reply.send(Ok(notify_answer(&answer)));
            }
            GuestCall::Notify { reply, .. } if !self.may_signal => {
                let message = "sending signals to other tasks needs the capability signal, which was not granted";
                let _ = reply.send(Err(Refusal::new(RefusalKind::Denied, message)));
            }
            GuestCall::Notify { target, key, payload, reply } => {
                let target = self.registry.by_ref(&target);
                let sender = Party::Task(self.shared.id);
                let signal = Signal { payload, sender, task: Some(self.shared.task.clone()) };
                // Not waited for here: the other task may be sending to this one.
                self.jobs.spawn(async move {
                    let answer = match target {
                        Some(target) => target.notify(key, signal).await,
                        None => NotifyAnswer::NoTask,
                    };
                    let _ = reply.send(Ok(answer));
                    None
                });
            }
            GuestCall::MessageAgent { message, trigger, reply } => {
                let command = Command::MessageAgent { message: message.clone(), trigger };
                let answer = done(self.decide(command).await?);
                let _ = reply.send(answer.map(|()| self.deliver(message, trigger)));
            }
            GuestCall::Attach { name, media_type, source, reply } => self.store_file(name, media_type, source, reply),
            GuestCall::RequestFuel { reply, .. } => {
                let _ = reply.send(Err(Refusal::new(RefusalKind::Denied, "nobody gives fuel yet")));
            }
            GuestCall::Panic { message, place, reply } => {
                self.decide(Command::Panic { message, place }).await?;
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    fn deliver(&self, message: String, trigger: bool) -> Delivery {
        let message = AgentMessage { id: self.shared.id, task: self.shared.task.clone(), message, trigger };
        self.sink.as_ref().map_or(Delivery::Queued, |sink| sink.deliver(&message))
    }

    fn store_file(
        &mut self,
        name: String,
        media_type: String,
        source: cap_std::fs::File,
        reply: Reply<Result<Artifact, Refusal>>,
    ) {
        let (number, left) = {
            let state = self.shared.state();
            let used: u64 = state.artifacts.iter().map(|artifact| artifact.size).sum();
            let number = u32::try_from(state.artifacts.len()).unwrap_or(u32::MAX).saturating_add(1);
            (number, state.limits.artifact_bytes.saturating_sub(used))
        };
        if number > ARTIFACTS_MAX {
            let message = format!("a task attaches at most {ARTIFACTS_MAX} files");
            let _ = reply.send(Err(Refusal::new(RefusalKind::TooLarge, message)));
            return;
        }
        let (dirs, id) = (Arc::clone(&self.shared.dirs), self.shared.id);
        self.jobs.spawn_blocking(move || match dirs.store(id, number, source, left) {
            Ok(stored) => {
                let artifact = Artifact { number, name, media_type, sha256: stored.sha256, size: stored.size };
                Some(Finding::Stored { artifact, reply })
            }
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
                None
            }
        });
    }

    async fn on_finding(&mut self, found: Option<Finding>) -> Result<(), Ended> {
        if let Some(Finding::Stored { artifact, reply }) = found {
            let answer = self.decide(Command::Attach(artifact.clone())).await?;
            let _ = reply.send(done(answer).map(|()| artifact));
        }
        Ok(())
    }

    /// Decides, writes down what was decided, and only then lets it have effects.
    async fn decide(&mut self, command: Command) -> Result<Answer, Ended> {
        let Decision { events, answer } = step(&self.shared.state(), command);
        if events.is_empty() {
            return Ok(answer);
        }
        let at = self.shared.clock.date();
        let (fence, mut seq) = {
            let state = self.shared.state();
            (Fence::After(state.seq), state.seq)
        };
        let events: Vec<Event> = events
            .into_iter()
            .map(|body| {
                seq = seq.next();
                Event { seq, at, body }
            })
            .collect();
        let records = events.iter().cloned().map(Record::Event).collect();
        match self.shared.store.commit(StreamId::Task(self.shared.id), fence, records).await {
            Ok(()) => self.publish(&events),
            Err(error) => self.give_up(&error.to_string(), seq),
        }
        .map(|()| answer)
    }

    /// Folds the events in, does what follows from them, and tells everybody.
    fn publish(&mut self, events: &[Event]) -> Result<(), Ended> {
        let mut ended = false;
        for event in events {
            let taken = if let EventBody::SignalTaken { key } = &event.body {
                self.shared.state().oldest(key).cloned()
            } else {
                None
            };
            self.shared.state().apply(event);
            ended |= self.effect(&event.body, taken);
        }
        if ended {
            // The state is visible; now the key is free, and then whoever waits is woken.
            self.registry.release(&self.shared.task, self.shared.id);
        }
        if let Some(last) = events.last() {
            self.shared.head.send_replace(Head { seq: last.seq, ended });
        }
        if ended { Err(Ended) } else { Ok(()) }
    }

    /// What follows from an event. Says whether it was the end.
    fn effect(&mut self, body: &EventBody, taken: Option<Signal>) -> bool {
        match body {
            EventBody::Started => {
                self.shared.mark_started();
                let timeout = self.shared.state().limits.timeout;
                self.timers.deadline = self.shared.clock.steady().checked_add(timeout);
                let date = u64::try_from(timeout.as_millis()).ok();
                let date = date.and_then(|timeout| self.shared.clock.date().0.checked_add(timeout));
                self.shared.gauges.set_deadline_ms(date);
            }
            EventBody::WaitStarted { wait, timeout, .. } => {
                let ends = timeout.and_then(|timeout| self.shared.clock.steady().checked_add(timeout));
                self.timers.wait = ends.map(|at| (*wait, at));
            }
            EventBody::WaitEnded { reason, .. } => self.unpark(Err(NoSignal::Over(*reason))),
            EventBody::SignalTaken { .. } => {
                if let Some(signal) = taken {
                    self.unpark(Ok(signal));
                }
            }
            EventBody::CancelRequested(request) => {
                let asked = self.shared.clock.steady().saturating_add(request.grace);
                // Asking again may shorten what is left, and never lengthens it.
                let grace_ends = self.timers.grace.map_or(asked, |ends| ends.min(asked));
                self.timers.grace = Some(grace_ends);
                self.cancel.send_replace(Some(CancelNotice { request: request.clone(), grace_ends }));
            }
            EventBody::Finished { .. } => {
                self.unpark(Err(NoSignal::Over(WaitEnd::Cancelled)));
                return true;
            }
            EventBody::Created { .. }
            | EventBody::Progress { .. }
            | EventBody::SignalReceived { .. }
            | EventBody::AgentMessage { .. }
            | EventBody::ArtifactAttached(_)
            | EventBody::Panicked { .. } => {}
        }
        false
    }

    /// Answers the guest's open wait, if it has one.
    fn unpark(&mut self, answer: Result<Signal, NoSignal>) {
        self.timers.wait = None;
        if let Some(reply) = self.parked.take() {
            let _ = reply.send(answer);
        }
    }

    /// Answers a wait that was decided at once; a parked one is answered by a later event.
    fn answer_wait(&mut self, answer: Answer) {
        match answer {
            Answer::Parked { .. } => {}
            Answer::WaitOver(reason) => self.unpark(Err(NoSignal::Over(reason))),
            Answer::Refused(refusal) => self.unpark(Err(NoSignal::Refused(refusal))),
            Answer::Signal(signal) => self.unpark(Ok(signal)),
            Answer::Done | Answer::NoSignal | Answer::Notified(_) | Answer::AlreadyEnded => {
                self.unpark(Err(NoSignal::Over(WaitEnd::Cancelled)));
            }
        }
    }

    /// The store cannot be written: the task ends here, and its outcome says so although the log cannot.
    fn give_up(&mut self, error: &str, seq: crate::model::event::EventSeq) -> Result<(), Ended> {
        let message = format!("the task was stopped because its events could not be stored: {error}");
        let outcome = crate::model::outcome::Outcome::Failed(Failure::new(FailureKind::Host, message));
        let body = EventBody::Finished { outcome, usage: self.shared.usage() };
        self.publish(&[Event { seq, at: self.shared.clock.date(), body }])
    }

    async fn clean_up(self) {
        let (dirs, id) = (Arc::clone(&self.shared.dirs), self.shared.id);
        // A directory that cannot be removed now goes with the host's own.
        let _ = tokio::task::spawn_blocking(move || dirs.remove_scratch(id)).await;
        for forgotten in self.registry.retire(id) {
            let _ = self.shared.store.remove(StreamId::Task(forgotten)).await;
            let dirs = Arc::clone(&self.shared.dirs);
            let _ = tokio::task::spawn_blocking(move || dirs.remove_artifacts(forgotten)).await;
        }
    }
}

/// What became of the cell.
enum CellStep {
    Started,
    Ended(CellEnd),
}

impl Cell {
    /// Waits for the next thing that becomes of the cell. Cancel safety: nothing is lost.
    async fn advance(&mut self, runner: &dyn Runner) -> CellStep {
        match self {
            Self::Queued { admission, .. } => {
                let permit = admission.await;
                if let Self::Queued { ready, .. } = std::mem::replace(self, Self::Gone) {
                    let (work, link) = *ready;
                    *self = Self::Running(runner.run(work, link, permit));
                }
                CellStep::Started
            }
            Self::Running(running) => {
                let end = running.await;
                *self = Self::Gone;
                CellStep::Ended(end)
            }
            Self::Gone => std::future::pending().await,
        }
    }
}

/// Completes when the host is shutting down, or is gone.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the host is gone.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

fn done(answer: Answer) -> Result<(), Refusal> {
    match answer {
        Answer::Refused(refusal) => Err(refusal),
        Answer::AlreadyEnded => Err(Refusal::new(RefusalKind::Ended, "the task has its outcome already")),
        Answer::Done
        | Answer::Parked { .. }
        | Answer::Signal(_)
        | Answer::NoSignal
        | Answer::WaitOver(_)
        | Answer::Notified(_) => Ok(()),
    }
}

fn notify_answer(answer: &Answer) -> NotifyAnswer {
    match answer {
        Answer::Notified(answer) => *answer,
        Answer::Done
        | Answer::Parked { .. }
        | Answer::Signal(_)
        | Answer::NoSignal
        | Answer::WaitOver(_)
        | Answer::AlreadyEnded
        | Answer::Refused(_) => NotifyAnswer::NoTask,
    }
}
