//! Changes to a task that meet its end, or are its end.

use serde_json::json;
use tokio::sync::oneshot;

use crate::model::command::{Answer, Command};
use crate::model::outcome::{CellEnd, Failure, FailureKind, GuestOutcome};

use super::actor::{Actor, Ended};
use super::calls::Last;
use super::cell::Cell;

impl Actor {
    /// Carries out what somebody wants of the task, and tells them whether it changed anything. Whoever comes after the
    /// end gets no answer, and finds the outcome.
    pub(super) async fn change(
        &mut self,
        mut command: Command,
        reply: oneshot::Sender<bool>,
        cell: &mut Cell,
    ) -> Result<(), Ended> {
        // Who gives fuel to a cell that has ended is told so, and not that it is done. And what the task itself came to
        // stands, if it was there first.
        let sets_the_end = matches!(command, Command::SetOutcome { .. });
        // A cell that waits for room has come to nothing, and need not begin only to be stopped.
        let meets_the_end =
            matches!(command, Command::AddFuel { .. }) || (sets_the_end && matches!(cell, Cell::Running(_)));
        if meets_the_end && let Some(step) = cell.advanced(&mut self.last).await {
            self.on_cell(step, cell).await?;
        }
        if let Command::SetOutcome { usage, .. } = &mut command {
            self.write_progress(Last::Yes).await?;
            *usage = self.shared.usage();
        }
        let answer = self.decide(command).await;
        // An end that could not be stored is another one than was wanted, and no answer lets them look.
        if answer.is_ok() || self.shared.unstored().is_none() {
            let _ = reply.send(answer.as_ref().map_or(true, |answer| *answer == Answer::Done));
        }
        answer.map(|_| ())
    }

    /// Holds a result against its type's own output schema, and the request's.
    pub(super) fn checked(&self, end: CellEnd) -> CellEnd {
        let CellEnd::Returned(GuestOutcome::Succeeded { data: Some(data), .. }) = &end else { return end };
        let schemas =
            [(Some(&self.schemas.output), "its own output schema"), (self.wanted.as_ref(), "the request's schema")];
        let faults = schemas.into_iter().find_map(|(schema, whose)| Some((schema?.check(data).err()?, whose)));
        let Some((faults, whose)) = faults else { return end };
        let message = format!("its result does not match {whose}: {}", faults.join("; "));
        let error = Some(json!({ "faults": faults }));
        CellEnd::Failed(Failure { error, ..Failure::new(FailureKind::Guest, message) })
    }
}
