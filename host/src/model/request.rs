//! What a caller asks for.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approval::ApprovalAsk;
use super::details::TaskDetails;
use super::grants::Grants;
use super::ids::{SignalKey, TaskKey};
use super::limits::LimitsRequest;
use super::signal::{Party, Signal};
use super::wire::millis;

/// A task to start.
///
/// ```
/// use std::time::Duration;
/// use taskcell::StartRequest;
///
/// let request = StartRequest::new("digest", "digest")
///     .input(serde_json::json!({"folder": "/docs"}))
///     .timeout(Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StartRequest {
    /// The plugin's name.
    pub plugin: String,
    /// The task type's name.
    pub task_type: String,
    /// A name for this task within its type; without one its id is its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<TaskKey>,
    /// The input, checked against the type's schema.
    pub input: Value,
    /// Limits below those of the host and the manifest.
    #[serde(default)]
    pub limits: LimitsRequest,
    /// What the task may touch.
    #[serde(default)]
    pub grants: Grants,
    /// Whose it is, and how it shall be treated.
    #[serde(default)]
    pub details: TaskDetails,
    /// What somebody has to approve of before the task begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalAsk>,
    /// Signals that are there before the task runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<(SignalKey, Signal)>,
}

impl StartRequest {
    /// A request with an empty object as input, no grants, and the default limits.
    pub fn new(plugin: impl Into<String>, task_type: impl Into<String>) -> Self {
        Self {
            plugin: plugin.into(),
            task_type: task_type.into(),
            key: None,
            input: Value::Object(serde_json::Map::new()),
            limits: LimitsRequest::default(),
            grants: Grants::default(),
            details: TaskDetails::default(),
            approval: None,
            signals: Vec::new(),
        }
    }

    /// With this key.
    #[must_use]
    pub fn key(mut self, key: TaskKey) -> Self {
        self.key = Some(key);
        self
    }

    /// With this input.
    #[must_use]
    pub fn input(mut self, input: Value) -> Self {
        self.input = input;
        self
    }

    /// With these limits where they say something; what was set before stays where they do not.
    #[must_use]
    pub fn limits(mut self, limits: LimitsRequest) -> Self {
        self.limits = limits.or(self.limits);
        self
    }

    /// With this many units of fuel at most.
    #[must_use]
    pub fn fuel(mut self, units: u64) -> Self {
        self.limits.fuel = Some(units);
        self
    }

    /// With this much wall time at most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = Some(timeout);
        self
    }

    /// With this much memory at most, in bytes.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.limits.memory_bytes = Some(bytes);
        self
    }

    /// With these grants.
    #[must_use]
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// With a signal that is there before the task asks for it, in somebody's name.
    #[must_use]
    pub fn signal(mut self, key: SignalKey, payload: Option<Value>, sender: Party) -> Self {
        self.signals.push((key, Signal::new(payload, sender)));
        self
    }
}

/// A wish that a task stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CancelRequest {
    /// Who asks.
    pub by: Party,
    /// Why; may be empty.
    pub reason: String,
    /// How long the task may take to end by itself. Zero stops it where it is, at once.
    #[serde(rename = "grace_ms", with = "millis")]
    pub grace: Duration,
}

impl CancelRequest {
    /// How long a task has to tidy up unless somebody says otherwise: long enough to finish a file, short enough that a
    /// person does not wonder.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

    /// Asks the task to end by itself, and stops it after [`CancelRequest::DEFAULT_GRACE`].
    pub fn new(by: Party, reason: impl Into<String>) -> Self {
        Self { by, reason: reason.into(), grace: Self::DEFAULT_GRACE }
    }

    /// Stops the task where it is.
    pub fn force(by: Party, reason: impl Into<String>) -> Self {
        Self { by, reason: reason.into(), grace: Duration::ZERO }
    }

    /// With this grace.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}
