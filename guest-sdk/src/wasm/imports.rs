//! The contract's imports as a backend.

use std::time::Duration;

use super::bindings::taskcell::plugin::{
    agent, approvals, config, grants, host, kv, output, plan, signals, task, tasks, types,
};
use crate::approval::Approval;
use crate::backend::{
    AgentPage, ApprovalsPage, BelongingsPage, GrantsPage, HostPage, OutputPage, OutputStream, PlanPage, SignalsPage,
    TaskPage, TasksPage, WaitEnd, WireSignal,
};
use crate::children::{Child, TaskOptions};
use crate::error::{HostError, RefusalKind, Refused};
use crate::values::{Artifact, CancelRequest, Delivery, Denied, NotifyResult, Sender, TaskInfo, TaskRef};
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

    fn set_note(&self, note: Option<&str>) -> Result<(), Refused> {
        task::set_note(note).map_err(refused)
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

impl TasksPage for Imports {
    fn start_task(&self, task_type: &str, input: &str, options: TaskOptions) -> Result<Child, Refused> {
        let options = options.into_wire().to_string();
        tasks::start(task_type, input, &options).map(child).map_err(refused)
    }

    fn wait_task(&self, id: &str, timeout_ms: Option<u64>) -> Result<Option<String>, Refused> {
        tasks::wait(id, timeout_ms).map_err(refused)
    }

    fn cancel_task(&self, id: &str, reason: &str, grace_ms: u64) -> Result<bool, Refused> {
        tasks::cancel(id, reason, grace_ms).map_err(refused)
    }

    fn task_state(&self, id: &str) -> Result<String, Refused> {
        tasks::state(id).map_err(refused)
    }

    fn running_tasks(&self) -> Vec<Child> {
        tasks::running().into_iter().map(child).collect()
    }
}

impl HostPage for Imports {
    fn call_host(&self, name: &str, input: &str) -> Result<String, HostError> {
        host::call(name, input)
            .map_err(|error| HostError::from_wire(error.kind, error.message, error.details.as_deref()))
    }
}

impl BelongingsPage for Imports {
    fn config(&self) -> String {
        config::get()
    }

    fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, Refused> {
        kv::get(key).map_err(refused)
    }

    fn kv_set(&self, key: &str, value: &[u8]) -> Result<(), Refused> {
        kv::set(key, value).map_err(refused)
    }

    fn kv_compare_and_set(&self, key: &str, current: Option<&[u8]>, value: &[u8]) -> Result<bool, Refused> {
        kv::compare_and_set(key, current, value).map_err(refused)
    }

    fn kv_delete(&self, key: &str) -> Result<bool, Refused> {
        kv::delete(key).map_err(refused)
    }

    fn kv_keys(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Refused> {
        kv::keys(prefix, after).map_err(refused)
    }
}

impl GrantsPage for Imports {
    fn grants(&self) -> String {
        grants::list()
    }

    fn request_grant(&self, capability: &str, scope: &str, reason: &str) -> Result<(), Denied> {
        grants::request(capability, scope, reason).map_err(denied)
    }

    fn last_denied(&self) -> Option<Denied> {
        grants::last_denied().map(denied)
    }
}

fn denied(denied: grants::Denied) -> Denied {
    let grants::Denied { capability, scope, reason, retryable } = denied;
    Denied { capability, scope, reason, retryable }
}

impl PlanPage for Imports {
    fn plan(&self) -> Option<String> {
        plan::get()
    }

    fn set_plan(&self, document: &str, expected_revision: Option<u64>) -> Result<String, Refused> {
        plan::set(document, expected_revision).map_err(refused)
    }

    fn advance(&self, note: Option<&str>) -> Result<String, Refused> {
        plan::advance(note).map_err(refused)
    }

    fn finish_step(&self, status: &str, note: Option<&str>) -> Result<String, Refused> {
        plan::finish_step(status, note).map_err(refused)
    }

    fn replan(&self, reason: &str, timeout_ms: Option<u64>) -> Result<String, Refused> {
        plan::replan(reason, timeout_ms).map_err(refused)
    }
}

fn child(child: tasks::Child) -> Child {
    Child { id: child.id, task: own_ref(child.task) }
}

fn own_ref(task: types::TaskRef) -> TaskRef {
    TaskRef { plugin: task.plugin, task_type: task.task_type, key: task.key }
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
    let task = signal.sender_task.map(own_ref);
    WireSignal { payload: signal.payload, sender: signal.sender, task }
}
