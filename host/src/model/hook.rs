//! Hooks: what a plugin does around its own life, and about its tasks' ends.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ids::{TaskId, TaskRef};
use super::limits::Limits;
use super::outcome::{Failure, FailureKind, Outcome};
use super::request::CancelRequest;
use super::snapshot::Usage;
use super::text::{self, escape};
use super::time::Timestamp;

/// The version of every document that a hook is given.
const CONTEXT_VERSION: u32 = 1;
/// Bytes of a task's result, or of its error's details, that its hook is given. A larger one would cost the hook all of
/// its fuel to read.
const DATA_BYTES_MAX: usize = 256 << 10;
/// Bytes of a hook's error that are kept. Protects the event log from the guest.
const ERROR_BYTES_MAX: usize = 16 << 10;

/// A hook around a plugin's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Hook {
    /// When it is loaded, before it can be used.
    Init,
    /// When its tasks can be started from now on.
    OnEnabled,
    /// When none of them can be started any more.
    OnDisabled,
    /// When it goes, with the host or before it.
    Shutdown,
}

/// A hook about the end of one of a plugin's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TaskHook {
    /// When somebody asked the task to stop, and it has time for that.
    OnCancel,
    /// When it has its outcome, and its key is free.
    OnTerminal,
}

impl Hook {
    pub(crate) const ALL: [Self; 4] = [Self::Init, Self::OnEnabled, Self::OnDisabled, Self::Shutdown];

    /// Its name in the contract.
    pub fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::OnEnabled => "on-enabled",
            Self::OnDisabled => "on-disabled",
            Self::Shutdown => "shutdown",
        }
    }
}

impl TaskHook {
    pub(crate) const ALL: [Self; 2] = [Self::OnCancel, Self::OnTerminal];

    /// Its name in the contract.
    pub fn word(self) -> &'static str {
        match self {
            Self::OnCancel => "on-cancel",
            Self::OnTerminal => "on-terminal",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for TaskHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a version of a plugin was told last with its own hooks: each of them comes in its order or not at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing yet.
    #[default]
    Nothing,
    /// That it is there.
    Initialised,
    /// That its tasks can be started.
    Enabled,
    /// That they cannot any more.
    Disabled,
    /// That it goes, and nothing after that.
    Shut,
}

impl Told {
    /// What it was told once this hook was called; `None` when it is not to be called now.
    pub(crate) fn after(self, hook: Hook) -> Option<Self> {
        match (self, hook) {
            (Self::Nothing, Hook::Init) => Some(Self::Initialised),
            (Self::Initialised | Self::Disabled, Hook::OnEnabled) => Some(Self::Enabled),
            (Self::Enabled, Hook::OnDisabled) => Some(Self::Disabled),
            (Self::Initialised | Self::Disabled, Hook::Shutdown) => Some(Self::Shut),
            (
                Self::Nothing | Self::Initialised | Self::Enabled | Self::Disabled | Self::Shut,
                Hook::Init | Hook::OnEnabled | Hook::OnDisabled | Hook::Shutdown,
            ) => None,
        }
    }
}

/// Any hook there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum AnyHook {
    Plugin(Hook),
    Task(TaskHook),
}

impl AnyHook {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Plugin(hook) => hook.word(),
            Self::Task(hook) => hook.word(),
        }
    }
}

/// Which hooks a plugin has: it exports the interface or not, and an interface has all of its functions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hooks {
    /// `plugin-hooks`: those around its own life.
    pub plugin: bool,
    /// `task-hooks`: those about its tasks' ends.
    pub task: bool,
}

impl Hooks {
    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let plugin = Hook::ALL.into_iter().filter(move |_| self.plugin).map(Hook::word);
        plugin.chain(TaskHook::ALL.into_iter().filter(move |_| self.task).map(TaskHook::word))
    }
}

/// What one call of a hook may use. The host's operator sets it; a plugin has no say in it.
///
/// ```
/// use std::time::Duration;
/// use taskcell::HookLimits;
///
/// let patient = HookLimits::default().timeout(Duration::from_secs(30));
/// # let _ = taskcell::Host::builder().hook_limits(patient);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HookLimits {
    /// Units of fuel. Default 50 million, about 10 ms. Protects the machine from a hook that computes.
    pub fuel: u64,
    /// Wall time, from when it begins. Default 10 s. Protects whoever waits for the host's shutdown.
    pub timeout: Duration,
    /// Wall time that it waits for its turn among other hooks; then it is not called. Default 60 s. Protects whoever waits
    /// for the host's shutdown.
    pub wait: Duration,
    /// Bytes of all linear memories together, and never more than a task's. Default 64 MiB. Protects the machine.
    pub memory_bytes: u64,
}

impl Default for HookLimits {
    fn default() -> Self {
        let (timeout, wait) = (Duration::from_secs(10), Duration::from_mins(1));
        Self { fuel: 50_000_000, timeout, wait, memory_bytes: 64 << 20 }
    }
}

impl HookLimits {
    /// Units of fuel. Default 50 million, about 10 ms.
    #[must_use]
    pub fn fuel(mut self, fuel: u64) -> Self {
        self.fuel = fuel;
        self
    }

    /// Wall time, from when it begins. Default 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Wall time that it waits for its turn among other hooks; then it is not called. Default 60 s.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Bytes of all linear memories together, and never more than a task's. Default 64 MiB.
    #[must_use]
    pub fn memory_bytes(mut self, memory_bytes: u64) -> Self {
        self.memory_bytes = memory_bytes;
        self
    }

    /// The limits of a hook's cell: these, and for everything else those of a task.
    pub(crate) fn of_cell(&self, task: &Limits) -> Limits {
        let memory_bytes = self.memory_bytes.min(task.memory_bytes);
        Limits { fuel: self.fuel, memory_bytes, result_bytes: ERROR_BYTES_MAX as u64, ..*task }
    }

    /// What ended a hook whose time was over.
    pub(crate) fn late(&self) -> Failure {
        let message = format!("it did not end within {}, and was stopped", text::duration(self.timeout));
        Failure::new(FailureKind::Timeout, message)
    }

    /// What became of a hook whose turn did not come.
    pub(crate) fn not_begun(&self) -> Failure {
        let message = format!("it was not begun: other hooks took all the room for {}", text::duration(self.wait));
        Failure::new(FailureKind::NotStarted, message)
    }
}

/// Why a hook failed.
///
/// Its text is one safe line for a person.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", line(failure))]
pub struct HookError {
    failure: Box<Failure>,
}

fn line(failure: &Failure) -> String {
    let said = escape(&failure.message);
    if failure.kind == FailureKind::Guest {
        said.into_owned()
    } else {
        format!("failed ({}): {said}", failure.kind.word())
    }
}

impl HookError {
    /// What kind of end it was. [`FailureKind::Guest`] is an error that the hook returned.
    pub fn kind(&self) -> FailureKind {
        self.failure.kind
    }

    /// All there is to know about it, as it was said: not escaped.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}

impl From<Failure> for HookError {
    fn from(failure: Failure) -> Self {
        let message = text::shortened(&failure.message, ERROR_BYTES_MAX).into_owned();
        Self { failure: Box::new(Failure { message, ..failure }) }
    }
}

impl From<HookError> for Failure {
    fn from(error: HookError) -> Self {
        *error.failure
    }
}

/// What one of a plugin's hooks left behind: that it failed, what it wrote, or both.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HookNote {
    /// When it ended.
    pub at: Timestamp,
    /// The hook's name.
    pub hook: &'static str,
    /// The task that it was about, if it was about one.
    pub task: Option<TaskId>,
    /// Why it failed, if it did.
    pub error: Option<HookError>,
    /// What it wrote to its log, stdout and stderr, its last 16 KiB of each. Not escaped: see [`escape`](crate::escape()).
    pub log: Vec<String>,
}

/// What a hook around a plugin's life is told.
pub(crate) fn plugin_context(plugin: &str, config: &Value) -> Value {
    json!({ "version": CONTEXT_VERSION, "plugin": plugin, "config": config })
}

/// What `on-cancel` is told.
pub(crate) fn cancel_context(task: &TaskRef, id: TaskId, request: &CancelRequest) -> Value {
    json!({
        "version": CONTEXT_VERSION,
        "task": reference(task),
        "id": id.to_string(),
        "by": request.by.word(),
        "reason": request.reason,
        "grace_ms": u64::try_from(request.grace.as_millis()).unwrap_or(u64::MAX),
    })
}

/// What `on-terminal` is told.
pub(crate) fn end_context(task: &TaskRef, id: TaskId, outcome: &Outcome, usage: &Usage) -> Value {
    let mut document = outcome_document(outcome);
    if let Some(fields) = document.as_object_mut() {
        for name in ["data", "error"] {
            if let Some(value) = fields.get_mut(name)
                && value.to_string().len() > DATA_BYTES_MAX
            {
                *value = Value::Null;
                fields.insert("omitted".to_owned(), name.into());
            }
        }
    }
    json!({
        "version": CONTEXT_VERSION,
        "task": reference(task),
        "id": id.to_string(),
        "outcome": document,
        "usage": usage,
    })
}

fn reference(task: &TaskRef) -> Value {
    json!({ "plugin": task.plugin, "task_type": task.task_type, "key": task.key.as_str() })
}

/// An outcome as the contract describes it to guests.
pub(crate) fn outcome_document(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Succeeded { message, data } => {
            json!({"version": 1, "outcome": "succeeded", "message": message, "data": data})
        }
        Outcome::Failed(failure) => json!({
            "version": 1, "outcome": "failed", "message": failure.message, "kind": failure.kind.word(),
            "error": failure.error, "retryable": failure.retryable,
        }),
        Outcome::Cancelled { by, reason, forced, message, data, .. } => json!({
            "version": 1, "outcome": "cancelled", "message": message, "by": by.word(), "reason": reason,
            "forced": forced, "data": data,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::TaskKey;
    use crate::model::signal::Party;

    fn task() -> TaskRef {
        TaskRef { plugin: "p".to_owned(), task_type: "t".to_owned(), key: TaskKey::new("k").unwrap() }
    }

    #[test]
    fn r5_what_hooks_are_told_is_a_document_with_a_version() {
        assert_eq!(
            plugin_context("p", &json!({"url": "x"})),
            json!({"version": 1, "plugin": "p", "config": {"url": "x"}})
        );
        let id = TaskId::from_random(7);
        let request = CancelRequest::new(Party::Person, "enough");
        let told = cancel_context(&task(), id, &request);
        assert_eq!(told["task"], json!({"plugin": "p", "task_type": "t", "key": "k"}));
        assert_eq!((&told["id"], &told["by"], &told["reason"]), (&json!(id), &json!("person"), &json!("enough")));
        assert_eq!(told["grace_ms"], json!(5000));
        let outcome = Outcome::Succeeded { message: "done".to_owned(), data: Some(json!(7)) };
        let told = end_context(&task(), id, &outcome, &Usage { fuel: 12, ..Usage::default() });
        assert_eq!((&told["outcome"]["outcome"], &told["outcome"]["data"]), (&json!("succeeded"), &json!(7)));
        assert_eq!((&told["version"], &told["usage"]["fuel"]), (&json!(1), &json!(12)));
    }

    #[test]
    fn r31_a_result_that_would_cost_all_the_fuel_to_read_is_left_out() {
        let outcome =
            |bytes: usize| Outcome::Succeeded { message: String::new(), data: Some("x".repeat(bytes).into()) };
        let told = |bytes| end_context(&task(), TaskId::from_random(1), &outcome(bytes), &Usage::default());
        assert_eq!(told(DATA_BYTES_MAX - 2)["outcome"].get("omitted"), None);
        let large = told(DATA_BYTES_MAX - 1);
        assert_eq!((&large["outcome"]["data"], &large["outcome"]["omitted"]), (&Value::Null, &json!("data")));
    }

    #[test]
    fn r5_an_error_is_one_safe_and_bounded_line() {
        let said = HookError::from(Failure::new(FailureKind::Guest, "no\n\u{1b}[31mdatabase"));
        assert_eq!(said.to_string(), r"no\n\u{1b}[31mdatabase");
        let trapped = HookError::from(Failure::new(FailureKind::Trap, "x".repeat(1 << 20)));
        assert!(trapped.to_string().starts_with("failed (trap): xxx"));
        assert!(trapped.to_string().len() < ERROR_BYTES_MAX + 32);
    }

    #[test]
    fn r5_a_version_is_told_its_hooks_in_order_and_nothing_after_the_last() {
        let told = |hooks: &[Hook]| hooks.iter().try_fold(Told::default(), |told, hook| told.after(*hook));
        let [init, enabled, disabled, shutdown] = Hook::ALL;
        assert_eq!(told(&[init, enabled, disabled, enabled, disabled, shutdown]), Some(Told::Shut));
        assert_eq!(told(&[init, shutdown]), Some(Told::Shut), "it came in disabled, or never came in");
        assert_eq!(told(&[init, disabled]), None);
        assert_eq!(told(&[init, enabled, disabled, disabled]), None);
        assert_eq!(told(&[init, enabled, shutdown]), None, "what is enabled is disabled first");
        for hook in Hook::ALL {
            assert_eq!(told(&[init, shutdown, hook]), None);
            assert_eq!(told(&[hook]).is_some(), hook == init);
        }
    }

    #[test]
    fn r5_a_hook_has_never_more_than_a_task() {
        let limits = HookLimits::default().memory_bytes(1 << 40).of_cell(&Limits::default());
        assert_eq!((limits.memory_bytes, limits.fuel), (Limits::default().memory_bytes, 50_000_000));
    }
}
