//! What a guest is parked in until somebody sends, says or ends something.

use std::time::Duration;

use super::{Refusal, RefusalKind};
use crate::model::command::{Answer, Decision};
use crate::model::event::{EventBody, WaitEnd};
use crate::model::ids::{SignalKey, TaskId};
use crate::model::signal::{Instruction, NotifyAnswer, Senders, Signal};
use crate::model::snapshot::WaitPoint;
use crate::model::state::{ParkPoint, TaskState};

/// Keys of one wait. Protects the log from the guest.
const KEYS_MAX: usize = 64;
/// Instructions that are kept. Protects the task from whoever talks to it without end.
const INSTRUCTIONS_MAX: usize = 1024;

/// A guest that is parked cannot call; if it could, the first call would never be answered.
pub(super) fn parked_already(state: &TaskState) -> Option<Decision> {
    state.parked.is_some().then(|| Decision::only(Answer::Refused(is_parked())))
}

/// What a guest is told that calls while it is parked.
pub(crate) fn is_parked() -> Refusal {
    Refusal::new(RefusalKind::Host, "the task is parked in another call already")
}

pub(super) fn wait(state: &TaskState, keys: Vec<SignalKey>, senders: Senders, timeout: Option<Duration>) -> Decision {
    if let Some(refused) = parked_already(state) {
        return refused;
    }
    if keys.is_empty() || keys.len() > KEYS_MAX {
        let message = format!("a wait has 1 to {KEYS_MAX} keys, and this one has {}", keys.len());
        return Decision::refused(RefusalKind::InvalidArgument, message);
    }
    if state.cancel.is_some() {
        return Decision::only(Answer::WaitOver(WaitEnd::Cancelled));
    }
    if let Some(taken) = take(state, &keys, &senders) {
        return taken;
    }
    if timeout == Some(Duration::ZERO) {
        return Decision::only(Answer::WaitOver(WaitEnd::TimedOut));
    }
    let wait = state.waits + 1;
    Decision { events: vec![EventBody::WaitStarted { wait, keys, senders, timeout }], answer: Answer::Parked }
}

pub(super) fn poll(state: &TaskState, key: SignalKey) -> Decision {
    take(state, &[key], &Senders::default()).unwrap_or_else(|| Decision::only(Answer::NoSignal))
}

/// Takes the oldest signal that fits.
fn take(state: &TaskState, keys: &[SignalKey], senders: &Senders) -> Option<Decision> {
    let (key, kept) = state.mailbox.oldest(keys, senders)?;
    let event = EventBody::SignalTaken { key: key.clone(), signal: kept.seq };
    Some(Decision { events: vec![event], answer: Answer::Signal(key.clone(), kept.signal.clone()) })
}

pub(super) fn end_wait(state: &TaskState, is_meant: impl Fn(&WaitPoint) -> bool, reason: WaitEnd) -> Decision {
    match state.waiting() {
        Some(point) if is_meant(point) => {
            Decision { events: vec![EventBody::WaitEnded { wait: point.wait, reason }], answer: Answer::Done }
        }
        Some(_) | None => Decision::only(Answer::NoSignal),
    }
}

/// What ends whatever the guest is parked in, for this reason.
pub(super) fn unpark(state: &TaskState, reason: WaitEnd) -> Option<EventBody> {
    Some(match state.parked.as_ref()? {
        ParkPoint::Wait(point) => EventBody::WaitEnded { wait: point.wait, reason },
        ParkPoint::Fuel(_) => EventBody::FuelRequestEnded { reason },
        ParkPoint::Instruction => EventBody::InstructionWaitEnded { reason },
        ParkPoint::Child(_) => EventBody::ChildWaitEnded { reason },
        // It is ended with the questions themselves.
        ParkPoint::Approval(_) => return None,
    })
}

pub(super) fn notify(state: &TaskState, key: SignalKey, signal: Signal) -> Decision {
    let parked = state.waits_for(&key, signal.sender);
    if !parked && !state.mailbox.fits(&key, &signal, &state.limits) {
        return Decision::only(Answer::Notified(NotifyAnswer::Full));
    }
    let mut events = vec![EventBody::SignalReceived { key: key.clone(), signal }];
    if parked {
        events.push(EventBody::SignalTaken { key, signal: state.seq.next() });
    }
    let answer = if parked { NotifyAnswer::Delivered } else { NotifyAnswer::Buffered };
    Decision { events, answer: Answer::Notified(answer) }
}

pub(super) fn instruct(state: &TaskState, instruction: Instruction) -> Decision {
    let parked = state.parked == Some(ParkPoint::Instruction);
    if !parked && state.instructions.len() >= INSTRUCTIONS_MAX {
        return Decision::only(Answer::Notified(NotifyAnswer::Full));
    }
    let mut events = vec![EventBody::Instructed(instruction)];
    if parked {
        events.push(EventBody::InstructionTaken);
    }
    let answer = if parked { NotifyAnswer::Delivered } else { NotifyAnswer::Buffered };
    Decision { events, answer: Answer::Notified(answer) }
}

pub(super) fn next_instruction(state: &TaskState, timeout: Option<Duration>) -> Decision {
    if let Some(refused) = parked_already(state) {
        return refused;
    }
    if let Some(oldest) = state.instructions.front().cloned() {
        return Decision { events: vec![EventBody::InstructionTaken], answer: Answer::Instruction(Some(oldest)) };
    }
    if state.cancel.is_some() {
        return Decision::refused(RefusalKind::Cancelled, "the task was asked to stop");
    }
    if timeout == Some(Duration::ZERO) {
        return Decision::only(Answer::Instruction(None));
    }
    Decision { events: vec![EventBody::InstructionWaitStarted { timeout }], answer: Answer::Parked }
}

pub(super) fn instruction_timed_out(state: &TaskState) -> Decision {
    if state.parked == Some(ParkPoint::Instruction) {
        return Decision::done(EventBody::InstructionWaitEnded { reason: WaitEnd::TimedOut });
    }
    Decision::only(Answer::Unchanged)
}

pub(super) fn wait_child(state: &TaskState, child: TaskId, timeout: Option<Duration>) -> Decision {
    if let Some(refused) = parked_already(state) {
        return refused;
    }
    let Some(known) = state.children.iter().find(|known| known.id == child) else {
        return Decision::refused(RefusalKind::NotFound, "this task has no child of this id");
    };
    if known.outcome.is_some() {
        return Decision::only(Answer::ChildOver);
    }
    if state.cancel.is_some() {
        return Decision::refused(RefusalKind::Cancelled, "the task was asked to stop");
    }
    if timeout == Some(Duration::ZERO) {
        return Decision::only(Answer::WaitOver(WaitEnd::TimedOut));
    }
    Decision { events: vec![EventBody::ChildWaitStarted { child, timeout }], answer: Answer::Parked }
}

pub(super) fn child_timed_out(state: &TaskState) -> Decision {
    if state.awaited_child().is_some() {
        return Decision::done(EventBody::ChildWaitEnded { reason: WaitEnd::TimedOut });
    }
    Decision::only(Answer::Unchanged)
}

/// What a guest is told whose wait for something else than a signal ended without it.
pub(crate) fn over(reason: WaitEnd) -> Refusal {
    match reason {
        WaitEnd::TimedOut => Refusal::new(RefusalKind::TimedOut, "nobody answered in time"),
        WaitEnd::Cancelled | WaitEnd::WaitCancelled => {
            Refusal::new(RefusalKind::Cancelled, "the task was asked to stop")
        }
    }
}
