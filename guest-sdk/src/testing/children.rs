//! The fake host's children: there are none that run, only ends that the test has given.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::asking::endless;
use super::fake_host::FakeHost;
use super::pages::Pages;
use super::records::StartedTask;
use super::state::{State, shall_stop};
use crate::backend::TasksPage;
use crate::children::{Child, TaskEnd, TaskOptions};
use crate::error::{RefusalKind, Refused};
use crate::values::{Sender, TaskRef};

/// The fake host's part in it.
#[derive(Debug, Default)]
pub(super) struct Children {
    /// For the next ones, the first one first.
    script: VecDeque<Result<(Duration, TaskEnd), Refused>>,
    started: Vec<StartedTask>,
    known: Vec<Known>,
}

/// A child, and when and how it ends, if the test says so.
#[derive(Debug)]
struct Known {
    child: Child,
    end: Option<(Duration, TaskEnd)>,
}

impl FakeHost {
    /// The next task that is started ends at once, like this. More ends are for the tasks after it. A task without an
    /// end runs until it is cancelled.
    pub fn child_ends(&self, end: TaskEnd) {
        self.child_ends_after(Duration::ZERO, end);
    }

    /// Like [`child_ends`](Self::child_ends), but the task takes this long.
    pub fn child_ends_after(&self, after: Duration, end: TaskEnd) {
        self.state.borrow_mut().children.script.push_back(Ok((after, end)));
    }

    /// The next start of a task is refused.
    pub fn refuse_child(&self, refused: Refused) {
        self.state.borrow_mut().children.script.push_back(Err(refused));
    }

    /// The tasks that were started, in order.
    pub fn started_tasks(&self) -> Vec<StartedTask> {
        self.state.borrow().children.started.clone()
    }
}

impl State {
    fn start_task(&mut self, task_type: &str, input: &str, options: TaskOptions) -> Result<Child, Refused> {
        let end = self.children.script.pop_front().transpose()?;
        let input = serde_json::from_str(input).map_err(|error| Refused::invalid(error.to_string()))?;
        let options = options.into_wire();
        let id = format!("fake-child-{}", self.children.known.len() + 1);
        let text =
            |field: &str, default: &str| options.get(field).and_then(Value::as_str).unwrap_or(default).to_owned();
        let task = TaskRef::new(text("plugin", "fake-plugin"), task_type, text("key", &id));
        let child = Child { id, task };
        let end = end.map(|(after, end)| (self.now.saturating_add(after), end));
        self.children.known.push(Known { child: child.clone(), end });
        self.children.started.push(StartedTask { child: child.clone(), input, options });
        Ok(child)
    }

    /// Lets time pass until the child has its end.
    fn wait_task(&mut self, id: &str, timeout_ms: Option<u64>) -> Result<Option<String>, Refused> {
        let start = self.now;
        let cancel_at = self.cancel_at();
        let end = self.children.find(id)?.end.clone();
        let end_at = end.as_ref().map(|(at, _)| (*at).max(start));
        let over_at = timeout_ms.map(|ms| start.saturating_add(Duration::from_millis(ms)));
        let Some(until) = [end_at, cancel_at, over_at].into_iter().flatten().min() else {
            return Err(endless("waits for a child without a timeout, and the test does not end it", "`child_ends`"));
        };
        self.now = until;
        if cancel_at == Some(until) {
            return Err(shall_stop());
        }
        Ok(end.filter(|_| end_at == Some(until)).map(|(_, end)| document(end).to_string()))
    }

    fn cancel_task(&mut self, id: &str, reason: &str) -> Result<bool, Refused> {
        let now = self.now;
        let known = self.children.find(id)?;
        let running = known.runs_at(now);
        if running {
            let reason = reason.to_owned();
            let end =
                TaskEnd::Cancelled { message: String::new(), by: Sender::Task, reason, forced: false, data: None };
            known.end = Some((now, end));
        }
        Ok(running)
    }
}

impl Children {
    fn find(&mut self, id: &str) -> Result<&mut Known, Refused> {
        self.known.iter_mut().find(|known| known.child.id == id).ok_or_else(|| Refused {
            kind: RefusalKind::NotFound,
            message: "this task has no child of this id".to_owned(),
        })
    }
}

impl Known {
    fn runs_at(&self, now: Duration) -> bool {
        self.end.as_ref().is_none_or(|(at, _)| *at > now)
    }
}

impl TasksPage for Pages {
    fn start_task(&self, task_type: &str, input: &str, options: TaskOptions) -> Result<Child, Refused> {
        self.state.borrow_mut().start_task(task_type, input, options)
    }

    fn wait_task(&self, id: &str, timeout_ms: Option<u64>) -> Result<Option<String>, Refused> {
        self.state.borrow_mut().wait_task(id, timeout_ms)
    }

    fn cancel_task(&self, id: &str, reason: &str, _grace_ms: u64) -> Result<bool, Refused> {
        self.state.borrow_mut().cancel_task(id, reason)
    }

    fn task_state(&self, id: &str) -> Result<String, Refused> {
        let mut state = self.state.borrow_mut();
        let now = state.now;
        let phase = if state.children.find(id)?.runs_at(now) { "running" } else { "ended" };
        Ok(json!({"version": 1, "phase": phase, "attempt": 1}).to_string())
    }

    fn running_tasks(&self) -> Vec<Child> {
        let state = self.state.borrow();
        let running = state.children.known.iter().filter(|known| known.runs_at(state.now));
        running.map(|known| known.child.clone()).collect()
    }
}

/// The end as the contract describes it.
fn document(end: TaskEnd) -> Value {
    match end {
        TaskEnd::Succeeded { message, data } => {
            json!({"version": 1, "outcome": "succeeded", "message": message, "data": data})
        }
        TaskEnd::Failed { message, kind, error, retryable } => json!({
            "version": 1, "outcome": "failed", "message": message, "kind": kind, "error": error,
            "retryable": retryable,
        }),
        TaskEnd::Cancelled { message, by, reason, forced, data } => json!({
            "version": 1, "outcome": "cancelled", "message": message, "by": by.as_str(), "reason": reason,
            "forced": forced, "data": data,
        }),
        TaskEnd::Other { outcome, message } => json!({"version": 1, "outcome": outcome, "message": message}),
    }
}
