//! Where a task's code is: waiting for room, running, or gone.

use std::pin::pin;
use std::task::Poll;

use tokio::task::unconstrained;

use crate::model::outcome::CellEnd;
use crate::ports::clock::BoxFuture;
use crate::ports::runner::{CellLink, CellWork, Permit, Runner};

use super::attempts::LastAttempt;

/// Where a task's code is.
pub(super) enum Cell {
    /// Waiting for its moment: for somebody's yes, or for a time.
    Idle { ready: Box<(CellWork, CellLink)> },
    /// Waiting for room.
    Queued { admission: BoxFuture<'static, Permit>, ready: Box<(CellWork, CellLink)> },
    /// There is room for it, and the attempt before it may not be gone yet.
    Admitted { permit: Permit, ready: Box<(CellWork, CellLink)> },
    /// Running, or parked.
    Running(BoxFuture<'static, CellEnd>),
    /// There is no cell, or it is being dropped.
    Gone,
}

/// What became of the cell.
pub(super) enum CellStep {
    /// There is room for it, and nothing is left of the attempt before.
    Admitted,
    Ended(CellEnd),
}

impl Cell {
    /// Waits for the next thing that becomes of the cell, the last attempt's end included. Cancel safety: nothing is lost.
    pub(super) async fn advance(&mut self, last: &mut Option<Box<LastAttempt>>) -> CellStep {
        if let Self::Queued { admission, .. } = self {
            let permit = admission.await;
            self.admit(permit);
        }
        match self {
            Self::Admitted { .. } => {
                if let Some(attempt) = last {
                    attempt.remove().await;
                    *last = None;
                }
                CellStep::Admitted
            }
            Self::Running(running) => {
                let end = running.await;
                *self = Self::Gone;
                CellStep::Ended(end)
            }
            Self::Idle { .. } | Self::Queued { .. } | Self::Gone => std::future::pending().await,
        }
    }

    /// What has become of the cell already, without waiting for it.
    pub(super) async fn advanced(&mut self, last: &mut Option<Box<LastAttempt>>) -> Option<CellStep> {
        // What has happened is seen, also by an actor that has used its share of the runtime up.
        let mut step = pin!(unconstrained(self.advance(last)));
        std::future::poll_fn(|cx| match step.as_mut().poll(cx) {
            Poll::Ready(step) => Poll::Ready(Some(step)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Lets a cell wait for room that was waiting for its moment.
    pub(super) fn queue(&mut self, admission: impl FnOnce() -> BoxFuture<'static, Permit>) {
        if let Self::Idle { ready } = std::mem::replace(self, Self::Gone) {
            *self = Self::Queued { admission: admission(), ready };
        }
    }

    fn admit(&mut self, permit: Permit) {
        if let Self::Queued { ready, .. } = std::mem::replace(self, Self::Gone) {
            *self = Self::Admitted { permit, ready };
        }
    }

    /// Lets a cell run that has room.
    pub(super) fn run(&mut self, runner: &dyn Runner) {
        if let Self::Admitted { permit, ready } = std::mem::replace(self, Self::Gone) {
            let (work, link) = *ready;
            *self = Self::Running(runner.run(work, link, permit));
        }
    }
}
