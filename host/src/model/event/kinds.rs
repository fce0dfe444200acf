//! What can be told of an event by its kind.

use crate::model::approval::ApprovalAsk;
use crate::model::signal::Party;

use super::EventBody;

impl EventBody {
    /// Whether the guest made this event by a call of its own, so that it counts against `events_per_second`.
    pub(crate) fn is_by_guest(&self) -> bool {
        match self {
            Self::WaitStarted { .. }
            | Self::SignalTaken { .. }
            | Self::AgentMessage { .. }
            | Self::SignalSent { .. }
            | Self::HostCalled { .. }
            | Self::ArtifactAttached(_)
            | Self::FuelRequested { .. }
            | Self::InstructionTaken
            | Self::InstructionWaitStarted { .. }
            | Self::UsageRecorded { .. }
            | Self::ChildStarted { .. }
            | Self::ChildWaitStarted { .. }
            | Self::ApprovalRepeated { .. }
            | Self::Denied { .. }
            | Self::Panicked { .. } => true,
            Self::SignalReceived { signal, .. } => signal.sender == Party::Itself,
            Self::Updated { by, .. } => *by == Party::Itself,
            Self::ApprovalRequested { ask, .. } => ask.kind != ApprovalAsk::START,
            Self::Plan { change } => change.is_by_guest(),
            // Progress has a limit of its own.
            Self::Progress { .. }
            | Self::Created { .. }
            | Self::Due
            | Self::MessageSettled { .. }
            | Self::Started { .. }
            | Self::AttemptEnded { .. }
            | Self::Instructed(_)
            | Self::InstructionWaitEnded { .. }
            | Self::ApprovalDecided { .. }
            | Self::ChildEnded { .. }
            | Self::ChildWaitEnded { .. }
            | Self::WaitEnded { .. }
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::FuelAdded { .. }
            | Self::FuelRefused { .. }
            | Self::FuelRequestEnded { .. }
            | Self::BudgetLow { .. }
            | Self::HourUsedUp { .. }
            | Self::FuelRenewed { .. }
            | Self::DaemonGivenUp { .. }
            | Self::Stalled { .. }
            | Self::Detached { .. }
            | Self::DeliverySet { .. }
            | Self::CancelRequested(_)
            | Self::Finished { .. }
            | Self::OnTerminalDone { .. }
            | Self::HookDone { .. }
            | Self::LateSignal { .. }
            | Self::Revoked { .. }
            | Self::FolderRoomTaken { .. }
            | Self::Schedule { .. }
            | Self::Schedules { .. } => false,
        }
    }

    /// Whether a store answers for the event only when it outlives the machine, and not the process alone. A report of
    /// progress, a warning, and that a guest waits or calls for something say nothing that its next attempt would not find
    /// out again; everything else is durable.
    pub fn is_durable(&self) -> bool {
        !matches!(
            self,
            Self::Progress { .. }
                | Self::WaitStarted { .. }
                | Self::InstructionWaitStarted { .. }
                | Self::ChildWaitStarted { .. }
                | Self::HostCalled { .. }
                | Self::BudgetLow { .. }
                | Self::HourUsedUp { .. }
                | Self::FuelRenewed { .. }
                | Self::Stalled { .. }
        )
    }

    /// Whether others make such events as often as they like.
    pub(crate) fn is_by_others(&self) -> bool {
        if let Self::Plan { change } = self {
            return change.is_by_others();
        }
        matches!(
            self,
            Self::SignalReceived { .. }
                | Self::Instructed(_)
                | Self::Updated { .. }
                | Self::ApprovalDecided { .. }
                | Self::Paused { .. }
                | Self::Resumed { .. }
                | Self::FuelAdded { .. }
                | Self::FuelRefused { .. }
                | Self::DeliverySet { .. }
        )
    }
}
