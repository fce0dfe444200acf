//! One task's actor: the only writer of its log. Request → decision → event → effect.
//!
//! Here it waits for what happens next; `calls` holds what its guest may ask, `effects` how something decided is
//! written down and done.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Weak};

use taskcell_slot::Owner;
use tokio::sync::{oneshot, watch};
use tokio::task::coop::consume_budget;

use crate::model::approval::ApprovalDecision;
use crate::model::command::{Answer, Command};
use crate::model::daemon::HOUR;
use crate::model::ids::{SignalKey, TaskId, TaskRef};
use crate::model::machine::Refusal;
use crate::model::manifest::Schemas;
use crate::model::outbox::Delivery;
use crate::model::outcome::{CellEnd, Failure, FailureKind, Outcome};
use crate::model::request::CancelRequest;
use crate::model::schema::Schema;
use crate::model::signal::{Instruction, NotifyAnswer, Party, Signal};
use crate::model::snapshot::Artifact;
use crate::ports::agent::AgentSink;
use crate::ports::functions::Functions;
use crate::ports::mandate::Settling;
use crate::ports::runner::{CancelNotice, CellLink, NoSignal, Reply, Runner};
use crate::ports::scratch::Scratch;
use crate::ports::watched::Watched;

use super::attachments::Attached;
use super::attempts::{LastAttempt, chance};
use super::calls::{Last, notify_answer};
use super::cell::{Cell, CellStep};
use super::children::Starter;
use super::delivery::LoopLife;
use super::desk::Desk;
use super::feed::FeedWriter;
use super::granting::Petition;
use super::guard::guarded;
use super::handle::TaskHandle;
use super::hooks::TaskHooks;
use super::host::Inner;
use super::jobs::Jobs;
use super::pace::{Bucket, Reading, Silence};
use super::planners::{Asker, Planned};
use super::queue::QueuePlace;
use super::reach::Round;
use super::registry::{Registry, TreePlace};
use super::shared::{Addressee, Control, Ears, Moment, Shared};
use super::terminal::AtEnd;
use super::timers::{Alarm, Sleep, Timers};
use super::version::VersionUse;

/// A task's actor.
pub(crate) struct Actor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) runner: Arc<dyn Runner>,
    /// Held so that those who follow what happens know that more may come.
    #[expect(dead_code, reason = "it is held, and nothing else")]
    pub(crate) feed: FeedWriter,
    pub(crate) sink: Option<Arc<dyn AgentSink>>,
    pub(crate) schemas: Schemas,
    /// The request's own schema of the result.
    pub(crate) wanted: Option<Schema>,
    /// What the guest may touch.
    pub(crate) mandate: Settling,
    /// Where children are started.
    pub(crate) host: Weak<Inner>,
    /// The children that were started.
    pub(crate) children: HashMap<TaskId, Arc<Shared>>,
    /// Those of them that have ended, oldest first, and what they weigh.
    pub(crate) ended_children: VecDeque<(TaskId, u64)>,
    pub(crate) ended_children_bytes: u64,
    /// Completes when one of them has its outcome.
    pub(super) watched: Jobs<TaskId>,
    pub(crate) functions: Arc<Functions>,
    pub(super) ears: Ears,
    pub(crate) cancel: Arc<Watched<Option<CancelNotice>>>,
    pub(crate) timers: Timers,
    pub(crate) sleep: Sleep,
    /// How fast progress may be written down.
    pub(crate) progress_pace: Bucket,
    /// How fast everything else may that the guest makes happen.
    pub(crate) event_pace: Bucket,
    /// Whether its first plan was asked for.
    pub(crate) first_plan_asked: bool,
    /// The guest's open call, if it is parked.
    pub(crate) parked: Option<Parked>,
    /// What became of the messages that are sent once, by their key.
    pub(crate) told_once: HashMap<SignalKey, Delivery>,
    /// The task's place in the queue, until it has started.
    pub(crate) queued: Option<QueuePlace>,
    /// What the actor started for its guest: signals to others, copies of files.
    pub(super) jobs: Jobs<Option<Finding>>,
    /// The task's directory, to be removed after its cell.
    pub(crate) scratch: Arc<Scratch>,
    /// The files that it got along, to be removed with that.
    pub(crate) attached: Option<Attached>,
    /// Gives the guest its short turns, beside its own.
    pub(crate) owner: Arc<Owner>,
    /// Completes when the cell is gone.
    pub(crate) gone: oneshot::Receiver<()>,
    /// Whose code it is.
    pub(crate) version: VersionUse,
    /// Where its turns come from.
    pub(crate) desk: Arc<Desk>,
    /// The attempt before, from its end until nothing is left of it.
    pub(crate) last: Option<Box<LastAttempt>>,
    /// Its place in its tree, for a child. Nobody looks at it; it is given back with the actor.
    #[expect(dead_code, reason = "it is held, and nothing else")]
    pub(crate) tree: Option<TreePlace>,
    /// What another attempt needs, if there may be one.
    pub(crate) again: Option<Box<CellLink>>,
    /// What is to be called when the task has its outcome.
    pub(crate) at_end: Option<Box<AtEnd>>,
    /// Its life, as its session sees it. Nobody looks at it; it ends with the actor.
    pub(crate) life: Option<LoopLife>,
    /// Its plugin's hooks about its end.
    pub(crate) hooks: Option<Box<TaskHooks>>,
}

/// The call that a guest is parked in.
#[derive(Debug)]
pub(crate) enum Parked {
    Wait(Reply<Result<(SignalKey, Signal), NoSignal>>),
    Fuel(Reply<Result<u64, Refusal>>),
    Approval(Reply<Result<ApprovalDecision, Refusal>>),
    Instruction(Reply<Result<Option<Instruction>, Refusal>>),
    Child(TaskId, Reply<Result<Option<Outcome>, Refusal>>),
    Grant(Petition),
}

/// What a job found out that must go through the actor.
#[derive(Debug)]
pub(crate) enum Finding {
    Stored {
        artifact: Artifact,
        reply: Reply<Result<Artifact, Refusal>>,
    },
    Child {
        child: TaskId,
        task: TaskRef,
        /// Or why it was not.
        started: Result<TaskHandle, String>,
        reply: Starter,
    },
    /// A planner was asked.
    Planned(Box<Planned>),
    /// One of several tasks was sent a signal.
    Sent {
        round: Box<Round>,
        reply: Reply<Result<u32, Refusal>>,
    },
    /// A function of the host's panicked. The guest's call stays open until the task has its end.
    Panicked {
        message: String,
        /// The way back to the guest, which is not told.
        call: Box<dyn Any + Send>,
    },
}

/// The task is over; nothing more is decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended;

impl Actor {
    /// Lives the task from its creation to its end, cleans up after it, and gives its guest short turns meanwhile.
    pub(super) fn run(self: Box<Self>, cell: Cell) -> impl Future<Output = ()> + Send + 'static {
        Arc::clone(&self.owner).live(self.lives(cell))
    }

    async fn lives(mut self: Box<Self>, mut cell: Cell) {
        let mut lives = self.begins(&mut cell).await;
        while lives {
            // Whoever is told something without end gives way now and then, as one who reads from a channel does.
            consume_budget().await;
            let step = {
                let turn = pin!(self.turn(&mut cell));
                guarded(turn).await
            };
            lives = match step {
                Ok(Ok(())) => true,
                Ok(Err(Ended)) => false,
                Err(panic) => self.on_panic(&panic, &mut cell).await,
            };
        }
        // Whoever has asked something meanwhile is told at once that it is over, and not when the cell is gone.
        self.ears.close();
        self.shared.around.suspended.pass().await;
        // One that goes on with the next host has not ended.
        let left = self.shared.is_left();
        let called = self.at_end.take().filter(|_| !left).map(|at_end| at_end.call(Arc::clone(&self.shared)));
        let hooks = self
            .hooks
            .take()
            .filter(|_| !left)
            .map(|hooks| hooks.on_terminal(Arc::clone(&self.shared), self.version.clone()));
        // The outcome stands. Now the cell goes, and only then its directory.
        drop(cell);
        if !left {
            self.stop_children().await;
        }
        let _ = (&mut self.gone).await;
        self.jobs.shutdown().await;
        self.watched.shutdown().await;
        if !left {
            // One may have been started just then.
            self.stop_children().await;
        }
        self.mandate.settle();
        self.clean_up().await;
        for mut after in called.into_iter().chain(hooks) {
            while after.join_next().await.is_some() {}
        }
    }

    /// Whether there is a life before it: not for a child whose parent has ended while it was started, nor for a daemon
    /// whose plugin went.
    async fn begins(&mut self, cell: &mut Cell) -> bool {
        // Nobody forgets those that have ended before they are this task's again.
        let _children = self.host.upgrade().map(|host| host.standby.children_of(self.shared.id));
        let why = if self.is_left_behind() {
            self.why_left_behind()
        } else if self.is_unwanted() {
            "its plugin was disabled or unloaded while it was started"
        } else {
            let settled = {
                let settled = pin!(async {
                    self.settle_start().await?;
                    self.take_children_back().await
                });
                guarded(settled).await
            };
            return match settled {
                Ok(settled) => settled.is_ok(),
                Err(panic) => self.on_panic(&panic, cell).await,
            };
        };
        let request = CancelRequest::new(Party::Host, why);
        let cancelled = pin!(self.cancel(request, self.shared.now()));
        matches!(guarded(cancelled).await, Ok(Ok(())))
    }

    /// Something in the host panicked on this task's behalf: its own end, and nobody else's. Says whether it goes on,
    /// with another attempt.
    async fn on_panic(&mut self, panic: &str, cell: &mut Cell) -> bool {
        let failure =
            Failure::new(FailureKind::Host, format!("the host panicked while it worked for this task: {panic}"));
        let command = Command::CellEnded { end: CellEnd::Failed(failure), usage: self.shared.usage(), chance: 0.0 };
        let decided = {
            let decision = pin!(self.decide(command));
            guarded(decision).await
        };
        match decided {
            Ok(Ok(_)) => {
                self.try_again(cell);
                true
            }
            Ok(Err(Ended)) => false,
            Err(_) => {
                let _ = self.give_up("the store panicked");
                false
            }
        }
    }

    /// Waits for the next thing that happens, and deals with it. Branches that are seldom taken are boxed, here and in what
    /// this calls, so that a task that waits does not carry their futures.
    async fn turn(&mut self, cell: &mut Cell) -> Result<(), Ended> {
        self.see_to_first_plan().await?;
        if let Cell::Idle { ready } = cell
            && self.call_up(ready)
        {
            cell.queue(|| self.room());
        }
        // Before anything that others can send in numbers. A host that stops wakes all its tasks, with news of nothing.
        if self.shared.around.stopping.is() {
            return self.stop().await;
        }
        // The task's own, where a copy of the clock's would be counted by all tasks.
        let shared = Arc::clone(&self.shared);
        let clock = &*shared.around.clock;
        let now = clock.steady();
        // A guest that makes too much happen waits in its call; nobody else does.
        self.timers.turn = Some(self.event_pace.ready_at()).filter(|turn| *turn > now);
        let open = self.timers.turn.is_none();
        let next = self.timers.earliest();
        if let Some((at, alarm)) = next
            && at <= now
        {
            return self.on_alarm(alarm).await;
        }
        tokio::select! {
            biased;
            // First, and always: it hears the bell for all of the actor's boxes.
            control = self.ears.control() => self.on_control(*control, cell).await,
            step = cell.advance(&mut self.last) => self.on_cell(step, cell).await,
            Some(found) = self.jobs.join_next() => Box::pin(self.on_finding(found.ok().flatten(), cell)).await,
            Some(ended) = self.watched.join_next() => match ended {
                Ok(child) => Box::pin(self.on_child_end(child)).await,
                Err(_) => Ok(()),
            },
            () = self.shared.news.changed_meanwhile() => self.on_news().await,
            asked = self.shared.news.next_call_meanwhile(), if open => self.on_call(*asked).await,
            // What is due then the next turn finds.
            () = self.sleep.until(next.map(|(at, _)| at), clock, &self.owner) => Ok(()),
        }
    }

    async fn stop(&mut self) -> Result<(), Ended> {
        let request = CancelRequest::force(Party::Host, "the host is shutting down");
        self.cancel(request, self.shared.now()).await
    }

    async fn on_control(&mut self, control: Control, cell: &mut Cell) -> Result<(), Ended> {
        let is_wish = control.is_outside_wish();
        match control {
            Control::Notify { key, signal, to, reply } => {
                if to == Addressee::Waiting && !self.shared.state().waits_for(&key, signal.sender) {
                    let _ = reply.send(NotifyAnswer::NoTask);
                    return Ok(());
                }
                if is_wish {
                    self.shared.news.want_turn();
                }
                let answer = self.decide(Command::Notify { key, signal }).await?;
                let _ = reply.send(notify_answer(&answer));
            }
            Control::CancelWait { key, reply } => {
                let answer = self.decide(Command::CancelWait { key }).await?;
                let _ = reply.send(answer == Answer::Done);
            }
            Control::Instruct { instruction, reply } => {
                if is_wish {
                    self.shared.news.want_turn();
                }
                let answer = self.decide(Command::Instruct(instruction)).await?;
                let _ = reply.send(notify_answer(&answer));
            }
            Control::DecideApproval { number, decision, ruling, reply } => {
                if let Err(refusal) = self.fits_approved(&decision) {
                    let _ = reply.send(Answer::Refused(refusal));
                    return Ok(());
                }
                let answer = self.decide(Command::DecideApproval { number, decision, ruling }).await;
                let ended = answer.as_ref().err().copied();
                // One that could not be stored does not stand, and no answer lets them look how the task ended.
                if answer.is_ok() || self.shared.unstored().is_none() {
                    let _ = reply.send(answer.unwrap_or(Answer::Done));
                }
                ended.map_or(Ok(()), Err)?;
            }
            Control::Update { expected, patch, by, reply } => {
                // Without an answer whoever asked finds out that the task has ended.
                let answer = self.decide(Command::Update { expected, patch, by }).await?;
                let _ = reply.send(answer);
            }
            Control::Cancel { request, asked, reply } => {
                let ended = self.cancel(request, asked).await;
                let _ = reply.send(());
                ended?;
            }
            Control::Adopt { child, reply } => Box::pin(self.adopt(child, reply)).await?,
            Control::Replan { reason, by, reply } => {
                Box::pin(self.ask_planner(reason, None, by, Asker::Outside(reply))).await?;
            }
            Control::Plan { command, reply } => {
                let changed = Box::pin(self.change_plan_outside(command, cell)).await?;
                let _ = reply.send(changed);
            }
            Control::Change { command, reply } => Box::pin(self.change(command, reply, cell)).await?,
        }
        Ok(())
    }

    async fn cancel(&mut self, request: CancelRequest, asked: Moment) -> Result<(), Ended> {
        self.write_progress(if request.grace.is_zero() { Last::Yes } else { Last::No }).await?;
        self.shared.note(|moments| &mut moments.asked, asked);
        let usage = self.shared.usage();
        self.decide(Command::Cancel { request, usage }).await.map(|_| ())
    }

    async fn on_alarm(&mut self, alarm: Alarm) -> Result<(), Ended> {
        let usage = self.shared.usage();
        let command = match alarm {
            Alarm::Grace => {
                self.timers.grace = None;
                self.write_progress(Last::Yes).await?;
                Command::GraceOver { usage }
            }
            Alarm::Deadline => {
                self.write_progress(Last::Yes).await?;
                Command::DeadlineReached { usage }
            }
            Alarm::Wait(wait) => {
                self.timers.wait = None;
                Command::WaitTimedOut { wait }
            }
            Alarm::FuelRequest => {
                self.timers.fuel_request = None;
                Command::FuelRequestTimedOut
            }
            Alarm::Instruction => {
                self.timers.instruction = None;
                Command::InstructionTimedOut
            }
            Alarm::Child => {
                self.timers.child = None;
                Command::ChildTimedOut
            }
            Alarm::Approval(number) => {
                self.timers.approval = None;
                Command::ApprovalTimedOut { number, usage }
            }
            Alarm::Due => {
                self.timers.due_at = None;
                Command::Due
            }
            Alarm::Detach => {
                self.timers.detach = None;
                Command::Detach { by: Party::Host }
            }
            Alarm::Hour => {
                let now = self.shared.around.clock.steady();
                // On time, however late anybody looked; but not once for each hour that was missed.
                let next = self.timers.hour.and_then(|at| at.checked_add(HOUR)).filter(|at| *at > now);
                self.timers.hour = next.or_else(|| now.checked_add(HOUR));
                Command::NewHour { used: usage.fuel }
            }
            Alarm::Look => return self.look().await,
            Alarm::Progress => return self.write_progress(Last::No).await,
            // There is nothing to do but to go on: the guest's call is taken now.
            Alarm::Turn => return Ok(()),
        };
        self.decide(command).await.map(|_| ())
    }

    /// Sees whether the task does anything.
    async fn look(&mut self) -> Result<(), Ended> {
        let (now, reading) = (self.shared.around.clock.steady(), self.reading());
        if !self.jobs.is_empty() || self.shared.news.is_called() || self.timers.turn.is_some() {
            // It is the host that works, or lets it wait.
            self.timers.quiet.called(now, reading);
        }
        let Some(silence) = self.timers.quiet.look(now, reading) else { return Ok(()) };
        self.write_progress(if silence == Silence::Idle { Last::Yes } else { Last::No }).await?;
        if self.reading().activity != reading.activity {
            // It woke up while its report was written down.
            return Ok(());
        }
        let command = match silence {
            Silence::Idle => Command::Idle { usage: self.shared.usage() },
            Silence::Stalled { fuel, quiet } => Command::Stalled { fuel, quiet },
        };
        self.decide(command).await.map(|_| ())
    }

    pub(super) fn reading(&self) -> Reading {
        Reading { activity: self.shared.gauges.activity(), fuel: self.shared.gauges.fuel_used() }
    }

    pub(super) async fn on_cell(&mut self, step: CellStep, cell: &mut Cell) -> Result<(), Ended> {
        match step {
            CellStep::Admitted => {
                // Written down before the first instruction: the guest finds its deadline set.
                self.decide(Command::Start).await?;
                cell.run(&*self.runner);
                Ok(())
            }
            CellStep::Ended(mut end) => {
                // What the guest said before it ended comes before its end.
                while let Some(call) = self.shared.news.take_call() {
                    Box::pin(self.on_call(*call)).await?;
                }
                self.warn_of_fuel().await?;
                self.write_progress(Last::Yes).await?;
                // Its own words are held against the schema, and nobody else's are kept.
                end = self.checked(end);
                self.shared.around.secrets.hide_end(&mut end);
                let end = self.fitted(end).await?;
                let usage = self.shared.usage();
                // Nothing is left to chance for one that is not tried again.
                let chance = if self.again.is_some() { chance() } else { 0.0 };
                self.decide(Command::CellEnded { end, usage, chance }).await?;
                self.try_again(cell);
                Ok(())
            }
        }
    }
}

/// Whether whoever stops it has said so, or is gone.
pub(super) fn is_stopped(shutdown: &watch::Receiver<bool>) -> bool {
    *shutdown.borrow() || shutdown.has_changed().is_err()
}

/// Completes when the host is shutting down, or is gone.
pub(super) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the host is gone.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of<F>(_: impl FnOnce(Box<Actor>, Cell) -> F) -> usize {
        std::mem::size_of::<F>()
    }

    #[test]
    fn a_life_takes_no_room_for_what_is_done_seldom() {
        let size = size_of(Actor::run);
        assert!(size <= 2048, "each task that waits takes {size} bytes for its future: box what is done seldom");
    }
}
