//! The one place that decides: state and command in, events and an answer out. No clock, no I/O, no surprise.

mod asking;
mod delivering;
mod ending;
pub(crate) mod external;
pub(crate) mod granting;
mod hours;
mod planning;
mod restarting;
mod spending;
mod telling;
pub(crate) mod updating;
mod waiting;

use super::approval::{ApprovalDecision, ApprovalNumber};
use super::command::{Answer, Command, Decision, GrantCommand};
use super::event::{EventBody, WaitEnd};
use super::outcome::{Failure, FailureKind, Outcome};
use super::plan::PlanError;
use super::signal::{Instruction, NotifyAnswer, Party, Signal};
use super::snapshot::{Phase, Usage, WaitPoint};
use super::state::TaskState;
use super::text;

pub(crate) use asking::no_fuel;
pub(crate) use spending::check_percent;
pub(crate) use waiting::{is_parked, over};

/// Why a guest's call was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    pub(crate) message: String,
}

/// The contract's list of reasons to refuse a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    InvalidArgument,
    Denied,
    TooLarge,
    NotFound,
    Ended,
    TimedOut,
    Cancelled,
    Host,
    Failed,
    NoTask,
    /// Somebody else was faster.
    Conflict,
}

impl RefusalKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid-argument",
            Self::Denied => "denied",
            Self::TooLarge => "too-large",
            Self::NotFound => "not-found",
            Self::Ended => "ended",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Host => "host",
            Self::Failed => "failed",
            Self::NoTask => "no-task",
            Self::Conflict => "conflict",
        }
    }
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Decides one command. The caller appends the events, folds them into the state, and only then passes the answer on.
pub(crate) fn step(state: &TaskState, command: Command) -> Decision {
    match (state.phase, command) {
        (None, Command::Create { task, input, limits, details, approval }) => {
            let created = EventBody::Created { task, input, limits, details };
            let ask = approval.map(|ask| EventBody::ApprovalRequested { number: ApprovalNumber(1), ask: *ask });
            Decision { events: std::iter::once(created).chain(ask).collect(), answer: Answer::Done }
        }
        (None, _) | (Some(_), Command::Create { .. }) => {
            Decision::refused(RefusalKind::Host, "a task is created once, and first")
        }
        (Some(Phase::Ended), command) => after_the_end(&command),
        (Some(Phase::Queued), Command::Start) => {
            let started = EventBody::Started { attempt: state.attempt + 1 };
            let events = std::iter::once(started).chain(planning::at_start(state)).collect();
            Decision { events, answer: Answer::Done }
        }
        (Some(Phase::Delayed), Command::Due) => Decision::done(EventBody::Due),
        (Some(Phase::Held | Phase::Delayed | Phase::Queued | Phase::Running), command) => {
            match over_budget(state, &command) {
                Some(decision) => decision,
                None => close(state, live(state, command)),
            }
        }
    }
}

/// Keeps a guest from filling the host's memory with its own log. What it may still do then ends or shrinks it.
#[expect(clippy::wildcard_enum_match_arm, reason = "progress is counted apart, and whatever else there is together")]
fn over_budget(state: &TaskState, command: &Command) -> Option<Decision> {
    let (events_max, bytes_max) = (state.limits.log_events, state.limits.log_bytes);
    // Progress has a budget of its own, so that a task which reports a lot can still wait; and others have one, so that
    // they cannot use the task's up.
    let is_full = match command {
        Command::Progress { last, .. } => !last && state.is_full_of_progress(),
        Command::Notify {
            signal: Signal { sender: by @ (Party::Task(_) | Party::Person | Party::Agent | Party::Host), .. },
            ..
        }
        | Command::Instruct(Instruction { by, .. })
        | Command::Pause { by, .. }
        | Command::SetDelivery { by, .. } => state.is_full_of_others(*by),
        Command::Update { by, .. } if *by != Party::Itself => state.is_full_of_others(*by),
        Command::AddFuel { by, .. } => state.fuel_request().is_none() && state.is_full_of_others(*by),
        Command::Plan(command) => planning::is_full(state, command),
        Command::Grant(command) => return granting::over_budget(state, command),
        _ => state.is_full(),
    };
    if !is_full {
        return None;
    }
    let full = || {
        let size = text::bytes(bytes_max);
        format!("this task has written {events_max} events or {size} into its log, and may not write more")
    };
    match command {
        Command::Progress { .. }
        | Command::MessageAgent { .. }
        | Command::Attach(_)
        | Command::Update { .. }
        | Command::CallHost { .. }
        | Command::Wait { .. }
        | Command::NextInstruction { .. }
        | Command::RequestApproval(_)
        | Command::RecordUsage { .. }
        | Command::StartChild { .. }
        | Command::WaitChild { .. }
        | Command::SendSignal { .. }
        | Command::RequestFuel { .. } => Some(Decision::refused(RefusalKind::TooLarge, full())),
        Command::Stalled { .. } | Command::Pause { .. } | Command::AddFuel { .. } | Command::SetDelivery { .. } => {
            Some(Decision::only(Answer::Unchanged))
        }
        Command::Notify { .. } | Command::Instruct(_) => Some(Decision::only(Answer::Notified(NotifyAnswer::Full))),
        Command::Plan(_) => Some(Decision::only(Answer::PlanRefused(PlanError::LogFull))),
        Command::Create { .. }
        | Command::Due
        | Command::Start
        | Command::Poll { .. }
        | Command::WaitTimedOut { .. }
        | Command::CancelWait { .. }
        | Command::SettleMessage { .. }
        | Command::InstructionTimedOut
        | Command::DecideApproval { .. }
        | Command::ApprovalTimedOut { .. }
        | Command::ChildEnded { .. }
        | Command::ChildTimedOut
        | Command::SetOutcome { .. }
        | Command::Panic { .. }
        | Command::Resume { .. }
        | Command::RefuseFuel { .. }
        | Command::FuelRequestTimedOut
        | Command::FuelLow { .. }
        | Command::FuelOut { .. }
        | Command::NewHour { .. }
        | Command::Idle { .. }
        | Command::Detach { .. }
        | Command::Cancel { .. }
        | Command::GraceOver { .. }
        | Command::DeadlineReached { .. }
        | Command::HostRestarted { .. }
        | Command::Grant(_)
        | Command::CellEnded { .. } => None,
    }
}

fn after_the_end(command: &Command) -> Decision {
    Decision::only(match command {
        Command::Notify { .. } | Command::Instruct(_) => Answer::Notified(NotifyAnswer::NoTask),
        Command::Wait { .. } => Answer::WaitOver(WaitEnd::Cancelled),
        Command::Plan(_) => Answer::PlanRefused(PlanError::Ended),
        Command::Poll { .. }
        | Command::Progress { .. }
        | Command::MessageAgent { .. }
        | Command::Attach(_)
        | Command::CallHost { .. }
        | Command::SendSignal { .. }
        | Command::NextInstruction { .. }
        | Command::RequestApproval(_)
        | Command::RecordUsage { .. }
        | Command::StartChild { .. }
        | Command::WaitChild { .. }
        | Command::Grant(GrantCommand::Ask(_))
        | Command::RequestFuel { .. } => {
            Answer::Refused(Refusal::new(RefusalKind::Ended, "the task has its outcome already"))
        }
        Command::Create { .. }
        | Command::Due
        | Command::Start
        | Command::WaitTimedOut { .. }
        | Command::CancelWait { .. }
        | Command::SettleMessage { .. }
        | Command::InstructionTimedOut
        | Command::DecideApproval { .. }
        | Command::ApprovalTimedOut { .. }
        | Command::ChildEnded { .. }
        | Command::ChildTimedOut
        | Command::SetOutcome { .. }
        | Command::Update { .. }
        | Command::Panic { .. }
        | Command::Pause { .. }
        | Command::Resume { .. }
        | Command::AddFuel { .. }
        | Command::RefuseFuel { .. }
        | Command::FuelRequestTimedOut
        | Command::FuelLow { .. }
        | Command::FuelOut { .. }
        | Command::NewHour { .. }
        | Command::Stalled { .. }
        | Command::Idle { .. }
        | Command::Detach { .. }
        | Command::SetDelivery { .. }
        | Command::Cancel { .. }
        | Command::GraceOver { .. }
        | Command::DeadlineReached { .. }
        | Command::HostRestarted { .. }
        | Command::Grant(GrantCommand::Denied { .. } | GrantCommand::Revoke { .. } | GrantCommand::TakeRoom { .. })
        | Command::CellEnded { .. } => Answer::AlreadyEnded,
    })
}

fn live(state: &TaskState, command: Command) -> Decision {
    match command {
        Command::Create { .. } | Command::Start => Decision::only(Answer::Done),
        Command::Progress { message, percent, restarted, merged, last: _ } => {
            spending::progress(state, message, percent, restarted, merged)
        }
        Command::Wait { keys, senders, timeout } => waiting::wait(state, keys, senders, timeout),
        Command::Poll { key } => waiting::poll(state, key),
        Command::WaitTimedOut { wait } => waiting::end_wait(state, |point| point.wait == wait, WaitEnd::TimedOut),
        Command::CancelWait { key } => {
            let is_meant = |point: &WaitPoint| key.as_ref().is_none_or(|key| point.keys.contains(key));
            waiting::end_wait(state, is_meant, WaitEnd::WaitCancelled)
        }
        Command::Notify { key, signal } => waiting::notify(state, key, signal),
        Command::Instruct(instruction) => waiting::instruct(state, instruction),
        Command::NextInstruction { timeout } => waiting::next_instruction(state, timeout),
        Command::InstructionTimedOut => waiting::instruction_timed_out(state),
        Command::MessageAgent { message, trigger, once, room } => {
            telling::message_agent(state, message, trigger, once, room)
        }
        Command::SettleMessage { number, how } => telling::settle_message(state, number, how),
        Command::RequestApproval(ask) => asking::request_approval(state, ask),
        Command::DecideApproval { number, decision, ruling } => {
            asking::decide_approval(state, number, decision, &ruling)
        }
        Command::ApprovalTimedOut { number, usage } => asking::approval_timed_out(state, number, usage),
        Command::RecordUsage { tool, tokens, actions, usage } => {
            spending::record(state, tool, tokens, actions, state.with_told(usage))
        }
        Command::StartChild { child, task, fuel, detached } => {
            spending::start_child(state, child, task, fuel, detached)
        }
        Command::ChildEnded { child, outcome, fuel } => spending::child_ended(state, child, outcome, fuel),
        Command::WaitChild { child, timeout } => waiting::wait_child(state, child, timeout),
        Command::ChildTimedOut => waiting::child_timed_out(state),
        Command::SetOutcome { outcome, by, usage } => ending::set_outcome(outcome, by, state.with_told(usage)),
        Command::Update { expected, patch, by } => updating::update(state, expected, *patch, by),
        Command::CallHost { .. } if state.cancel.is_some() => {
            Decision::refused(RefusalKind::Cancelled, "the task was asked to stop")
        }
        Command::CallHost { name } => Decision::done(EventBody::HostCalled { name }),
        Command::Attach(artifact) => Decision::done(EventBody::ArtifactAttached(artifact)),
        Command::Panic { message, place } => match state.panic {
            // The first panic is the cause; one inside a panic hook is its consequence.
            Some(_) => Decision::only(Answer::Done),
            None => Decision::done(EventBody::Panicked { message, place }),
        },
        Command::SendSignal { target, key } => Decision::done(EventBody::SignalSent { target, key }),
        Command::Pause { by, reason } => pause(state, by, reason),
        Command::Resume { by } => match state.paused {
            Some(_) => Decision::done(EventBody::Resumed { by }),
            None => Decision::only(Answer::Unchanged),
        },
        Command::RequestFuel { units, reason, timeout } => asking::request_fuel(state, units, reason, timeout),
        Command::Due | Command::AddFuel { units: 0, .. } => Decision::only(Answer::Unchanged),
        Command::AddFuel { units, by } => Decision::done(EventBody::FuelAdded { units, by, approval: None }),
        Command::RefuseFuel { by, reason } => match state.fuel_request() {
            Some(_) => Decision::done(EventBody::FuelRefused { by, reason }),
            None => Decision::only(Answer::Unchanged),
        },
        Command::FuelRequestTimedOut => match state.fuel_request() {
            Some(_) => Decision::done(EventBody::FuelRequestEnded { reason: WaitEnd::TimedOut }),
            None => Decision::only(Answer::Unchanged),
        },
        Command::FuelLow { used } => spending::fuel_low(state, used),
        Command::FuelOut { used } => hours::fuel_out(state, used),
        Command::NewHour { used } => hours::new_hour(state, used),
        // Whoever looked at the task may have done so just before it was parked.
        Command::Stalled { .. } | Command::Idle { .. } if !state.idle_runs() => Decision::only(Answer::Unchanged),
        Command::Stalled { fuel, quiet } => Decision::done(EventBody::Stalled { fuel, quiet }),
        Command::Idle { usage } => failed(state, FailureKind::Idle, "idle_ms", spending::idle(state), usage),
        Command::Detach { by } => delivering::detach(state, by),
        Command::SetDelivery { delivery, continue_policy, by } => {
            delivering::set_delivery(state, delivery, continue_policy, by)
        }
        Command::Cancel { request, usage } => ending::cancel(state, request, usage),
        Command::GraceOver { usage } => match &state.cancel {
            Some(request) => ending::finish(ending::cancelled(request, true, true), state.with_told(usage)),
            None => Decision::only(Answer::Done),
        },
        Command::DeadlineReached { usage } => {
            let message = format!("the task did not end within its {}", text::duration(state.limits.timeout));
            failed(state, FailureKind::Timeout, "timeout_ms", message, usage)
        }
        Command::CellEnded { end, usage, chance } => ending::cell_ended(state, end, state.with_told(usage), chance),
        Command::Plan(command) => planning::decide(state, command),
        Command::Grant(command) => granting::decide(state, command),
        Command::HostRestarted { fit, now } => restarting::host_restarted(state, fit, now),
    }
}

/// A question that is open when the task ends is decided by that, so that the log has a decision about each; and so is
/// each step of its plan that is not over.
fn close(state: &TaskState, mut decision: Decision) -> Decision {
    let is_end = |event: &EventBody| matches!(event, EventBody::Finished { .. });
    let is_decision = |event: &EventBody| matches!(event, EventBody::ApprovalDecided { .. });
    let Some(end) = decision.events.iter().position(is_end) else { return decision };
    if !decision.events.iter().any(is_decision) {
        let cancelled = |number| EventBody::ApprovalDecided { number, decision: ApprovalDecision::Cancelled };
        let open = state.approvals.iter().map(|pending| cancelled(pending.number));
        decision.events.splice(end..end, open.collect::<Vec<_>>());
    }
    planning::settle(state, &mut decision);
    decision
}

fn failed(state: &TaskState, kind: FailureKind, limit: &'static str, message: String, usage: Usage) -> Decision {
    ending::finish(Outcome::Failed(Failure::at_limit(kind, limit, message)), state.with_told(usage))
}

fn pause(state: &TaskState, by: Party, reason: String) -> Decision {
    // A task that shall stop needs its grace to do so.
    if state.paused.is_some() || state.cancel.is_some() {
        return Decision::only(Answer::Unchanged);
    }
    Decision::done(EventBody::Paused { by, reason })
}
