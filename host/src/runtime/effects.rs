//! How something decided becomes true: written down first, then folded in, then done, then told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::model::approval::ApprovalDecision;
use crate::model::command::{Answer, Command, Decision};
use crate::model::daemon::HOUR;
use crate::model::event::{Event, EventBody, EventSeq, WaitEnd};
use crate::model::ids::{SignalKey, TaskId};
use crate::model::machine::{Refusal, RefusalKind, no_fuel, over, step};
use crate::model::manifest::TaskKind;
use crate::model::request::CancelRequest;
use crate::model::signal::{Instruction, Signal};
use crate::model::snapshot::Phase;
use crate::model::state::{ParkPoint, TaskState};
use crate::ports::runner::{CancelNotice, NoSignal};
use crate::ports::store::{Fence, Record, StreamId};

use super::actor::{Actor, Ended, Parked};
use super::feed::EventLane;
use super::hiding::hidden;
use super::shared::{Moment, Surroundings};
use super::spill::catch_up;

/// What an event takes out of the state for its guest.
enum Taken {
    Signal(SignalKey, Signal),
    Instruction(Instruction),
}

impl Actor {
    /// Decides, writes down what was decided, and only then lets it have effects.
    pub(super) async fn decide(&mut self, command: Command) -> Result<Answer, Ended> {
        let Decision { events, answer } = step(&self.shared.state(), command);
        if events.is_empty() {
            return Ok(answer);
        }
        let events = hidden(&self.shared.around.secrets, events);
        let at = self.shared.around.clock.date();
        let (fence, events) = {
            let state = self.shared.state();
            (Fence::After(state.seq), state.numbered(at, events))
        };
        let seq = events.last().map_or_else(EventSeq::default, |event| event.seq);
        if events.iter().any(|event| matches!(event.body, EventBody::Finished { .. })) {
            // Whoever sees the end finds what was printed before it, whatever becomes of this host.
            self.shared.output.let_go();
            catch_up(&self.shared.output).await;
        }
        let records = events.iter().cloned().map(Record::Event).collect();
        self.shared.around.suspended.pass().await;
        let stored = self.shared.around.store.commit(StreamId::Task(self.shared.id), fence, records).await;
        self.shared.around.suspended.pass().await;
        match stored {
            Ok(()) => self.publish(&events, seq),
            Err(error) => self.give_up(&error.to_string()),
        }
        .map(|()| answer)
    }

    /// Folds the events in, does what follows from them, and tells everybody.
    fn publish(&mut self, events: &[Event], stored: EventSeq) -> Result<(), Ended> {
        let mut ended = false;
        let mut phases = Vec::new();
        let is_followed = self.shared.around.feed.is_on();
        let now = self.shared.around.clock.steady();
        for event in events {
            let taken = {
                let mut state = self.shared.state();
                let taken = about_to_take(&state, &event.body);
                state.apply(event);
                if is_followed {
                    phases.push(state.phase.unwrap_or(Phase::Queued));
                }
                taken
            };
            if event.body.is_by_guest() {
                self.event_pace.take(now);
            }
            ended |= self.effect(&event.body, taken, now);
            if changes_questions(&event.body) {
                self.shared.around.approvals.changed();
            }
        }
        self.follow_clocks(now);
        // What its session's loop is told lies ready before anybody hears of it, also whoever waits for its key.
        if !self.shared.is_left() {
            self.shared.tell_loop(events);
        }
        if ended {
            // The state is visible; now the key is free, and then whoever waits is woken.
            self.registry.end(&self.shared);
        }
        if is_followed {
            let told = phases.into_iter().zip(events);
            self.shared.around.feed.tell_each(&self.shared.identity(), EventLane::Task, told);
        }
        self.shared.set_head(stored, ended);
        if ended { Err(Ended) } else { Ok(()) }
    }

    /// Lets the deadline and the idle time run or stand, as the state says.
    fn follow_clocks(&mut self, now: Duration) {
        let (deadline_runs, idle_runs) = {
            let state = self.shared.state();
            (state.deadline_runs(), state.idle_runs())
        };
        self.timers.quiet.run(idle_runs, now, self.reading());
        if self.timers.deadline.run(deadline_runs, now) {
            let left = deadline_runs.then(|| self.timers.deadline.left(now).as_millis());
            let left = left.and_then(|left| u64::try_from(left).ok());
            let deadline = left.and_then(|left| self.shared.around.clock.date().0.checked_add(left));
            self.shared.gauges.set_deadline_ms(deadline);
        }
    }

    /// Answers whatever call is open.
    fn end_calls(&mut self) {
        self.timers.without_calls();
        if self.parked.is_none() {
            return;
        }
        self.end_wait(Err(NoSignal::Over(WaitEnd::Cancelled)));
        self.end_fuel_request(Err(no_fuel(WaitEnd::Cancelled)));
        self.end_instruction_wait(Err(over(WaitEnd::Cancelled)));
        self.end_approval(Ok(ApprovalDecision::Cancelled));
        self.end_grant(&ApprovalDecision::Cancelled);
        self.end_child_wait(Err(over(WaitEnd::Cancelled)));
    }

    /// Sets the moment at which a task may begin that has one.
    pub(super) fn set_begin(&mut self) {
        let (due, pause_max) = {
            let state = self.shared.state();
            // Between two attempts it is no date that anybody gave: one that is too far away was set.
            let between = state.attempt > 0 && state.phase == Some(Phase::Delayed);
            (state.due, between.then_some(state.details.retry.backoff_max))
        };
        self.timers.due_at = due.and_then(|at| {
            let now = self.shared.now();
            let wait = at.since(now.date);
            now.steady.checked_add(pause_max.map_or(wait, |max| wait.min(max)))
        });
    }

    pub(super) fn in_time(&self, timeout: Option<Duration>) -> Option<Duration> {
        timeout.and_then(|timeout| self.shared.around.clock.steady().checked_add(timeout))
    }

    /// This moment, of which the steady time is known.
    fn moment(&self, steady: Duration) -> Moment {
        Moment { steady, date: self.shared.around.clock.date() }
    }

    /// What follows from an event. Says whether it was the end.
    #[expect(clippy::too_many_lines, reason = "an arm for each event, and little in each")]
    fn effect(&mut self, body: &EventBody, taken: Option<Taken>, now: Duration) -> bool {
        match body {
            EventBody::Started { .. } => {
                self.shared.note(|moments| &mut moments.started, self.moment(now));
                self.queued = None;
                if self.timers.hour.is_none() && self.shared.kind == TaskKind::Daemon {
                    self.timers.hour = self.in_time(Some(HOUR));
                }
            }
            EventBody::WaitStarted { wait, timeout, .. } => {
                self.shared.waiting_since.store(self.registry.next_number(), Ordering::Relaxed);
                self.timers.wait = self.in_time(*timeout).map(|at| (*wait, at));
            }
            EventBody::WaitEnded { reason, .. } => self.end_wait(Err(NoSignal::Over(*reason))),
            EventBody::SignalTaken { .. } | EventBody::InstructionTaken => match taken {
                Some(Taken::Signal(key, signal)) => self.end_wait(Ok((key, signal))),
                Some(Taken::Instruction(said)) => self.end_instruction_wait(Ok(Some(said))),
                None => {}
            },
            EventBody::ChildWaitStarted { timeout, .. } => self.timers.child = self.in_time(*timeout),
            EventBody::ChildWaitEnded { reason: WaitEnd::TimedOut } => self.end_child_wait(Ok(None)),
            EventBody::ChildWaitEnded { reason } => self.end_child_wait(Err(over(*reason))),
            EventBody::ChildEnded { child, .. } => {
                if matches!(&self.parked, Some(Parked::Child(awaited, _)) if awaited == child) {
                    self.end_child_wait(self.outcome_of(*child));
                }
            }
            EventBody::InstructionWaitStarted { timeout } => self.timers.instruction = self.in_time(*timeout),
            EventBody::InstructionWaitEnded { reason: WaitEnd::TimedOut } => self.end_instruction_wait(Ok(None)),
            EventBody::InstructionWaitEnded { reason } => self.end_instruction_wait(Err(over(*reason))),
            EventBody::ApprovalRequested { .. } | EventBody::ApprovalRepeated { decision: None, .. } => {
                self.time_questions();
            }
            EventBody::ApprovalRepeated { decision: Some(decision), .. } => self.end_approval(Ok(decision.clone())),
            EventBody::ApprovalDecided { decision, .. } => {
                // Its guest may wait for another one than was decided.
                let waits = matches!(self.shared.state().parked, Some(ParkPoint::Approval(_)));
                if !waits {
                    self.end_approval(Ok(decision.clone()));
                    self.end_grant(decision);
                }
                self.time_questions();
                self.set_begin();
            }
            EventBody::AttemptEnded { pause, .. } => {
                self.timers.due_at = self.in_time(Some(*pause));
                self.end_calls();
            }
            EventBody::Updated { .. } => self.shared.renew_identity(),
            EventBody::Paused { .. } => self.shared.gate.shut(),
            EventBody::Resumed { .. } => self.shared.gate.open(),
            EventBody::FuelRequested { timeout, .. } => self.timers.fuel_request = self.in_time(*timeout),
            EventBody::FuelAdded { units, .. } => {
                // Before the answer, so that the guest finds what it was told it has.
                self.shared.gauges.add_fuel(*units);
                self.end_fuel_request(Ok(*units));
            }
            EventBody::Revoked { capability, by } => {
                self.mandate.withdraw(*capability);
                self.mandate.tell_revoked(*capability, *by);
            }
            EventBody::FolderRoomTaken { folder, bytes, inodes } => self.mandate.has_room(folder, *bytes, *inodes),
            EventBody::FuelRenewed { units } => self.shared.gauges.add_fuel(*units),
            EventBody::FuelRefused { by, reason } => {
                let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                let message = format!("the request for fuel was turned down by {by}{why}");
                self.end_fuel_request(Err(Refusal::new(RefusalKind::Denied, message)));
            }
            EventBody::FuelRequestEnded { reason } => self.end_fuel_request(Err(no_fuel(*reason))),
            EventBody::Detached { .. } => self.timers.detach = None,
            EventBody::CancelRequested(request) => self.asked_to_stop(request),
            EventBody::Finished { .. } => {
                self.shared.note(|moments| &mut moments.ended, self.moment(now));
                self.queued = None;
                self.end_calls();
                return true;
            }
            EventBody::Created { .. }
            | EventBody::Due
            | EventBody::MessageSettled { .. }
            | EventBody::OnTerminalDone { .. }
            | EventBody::HookDone { .. }
            | EventBody::Plan { .. }
            | EventBody::Schedule { .. }
            | EventBody::Schedules { .. }
            | EventBody::LateSignal { .. }
            | EventBody::Instructed(_)
            | EventBody::UsageRecorded { .. }
            | EventBody::ChildStarted { .. }
            | EventBody::Progress { .. }
            | EventBody::SignalReceived { .. }
            | EventBody::SignalSent { .. }
            | EventBody::HostCalled { .. }
            | EventBody::AgentMessage { .. }
            | EventBody::ArtifactAttached(_)
            | EventBody::BudgetLow { .. }
            | EventBody::HourUsedUp { .. }
            | EventBody::DaemonGivenUp { .. }
            | EventBody::DeliverySet { .. }
            | EventBody::Stalled { .. }
            | EventBody::Denied { .. }
            | EventBody::Panicked { .. } => {}
        }
        false
    }

    fn asked_to_stop(&mut self, request: &CancelRequest) {
        let asked = self.shared.around.clock.steady().saturating_add(request.grace);
        // Asking again may shorten what is left, and never lengthens it.
        let grace_ends = self.timers.grace.map_or(asked, |ends| ends.min(asked));
        self.timers.grace = Some(grace_ends);
        self.stop_children_if_asked();
        let notice = CancelNotice { request: request.clone(), grace_ends };
        self.cancel.change(|told| *told = Some(notice));
        let has_time = !request.grace.is_zero() && self.shared.state().phase == Some(Phase::Running);
        if let Some(hooks) = self.hooks.as_mut().filter(|_| has_time) {
            hooks.on_cancel(&self.shared, request, Arc::clone(&self.cancel));
        }
    }

    /// The store cannot be written: the task ends here, and its outcome says so although the log cannot. Where the store
    /// outlives the host that is no end: nobody is called, and nothing of the task goes.
    pub(super) fn give_up(&mut self, error: &str) -> Result<(), Ended> {
        let next =
            if self.shared.around.suspended.outlives() { "; the next host on this store goes on with it" } else { "" };
        let message = format!("the task was stopped because its events could not be stored: {error}{next}");
        let end = self.shared.end_unstored(message);
        let stored = self.shared.head.get().seq;
        self.publish(&[end], stored)
    }

    pub(super) async fn clean_up(mut self: Box<Self>) {
        let id = self.shared.id;
        // A task that ends between two attempts has the directory of the last.
        let scratch = match self.last.take() {
            Some(last) => last.into_scratch().await,
            None => Arc::clone(&self.scratch),
        };
        // After the end something may have come still.
        catch_up(&self.shared.output).await;
        // Most tasks never had a directory, and seldom one leaves a write to its spill behind.
        let (made, writes) = (scratch.close(), !self.shared.output.try_close());
        if self.shared.is_left() {
            // What it has is the next host's. It is not forgotten here: that would take its log away.
            self.shared.set_gone(self.shared.now());
            return;
        }
        let attached = self.attached.take();
        if made || writes || attached.is_some() {
            let shared = Arc::clone(&self.shared);
            let (keeps, bytes_max) = {
                let state = shared.state();
                let keeps = state.details.scratch.unwrap_or_default().keeps(state.outcome.as_deref());
                (keeps, state.limits.scratch_bytes)
            };
            let cleaned = tokio::task::spawn_blocking(move || {
                if let Some(attached) = attached {
                    attached.remove();
                }
                shared.output.close();
                match keeps.then(|| shared.around.dirs.keep_scratch(&scratch, id, bytes_max)) {
                    Some(Ok(kept)) => drop(kept.map(|bytes| shared.kept_scratch.set(bytes))),
                    // A directory that cannot be kept, or removed, now goes with the host's own.
                    Some(Err(_)) => {}
                    None => drop(shared.around.dirs.remove_scratch(&scratch, id)),
                }
            });
            let _ = cleaned.await;
        }
        let now = self.shared.now();
        self.shared.set_gone(now);
        let forgotten = self.registry.retire(id, now.steady);
        forget(&self.shared.around, forgotten).await;
    }
}

/// What an event takes out of the state: the guest gets it once the event is folded in.
fn about_to_take(state: &TaskState, body: &EventBody) -> Option<Taken> {
    if let EventBody::SignalTaken { key, signal } = body {
        return Some(Taken::Signal(key.clone(), state.mailbox.get(key, *signal)?.clone()));
    }
    if let EventBody::InstructionTaken = body {
        return Some(Taken::Instruction(state.instructions.front()?.clone()));
    }
    None
}

/// Whether another question may be open after this event, or one less.
pub(super) fn changes_questions(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::ApprovalRequested { .. }
            | EventBody::ApprovalRepeated { .. }
            | EventBody::ApprovalDecided { .. }
            | EventBody::FuelRequested { .. }
            | EventBody::FuelAdded { .. }
            | EventBody::FuelRefused { .. }
            | EventBody::FuelRequestEnded { .. }
            | EventBody::AttemptEnded { .. }
            | EventBody::Finished { .. }
    )
}

/// Removes what is left of tasks that are forgotten. Their files go last, when the store is sure to know nothing of them: a
/// task that comes again with the next host has them.
pub(super) async fn forget(around: &Surroundings, tasks: Vec<TaskId>) {
    let Surroundings { store, dirs, .. } = around;
    let mut with_files = Vec::new();
    for forgotten in tasks {
        around.outbox.forget(forgotten);
        // What cannot be removed now goes with the host, or is found by the next one.
        if store.remove(StreamId::Task(forgotten)).await.is_ok() && dirs.has_files(forgotten) {
            with_files.push(forgotten);
        }
    }
    if with_files.is_empty() || store.flush().await.is_err() {
        return;
    }
    let dirs = Arc::clone(dirs);
    let removed = move || with_files.into_iter().for_each(|forgotten| dirs.remove_files(forgotten));
    let _ = tokio::task::spawn_blocking(removed).await;
}
