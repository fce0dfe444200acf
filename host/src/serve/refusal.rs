//! Which problem an error of the library is: the one place that says so.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::{
    CommitError, LoadError, Outcome, PluginError, RemoveError, ReplaceError, ScheduleError, ScheduleFault, StartError,
    StoreError, TaskId, UpdateError,
};

use super::shelf::ShelfError;
use super::wire::{BadQuery, Problem, ProblemKind as Kind};

/// Seconds after which to try again when too much is under way.
const AGAIN: HeaderValue = HeaderValue::from_static("1");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why a request is not fulfilled.
#[derive(Debug)]
pub(super) struct Refusal(Box<Problem>);

impl Refusal {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Problem::new(kind, detail).into()
    }

    /// The task had its outcome already.
    pub(super) fn ended(outcome: Outcome) -> Self {
        let detail = format!("the task has ended: {outcome}");
        Problem { outcome: Some(outcome), ..Problem::new(Kind::TaskEnded, detail) }.into()
    }

    /// There is no such task.
    pub(super) fn unknown_task(id: TaskId) -> Self {
        Self::new(Kind::UnknownTask, format!("there is no task {id}; it may have been removed"))
    }

    pub(super) fn problem(self) -> Problem {
        *self.0
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let again = matches!(self.0.kind(), Some(Kind::Busy | Kind::Store));
        let mut response = (status, Json(self.0)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM);
        if again {
            response.headers_mut().insert(RETRY_AFTER, AGAIN);
        }
        response
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<BadQuery> for Refusal {
    fn from(error: BadQuery) -> Self {
        Self::new(Kind::InvalidRequest, error.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(Kind::Store, error.to_string())
    }
}

impl From<ShelfError> for Refusal {
    fn from(error: ShelfError) -> Self {
        let kind = match &error {
            ShelfError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Kind::DiskFull,
            ShelfError::Io { .. } => Kind::Internal,
            ShelfError::Changed { .. } | ShelfError::Name { .. } => Kind::Refused,
        };
        Self::new(kind, error.to_string())
    }
}

fn commit(error: CommitError) -> Kind {
    match error {
        CommitError::Full => Kind::DiskFull,
        CommitError::Fenced | CommitError::Unavailable => Kind::Store,
    }
}

impl From<StartError> for Refusal {
    fn from(error: StartError) -> Self {
        use StartError as E;
        let detail = error.to_string();
        let of = |kind| Problem::new(kind, detail.clone());
        match error {
            E::UnknownPlugin { loaded, .. } => Problem { loaded: Some(loaded), ..of(Kind::UnknownPlugin) },
            E::PluginUnloading { .. } | E::PluginDisabled { .. } => of(Kind::PluginClosed),
            E::UnknownTaskType { known, .. } => Problem { known: Some(known), ..of(Kind::UnknownTaskType) },
            E::InvalidInput { faults } => Problem { faults: Some(faults), ..of(Kind::InvalidInput) },
            E::InputTooLarge { max, .. } | E::TooManyValues { max } => Problem { max: Some(max), ..of(Kind::TooLarge) },
            E::KeyInUse { task } | E::KeyAwaitsPlugin { task, .. } | E::KeyAwaitsHost { task } => {
                Problem { task: Some(task), ..of(Kind::KeyInUse) }
            }
            // It is there in a moment.
            E::NotRecovered => of(Kind::Busy),
            E::QueueFull { max } => Problem { max: u64::try_from(max).ok(), ..of(Kind::Busy) },
            E::IdempotencyKeyUsed { task } => Problem { task: Some(task), ..of(Kind::IdempotencyKeyUsed) },
            E::UnknownPlanner { known, .. } | E::UnknownOnTerminal { known, .. } => {
                Problem { known: Some(known), ..of(Kind::Refused) }
            }
            E::KeyLikeId
            | E::ParentGone { .. }
            | E::DaemonKey { .. }
            | E::DaemonChild { .. }
            | E::Permission
            | E::ParentRefuses { .. }
            | E::OutputSchema(_)
            | E::Schedule
            | E::Details(_)
            | E::Attachment(_)
            | E::GrantedDir { .. }
            | E::GuestPath { .. }
            | E::BeyondPolicy { .. }
            | E::TooManySignals { .. }
            | E::Plan(_) => of(Kind::Refused),
            E::Store(error) => of(commit(error)),
            E::ShuttingDown => of(Kind::ShuttingDown),
        }
        .into()
    }
}

impl From<UpdateError> for Refusal {
    fn from(error: UpdateError) -> Self {
        let detail = error.to_string();
        match error {
            UpdateError::Stale { current } => {
                Problem { revision: Some(current), ..Problem::new(Kind::StaleRevision, detail) }.into()
            }
            UpdateError::Refused(_) => Self::new(Kind::Refused, detail),
            UpdateError::Store => Self::new(Kind::Store, detail),
        }
    }
}

impl From<RemoveError> for Refusal {
    fn from(error: RemoveError) -> Self {
        let kind = match error {
            RemoveError::Unknown(_) => Kind::UnknownTask,
            RemoveError::Running(_) => Kind::TaskRunning,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<PluginError> for Refusal {
    fn from(error: PluginError) -> Self {
        let detail = error.to_string();
        match error {
            PluginError::Unknown { loaded, .. } => {
                Problem { loaded: Some(loaded), ..Problem::new(Kind::UnknownPlugin, detail) }.into()
            }
            PluginError::ShuttingDown => Self::new(Kind::ShuttingDown, detail),
        }
    }
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        use LoadError as E;
        let kind = match &error {
            E::TooLarge { .. } => Kind::TooLarge,
            E::NameTaken { .. } => Kind::NameInUse,
            E::ShuttingDown => Kind::ShuttingDown,
            E::NoCompiler { .. } | E::CompilerDied { .. } | E::Io { .. } | E::Audit(_) => Kind::Internal,
            E::NotAFile { .. }
            | E::NotAComponent(_)
            | E::NotSigned { .. }
            | E::Malformed { .. }
            | E::OtherWorld { .. }
            | E::NewerContract { .. }
            | E::UnknownImports { .. }
            | E::TooDemanding(_)
            | E::PlainProgram
            | E::Componentize(_)
            | E::Compile(_)
            | E::CompileMemory { .. }
            | E::CompileTimeout { .. }
            | E::CodeTooLarge { .. }
            | E::Describe(_)
            | E::Init { .. }
            | E::Manifest(_) => Kind::BadPlugin,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ReplaceError> for Refusal {
    fn from(error: ReplaceError) -> Self {
        match error {
            ReplaceError::Load(error) => error.into(),
            ReplaceError::NotLoaded(error) => error.into(),
        }
    }
}

impl From<ScheduleError> for Refusal {
    fn from(error: ScheduleError) -> Self {
        let detail = error.to_string();
        match error {
            ScheduleError::Fault(ScheduleFault::TooLarge { max, .. }) => {
                Problem { max: Some(max), ..Problem::new(Kind::TooLarge, detail) }.into()
            }
            ScheduleError::Fault(ScheduleFault::Name | ScheduleFault::Cron(_) | ScheduleFault::OnlyOnce { .. }) => {
                Self::new(Kind::Refused, detail)
            }
            ScheduleError::Start(error) => Problem { detail, ..Self::from(error).problem() }.into(),
            ScheduleError::NameInUse { .. } => Self::new(Kind::NameInUse, detail),
            ScheduleError::TooMany { max } => {
                Problem { max: u64::try_from(max).ok(), ..Problem::new(Kind::Refused, detail) }.into()
            }
            ScheduleError::Unknown => Self::new(Kind::UnknownSchedule, detail),
            ScheduleError::Busy => Self::new(Kind::Busy, detail),
            ScheduleError::Store => Self::new(Kind::Store, detail),
            ScheduleError::ShuttingDown => Self::new(Kind::ShuttingDown, detail),
        }
    }
}
