//! What a guest tells and asks its actor.

use std::sync::Arc;

use crate::model::command::{Answer, Command, GrantCommand, PlanCommand};
use crate::model::event::{EventBody, WaitEnd};
use crate::model::ids::SignalKey;
use crate::model::machine::{Refusal, RefusalKind, is_parked, step};
use crate::model::outcome::{CellEnd, Failure, FailureKind};
use crate::model::patch::TaskPatch;
use crate::model::signal::{NotifyAnswer, Party, Signal};
use crate::model::snapshot::Artifact;
use crate::ports::runner::{GuestCall, NoSignal, Reply};
use crate::ports::secrets::Screened;

use super::actor::{Actor, Ended, Finding, Parked};
use super::cell::{Cell, CellStep};
use super::planners::Asker;
use super::shared::Shared;

/// Whether a report is the last before the task's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Yes,
    No,
}

impl Actor {
    /// Reads what the cell has put up on its board: the warning at once, the report when its turn has come.
    pub(super) async fn on_news(&mut self) -> Result<(), Ended> {
        self.warn_of_fuel().await?;
        let ready = self.progress_pace.ready_at();
        if ready > self.shared.around.clock.steady() {
            // The newest report stays up meanwhile, and takes in those that come.
            self.timers.progress = Some(ready);
            return Ok(());
        }
        self.write_progress(Last::No).await
    }

    pub(super) async fn warn_of_fuel(&mut self) -> Result<(), Ended> {
        if self.shared.news.take_fuel_warning() {
            let used = self.shared.gauges.fuel_used();
            self.decide(Command::FuelLow { used }).await?;
        }
        if self.shared.news.take_out_of_fuel() {
            let used = self.shared.gauges.fuel_used();
            self.decide(Command::FuelOut { used }).await?;
        }
        Ok(())
    }

    /// Writes the report that is up down. One that comes before its turn counts against the other events instead, so
    /// that a guest which makes a call after each report is held up by them.
    /// When the log is full of progress, the newest report stays up, and is told last.
    pub(super) async fn write_progress(&mut self, last: Last) -> Result<(), Ended> {
        self.timers.progress = None;
        if last == Last::No && self.shared.state().is_full_of_progress() {
            return Ok(());
        }
        let Some(report) = self.shared.news.take_report() else { return Ok(()) };
        let now = self.shared.around.clock.steady();
        if self.progress_pace.ready_at() > now {
            self.event_pace.take(now);
        } else {
            self.progress_pace.take(now);
        }
        self.timers.quiet.called(now, self.reading());
        let (message, percent) = (report.message, report.percent);
        let (restarted, merged) = (report.restarted, report.merged);
        self.decide(Command::Progress { message, percent, restarted, merged, last: last == Last::Yes })
            .await
            .map(|_| ())
    }

    /// Whether the task ends by this call, so that what it reported is its last.
    fn is_last(&self, call: &GuestCall) -> Last {
        if let GuestCall::RecordUsage { tool, tokens, actions, .. } = call {
            let (tool, tokens, actions) = (tool.clone(), *tokens, *actions);
            let usage = self.shared.usage();
            self.is_last_before(Command::RecordUsage { tool, tokens, actions, usage })
        } else if let GuestCall::ChangePlan { change: change @ PlanCommand::Advance { .. }, .. } = call {
            self.is_last_before(Command::Plan(change.clone()))
        } else {
            Last::No
        }
    }

    /// Whether the task ends by this command.
    pub(super) fn is_last_before(&self, command: Command) -> Last {
        let decision = step(&self.shared.state(), command);
        let ends = decision.events.iter().any(|event| matches!(event, EventBody::Finished { .. }));
        if ends { Last::Yes } else { Last::No }
    }

    pub(super) async fn on_call(&mut self, call: GuestCall) -> Result<(), Ended> {
        let answered = self.answer(call).await;
        // However long the host took for it: the guest is expected to do something from now on.
        self.timers.quiet.called(self.shared.around.clock.steady(), self.reading());
        answered
    }

    #[expect(clippy::too_many_lines, reason = "an arm for each call, and little in each")]
    async fn answer(&mut self, call: GuestCall) -> Result<(), Ended> {
        self.warn_of_fuel().await?;
        // What the guest reported before its call comes before what the call makes happen. A look makes nothing happen,
        // and a guest that looks after each report is not to fill its log.
        if !matches!(call, GuestCall::Poll { .. } | GuestCall::ReadPlan { .. }) {
            self.write_progress(self.is_last(&call)).await?;
        }
        match call {
            GuestCall::Wait { keys, senders, timeout, reply } => {
                if !self.park(Parked::Wait(reply)) {
                    return Ok(());
                }
                let answer = self.decide(Command::Wait { keys, senders, timeout }).await?;
                self.answer_wait(answer);
            }
            GuestCall::NextInstruction { timeout, reply } => Box::pin(self.next_instruction(timeout, reply)).await?,
            GuestCall::RequestApproval { ask, reply } => Box::pin(self.request_approval(ask, reply)).await?,
            GuestCall::RecordUsage { tool, tokens, actions, reply } => {
                let usage = self.shared.usage();
                let answer = self.decide(Command::RecordUsage { tool, tokens, actions, usage }).await?;
                let _ = reply.send(done(answer));
            }
            GuestCall::SetNote { note, reply } => {
                let patch = Box::new(TaskPatch { note: note.into(), ..TaskPatch::default() });
                let answer = self.decide(Command::Update { expected: None, patch, by: Party::Itself }).await?;
                let _ = reply.send(done(answer));
            }
            GuestCall::RequestFuel { units, reason, timeout, reply } => {
                if !self.park(Parked::Fuel(reply)) {
                    return Ok(());
                }
                let answer = self.decide(Command::RequestFuel { units, reason, timeout }).await?;
                if let Err(refusal) = done(answer) {
                    self.end_fuel_request(Err(refusal));
                }
            }
            GuestCall::Poll { key, reply } => {
                let answer = self.decide(Command::Poll { key }).await?;
                let _ = reply.send(if let Answer::Signal(_, signal) = answer {
                    Ok(Some(signal))
                } else {
                    done(answer).map(|()| None)
                });
            }
            GuestCall::Notify { target, key, payload, reply } if target == *self.shared.task => {
                let signal = Signal { payload, sender: Party::Itself, task: Some(target) };
                let answer = self.decide(Command::Notify { key, signal }).await?;
                let _ = reply.send(Ok(notify_answer(&answer)));
            }
            GuestCall::Notify { target, key, payload, reply } => match Box::pin(self.reach(&target)).await? {
                Ok(Some(to)) => {
                    let command = Command::SendSignal { target, key: key.clone() };
                    let answer = done(self.decide(command).await?);
                    let signal =
                        Signal { payload, sender: Party::Task(self.shared.id), task: Some(self.shared.task_ref()) };
                    match answer {
                        Ok(()) => self.send(to, key, signal, reply),
                        Err(refusal) => drop(reply.send(Err(refusal))),
                    }
                }
                Ok(None) => {
                    self.take_turn();
                    let _ = reply.send(Ok(NotifyAnswer::NoTask));
                }
                Err(refusal) => drop(reply.send(Err(refusal))),
            },
            GuestCall::MessageAgent { message, trigger, once, reply } => {
                Box::pin(self.message_agent(message, trigger, once, reply)).await?;
            }
            GuestCall::StartChild { task_type, input, options, reply } => {
                Box::pin(self.start_child(task_type, input, options, reply)).await?;
            }
            GuestCall::WaitChild { child, timeout, reply } => Box::pin(self.wait_child(child, timeout, reply)).await?,
            GuestCall::CancelChild { child, reason, grace, reply } => self.cancel_child(child, reason, grace, reply),
            GuestCall::ChildState { child, reply } => drop(reply.send(self.child_state(child))),
            GuestCall::RunningChildren { reply } => drop(reply.send(self.running_children())),
            GuestCall::ReadPlan { reply } => drop(reply.send(self.shared.state().plan.as_deref().cloned())),
            GuestCall::ChangePlan { change, reply } => {
                let changed = Box::pin(self.change_plan(change)).await?;
                let _ = reply.send(changed.map_err(Into::into));
            }
            GuestCall::Replan { reason, timeout, reply } => {
                Box::pin(self.ask_planner(reason, timeout, Party::Itself, Asker::Guest(reply))).await?;
            }
            GuestCall::Permit { touch, why, leave, reply } => Box::pin(self.permit(touch, why, leave, reply)).await?,
            GuestCall::Denied { rule, denied, in_row, reply } => {
                Box::pin(self.log_denial(rule, denied, in_row)).await?;
                let _ = reply.send(());
            }
            GuestCall::TakeRoom { folder, bytes, inodes, reply } => {
                self.decide(Command::Grant(GrantCommand::TakeRoom { folder, bytes, inodes })).await?;
                let _ = reply.send(());
            }
            GuestCall::CallHost { name, input, reply } => Box::pin(self.call_host(name, input, reply)).await?,
            #[cfg(feature = "wit-extension")]
            GuestCall::CallTyped { call, reply } => Box::pin(self.call_typed(call, reply)).await?,
            GuestCall::CancelWait { target, key, reply } => Box::pin(self.cancel_wait_of(&target, key, reply)).await?,
            GuestCall::NotifyScope { session, key, payload, all, reply } => {
                Box::pin(self.notify_scope(session, key, payload, all, reply)).await?;
            }
            GuestCall::Attach { name, media_type, source, reply } => self.store_file(name, media_type, source, reply),
            GuestCall::Panic { message, place, reply } => {
                self.decide(Command::Panic { message, place }).await?;
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    /// Sends a signal to another task. Not waited for here: the other task may be sending to this one.
    fn send(&mut self, to: Arc<Shared>, key: SignalKey, signal: Signal, reply: Reply<Result<NotifyAnswer, Refusal>>) {
        self.jobs.spawn(async move {
            let _ = reply.send(Ok(to.notify(key, signal).await));
            None
        });
    }

    fn store_file(
        &mut self,
        name: String,
        media_type: String,
        source: cap_std::fs::File,
        reply: Reply<Result<Artifact, Refusal>>,
    ) {
        let (number, left) = match self.room_for_file() {
            Ok(room) => room,
            Err(refusal) => return drop(reply.send(Err(refusal))),
        };
        let (dirs, id) = (Arc::clone(&self.shared.around.dirs), self.shared.id);
        let mut source = Screened::new(source, &self.shared.around.secrets);
        self.jobs.spawn_blocking(move || match dirs.store(id, number, &mut source, left) {
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

    /// Removes the copy of a file that was not attached after all, and then says so: the next one gets its number.
    fn remove_file(&mut self, number: u32, refusal: Refusal, reply: Reply<Result<Artifact, Refusal>>) {
        let (dirs, id) = (Arc::clone(&self.shared.around.dirs), self.shared.id);
        self.jobs.spawn_blocking(move || {
            dirs.unstore(id, number);
            let _ = reply.send(Err(refusal));
            None
        });
    }

    /// The number of the task's next artifact, and how many bytes it may have.
    pub(super) fn room_for_file(&self) -> Result<(u32, u64), Refusal> {
        let state = self.shared.state();
        let used: u64 = state.artifacts.iter().map(|artifact| artifact.size).sum();
        let number = u32::try_from(state.artifacts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let max = state.limits.artifacts;
        if number > max {
            let message = format!("a task attaches at most {max} files");
            return Err(Refusal::new(RefusalKind::TooLarge, message));
        }
        Ok((number, state.limits.artifact_bytes.saturating_sub(used)))
    }

    pub(super) async fn on_finding(&mut self, found: Option<Finding>, cell: &mut Cell) -> Result<(), Ended> {
        match found {
            Some(Finding::Stored { artifact, reply }) => {
                let answer = self.decide(Command::Attach(artifact.clone())).await?;
                match done(answer) {
                    Ok(()) => drop(reply.send(Ok(artifact))),
                    Err(refusal) => self.remove_file(artifact.number, refusal, reply),
                }
            }
            Some(Finding::Child { child, task, started, reply }) => self.on_child(child, task, started, reply).await?,
            Some(Finding::Planned(planned)) => self.on_planned(*planned).await?,
            Some(Finding::Sent { round, reply }) => self.send_next(round, reply).await?,
            Some(Finding::Panicked { message, call }) => {
                let failed = CellEnd::Failed(Failure::new(FailureKind::Host, message));
                self.on_cell(CellStep::Ended(failed), cell).await?;
                drop(call);
            }
            None => {}
        }
        self.timers.quiet.called(self.shared.around.clock.steady(), self.reading());
        Ok(())
    }

    /// Keeps the guest's open call, before it is decided about: a decision's effects look for it. A guest that is parked
    /// cannot make another; if it could, its first call would stay open, and the second is refused here.
    pub(super) fn park(&mut self, call: Parked) -> bool {
        if self.parked.is_none() {
            self.parked = Some(call);
            return true;
        }
        match call {
            Parked::Wait(reply) => drop(reply.send(Err(NoSignal::Refused(is_parked())))),
            Parked::Fuel(reply) => drop(reply.send(Err(is_parked()))),
            Parked::Approval(reply) => drop(reply.send(Err(is_parked()))),
            Parked::Instruction(reply) => drop(reply.send(Err(is_parked()))),
            Parked::Child(_, reply) => drop(reply.send(Err(is_parked()))),
            Parked::Grant(petition) => petition.refuse(is_parked()),
        }
        false
    }

    /// Answers a wait that was decided at once; a parked one is answered by a later event.
    fn answer_wait(&mut self, answer: Answer) {
        match answer {
            Answer::Parked => {}
            Answer::WaitOver(reason) => self.end_wait(Err(NoSignal::Over(reason))),
            Answer::Refused(refusal) => self.end_wait(Err(NoSignal::Refused(refusal))),
            Answer::PlanRefused(error) => self.end_wait(Err(NoSignal::Refused(error.into()))),
            Answer::Signal(key, signal) => self.end_wait(Ok((key, signal))),
            Answer::Done
            | Answer::Unchanged
            | Answer::NoSignal
            | Answer::Instruction(_)
            | Answer::ChildOver
            | Answer::Notified(_)
            | Answer::Updated(_)
            | Answer::Stale(_)
            | Answer::AlreadyEnded => {
                self.end_wait(Err(NoSignal::Over(WaitEnd::Cancelled)));
            }
        }
    }

    /// Answers the guest's open wait, if it is parked in one.
    pub(super) fn end_wait(&mut self, answer: Result<(SignalKey, Signal), NoSignal>) {
        self.timers.wait = None;
        if let Some(Parked::Wait(reply)) = self.parked.take_if(|parked| matches!(parked, Parked::Wait(_))) {
            let _ = reply.send(answer);
        }
    }

    /// Answers the guest's open request for fuel, if it is parked in one.
    pub(super) fn end_fuel_request(&mut self, answer: Result<u64, Refusal>) {
        self.timers.fuel_request = None;
        if let Some(Parked::Fuel(reply)) = self.parked.take_if(|parked| matches!(parked, Parked::Fuel(_))) {
            let _ = reply.send(answer);
        }
    }
}

pub(super) fn done(answer: Answer) -> Result<(), Refusal> {
    match answer {
        Answer::Refused(refusal) => Err(refusal),
        Answer::PlanRefused(error) => Err(error.into()),
        Answer::AlreadyEnded => Err(Refusal::new(RefusalKind::Ended, "the task has its outcome already")),
        Answer::Done
        | Answer::Parked
        | Answer::Unchanged
        | Answer::Signal(..)
        | Answer::Instruction(_)
        | Answer::ChildOver
        | Answer::NoSignal
        | Answer::WaitOver(_)
        | Answer::Updated(_)
        | Answer::Stale(_)
        | Answer::Notified(_) => Ok(()),
    }
}

pub(super) fn notify_answer(answer: &Answer) -> NotifyAnswer {
    match answer {
        Answer::Notified(answer) => *answer,
        Answer::Done
        | Answer::Parked
        | Answer::Unchanged
        | Answer::Signal(..)
        | Answer::Instruction(_)
        | Answer::ChildOver
        | Answer::NoSignal
        | Answer::WaitOver(_)
        | Answer::Updated(_)
        | Answer::Stale(_)
        | Answer::AlreadyEnded
        | Answer::Refused(_)
        | Answer::PlanRefused(_) => NotifyAnswer::NoTask,
    }
}
