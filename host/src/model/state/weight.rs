//! What things weigh that a task's log and its state hold.

use serde_json::Value;

use crate::model::approval::ApprovalDecision;
use crate::model::details::TaskDetails;
use crate::model::event::EventBody;
use crate::model::ids::TaskRef;
use crate::model::json;
use crate::model::limits::Limits;
use crate::model::outbox::message_bytes;
use crate::model::outcome::{Failure, Outcome};

/// What a payload weighs, as text and as values.
pub(crate) fn payload_bytes(payload: Option<&Value>) -> u64 {
    payload.map_or(0, json::weight)
}

/// What an outcome carries.
pub(crate) fn outcome_bytes(outcome: &Outcome) -> u64 {
    let texts = match outcome {
        Outcome::Succeeded { message, data: _ } => message.len(),
        Outcome::Cancelled { message, reason, .. } => message.len() + reason.len(),
        Outcome::Failed(failure) => failure_texts(failure),
    };
    texts as u64 + payload_bytes(outcome.data())
}

fn failure_texts(failure: &Failure) -> usize {
    let lines = failure.backtrace.iter().map(|line| size_of::<String>() + line.len()).sum::<usize>();
    failure.message.len() + lines + failure.limit.as_ref().map_or(0, |limit| limit.len())
}

fn ref_bytes(task: &TaskRef) -> usize {
    task.plugin.len() + task.task_type.len() + task.key.as_str().len()
}

/// What an event weighs beyond its fixed size.
#[expect(clippy::wildcard_enum_match_arm, reason = "all but these are weighed in one place")]
pub(crate) fn event_bytes(body: &EventBody) -> u64 {
    match body {
        EventBody::Created { task, input, details, .. } => {
            let fixed = size_of::<Limits>() + size_of::<TaskDetails>() + ref_bytes(task);
            fixed as u64 + payload_bytes(Some(input)) + details.weight()
        }
        EventBody::Finished { outcome, .. } => size_of::<Outcome>() as u64 + outcome_bytes(outcome),
        EventBody::AttemptEnded { .. } => size_of::<Failure>() as u64 + written_bytes(body),
        EventBody::Panicked { message, place } => (message.len() + place.len()) as u64,
        EventBody::CancelRequested(request) => request.reason.len() as u64,
        EventBody::OnTerminalDone { name, error } => {
            [name, error].into_iter().flatten().map(|text| text.len() as u64).sum()
        }
        EventBody::HookDone { error: Some(failure), .. } => failure.message.len() as u64,
        _ => written_bytes(body),
    }
}

/// What an event weighs beyond its fixed size, when somebody outside chose what it says.
pub(super) fn written_bytes(body: &EventBody) -> u64 {
    let text = match body {
        EventBody::Progress { message, .. } => message.len(),
        EventBody::AgentMessage { message, once, .. } => {
            return message_bytes(message, once.as_ref());
        }
        EventBody::SignalReceived { key, signal } => {
            return key.as_str().len() as u64 + payload_bytes(signal.payload.as_ref());
        }
        EventBody::SignalTaken { key, .. } => key.as_str().len(),
        EventBody::WaitStarted { keys, .. } => keys.iter().map(|key| key.as_str().len()).sum(),
        EventBody::SignalSent { target, key } => ref_bytes(target) + key.as_str().len(),
        EventBody::FuelRequested { reason, .. }
        | EventBody::Paused { reason, .. }
        | EventBody::FuelRefused { reason, .. } => reason.len(),
        EventBody::ArtifactAttached(artifact) => artifact.name.len() + artifact.media_type.len(),
        EventBody::Instructed(instruction) => instruction.text.len(),
        EventBody::Updated { patch, .. } => patch.bytes(),
        EventBody::ApprovalRequested { ask, .. } => {
            let texts = ask.kind.len() + ask.reason.len() + ask.summary.len();
            return texts as u64 + payload_bytes(ask.metadata.as_ref());
        }
        EventBody::ApprovalDecided { decision, .. } => match decision {
            ApprovalDecision::Approved { input, .. } => return payload_bytes(input.as_ref()),
            ApprovalDecision::Denied { reason, .. } => reason.len(),
            ApprovalDecision::TimedOut | ApprovalDecision::Cancelled => 0,
        },
        EventBody::UsageRecorded { tool: name, .. } | EventBody::HostCalled { name } => name.len(),
        EventBody::FolderRoomTaken { folder, .. } => folder.len(),
        EventBody::Denied { scope, reason, rule, .. } => scope.len() + reason.len() + rule.len(),
        EventBody::Plan { change } => change.bytes(),
        EventBody::ChildStarted { task, .. } => ref_bytes(task),
        EventBody::AttemptEnded { failure, .. } => {
            return failure_texts(failure) as u64 + payload_bytes(failure.error.as_ref());
        }
        EventBody::Created { .. }
        | EventBody::Due
        | EventBody::Started { .. }
        | EventBody::WaitEnded { .. }
        | EventBody::MessageSettled { .. }
        | EventBody::InstructionTaken
        | EventBody::InstructionWaitStarted { .. }
        | EventBody::InstructionWaitEnded { .. }
        | EventBody::ApprovalRepeated { .. }
        | EventBody::ChildEnded { .. }
        | EventBody::ChildWaitStarted { .. }
        | EventBody::ChildWaitEnded { .. }
        | EventBody::Resumed { .. }
        | EventBody::FuelAdded { .. }
        | EventBody::FuelRequestEnded { .. }
        | EventBody::BudgetLow { .. }
        | EventBody::HourUsedUp { .. }
        | EventBody::FuelRenewed { .. }
        | EventBody::DaemonGivenUp { .. }
        | EventBody::Stalled { .. }
        | EventBody::Panicked { .. }
        | EventBody::Revoked { .. }
        | EventBody::Detached { .. }
        | EventBody::DeliverySet { .. }
        | EventBody::CancelRequested(_)
        | EventBody::Finished { .. }
        | EventBody::OnTerminalDone { .. }
        | EventBody::HookDone { .. }
        | EventBody::Schedule { .. }
        | EventBody::Schedules { .. }
        | EventBody::LateSignal { .. } => 0,
    };
    text as u64
}
