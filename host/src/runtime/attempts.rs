//! When a task's code begins: at its moment, with what was approved, and once more when an attempt failed.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::model::approval::ApprovalDecision;
use crate::model::details::Routing;
use crate::model::ids::TaskId;
use crate::model::json::{self, VALUES_MAX};
use crate::model::machine::{Refusal, RefusalKind};
use crate::model::snapshot::Phase;
use crate::ports::clock::BoxFuture;
use crate::ports::runner::{CellLink, CellWork, Permit};
use crate::ports::scratch::Scratch;

use super::actor::Actor;
use super::attachments::Attached;
use super::cell::Cell;
use super::dirs::HostDirs;
use super::start::applicant;

/// Anything from 0 to 1.
pub(super) fn chance() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    // Of the upper 16 bits each is random; a finer grain serves nobody.
    f64::from(u16::try_from(high >> 48).unwrap_or_default()) / f64::from(u16::MAX)
}

/// The attempt before the one that waits for its turn. Its directory stays until there is room for the next: a task that
/// ends before has no other to be kept.
#[derive(Debug)]
pub(crate) struct LastAttempt {
    dirs: Arc<HostDirs>,
    id: TaskId,
    scratch: Arc<Scratch>,
    left: Left,
}

/// What is left of an attempt.
#[derive(Debug)]
enum Left {
    /// Its cell and its directory. Completes when the cell is gone.
    Cell(oneshot::Receiver<()>),
    /// Its directory, which is being removed.
    Directory(JoinHandle<()>),
    Nothing,
}

impl LastAttempt {
    /// Removes its directory once its cell is gone. Cancel safety: what was begun goes on, and can be waited for again.
    pub(super) async fn remove(&mut self) {
        if let Left::Cell(gone) = &mut self.left {
            // An error says the same.
            let _ = gone.await;
            self.left = if self.scratch.close() { Left::Directory(self.begin_to_remove()) } else { Left::Nothing };
        }
        if let Left::Directory(removal) = &mut self.left {
            let _ = removal.await;
            self.left = Left::Nothing;
        }
    }

    fn begin_to_remove(&self) -> JoinHandle<()> {
        let (dirs, scratch, id) = (Arc::clone(&self.dirs), Arc::clone(&self.scratch), self.id);
        tokio::task::spawn_blocking(move || {
            // What cannot be removed now stands in the way of the next attempt, which says so.
            let _ = dirs.remove_scratch(&scratch, id);
        })
    }

    /// Its directory, once its cell is gone: closed and removed already, if the next attempt was about to begin.
    pub(super) async fn into_scratch(self) -> Arc<Scratch> {
        match self.left {
            Left::Cell(gone) => drop(gone.await),
            Left::Directory(removal) => drop(removal.await),
            Left::Nothing => {}
        }
        self.scratch
    }
}

impl Actor {
    /// Whether the task's moment has come; then its work is what was approved, and with the fuel that there is now.
    pub(super) fn call_up(&self, (work, link): &mut (CellWork, CellLink)) -> bool {
        let state = self.shared.state();
        if state.phase != Some(Phase::Queued) || state.awaits_first_plan() {
            return false;
        }
        work.input = Arc::clone(&state.input);
        work.attempt = state.attempt + 1;
        // What was added meanwhile is in the budget already.
        link.gauges.take_added_fuel();
        if work.limits.fuel != state.fuel_budget {
            Arc::make_mut(&mut work.limits).fuel = state.fuel_budget;
        }
        work.fuel_used = link.gauges.take_stock();
        true
    }

    /// Sets the moments that a task waits for from its creation on.
    pub(super) fn begin_to_wait(&mut self) {
        self.time_questions();
        let (routing, created) = {
            let state = self.shared.state();
            (state.details.routing.filter(|routing| routing.is_foreground() && !state.background), state.created_at)
        };
        if let Some(Routing::DetachAfter { after }) = routing {
            let waited = self.shared.around.clock.date().since(created.unwrap_or_default());
            self.timers.detach = self.in_time(Some(after.saturating_sub(waited)));
        }
        self.set_begin();
    }

    /// Makes the next attempt ready, if there is one. It begins when the last one's cell and directory are gone.
    pub(super) fn try_again(&mut self, cell: &mut Cell) {
        let Some(link) = self.again.as_deref() else { return };
        if self.shared.state().phase != Some(Phase::Delayed) {
            return;
        }
        let (alive, gone) = oneshot::channel();
        let scratch = Arc::new(self.shared.around.dirs.scratch(self.shared.id));
        let work = {
            let state = self.shared.state();
            CellWork {
                plugin: self.version.plugin.digest(),
                id: self.shared.id,
                task: self.shared.task.clone(),
                input: Arc::clone(&state.input),
                limits: Arc::clone(&state.limits),
                attempt: state.attempt + 1,
                fuel_used: 0,
                details: Arc::clone(&state.details),
                scratch: Arc::clone(&scratch),
                attachments: self.attached.as_ref().map(Attached::path),
                alive,
            }
        };
        *cell = Cell::Idle { ready: Box::new((work, link.clone())) };
        let scratch = std::mem::replace(&mut self.scratch, scratch);
        let left = Left::Cell(std::mem::replace(&mut self.gone, gone));
        // An attempt that never began leaves nothing, and the one before it may still be there.
        let (dirs, id) = (Arc::clone(&self.shared.around.dirs), self.shared.id);
        self.last.get_or_insert_with(|| Box::new(LastAttempt { dirs, id, scratch, left }));
    }

    /// Room for the task's code.
    pub(super) fn room(&self) -> BoxFuture<'static, Permit> {
        let (who, priority) = {
            let details = &self.shared.state().details;
            (applicant(&self.shared.task.plugin, details), details.priority)
        };
        Arc::clone(&self.desk).admit(Arc::clone(&self.runner), self.version.plugin.digest(), who, priority)
    }

    /// Whether what somebody approved of instead of the task's input is an input for it.
    pub(super) fn fits_approved(&self, decision: &ApprovalDecision) -> Result<(), Refusal> {
        let ApprovalDecision::Approved { input: Some(input), .. } = decision else { return Ok(()) };
        let (held, max) = {
            let state = self.shared.state();
            (state.phase == Some(Phase::Held), state.limits.input_bytes)
        };
        if !held {
            return Ok(());
        }
        if input.to_string().len() as u64 > max {
            let message = format!("the approved input is larger than the limit of {max} bytes");
            return Err(Refusal::new(RefusalKind::TooLarge, message));
        }
        if json::has_too_many(input) {
            let message = format!("the approved input has more than {VALUES_MAX} values");
            return Err(Refusal::new(RefusalKind::TooLarge, message));
        }
        self.schemas.input.check(input).map_err(|faults| {
            let message = format!("the approved input does not match the task type's schema: {}", faults.join("; "));
            Refusal::new(RefusalKind::InvalidArgument, message)
        })
    }
}
