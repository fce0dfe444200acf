//! The contract's imports as a backend.

use std::time::Duration;

use super::bindings::taskcell::plugin::{agent, output, signals, task, types};
use crate::backend::{OutputPage, OutputStream, SignalsPage, TaskPage, WaitEnd, WireSignal};
use crate::error::{RefusalKind, Refused};
use crate::values::{Artifact, CancelRequest, Delivery, NotifyResult, Sender, TaskInfo, TaskRef};

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
}

impl SignalsPage for Imports {
    fn wait(&self, key: &str, timeout_ms: Option<u64>) -> Result<WireSignal, WaitEnd> {
        signals::wait(key, timeout_ms).map(signal).map_err(|error| match error {
            signals::WaitError::TimedOut => WaitEnd::TimedOut,
            signals::WaitError::Cancelled => WaitEnd::Cancelled,
            signals::WaitError::WaitCancelled => WaitEnd::WaitCancelled,
            signals::WaitError::Refused(refusal) => WaitEnd::Refused(refused(refusal)),
        })
    }

    fn poll(&self, key: &str) -> Result<Option<WireSignal>, Refused> {
        signals::poll(key).map(|found| found.map(signal)).map_err(refused)
    }

    fn notify(&self, target: &TaskRef, key: &str, payload: Option<&str>) -> Result<NotifyResult, Refused> {
        let target = types::TaskRef {
            plugin: target.plugin.clone(),
            task_type: target.task_type.clone(),
            key: target.key.clone(),
        };
        match signals::notify(&target, key, payload).map_err(refused)? {
            signals::NotifyResult::Delivered => Ok(NotifyResult::Delivered),
            signals::NotifyResult::Buffered => Ok(NotifyResult::Buffered),
            signals::NotifyResult::NoTask => Ok(NotifyResult::NoTask),
            signals::NotifyResult::Full => Ok(NotifyResult::Full),
        }
    }
}

impl OutputPage for Imports {
    fn notify_agent(&self, message: &str, trigger: bool) -> Result<Delivery, Refused> {
        match agent::notify_agent(message, trigger).map_err(refused)? {
            agent::Delivery::Accepted => Ok(Delivery::Accepted),
            agent::Delivery::Queued => Ok(Delivery::Queued),
            agent::Delivery::Blocked => Ok(Delivery::Blocked),
        }
    }

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

fn signal(signal: signals::Signal) -> WireSignal {
    let task = signal.sender_task.map(|task| TaskRef { plugin: task.plugin, task_type: task.task_type, key: task.key });
    WireSignal { payload: signal.payload, sender: signal.sender, task }
}
