//! The handle that a test has on its fake host.

use std::cell::{Ref, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::fuel::Answer;
use super::log;
use super::pages::Pages;
use super::records::{AgentMessage, Attached, EndedWait, FuelRequest, LogLine, Notified, Progress, ScopeNotified};
use super::state::{Pending, PendingCancel, State};
use crate::ctl::TaskCtl;
use crate::error::Refused;
use crate::hook::HookCtx;
use crate::json;
use crate::plugin::Plugin;
use crate::task_error::TaskError;
use crate::values::{NotifyResult, Sender};

/// A host for one task in a unit test. See [the module](crate::testing).
#[derive(Default)]
pub struct FakeHost {
    pub(super) state: Rc<RefCell<State>>,
}

impl FakeHost {
    /// A host at time zero, without signals, which nobody asked to cancel anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a signal from a person, now. `None` as the payload sends one without.
    pub fn signal(&self, key: &str, payload: impl Into<Option<Value>>) {
        self.signal_from(Sender::Person, key, payload);
    }

    /// Sends a signal from somebody, now.
    pub fn signal_from(&self, sender: Sender, key: &str, payload: impl Into<Option<Value>>) {
        let at = self.elapsed();
        self.send(at, sender, key, payload.into());
    }

    /// Sends a signal from a person when the task has run for `after`.
    pub fn send_at(&self, after: Duration, key: &str, payload: impl Into<Option<Value>>) {
        self.send(after, Sender::Person, key, payload.into());
    }

    fn send(&self, at: Duration, sender: Sender, key: &str, payload: Option<Value>) {
        let payload = payload.map(|value| value.to_string());
        self.state.borrow_mut().send(Pending { at, key: key.to_owned(), payload, sender });
    }

    /// A person asks for the task's cancel, now.
    pub fn cancel(&self, reason: &str) {
        self.cancel_after(self.elapsed(), reason);
    }

    /// A person asks for the task's cancel when the task has run for `after`. As time moves only while the task waits,
    /// a task that computes needs [`cancel_at_look`](Self::cancel_at_look) instead.
    pub fn cancel_after(&self, after: Duration, reason: &str) {
        self.state.borrow_mut().cancel = Some(PendingCancel { at: after, reason: reason.to_owned() });
    }

    /// A person asks for the task's cancel just before the task looks for the `look`-th time, counted from 1. Looks are
    /// [`TaskCtl::checkpoint`] and [`TaskCtl::cancel_requested`].
    pub fn cancel_at_look(&self, look: u32) {
        self.state.borrow_mut().looks_until_cancel = Some(look);
    }

    /// The host ends the task's next wait at once: it gets [`WaitError::WaitCancelled`](crate::WaitError::WaitCancelled).
    pub fn end_next_wait(&self) {
        self.state.borrow_mut().end_next_wait = true;
    }

    /// The task has this many units of fuel, and has used none of it. Without this call it has 10⁹.
    pub fn set_fuel(&self, units: u64) {
        let fuel = &mut self.state.borrow_mut().fuel;
        fuel.budget = units;
        fuel.used = 0;
    }

    /// The task uses this many units just before each look at its fuel, which stand for its work. Looks are
    /// [`TaskCtl::fuel_remaining`]. Without this call it uses none.
    pub fn burn_at_each_look(&self, units: u64) {
        self.state.borrow_mut().fuel.burned_at_each_look = units;
    }

    /// A person answers the task's next request for fuel, at once, with this many units. More answers are for the
    /// requests after it, in the order in which they were given.
    pub fn grant_fuel(&self, units: u64) {
        self.grant_fuel_after(Duration::ZERO, units);
    }

    /// Like [`grant_fuel`](Self::grant_fuel), but the person takes this long. An answer that comes when the request is
    /// over already is lost.
    pub fn grant_fuel_after(&self, after: Duration, units: u64) {
        self.answer_fuel(after, Ok(units));
    }

    /// A person answers the task's next request for fuel, at once, with a no. See [`grant_fuel`](Self::grant_fuel).
    pub fn refuse_fuel(&self, reason: &str) {
        self.refuse_fuel_after(Duration::ZERO, reason);
    }

    /// Like [`refuse_fuel`](Self::refuse_fuel), but the person takes this long.
    pub fn refuse_fuel_after(&self, after: Duration, reason: &str) {
        self.answer_fuel(after, Err(reason.to_owned()));
    }

    fn answer_fuel(&self, after: Duration, units: Result<u64, String>) {
        self.state.borrow_mut().fuel.answers.push_back(Answer { after, units });
    }

    /// What the task gets when it sends signals to other tasks, instead of [`NotifyResult::Delivered`].
    pub fn answer_notify(&self, answer: Result<NotifyResult, Refused>) {
        self.state.borrow_mut().notify_answer = Some(answer);
    }

    /// What the task gets when it sends a signal to a scope, instead of 1.
    pub fn answer_notify_scope(&self, answer: Result<u32, Refused>) {
        self.state.borrow_mut().notify_scope_answer = Some(answer);
    }

    /// What the task gets when it ends waits of another task, instead of 1.
    pub fn answer_cancel_wait(&self, answer: Result<u32, Refused>) {
        self.state.borrow_mut().cancel_wait_answer = Some(answer);
    }

    /// The task's way to this host, for calling a function with it. From now on, log lines of this thread go to this
    /// host.
    pub fn ctl(&self) -> TaskCtl {
        log::listen(&self.state);
        TaskCtl::new(Pages { state: Rc::clone(&self.state) })
    }

    /// A hook's way to this host, for calling one with it: the same configuration and store as the tasks'. From now on,
    /// log lines of this thread go to this host.
    pub fn hook_ctx(&self) -> HookCtx {
        log::listen(&self.state);
        HookCtx::new(Pages { state: Rc::clone(&self.state) })
    }

    /// Runs a task to its end. A task that was cancelled before does not begin, as with the real host.
    ///
    /// # Errors
    /// What the task returns.
    pub fn run<I, O>(&self, task: impl FnOnce(&TaskCtl, I) -> Result<O, TaskError>, input: I) -> Result<O, TaskError> {
        if self.state.borrow().cancel_request().is_some() {
            return Err(TaskError::cancelled("stopped before it began"));
        }
        let ctl = self.ctl();
        let result = task(&ctl, input);
        self.state.borrow_mut().summary = Some(ctl.summary());
        result
    }

    /// Runs a task type of a plugin as the host does it, from JSON to JSON: finds the function, reads the input, writes
    /// the result.
    ///
    /// # Errors
    /// What the task returns; and a failure when there is no such task type, when the input does not fit or when the
    /// result is not JSON.
    pub fn run_json(&self, plugin: &Plugin, task_type: &str, input: &Value) -> Result<Value, TaskError> {
        let run = |ctl: &TaskCtl, input: String| plugin.run(ctl, task_type, &input);
        let output = self.run(run, input.to_string())?;
        json::read(&output).map_err(|misfit| TaskError::new(misfit.sentence()))
    }

    /// How long the task has waited in all.
    pub fn elapsed(&self) -> Duration {
        self.state.borrow().now
    }

    /// The sentence beside the result of the task that ran last, if it succeeded.
    pub fn summary(&self) -> Option<String> {
        self.state.borrow().summary.clone()
    }

    /// What the task reported, in order.
    pub fn progress(&self) -> Vec<Progress> {
        self.state.borrow().progress.clone()
    }

    /// How often the task said that it is alive, by [`TaskCtl::heartbeat`].
    pub fn heartbeats(&self) -> u64 {
        self.state.borrow().heartbeats
    }

    /// Units of fuel that the task was given in all, with what was added.
    pub fn fuel_budget(&self) -> u64 {
        self.state.borrow().fuel.budget
    }

    /// Units of fuel that the task has used. See [`burn_at_each_look`](Self::burn_at_each_look).
    pub fn fuel_used(&self) -> u64 {
        self.state.borrow().fuel.used
    }

    /// The task's requests for fuel, in order, each with its answer.
    pub fn fuel_requests(&self) -> Vec<FuelRequest> {
        self.state.borrow().fuel.requests.clone()
    }

    /// What the task told the agent, in order.
    pub fn messages(&self) -> Vec<AgentMessage> {
        self.state.borrow().messages.clone()
    }

    /// What the task logged, in order.
    pub fn logs(&self) -> Vec<LogLine> {
        self.state.borrow().logs.clone()
    }

    /// The signals that the task sent, in order, also those that were refused.
    pub fn notified(&self) -> Vec<Notified> {
        self.state.borrow().notified.clone()
    }

    /// The signals that the task sent to a scope, in order, also those that were refused.
    pub fn scope_notified(&self) -> Vec<ScopeNotified> {
        self.state.borrow().scope_notified.clone()
    }

    /// The waits of other tasks that the task wanted to end, in order, also where that was refused.
    pub fn ended_waits(&self) -> Vec<EndedWait> {
        self.state.borrow().ended_waits.clone()
    }

    /// The files that the task attached, in order.
    pub fn artifacts(&self) -> Vec<Attached> {
        self.state.borrow().attached.clone()
    }

    /// What the task wrote with [`TaskCtl::write_stdout`]. `print!` goes to the test's own output.
    pub fn stdout(&self) -> Vec<u8> {
        self.state.borrow().stdout.clone()
    }

    /// What the task wrote with [`TaskCtl::write_stderr`]. `eprint!` goes to the test's own output.
    pub fn stderr(&self) -> Vec<u8> {
        self.state.borrow().stderr.clone()
    }
}

impl fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: Ref<'_, State> = self.state.borrow();
        f.debug_tuple("FakeHost").field(&*state).finish()
    }
}
