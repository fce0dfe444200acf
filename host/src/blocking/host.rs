//! The host for blocking calls.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;

use crate::{
    ApprovalAnswer, ApprovalFilter, ApprovalNumber, ApprovalVerdict, CancelRequest, ExternalReport, HostBuilder,
    LoadError, OpenApproval, Outcome, Party, Plugin, PluginBytes, PluginError, RemoveError, ReplaceError, Replaced,
    ReportError, Revocation, RevokeReport, Scope, SignalKey, Snapshot, StartError, StartRequest, Started, StopReport,
    StopScope, TaskCursor, TaskFilter, TaskId, TaskPage, TaskRef, TaskSummary, ToolAnswer, Tools, Unload,
};

use super::engine::{BuildError, Engine, Error, InsideRuntime};
use super::streams::{Approvals, Subscription};
use super::task::TaskHandle;

/// [`taskcell::Host`](crate::Host) for blocking calls. Cheap to clone; when the last clone is dropped, its tasks end.
#[derive(Debug, Clone)]
pub struct Host {
    host: Arc<crate::Host>,
    on: Arc<Engine>,
}

impl HostBuilder {
    /// Makes a host for blocking calls, with a small tokio runtime of its own.
    ///
    /// # Errors
    /// When there is a tokio runtime on this thread, or the system does not give what the host needs.
    pub fn build_blocking(self) -> Result<Host, BuildError> {
        let on = Engine::new()?;
        let host = {
            let _inside = on.handle().enter();
            self.build()?
        };
        Ok(Host { host: Arc::new(host), on: Arc::new(on) })
    }
}

impl Host {
    /// Blocking calls of a host that async code made. The runtime must be one with worker threads.
    pub fn of(host: Arc<crate::Host>, runtime: Handle) -> Self {
        Self { host, on: Arc::new(Engine::of(runtime)) }
    }

    /// The host itself, for what does not wait, and for async code.
    pub fn inner(&self) -> &Arc<crate::Host> {
        &self.host
    }

    /// Waits for a future of [`Host::inner`]'s, or of anything that it gave out: for what has no method of its own here.
    ///
    /// ```no_run
    /// # fn example(host: taskcell::blocking::Host, task: taskcell::TaskHandle) -> Result<(), taskcell::blocking::InsideRuntime> {
    /// let output = host.wait(task.read_output(taskcell::OutputQuery::default()))?;
    /// println!("{} lines", output.lines.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When there is a tokio runtime on this thread; the future is not polled then.
    pub fn wait<F: Future>(&self, future: F) -> Result<F::Output, InsideRuntime> {
        self.on.run(future)
    }

    fn handle(&self, task: crate::TaskHandle) -> TaskHandle {
        TaskHandle::new(task, Arc::clone(&self.on))
    }

    /// See [`Host::load_plugin`](crate::Host::load_plugin).
    pub fn load_plugin(&self, path: impl AsRef<Path>) -> Result<Plugin, Error<LoadError>> {
        self.on.attempt(self.host.load_plugin(path))
    }

    /// See [`Host::load_plugin_bytes`](crate::Host::load_plugin_bytes).
    pub fn load_plugin_bytes(
        &self,
        name: impl Into<String>,
        bytes: impl Into<PluginBytes>,
    ) -> Result<Plugin, Error<LoadError>> {
        self.on.attempt(self.host.load_plugin_bytes(name, bytes))
    }

    /// See [`Host::inspect_plugin`](crate::Host::inspect_plugin).
    pub fn inspect_plugin(&self, path: impl AsRef<Path>) -> Result<Plugin, Error<LoadError>> {
        self.on.attempt(self.host.inspect_plugin(path))
    }

    /// See [`Host::replace_plugin`](crate::Host::replace_plugin).
    pub fn replace_plugin(&self, path: impl AsRef<Path>, how: Unload) -> Result<Replaced, Error<ReplaceError>> {
        self.on.attempt(self.host.replace_plugin(path, how))
    }

    /// See [`Host::unload_plugin`](crate::Host::unload_plugin).
    pub fn unload_plugin(&self, name: &str, how: Unload) -> Result<StopReport, Error<PluginError>> {
        self.on.attempt(self.host.unload_plugin(name, how))
    }

    /// See [`Host::set_plugin_enabled`](crate::Host::set_plugin_enabled).
    pub fn set_plugin_enabled(&self, name: &str, enabled: bool) -> Result<bool, Error<PluginError>> {
        self.on.attempt(self.host.set_plugin_enabled(name, enabled))
    }

    /// See [`Host::plugins`](crate::Host::plugins).
    pub fn plugins(&self) -> Vec<Plugin> {
        self.host.plugins()
    }

    /// See [`Host::start`](crate::Host::start).
    pub fn start(&self, request: StartRequest) -> Result<TaskHandle, Error<StartError>> {
        self.on.attempt(self.host.start(request)).map(|task| self.handle(task))
    }

    /// See [`Host::run`](crate::Host::run). The outcome is there if it came in time.
    pub fn run(&self, request: StartRequest) -> Result<(TaskHandle, Option<Outcome>), Error<StartError>> {
        match self.on.attempt(self.host.run(request))? {
            Started::Ready { task, outcome } => Ok((self.handle(task), Some(outcome))),
            Started::Pending(task) => Ok((self.handle(task), None)),
        }
    }

    /// See [`Host::task`](crate::Host::task).
    pub fn task(&self, id: TaskId) -> Option<TaskHandle> {
        self.host.task(id).map(|task| self.handle(task))
    }

    /// See [`Host::live_task`](crate::Host::live_task).
    pub fn live_task(&self, task: &TaskRef) -> Option<TaskHandle> {
        self.host.live_task(task).map(|task| self.handle(task))
    }

    /// See [`Host::running`](crate::Host::running).
    pub fn running(&self) -> Vec<TaskHandle> {
        self.host.running().into_iter().map(|task| self.handle(task)).collect()
    }

    /// See [`Host::list`](crate::Host::list).
    pub fn list(&self, filter: &TaskFilter, after: Option<TaskCursor>, limit: usize) -> TaskPage<TaskSummary> {
        self.host.list(filter, after, limit)
    }

    /// See [`Host::list_full`](crate::Host::list_full).
    pub fn list_full(&self, filter: &TaskFilter, after: Option<TaskCursor>, limit: usize) -> TaskPage<Snapshot> {
        self.host.list_full(filter, after, limit)
    }

    /// See [`Host::subscribe`](crate::Host::subscribe).
    pub fn subscribe(&self, filter: TaskFilter) -> Subscription {
        Subscription { inner: self.host.subscribe(filter), on: Arc::clone(&self.on) }
    }

    /// See [`Host::approvals`](crate::Host::approvals).
    pub fn approvals(&self, filter: &ApprovalFilter) -> Vec<OpenApproval> {
        self.host.approvals(filter)
    }

    /// See [`Host::follow_approvals`](crate::Host::follow_approvals).
    pub fn follow_approvals(&self, filter: ApprovalFilter) -> Approvals {
        Approvals { inner: self.host.follow_approvals(filter), on: Arc::clone(&self.on) }
    }

    /// See [`Host::decide`](crate::Host::decide).
    pub fn decide(
        &self,
        task: TaskId,
        number: ApprovalNumber,
        verdict: ApprovalVerdict,
        by: Party,
    ) -> Result<ApprovalAnswer, InsideRuntime> {
        self.on.run(self.host.decide(task, number, verdict, by))
    }

    /// See [`Host::notify`](crate::Host::notify).
    pub fn notify(
        &self,
        scope: &Scope,
        key: SignalKey,
        payload: Option<Value>,
        sender: Party,
        all: bool,
    ) -> Result<u32, InsideRuntime> {
        self.on.run(self.host.notify(scope, key, payload, sender, all))
    }

    /// See [`Host::stop_all`](crate::Host::stop_all).
    pub fn stop_all(
        &self,
        scope: &StopScope,
        request: CancelRequest,
        deadline: Duration,
    ) -> Result<StopReport, InsideRuntime> {
        self.on.run(self.host.stop_all(scope, request, deadline))
    }

    /// See [`Host::revoke`](crate::Host::revoke).
    pub fn revoke(&self, wish: Revocation) -> Result<RevokeReport, InsideRuntime> {
        self.on.run(self.host.revoke(wish))
    }

    /// See [`Host::report_external`](crate::Host::report_external).
    pub fn report_external(&self, report: ExternalReport, by: Party) -> Result<TaskHandle, Error<ReportError>> {
        self.on.attempt(self.host.report_external(report, by)).map(|task| self.handle(task))
    }

    /// See [`Host::remove`](crate::Host::remove).
    pub fn remove(&self, task: TaskId) -> Result<(), Error<RemoveError>> {
        self.on.attempt(self.host.remove(task))
    }

    /// Waits for a call of an agent's tool. See [`Tools::call`].
    pub fn call_tool(&self, tools: &Tools, name: &str, input: Value) -> Result<ToolAnswer, InsideRuntime> {
        self.on.run(tools.call(name, input))
    }

    /// See [`Host::shutdown`](crate::Host::shutdown).
    pub fn shutdown(&self) -> Result<(), InsideRuntime> {
        self.on.run(self.host.shutdown())
    }
}
