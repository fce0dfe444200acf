//! A handle to a task for blocking calls.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::{
    ApprovalAnswer, ApprovalNumber, CancelAnswer, CancelReceipt, CancelRequest, ControlAnswer, EventSeq, NotifyAnswer,
    Outcome, OutputCursor, OutputPage, Party, SignalKey, Snapshot, TaskId, TaskPatch, TaskRef, UpdateError, Waited,
};

use super::engine::{Engine, Error, InsideRuntime};
use super::streams::{Events, Output};

/// [`taskcell::TaskHandle`](crate::TaskHandle) for blocking calls.
#[derive(Debug, Clone)]
pub struct TaskHandle {
    task: crate::TaskHandle,
    on: Arc<Engine>,
}

impl TaskHandle {
    pub(super) fn new(task: crate::TaskHandle, on: Arc<Engine>) -> Self {
        Self { task, on }
    }

    /// The handle itself, for async code.
    pub fn inner(&self) -> &crate::TaskHandle {
        &self.task
    }

    /// See [`TaskHandle::id`](crate::TaskHandle::id).
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// See [`TaskHandle::task_ref`](crate::TaskHandle::task_ref).
    pub fn task_ref(&self) -> &TaskRef {
        self.task.task_ref()
    }

    /// See [`TaskHandle::state`](crate::TaskHandle::state).
    pub fn state(&self) -> Snapshot {
        self.task.state()
    }

    /// See [`TaskHandle::wait`](crate::TaskHandle::wait).
    pub fn wait(&self) -> Result<Outcome, InsideRuntime> {
        self.on.run(self.task.wait())
    }

    /// See [`TaskHandle::wait_for`](crate::TaskHandle::wait_for).
    pub fn wait_for(&self, time: Duration) -> Result<Waited, InsideRuntime> {
        self.on.run(self.task.wait_for(time))
    }

    /// See [`TaskHandle::events`](crate::TaskHandle::events).
    pub fn events(&self, after: EventSeq) -> Events {
        Events { inner: self.task.events(after), on: Arc::clone(&self.on) }
    }

    /// What the task has printed so far. See [`TaskHandle::output`](crate::TaskHandle::output).
    pub fn output(&self, after: OutputCursor) -> Result<OutputPage, InsideRuntime> {
        self.on.run(self.task.output(after))
    }

    /// What the task prints, until it ends. See [`TaskHandle::output_after`](crate::TaskHandle::output_after).
    pub fn follow_output(&self, after: OutputCursor) -> Output {
        Output { task: self.task.clone(), after, on: Arc::clone(&self.on) }
    }

    /// See [`TaskHandle::read_artifact`](crate::TaskHandle::read_artifact).
    pub fn read_artifact(&self, number: u32) -> Result<Vec<u8>, Error<std::io::Error>> {
        self.on.attempt(self.task.read_artifact(number))
    }

    /// See [`TaskHandle::notify`](crate::TaskHandle::notify).
    pub fn notify(&self, key: SignalKey, payload: Option<Value>, sender: Party) -> Result<NotifyAnswer, InsideRuntime> {
        self.on.run(self.task.notify(key, payload, sender))
    }

    /// See [`TaskHandle::instruct`](crate::TaskHandle::instruct).
    pub fn instruct(&self, text: impl Into<String>, by: Party) -> Result<NotifyAnswer, InsideRuntime> {
        self.on.run(self.task.instruct(text, by))
    }

    /// See [`TaskHandle::cancel_wait`](crate::TaskHandle::cancel_wait).
    pub fn cancel_wait(&self, key: SignalKey) -> Result<bool, InsideRuntime> {
        self.on.run(self.task.cancel_wait(key))
    }

    /// See [`TaskHandle::cancel_all_waits`](crate::TaskHandle::cancel_all_waits).
    pub fn cancel_all_waits(&self) -> Result<u32, InsideRuntime> {
        self.on.run(self.task.cancel_all_waits())
    }

    /// See [`TaskHandle::approve`](crate::TaskHandle::approve).
    pub fn approve(
        &self,
        number: ApprovalNumber,
        input: Option<Value>,
        by: Party,
    ) -> Result<ApprovalAnswer, InsideRuntime> {
        self.on.run(self.task.approve(number, input, by))
    }

    /// See [`TaskHandle::deny`](crate::TaskHandle::deny).
    pub fn deny(
        &self,
        number: ApprovalNumber,
        reason: impl Into<String>,
        by: Party,
    ) -> Result<ApprovalAnswer, InsideRuntime> {
        self.on.run(self.task.deny(number, reason, by))
    }

    /// See [`TaskHandle::update`](crate::TaskHandle::update).
    pub fn update(&self, patch: TaskPatch, expected: Option<u64>, by: Party) -> Result<u64, Error<UpdateError>> {
        self.on.attempt(self.task.update(patch, expected, by))
    }

    /// See [`TaskHandle::pause`](crate::TaskHandle::pause).
    pub fn pause(&self, by: Party, reason: impl Into<String>) -> Result<ControlAnswer, InsideRuntime> {
        self.on.run(self.task.pause(by, reason))
    }

    /// See [`TaskHandle::resume`](crate::TaskHandle::resume).
    pub fn resume(&self, by: Party) -> Result<ControlAnswer, InsideRuntime> {
        self.on.run(self.task.resume(by))
    }

    /// See [`TaskHandle::add_fuel`](crate::TaskHandle::add_fuel).
    pub fn add_fuel(&self, units: u64, by: Party) -> Result<ControlAnswer, InsideRuntime> {
        self.on.run(self.task.add_fuel(units, by))
    }

    /// See [`TaskHandle::refuse_fuel`](crate::TaskHandle::refuse_fuel).
    pub fn refuse_fuel(&self, by: Party, reason: impl Into<String>) -> Result<ControlAnswer, InsideRuntime> {
        self.on.run(self.task.refuse_fuel(by, reason))
    }

    /// See [`TaskHandle::set_outcome`](crate::TaskHandle::set_outcome).
    pub fn set_outcome(&self, outcome: Outcome, by: Party) -> Result<ControlAnswer, InsideRuntime> {
        self.on.run(self.task.set_outcome(outcome, by))
    }

    /// See [`TaskHandle::cancel`](crate::TaskHandle::cancel).
    pub fn cancel(&self, request: CancelRequest) -> Result<CancelAnswer, InsideRuntime> {
        self.on.run(self.task.cancel(request))
    }

    /// See [`TaskHandle::gone`](crate::TaskHandle::gone).
    pub fn gone(&self) -> Result<(), InsideRuntime> {
        self.on.run(self.task.gone())
    }

    /// See [`TaskHandle::receipt`](crate::TaskHandle::receipt).
    pub fn receipt(&self) -> Result<Option<CancelReceipt>, InsideRuntime> {
        self.on.run(self.task.receipt())
    }
}
