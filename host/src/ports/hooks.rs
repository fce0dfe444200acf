//! What a hook is run with, and what it is answered: it belongs to no task, so there is nobody to ask.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use crate::model::hook::AnyHook;
use crate::model::ids::PluginDigest;
use crate::model::limits::Limits;
use crate::model::machine::{Refusal, RefusalKind};

use super::functions::HostCallError;
use super::kv::PluginStore;
use super::output::OutputLog;
use super::runner::{GuestCall, NoSignal};
use super::secrets::Secrets;

/// A hook that is to be run.
#[derive(Debug)]
pub(crate) struct HookWork {
    pub(crate) plugin: PluginDigest,
    pub(crate) hook: AnyHook,
    /// What it is told.
    pub(crate) context: Value,
    pub(crate) limits: Limits,
    /// The plugin's configuration.
    pub(crate) config: Arc<Value>,
    /// The plugin's store, if the hook may use it.
    pub(crate) kv: Option<Arc<PluginStore>>,
    /// Where its log goes, and what it prints.
    pub(crate) output: Arc<OutputLog>,
    /// What is hidden in whatever it says.
    pub(crate) secrets: Arc<Secrets>,
    /// Becomes `true` when it has its place, and its time begins. So it does when this is dropped.
    pub(crate) begun: watch::Sender<bool>,
}

/// What whoever asks for a task is told where there is none.
pub(crate) fn no_task() -> Refusal {
    Refusal::new(
        RefusalKind::NoTask,
        "this runs beside the tasks and in none of them: it may read its configuration, use its store and write to the log",
    )
}

/// A panic, in the guest's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestPanic {
    pub(crate) message: String,
    pub(crate) place: String,
}

impl GuestCall {
    /// Answers a guest that has no task. What it says of its panic is not lost.
    pub(crate) fn refuse(self) -> Option<GuestPanic> {
        // Nobody listens any more when the cell was dropped meanwhile.
        match self {
            Self::Wait { reply, .. } => drop(reply.send(Err(NoSignal::Refused(no_task())))),
            Self::Poll { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::Notify { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::MessageAgent { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::Attach { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::RequestFuel { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::NotifyScope { reply, .. } | Self::CancelWait { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::NextInstruction { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::RequestApproval { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::SetNote { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::RecordUsage { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::StartChild { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::WaitChild { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::CancelChild { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::ChildState { reply, .. } => drop(reply.send(Err(no_task()))),
            Self::RunningChildren { reply } => drop(reply.send(Vec::new())),
            Self::ReadPlan { reply } => drop(reply.send(None)),
            Self::ChangePlan { reply, .. } | Self::Replan { reply, .. } => drop(reply.send(Err(no_task()))),
            // Without an answer it is denied for the reason that its mandate gives.
            Self::Permit { reply, .. } => drop(reply),
            Self::Denied { reply, .. } => drop(reply),
            // And there is no room.
            Self::TakeRoom { reply, .. } => drop(reply),
            Self::CallHost { reply, .. } => {
                let Refusal { kind, message } = no_task();
                drop(reply.send(Err(HostCallError::of(kind, message))));
            }
            #[cfg(feature = "wit-extension")]
            Self::CallTyped { reply, .. } => {
                let Refusal { kind, message } = no_task();
                drop(reply.send(Err(HostCallError::of(kind, message))));
            }
            Self::Panic { message, place, reply } => {
                let _ = reply.send(());
                return Some(GuestPanic { message, place });
            }
        }
        None
    }
}
