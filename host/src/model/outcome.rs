//! How a task ends: one outcome, told truly.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::signal::{Party, present};
use super::text::escape;

/// How a task ended. Every started task gets exactly one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// The task did what it was asked to do.
    Succeeded {
        /// A sentence for a person.
        message: String,
        /// The result. `None` is no result at all, which is not `Some(Value::Null)`.
        #[serde(default, with = "present", skip_serializing_if = "Option::is_none")]
        data: Option<Value>,
    },
    /// The task could not, or was stopped by one of its limits.
    Failed(Failure),
    /// The task was asked to stop, and did or was stopped.
    Cancelled {
        /// Who asked.
        by: Party,
        /// Why, in the words of whoever asked; may be empty.
        reason: String,
        /// `true` when the task was stopped where it was; `false` when it ended by itself, or had not begun.
        forced: bool,
        /// `false` when it was cancelled while it waited for its turn.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        begun: bool,
        /// What the task said when it ended by itself; may be empty.
        message: String,
        /// What it had done so far, if it handed that over.
        #[serde(default, with = "present", skip_serializing_if = "Option::is_none")]
        data: Option<Value>,
    },
}

impl Outcome {
    /// What it carries for a program.
    pub(crate) fn data(&self) -> Option<&Value> {
        match self {
            Self::Succeeded { data, .. } | Self::Cancelled { data, .. } => data.as_ref(),
            Self::Failed(failure) => failure.error.as_ref(),
        }
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// A bad end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// What kind of end it was.
    pub kind: FailureKind,
    /// A sentence for a person.
    pub message: String,
    /// Details for a program, as the task gave them.
    #[serde(default, with = "present", skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// Whether the same task may succeed when it is tried again.
    pub retryable: bool,
    /// The limit that ended it, by its name in [`LimitsRequest::ALL`](super::limits::LimitsRequest::ALL); `None` when
    /// none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Cow<'static, str>>,
    /// The exit code, for [`FailureKind::Exited`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The guest's call stack, innermost first, for traps and panics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
}

/// Why a task failed. Each kind has one cause, and one place that decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The task itself said so, or returned something that its own manifest forbids.
    Guest,
    /// The guest's code did something that WebAssembly does not allow: a bad memory access, an endless recursion.
    Trap,
    /// The guest panicked; the message and the place are its own.
    Panic,
    /// The fuel budget was used up.
    OutOfFuel,
    /// The deadline came.
    Timeout,
    /// It neither called nor reported anything for its idle time.
    Idle,
    /// The guest wanted more memory than its limit and could not go on without.
    Memory,
    /// The result or an error's details were larger than the limit.
    OutputLimit,
    /// The program exited with a code other than 0, or exited without an outcome.
    Exited,
    /// A budget for what it spends elsewhere was used up: tokens, actions.
    Budget,
    /// It was not allowed to begin, or to do what it could not do without.
    Denied,
    /// Its plan had no next step and was not done; or it is enforced, and the task ended as succeeded before it was done.
    Plan,
    /// It could not begin.
    NotStarted,
    /// The host failed; it is not the task's fault.
    Host,
    /// The host stopped, was started again, and cannot go on with it: nobody knows how far it had come.
    Lost,
}

impl FailureKind {
    /// The word that stands for this kind in JSON and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Trap => "trap",
            Self::Panic => "panic",
            Self::OutOfFuel => "out-of-fuel",
            Self::Timeout => "timeout",
            Self::Idle => "idle",
            Self::Memory => "memory",
            Self::OutputLimit => "output-limit",
            Self::Exited => "exited",
            Self::Budget => "budget",
            Self::Denied => "denied",
            Self::Plan => "plan",
            Self::NotStarted => "not-started",
            Self::Host => "host",
            Self::Lost => "lost",
        }
    }

    /// Whether one of the task's limits ended it.
    pub fn is_limit(self) -> bool {
        match self {
            Self::OutOfFuel | Self::Timeout | Self::Idle | Self::Memory | Self::OutputLimit | Self::Budget => true,
            Self::Guest
            | Self::Trap
            | Self::Panic
            | Self::Exited
            | Self::Denied
            | Self::Plan
            | Self::NotStarted
            | Self::Host
            | Self::Lost => false,
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Guest => "the task says so itself: its message and details say what it needs",
            Self::Trap | Self::Panic => "this is a fault in the plugin: show its author the message and the call stack",
            Self::OutOfFuel => "start it with more fuel, add some while it runs, or give it less to do",
            Self::Timeout => "start it with a longer timeout, or give it less to do",
            Self::Idle => "let it call heartbeat during long work, or start it with a longer idle time",
            Self::Memory => "start it with more memory, or give it less to do at once",
            Self::OutputLimit => "let it attach a file instead of returning so much",
            Self::Exited => "the program ended by itself: what it printed says why",
            Self::Budget => "start it with a larger budget, or give it less to do",
            Self::Denied => "whoever said no can say why; start it again when it may",
            Self::Plan => "see which steps of its plan are not done, and why; a new plan, or another attempt, may help",
            Self::NotStarted => "nothing has happened: start it again",
            Self::Host => "this is not the task's fault: see what the host said, and try again",
            Self::Lost => "see what it had done by then, and start it again when that does no harm",
        }
    }
}

impl Failure {
    /// A failure of this kind, with a sentence for a person and nothing else.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            error: None,
            retryable: false,
            limit: None,
            exit_code: None,
            backtrace: Vec::new(),
        }
    }

    /// The end of a task that met this limit, by its name on the wire.
    pub(crate) fn at_limit(kind: FailureKind, limit: &'static str, message: impl Into<String>) -> Self {
        Self { limit: Some(limit.into()), ..Self::new(kind, message) }
    }

    /// Whether one of the task's limits ended it.
    pub fn is_limit(&self) -> bool {
        self.limit.is_some() || self.kind.is_limit()
    }

    /// What somebody can do about it, in a sentence without a capital and a full stop.
    pub fn advice(&self) -> Cow<'static, str> {
        match (self.kind, &self.limit) {
            (FailureKind::Trap, Some(limit)) => {
                format!("start it with a higher limit `{limit}`, or let the plugin use less at once").into()
            }
            (kind, _) => kind.advice().into(),
        }
    }
}

impl fmt::Display for Outcome {
    /// One safe line for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded { message, .. } => write!(f, "succeeded: {}", escape(message)),
            Self::Failed(failure) => write!(f, "failed ({}): {}", failure.kind.word(), escape(&failure.message)),
            Self::Cancelled { by, reason, forced, begun, message, .. } => {
                write!(f, "cancelled by {by}")?;
                if !reason.is_empty() {
                    write!(f, " ({})", escape(reason))?;
                }
                match (*begun, *forced, message.as_str()) {
                    (false, ..) => f.write_str(": it had not begun"),
                    (true, true, _) => f.write_str(", stopped by force"),
                    (true, false, "") => f.write_str(", it ended by itself"),
                    (true, false, message) => write!(f, ", it ended by itself: {}", escape(message)),
                }
            }
        }
    }
}

/// How a cell came to its end, before anything is decided about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CellEnd {
    /// The guest returned this.
    Returned(GuestOutcome),
    /// It did not return: a trap, a limit, a failing host.
    Failed(Failure),
}

/// What a guest may return.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GuestOutcome {
    Succeeded { message: String, data: Option<Value> },
    Failed { message: String, error: Option<Value>, retryable: bool },
    Cancelled { message: String, data: Option<Value> },
}
