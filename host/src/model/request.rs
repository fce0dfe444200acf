//! What a caller asks for.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approval::ApprovalAsk;
use super::attachment::Attachment;
use super::delivery::{ContinuePolicy, DeliveryMode};
use super::details::{Routing, TaskDetails};
use super::grants::Grants;
use super::ids::{SignalKey, TaskId, TaskKey};
use super::limits::LimitsRequest;
use super::oversize::Oversize;
use super::plan::Plan;
use super::retry::RetryPolicy;
use super::signal::{Party, Signal};
use super::time::Timestamp;
use super::wire::{maybe_millis, millis};

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
    /// What happens when a live task has this key.
    #[serde(default)]
    pub on_key_in_use: KeyPolicy,
    /// The input, checked against the type's schema. Default an empty object.
    #[serde(default = "nothing")]
    pub input: Value,
    /// Limits below those of the host and the manifest.
    #[serde(default)]
    pub limits: LimitsRequest,
    /// What the task may touch, where there is no policy: nothing without it. A host with a policy gives a task as much
    /// of this as that allows, and without it as much as that gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Grants>,
    /// Whose it is, and how it shall be treated.
    #[serde(default)]
    pub details: TaskDetails,
    /// What somebody has to approve of before the task begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalAsk>,
    /// Signals that are there before the task runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<(SignalKey, Signal)>,
    /// Files that the task gets along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Not before this much time after the start. When the details name a moment too, the later of both counts.
    #[serde(default, rename = "run_after_ms", with = "maybe_millis", skip_serializing_if = "Option::is_none")]
    pub run_after: Option<Duration>,
    /// Whether its session's loop is not told of it: the host starts it for another task.
    #[serde(skip)]
    pub(crate) untold: bool,
}

fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

/// What a start does whose key a live task has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyPolicy {
    /// It is refused.
    #[default]
    Reject,
    /// It gives a handle to that task and starts nothing. Of the request only plugin, type and key matter then; it is
    /// checked all the same, and what its input, limits, grants, details, signals, plan and approval say is not used. A function
    /// that came along to be called at the end is not called.
    Join,
    /// That task is cancelled, and the new one begins when it has its outcome, which stands: one that succeeds within its
    /// grace has succeeded. Of several that replace at once each has its turn, and the last one stays.
    ///
    /// What can be refused is refused before anything is cancelled; only a store that fails comes later.
    #[non_exhaustive]
    Replace {
        /// In whose name the old task is cancelled.
        by: Party,
        /// How long it may take to end by itself: the longest that it holds the new one up.
        #[serde(rename = "grace_ms", with = "millis")]
        grace: Duration,
    },
}

impl KeyPolicy {
    /// Replaces a live task in somebody's name, which has [`CancelRequest::DEFAULT_GRACE`] to end.
    pub fn replace(by: Party) -> Self {
        Self::Replace { by, grace: CancelRequest::DEFAULT_GRACE }
    }

    /// With this grace for the task that is replaced. Where nothing is replaced, it changes nothing.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        match self {
            Self::Replace { by, .. } => Self::Replace { by, grace },
            Self::Reject | Self::Join => self,
        }
    }
}

impl StartRequest {
    /// A request with an empty object as input, no grants, and the default limits.
    pub fn new(plugin: impl Into<String>, task_type: impl Into<String>) -> Self {
        Self {
            plugin: plugin.into(),
            task_type: task_type.into(),
            key: None,
            on_key_in_use: KeyPolicy::default(),
            input: nothing(),
            limits: LimitsRequest::default(),
            grants: None,
            details: TaskDetails::default(),
            approval: None,
            signals: Vec::new(),
            attachments: Vec::new(),
            plan: None,
            run_after: None,
            untold: false,
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
        self.grants = Some(grants);
        self
    }

    /// With a signal that is there before the task asks for it, in somebody's name.
    #[must_use]
    pub fn signal(mut self, key: SignalKey, payload: Option<Value>, sender: Party) -> Self {
        self.signals.push((key, Signal::new(payload, sender)));
        self
    }

    /// With this file, which the task reads as `/attachments/NAME`. It is copied when the task is started, for this task alone:
    /// children see none of it.
    #[must_use]
    pub fn attachment(mut self, attachment: Attachment) -> Self {
        self.attachments.push(attachment);
        self
    }

    /// With this answer to a key that a live task has.
    ///
    /// ```
    /// use std::time::Duration;
    /// use taskcell::{KeyPolicy, Party, StartRequest, TaskKey};
    ///
    /// # fn example() -> Result<StartRequest, taskcell::InvalidKey> {
    /// let request = StartRequest::new("index", "index")
    ///     .key(TaskKey::new("docs")?)
    ///     .on_key_in_use(KeyPolicy::replace(Party::Person).grace(Duration::from_secs(1)));
    /// # Ok(request) }
    /// ```
    #[must_use]
    pub fn on_key_in_use(mut self, policy: KeyPolicy) -> Self {
        self.on_key_in_use = policy;
        self
    }

    /// In this session.
    #[must_use]
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.details.session = Some(session.into());
        self
    }

    /// In this turn of the session's agent.
    #[must_use]
    pub fn turn(mut self, turn: impl Into<String>) -> Self {
        self.details.turn = Some(turn.into());
        self
    }

    /// For this tool call, as the agent's model numbered it.
    #[must_use]
    pub fn call(mut self, id: impl Into<String>) -> Self {
        self.details.call_id = Some(id.into());
        self
    }

    /// With its updates going there when nobody waits for it.
    #[must_use]
    pub fn delivery(mut self, delivery: DeliveryMode) -> Self {
        self.details.delivery = delivery;
        self
    }

    /// With a result that asks the agent to take another turn, or that does not.
    #[must_use]
    pub fn continue_policy(mut self, policy: ContinuePolicy) -> Self {
        self.details.continue_policy = policy;
        self
    }

    /// With a title for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.details.title = Some(title.into());
        self
    }

    /// With one more label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.details.labels.insert(name.into(), value.into());
        self
    }

    /// With this priority among the tasks that wait for their turn: the higher goes first. Default 0.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.details.priority = priority;
        self
    }

    /// As a child of this task, which must be alive. It gets fuel, time and a place in the tree of that task's, and stops
    /// with it, unless the details say that it is detached. What the details leave open (session, turn, agent, user, trace
    /// context, approvers, priority) is the parent's; grants are the request's own.
    #[must_use]
    pub fn parent(mut self, parent: TaskId) -> Self {
        self.details.parent = Some(parent);
        self
    }

    /// Not before this moment.
    #[must_use]
    pub fn run_at(mut self, at: Timestamp) -> Self {
        self.details.run_at = Some(at);
        self
    }

    /// Not before this much time after the start.
    #[must_use]
    pub fn run_after(mut self, after: Duration) -> Self {
        self.run_after = Some(after);
        self
    }

    /// Tried again when it fails, as this says.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.details.retry = policy;
        self
    }

    /// Started once: the same request with the same key gives the first task's handle, as long as the host remembers that
    /// task, ended or not. Keys are the session's, or the host's without one.
    #[must_use]
    pub fn once(mut self, key: impl Into<String>) -> Self {
        self.details.idempotency_key = Some(key.into());
        self
    }

    /// With its caller waiting there, whatever the host's policy and the plugin say. See [`Host::run`](crate::Host::run).
    #[must_use]
    pub fn routing(mut self, routing: Routing) -> Self {
        self.details.routing = Some(routing);
        self
    }

    /// With this plan. Its first step begins with the task.
    ///
    /// ```
    /// use taskcell::{Plan, PlanStep, StartRequest};
    ///
    /// let plan = Plan::new("a release").step(PlanStep::new("build")).step(PlanStep::new("sign"));
    /// let request = StartRequest::new("release", "release").plan(plan).enforce_plan();
    /// ```
    #[must_use]
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plan = Some(plan);
        self
    }

    /// With this planner, which makes its plan before it runs, if it has none, and others when it is asked. See
    /// [`HostBuilder::planner`](crate::HostBuilder::planner).
    #[must_use]
    pub fn planner(mut self, name: impl Into<String>) -> Self {
        self.details.planner = Some(name.into());
        self
    }

    /// With its plan enforced: a success before the plan is done is a failure of kind `plan`, which the retry policy may
    /// try again. A task that has no plan when it ends is not held against one.
    #[must_use]
    pub fn enforce_plan(mut self) -> Self {
        self.details.enforce_plan = true;
        self
    }

    /// With this for a result that is too large.
    #[must_use]
    pub fn oversize(mut self, oversize: Oversize) -> Self {
        self.details.oversize = oversize;
        self
    }

    /// With a JSON Schema that the result must match, beside the type's own.
    #[must_use]
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.details.output_schema = Some(schema);
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

    /// The reason of a cancel for another start of the same key.
    pub(crate) const REPLACED: &str = "replaced by a new start";

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
