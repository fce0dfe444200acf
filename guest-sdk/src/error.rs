//! Why a call to the host did not do what it was asked to do.

use std::fmt;

use serde_json::Value;

/// The host refused a call. The task goes on; what it does about it is its own affair.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host refused the call ({kind}): {message}")]
pub struct Refused {
    /// What kind of refusal it is.
    pub kind: RefusalKind,
    /// A sentence for a person.
    pub message: String,
}

impl Refused {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::InvalidArgument, message: message.into() }
    }
}

/// What kind of refusal it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// A value is out of its range; the message names it.
    InvalidArgument,
    /// The operator has not granted what the call needs, or somebody said no.
    Denied,
    /// A value is over its limit.
    TooLarge,
    /// What the call names does not exist.
    NotFound,
    /// The task has its outcome already.
    Ended,
    /// Nobody answered in time.
    TimedOut,
    /// The task shall stop.
    Cancelled,
    /// The host failed; it is not the task's fault.
    Host,
    /// There is no task here: a hook runs beside the tasks and in none of them.
    NoTask,
    /// Somebody else was faster: look again.
    Conflict,
    /// A kind that this version of the SDK does not know, in the contract's word.
    Other(String),
}

impl RefusalKind {
    /// The contract's word, such as `invalid-argument`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::InvalidArgument => "invalid-argument",
            Self::Denied => "denied",
            Self::TooLarge => "too-large",
            Self::NotFound => "not-found",
            Self::Ended => "ended",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Host => "host",
            Self::NoTask => "no-task",
            Self::Conflict => "conflict",
            Self::Other(word) => word,
        }
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn from_wire(word: String) -> Self {
        match word.as_str() {
            "invalid-argument" => Self::InvalidArgument,
            "denied" => Self::Denied,
            "too-large" => Self::TooLarge,
            "not-found" => Self::NotFound,
            "ended" => Self::Ended,
            "timed-out" => Self::TimedOut,
            "cancelled" => Self::Cancelled,
            "host" => Self::Host,
            "no-task" => Self::NoTask,
            "conflict" => Self::Conflict,
            _ => Self::Other(word),
        }
    }
}

impl fmt::Display for RefusalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The task shall stop. Returned from a task with `?`, it ends the task as cancelled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}")]
pub struct Cancelled {
    place: String,
}

impl Cancelled {
    pub(crate) fn at(place: impl Into<String>) -> Self {
        Self { place: place.into() }
    }

    /// Where the task noticed it, as a sentence for a person.
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// Why a wait ended without a signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The time was over.
    #[error("no signal came in time")]
    TimedOut,
    /// The task shall stop. Returned from a task with `?`, it ends the task as cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The host ended this one wait; the task goes on.
    #[error("the host ended the wait")]
    WaitCancelled,
    /// The call itself was wrong.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A signal came and was taken, but its payload is not what the task expects. The text says where.
    #[error("the signal's payload does not fit: {0}")]
    BadPayload(String),
}

impl WaitError {
    /// What a refusal of a call that parks means; `cancelled` makes the error for a task that shall stop.
    pub(crate) fn from_refusal(refused: Refused, cancelled: impl FnOnce() -> Cancelled) -> Self {
        match refused.kind {
            RefusalKind::Cancelled => Self::Cancelled(cancelled()),
            RefusalKind::InvalidArgument
            | RefusalKind::Denied
            | RefusalKind::TooLarge
            | RefusalKind::NotFound
            | RefusalKind::Ended
            | RefusalKind::TimedOut
            | RefusalKind::Host
            | RefusalKind::NoTask
            | RefusalKind::Conflict
            | RefusalKind::Other(_) => Self::Refused(refused),
        }
    }
}

/// Why a function of the program around the host has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The function says that it could not do it.
    #[error("the host's function failed: {message}")]
    Failed {
        /// A sentence for a person.
        message: String,
        /// Details for a program.
        details: Option<Value>,
    },
    /// The function took too long.
    #[error("the host's function did not answer in time")]
    TimedOut,
    /// The task shall stop. Returned from a task with `?`, it ends the task as cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The call was wrong or not granted, there is no such function, or the host failed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The function answered, but not with what the task expects. The text says where.
    #[error("the answer of the host's function does not fit: {0}")]
    BadAnswer(String),
}

impl HostError {
    /// A function's own failure, as a test wants it.
    #[cfg(not(target_family = "wasm"))]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), details: None }
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn from_wire(kind: String, message: String, details: Option<&str>) -> Self {
        if kind == "failed" {
            let details = details.and_then(|text| serde_json::from_str(text).ok());
            return Self::Failed { message, details };
        }
        match RefusalKind::from_wire(kind) {
            RefusalKind::TimedOut => Self::TimedOut,
            RefusalKind::Cancelled => Self::Cancelled(Cancelled::at("stopped while waiting for the host's function")),
            kind @ (RefusalKind::InvalidArgument
            | RefusalKind::Denied
            | RefusalKind::TooLarge
            | RefusalKind::NotFound
            | RefusalKind::Ended
            | RefusalKind::Host
            | RefusalKind::NoTask
            | RefusalKind::Conflict
            | RefusalKind::Other(_)) => Self::Refused(Refused { kind, message }),
        }
    }
}

/// Why a request for fuel brought none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FuelError {
    /// Somebody said no, in their words.
    #[error("no more fuel: {0}")]
    Denied(String),
    /// Nobody answered in time.
    #[error("nobody answered the request for fuel in time")]
    TimedOut,
    /// The task shall stop. Returned from a task with `?`, it ends the task as cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The call itself was wrong, or the host failed.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl FuelError {
    /// What a refusal means here; `cancelled` makes the error for a task that shall stop.
    pub(crate) fn from_refusal(refused: Refused, cancelled: impl FnOnce() -> Cancelled) -> Self {
        match refused.kind {
            RefusalKind::Denied => Self::Denied(refused.message),
            RefusalKind::TimedOut => Self::TimedOut,
            RefusalKind::Cancelled => Self::Cancelled(cancelled()),
            RefusalKind::InvalidArgument
            | RefusalKind::TooLarge
            | RefusalKind::NotFound
            | RefusalKind::Ended
            | RefusalKind::Host
            | RefusalKind::NoTask
            | RefusalKind::Conflict
            | RefusalKind::Other(_) => Self::Refused(refused),
        }
    }
}
