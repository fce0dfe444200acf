//! What the SDK needs from outside the task: the contract's imports, or the fake host that stands in for them.
//!
//! One trait for each page of the contract, with the contract's own shapes: JSON is text, a duration is milliseconds.

use crate::approval::Approval;
use crate::children::{Child, TaskOptions};
use crate::error::{HostError, Refused, WaitError};
use crate::values::{Artifact, CancelRequest, Delivery, Denied, NotifyResult, TaskInfo, TaskRef};
use crate::waiting::{Instruction, Reach, Scope, WaitFor};

/// The contract's `task`, apart from `report-panic`, which the panic hook calls without a [`crate::TaskCtl`].
pub(crate) trait TaskPage {
    fn info(&self) -> TaskInfo;
    fn cancel_requested(&self) -> Option<CancelRequest>;
    fn report_progress(&self, message: &str, percent: Option<u8>) -> Result<(), Refused>;
    fn restart_progress(&self, message: &str) -> Result<(), Refused>;
    fn heartbeat(&self);
    fn fuel_remaining(&self) -> u64;
    fn request_fuel(&self, units: u64, reason: &str, timeout_ms: Option<u64>) -> Result<u64, Refused>;
    fn record_usage(&self, tool: &str, tokens: u64, actions: u64) -> Result<(), Refused>;
    fn set_note(&self, note: Option<&str>) -> Result<(), Refused>;
}

/// The contract's `signals`.
pub(crate) trait SignalsPage {
    fn wait(&self, key: &str, timeout_ms: Option<u64>) -> Result<WireSignal, WaitEnd>;
    fn poll(&self, key: &str) -> Result<Option<WireSignal>, Refused>;
    fn notify(&self, target: &TaskRef, key: &str, payload: Option<&str>) -> Result<NotifyResult, Refused>;
    fn wait_any(&self, wait: &WaitFor, timeout_ms: Option<u64>) -> Result<(String, WireSignal), WaitEnd>;
    fn notify_scope(&self, scope: Scope, reach: Reach, key: &str, payload: Option<&str>) -> Result<u32, Refused>;
    /// `cancel-wait`, and without a key `cancel-all-waits`.
    fn cancel_wait(&self, target: &TaskRef, key: Option<&str>) -> Result<u32, Refused>;
}

/// The contract's `agent`.
pub(crate) trait AgentPage {
    /// `notify-agent`, and with a key `notify-agent-once`.
    fn notify_agent(&self, once: Option<&str>, message: &str, trigger: bool) -> Result<Delivery, Refused>;
    fn next_message(&self, timeout_ms: Option<u64>) -> Result<Option<Instruction>, Refused>;
}

/// The contract's `approvals`.
pub(crate) trait ApprovalsPage {
    /// Returns the decision as the contract's JSON document.
    fn request_approval(&self, approval: Approval, timeout_ms: Option<u64>) -> Result<String, Refused>;
}

/// The contract's `output`: what leaves the task for others to read.
pub(crate) trait OutputPage {
    fn write(&self, stream: OutputStream, bytes: &[u8]) -> Result<(), Refused>;
    fn attach(&self, name: &str, media_type: &str, path: &str) -> Result<Artifact, Refused>;
}

/// The contract's `tasks`.
pub(crate) trait TasksPage {
    fn start_task(&self, task_type: &str, input: &str, options: TaskOptions) -> Result<Child, Refused>;
    /// Returns the outcome as the contract's JSON document.
    fn wait_task(&self, id: &str, timeout_ms: Option<u64>) -> Result<Option<String>, Refused>;
    fn cancel_task(&self, id: &str, reason: &str, grace_ms: u64) -> Result<bool, Refused>;
    /// Returns the contract's JSON document.
    fn task_state(&self, id: &str) -> Result<String, Refused>;
    fn running_tasks(&self) -> Vec<Child>;
}

/// The contract's `host`.
pub(crate) trait HostPage {
    fn call_host(&self, name: &str, input: &str) -> Result<String, HostError>;
}

/// The contract's `config` and `kv`: what belongs to the plugin.
pub(crate) trait BelongingsPage {
    fn config(&self) -> String;
    fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, Refused>;
    fn kv_set(&self, key: &str, value: &[u8]) -> Result<(), Refused>;
    fn kv_compare_and_set(&self, key: &str, current: Option<&[u8]>, value: &[u8]) -> Result<bool, Refused>;
    fn kv_delete(&self, key: &str) -> Result<bool, Refused>;
    fn kv_keys(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Refused>;
}

/// The contract's `grants`.
pub(crate) trait GrantsPage {
    /// Returns the contract's JSON document.
    fn grants(&self) -> String;
    fn request_grant(&self, capability: &str, scope: &str, reason: &str) -> Result<(), Denied>;
    fn last_denied(&self) -> Option<Denied>;
}

/// The contract's `plan`. Plans are the contract's JSON documents.
pub(crate) trait PlanPage {
    fn plan(&self) -> Option<String>;
    fn set_plan(&self, plan: &str, expected_revision: Option<u64>) -> Result<String, Refused>;
    fn advance(&self, note: Option<&str>) -> Result<String, Refused>;
    fn finish_step(&self, status: &str, note: Option<&str>) -> Result<String, Refused>;
    fn replan(&self, reason: &str, timeout_ms: Option<u64>) -> Result<String, Refused>;
}

/// The pages together.
pub(crate) trait Backend:
    TaskPage
    + SignalsPage
    + AgentPage
    + ApprovalsPage
    + OutputPage
    + TasksPage
    + HostPage
    + BelongingsPage
    + GrantsPage
    + PlanPage
{
}

impl<T> Backend for T where
    T: TaskPage
        + SignalsPage
        + AgentPage
        + ApprovalsPage
        + OutputPage
        + TasksPage
        + HostPage
        + BelongingsPage
        + GrantsPage
        + PlanPage
{
}

/// A signal as it comes from the host.
#[derive(Debug)]
pub(crate) struct WireSignal {
    /// A JSON text, or nothing at all.
    pub(crate) payload: Option<String>,
    /// The contract's word for the sender.
    pub(crate) sender: String,
    /// The task that sent it, if one did.
    pub(crate) task: Option<TaskRef>,
}

/// Why a wait ended without a signal, in the contract's words.
#[derive(Debug)]
pub(crate) enum WaitEnd {
    TimedOut,
    Cancelled,
    WaitCancelled,
    Refused(Refused),
}

impl WaitEnd {
    /// What the task is told; `cancelled` makes the error for a task that shall stop.
    pub(crate) fn into_error(self, cancelled: impl FnOnce() -> crate::Cancelled) -> WaitError {
        match self {
            Self::TimedOut => WaitError::TimedOut,
            Self::Cancelled => WaitError::Cancelled(cancelled()),
            Self::WaitCancelled => WaitError::WaitCancelled,
            Self::Refused(refused) => WaitError::Refused(refused),
        }
    }
}

/// Which of the two streams.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OutputStream {
    Stdout,
    Stderr,
}
