//! Why a call to the server came to nothing, and what that means for the program's end.

use std::error::Error as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::serve::wire::{Problem, ProblemKind};

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum CallError {
    /// The server said why.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// Nobody listens there.
    #[error("no server is running on {}", data.display())]
    NoServer {
        /// Where.
        data: PathBuf,
    },
    /// Somebody listens there, for somebody else.
    #[error("the server on {} is somebody else's", data.display())]
    Forbidden {
        /// Where.
        data: PathBuf,
    },
    /// The connection broke.
    #[error("the connection to the server broke: {0}")]
    Broken(#[source] reqwest::Error),
    /// The server ended a stream that is not at its end.
    #[error("the server went away")]
    Closed,
    /// The answer is none that this program knows.
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
}

impl CallError {
    /// What a failed request means.
    pub(super) fn of(error: reqwest::Error, data: &Path) -> Self {
        let mut cause = error.source();
        while let Some(inner) = cause {
            let kind = inner.downcast_ref::<std::io::Error>().map(std::io::Error::kind).filter(|_| error.is_connect());
            if kind == Some(ErrorKind::NotFound) || kind == Some(ErrorKind::ConnectionRefused) {
                return Self::NoServer { data: data.to_owned() };
            }
            if kind == Some(ErrorKind::PermissionDenied) {
                return Self::Forbidden { data: data.to_owned() };
            }
            cause = inner.source();
        }
        Self::Broken(error)
    }

    /// Which problem the server said, if it said one.
    pub(in crate::cli) fn kind(&self) -> Option<ProblemKind> {
        match self {
            Self::Problem(problem) => problem.kind(),
            Self::NoServer { .. } | Self::Forbidden { .. } | Self::Broken(_) | Self::Closed | Self::Unreadable(_) => {
                None
            }
        }
    }

    /// Whether the server is gone, or about to go, and may come again.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Problem(problem) => {
                matches!(problem.kind(), Some(ProblemKind::ShuttingDown | ProblemKind::Busy | ProblemKind::Store))
            }
            Self::NoServer { .. } | Self::Broken(_) | Self::Closed => true,
            Self::Forbidden { .. } | Self::Unreadable(_) => false,
        }
    }
}

/// The code with which a command ends that met this problem.
fn exit(kind: Option<ProblemKind>) -> Exit {
    use ProblemKind as Kind;
    match kind {
        Some(
            Kind::UnknownPlugin
            | Kind::UnknownTaskType
            | Kind::InvalidInput
            | Kind::Refused
            | Kind::PluginClosed
            | Kind::KeyInUse
            | Kind::IdempotencyKeyUsed
            | Kind::NameInUse
            | Kind::TooLarge
            | Kind::Busy
            | Kind::NotAllowed
            | Kind::UnknownTask
            | Kind::UnknownSchedule
            | Kind::UnknownApproval
            | Kind::UnknownArtifact
            | Kind::TaskEnded
            | Kind::TaskRunning
            | Kind::StaleRevision,
        ) => Exit::Refused,
        Some(Kind::BadPlugin) => Exit::Plugin,
        Some(Kind::InvalidRequest | Kind::UnsupportedMediaType) => Exit::Usage,
        Some(
            Kind::NotFound
            | Kind::MethodNotAllowed
            | Kind::RequestTimeout
            | Kind::Internal
            | Kind::Store
            | Kind::ShuttingDown
            | Kind::DiskFull,
        )
        | None => Exit::Host,
    }
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        match &error {
            CallError::Problem(problem) => {
                let exit = exit(problem.kind());
                let faults = problem.faults.as_ref().map(|faults| faults.join("; "));
                let said = faults.is_some_and(|faults| problem.detail.contains(&faults));
                let hint = problem.faults.as_ref().filter(|_| !said).map(|faults| faults.join("; "));
                Self::new(exit, error).maybe_hint(hint)
            }
            CallError::NoServer { data } => {
                let hint = format!("start one in another terminal: `taskcell serve --data {}`", data.display());
                Self::new(Exit::NoServer, error).hint(hint)
            }
            CallError::Forbidden { .. } => Self::new(Exit::Host, error)
                .hint("a server is for the person who started it; name yours with --data DIR"),
            CallError::Broken(_) | CallError::Closed => Self::new(Exit::Host, error),
            CallError::Unreadable(_) => {
                let hint = "the server may be of another version: see `taskcell --version`, and start it again";
                Self::new(Exit::Host, error).hint(hint)
            }
        }
    }
}
