//! The contract's imports as a backend.

use std::time::Duration;

use super::bindings::taskcell::plugin::{agent, approvals, output, signals, task, types};
use crate::approval::Approval;
use crate::backend::{AgentPage, ApprovalsPage, OutputPage, OutputStream, SignalsPage, TaskPage, WaitEnd, WireSignal};
use crate::error::{RefusalKind, Refused};
use crate::values::{Artifact, CancelRequest, Delivery, NotifyResult, Sender, TaskInfo, TaskRef};
use crate::waiting::{Instruction, Reach, Scope, WaitFor};

/// The host that runs this component.
pub(super) struct Imports;

impl TaskPage for Imports {
    #[expect(clippy::panic, reason = "a host that breaks the contract cannot be worked with")]
    fn info(&self) -> TaskInfo {
        let text = task::info();
        crate::json::read(&text).unwrap_or_else(|misfit| panic!("the host's task info: {}", misfit.sentence()))
    }

    fn cancel_requested(&self) -> Option<CancelRequest> {
        task::cancel_requested().map(|request| CancelRequest {
            by: Sender::from_wire(request.by),
            reason: request.reason,
            grace: Duration::from_millis(request.grace_ms),
        })
    }

    fn report_progress(&self, message: &str, percent: Option<u8>) -> Result<(), Refused> {
        task::report_progress(message, percent).map_err(refused)
    }

    fn restart_progress(&self, message: &str) -> Result<(), Refused> {
        task::restart_progress(message).map_err(refused)
    }

    fn heartbeat(&self) {
        task::heartbeat();
    }

    fn fuel_remaining(&self) -> u64 {
        task::fuel_remaining()
    }

    fn request_fuel(&self, units: u64, reason: &str, timeout_ms: Option<u64>) -> Result<u64, Refused> {
        task::request_fuel(units, reason, timeout_ms).map_err(refused)
    }

    fn record_usage(&self, tool: &str, tokens: u64, actions: u64) -> Result<(), Refused> {
        task::record_usage(tool, tokens, actions).map_err(refused)
    }
}

impl SignalsPage for Imports {
    fn wait(&self, key: &str, timeout_ms: Option<u64>) -> Result<WireSignal, WaitEnd> {
        signals::wait(key, timeout_ms).map(signal).map_err(wait_end)
    }

    fn poll(&self, key: &str) -> Result<Option<WireSignal>, Refused> {
        signals::poll(key).map(|found| found.map(signal)).map_err(refused)
    }

    fn notify(&self, target: &TaskRef, key: &str, payload: Option<&str>) -> Result<NotifyResult, Refused> {
        match signals::notify(&task_ref(target), key, payload).map_err(refused)? {
            signals::NotifyResult::Delivered => Ok(NotifyResult::Delivered),
            signals::NotifyResult::Buffered => Ok(NotifyResult::Buffered),
            signals::NotifyResult::NoTask => Ok(NotifyResult::NoTask),
            signals::NotifyResult::Full => Ok(NotifyResult::Full),
        }
    }

    fn wait_any(&self, wait: &WaitFor, timeout_ms: Option<u64>) -> Result<(String, WireSignal), WaitEnd> {
        let senders: Vec<String> = wait.senders().iter().map(|sender| sender.as_str().to_owned()).collect();
        let taken = signals::wait_any(wait.keys(), &senders, timeout_ms).map_err(wait_end)?;
        Ok((taken.key, signal(taken.signal)))
    }

    fn notify_scope(&self, scope: Scope, reach: Reach, key: &str, payload: Option<&str>) -> Result<u32, Refused> {
        let scope = match scope {
            Scope::Tree => signals::Scope::Tree,
            Scope::Session => signals::Scope::Session,
        };
        signals::notify_scope(scope, key, payload, reach == Reach::All).map_err(refused)
    }

    fn cancel_wait(&self, target: &TaskRef, key: Option<&str>) -> Result<u32, Refused> {
        let target = task_ref(target);
        match key {
            Some(key) => signals::cancel_wait(&target, key).map(u32::from),
            None => signals::cancel_all_waits(&target),
        }
        .map_err(refused)
    }
}

impl AgentPage for Imports {
    fn notify_agent(&self, once: Option<&str>, message: &str, trigger: bool) -> Result<Delivery, Refused> {
        let delivery = match once {
            Some(key) => agent::notify_agent_once(key, message, trigger),
            None => agent::notify_agent(message, trigger),
        };
        match delivery.map_err(refused)? {
            agent::Delivery::Accepted => Ok(Delivery::Accepted),
            agent::Delivery::Queued => Ok(Delivery::Queued),
            agent::Delivery::Blocked => Ok(Delivery::Blocked),
        }
    }

    fn next_message(&self, timeout_ms: Option<u64>) -> Result<Option<Instruction>, Refused> {
        let said = agent::next_message(timeout_ms).map_err(refused)?;
        Ok(said.map(|said| Instruction { text: said.text, sender: Sender::from_wire(said.sender) }))
    }
}

impl ApprovalsPage for Imports {
    fn request_approval(&self, approval: Approval, timeout_ms: Option<u64>) -> Result<String, Refused> {
        let Approval { kind, summary, reason, metadata, timeout: _ } = approval;
        let metadata = metadata.map(|metadata| metadata.to_string());
        approvals::request(&kind, &reason, &summary, metadata.as_deref(), timeout_ms).map_err(refused)
    }
}

impl OutputPage for Imports {
    fn write(&self, stream: OutputStream, bytes: &[u8]) -> Result<(), Refused> {
        let stream = match stream {
            OutputStream::Stdout => output::OutputStream::Stdout,
            OutputStream::Stderr => output::OutputStream::Stderr,
        };
        output::write(stream, bytes).map_err(refused)
    }

    fn attach(&self, name: &str, media_type: &str, path: &str) -> Result<Artifact, Refused> {
        let artifact = output::attach(name, media_type, path).map_err(refused)?;
        Ok(Artifact { number: artifact.number, sha256: artifact.sha256, size: artifact.size })
    }
}

fn refused(refusal: types::Refusal) -> Refused {
    Refused { kind: RefusalKind::from_wire(refusal.kind), message: refusal.message }
}

fn wait_end(error: signals::WaitError) -> WaitEnd {
    match error {
        signals::WaitError::TimedOut => WaitEnd::TimedOut,
        signals::WaitError::Cancelled => WaitEnd::Cancelled,
        signals::WaitError::WaitCancelled => WaitEnd::WaitCancelled,
        signals::WaitError::Refused(refusal) => WaitEnd::Refused(refused(refusal)),
    }
}

fn task_ref(task: &TaskRef) -> types::TaskRef {
    types::TaskRef { plugin: task.plugin.clone(), task_type: task.task_type.clone(), key: task.key.clone() }
}

fn signal(signal: signals::Signal) -> WireSignal {
    let task = signal.sender_task.map(|task| TaskRef { plugin: task.plugin, task_type: task.task_type, key: task.key });
    WireSignal { payload: signal.payload, sender: signal.sender, task }
}
