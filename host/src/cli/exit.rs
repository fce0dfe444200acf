//! The exit codes, as `host/docs/cli.md` and `--help` promise them.

use std::process::ExitCode;

use crate::{FailureKind, Outcome};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// All went well.
    Succeeded,
    /// The task failed; or a command other than `run` could not do what it was asked for.
    Failed,
    /// The command line is wrong, or its input cannot be read.
    Usage,
    /// The plugin could not be loaded.
    Plugin,
    /// The task was refused before it started; or a server has no such thing, or says that it cannot be done.
    Refused,
    /// One of the task's limits stopped it.
    Limit,
    /// The task was cancelled, and not from here.
    Cancelled,
    /// There is no server to talk to.
    NoServer,
    /// The task had not ended when the time to wait for it was over.
    Unfinished,
    /// The host failed: this machine, not the task.
    Host,
    /// Cancelled with Ctrl-C or SIGTERM.
    Interrupted,
}

impl Exit {
    /// The code for a task's outcome. `interrupted`: whether Ctrl-C or SIGTERM asked the task to stop.
    ///
    /// A task that succeeds within its grace has succeeded.
    pub(super) fn of(outcome: &Outcome, interrupted: bool) -> Self {
        match outcome {
            Outcome::Succeeded { .. } => Self::Succeeded,
            Outcome::Failed(failure) if failure.kind == FailureKind::Host => Self::Host,
            Outcome::Failed(failure) if failure.is_limit() => Self::Limit,
            Outcome::Failed(_) => Self::Failed,
            Outcome::Cancelled { .. } if interrupted => Self::Interrupted,
            Outcome::Cancelled { .. } => Self::Cancelled,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Plugin => 3,
            Self::Refused => 4,
            Self::Limit => 5,
            Self::Cancelled => 6,
            Self::NoServer => 7,
            Self::Unfinished => 8,
            Self::Host => 70,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use crate::Party;
    use crate::model::outcome::Failure;

    use super::*;

    fn cancelled() -> Outcome {
        Outcome::Cancelled {
            by: Party::Person,
            reason: String::new(),
            forced: false,
            begun: true,
            message: String::new(),
            data: None,
        }
    }

    #[test]
    fn every_kind_of_failure_has_its_code() {
        let code = |kind| Exit::of(&Outcome::Failed(Failure::new(kind, "x")), true).code();
        for kind in [FailureKind::Guest, FailureKind::Trap, FailureKind::Panic, FailureKind::Exited] {
            assert_eq!(code(kind), 1, "{kind:?}");
        }
        for kind in [
            FailureKind::OutOfFuel,
            FailureKind::Timeout,
            FailureKind::Idle,
            FailureKind::Memory,
            FailureKind::OutputLimit,
        ] {
            assert_eq!(code(kind), 5, "{kind:?}");
        }
        assert_eq!(code(FailureKind::Host), 70);
    }

    #[test]
    fn only_a_cancelled_task_is_an_interrupted_one() {
        let done = Outcome::Succeeded { message: String::new(), data: None };
        assert_eq!(Exit::of(&done, true), Exit::Succeeded);
        assert_eq!(Exit::of(&cancelled(), true), Exit::Interrupted);
        assert_eq!(Exit::of(&cancelled(), false), Exit::Cancelled);
    }
}
