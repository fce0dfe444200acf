//! What a cancel came to, with its moments: the receipt for whoever asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{Event, EventBody, EventSeq};
use super::ids::{SignalKey, TaskRef};
use super::outcome::Outcome;
use super::request::CancelRequest;
use super::snapshot::Artifact;
use super::time::Timestamp;
use super::wire::millis;

/// What a cancelled task came to. The durations are measured on a clock that never jumps; the dates are for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CancelReceipt {
    /// Who asked first and why, with the shortest grace that anybody asked for.
    pub request: CancelRequest,
    /// When it was asked for the first time.
    pub asked_at: Timestamp,
    /// How the task ended, which need not be cancelled: it may have been done, or have met a limit.
    pub outcome: Outcome,
    /// When the outcome stood.
    pub outcome_at: Timestamp,
    /// When its cell and its directory were gone.
    pub gone_at: Timestamp,
    /// From the asking to the outcome.
    #[serde(rename = "to_outcome_ms", with = "millis")]
    pub to_outcome: Duration,
    /// From the asking until the cell and its directory were gone.
    #[serde(rename = "to_gone_ms", with = "millis")]
    pub to_gone: Duration,
    /// What the task had done outside its cell before its end, in order. Nothing of it is undone.
    pub effects: Vec<Effect>,
    /// Whether these are all effects; `false` when the store could not be read.
    pub effects_complete: bool,
}

/// Something that a task did outside its cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Effect {
    /// It sent a message to its agent.
    #[non_exhaustive]
    AgentMessage {
        /// The event that says so.
        seq: EventSeq,
        /// The message, as the guest wrote it: escape it before showing it.
        message: String,
    },
    /// It sent a signal to another task, which may have taken it or not.
    #[non_exhaustive]
    SignalSent {
        /// The event that says so.
        seq: EventSeq,
        /// To which task.
        target: TaskRef,
        /// For which key.
        key: SignalKey,
    },
    /// It called a function of the host's.
    HostCalled {
        /// The event that says so.
        seq: EventSeq,
        /// The function's name.
        name: String,
    },
    /// It attached a file.
    #[non_exhaustive]
    ArtifactAttached {
        /// The event that says so.
        seq: EventSeq,
        /// The file.
        artifact: Artifact,
    },
}

impl Effect {
    /// The effect that an event tells of, if it tells of one.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let seq = event.seq;
        match &event.body {
            EventBody::AgentMessage { message, .. } => Some(Self::AgentMessage { seq, message: message.clone() }),
            EventBody::SignalSent { target, key } => {
                Some(Self::SignalSent { seq, target: target.clone(), key: key.clone() })
            }
            EventBody::HostCalled { name } => Some(Self::HostCalled { seq, name: name.clone() }),
            EventBody::ArtifactAttached(artifact) => Some(Self::ArtifactAttached { seq, artifact: artifact.clone() }),
            EventBody::Created { .. }
            | EventBody::Due
            | EventBody::Started { .. }
            | EventBody::AttemptEnded { .. }
            | EventBody::Instructed(_)
            | EventBody::InstructionTaken
            | EventBody::InstructionWaitStarted { .. }
            | EventBody::InstructionWaitEnded { .. }
            | EventBody::ApprovalRequested { .. }
            | EventBody::ApprovalRepeated { .. }
            | EventBody::ApprovalDecided { .. }
            | EventBody::UsageRecorded { .. }
            | EventBody::ChildStarted { .. }
            | EventBody::ChildEnded { .. }
            | EventBody::ChildWaitStarted { .. }
            | EventBody::ChildWaitEnded { .. }
            | EventBody::Progress { .. }
            | EventBody::WaitStarted { .. }
            | EventBody::WaitEnded { .. }
            | EventBody::SignalReceived { .. }
            | EventBody::SignalTaken { .. }
            | EventBody::Updated { .. }
            | EventBody::Paused { .. }
            | EventBody::Resumed { .. }
            | EventBody::MessageSettled { .. }
            | EventBody::FuelRequested { .. }
            | EventBody::FuelAdded { .. }
            | EventBody::FuelRefused { .. }
            | EventBody::FuelRequestEnded { .. }
            | EventBody::BudgetLow { .. }
            | EventBody::HourUsedUp { .. }
            | EventBody::FuelRenewed { .. }
            | EventBody::DaemonGivenUp { .. }
            | EventBody::Stalled { .. }
            | EventBody::Panicked { .. }
            | EventBody::Detached { .. }
            | EventBody::DeliverySet { .. }
            | EventBody::CancelRequested(_)
            | EventBody::Finished { .. }
            | EventBody::OnTerminalDone { .. }
            | EventBody::HookDone { .. }
            | EventBody::Plan { .. }
            | EventBody::Schedule { .. }
            | EventBody::Schedules { .. }
            | EventBody::Denied { .. }
            | EventBody::Revoked { .. }
            | EventBody::FolderRoomTaken { .. }
            | EventBody::LateSignal { .. } => None,
        }
    }
}
