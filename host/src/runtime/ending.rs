//! Changes to a task that meet its end, or are its end.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::oneshot;

use crate::model::command::{Answer, Command};
use crate::model::machine::{Refusal, RefusalKind};
use crate::model::outcome::{CellEnd, Failure, FailureKind, GuestOutcome};
use crate::model::oversize::{Excess, refer, stored_as, unstored};
use crate::model::snapshot::Artifact;

use super::actor::{Actor, Ended};
use super::calls::{Last, done};
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

    /// Does with a result that is too large what the request says.
    pub(super) async fn fitted(&mut self, mut end: CellEnd) -> Result<CellEnd, Ended> {
        let (oversize, limits, again) = {
            let state = self.shared.state();
            let again = state.tries() < state.details.retry.attempts && state.cancel.is_none();
            (state.details.oversize, Arc::clone(&state.limits), again)
        };
        match oversize.fit(&limits, &mut end, again) {
            None => Ok(end),
            Some(Excess::Fails(failure)) => Ok(CellEnd::Failed(failure)),
            Some(Excess::Stores(text)) => match Box::pin(self.store_result(text)).await? {
                Ok((artifact, text)) => {
                    refer(&mut end, &artifact, &text, &limits, oversize);
                    Ok(end)
                }
                Err(why) => Ok(unstored(end, &why.message, &limits, oversize)),
            },
        }
    }

    /// Stores a result among the task's artifacts.
    async fn store_result(&mut self, text: String) -> Result<Result<(Artifact, String), Refusal>, Ended> {
        let (number, left) = match self.room_for_file() {
            Ok(room) => room,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (dirs, id) = (Arc::clone(&self.shared.around.dirs), self.shared.id);
        // The guest has ended and waits for nothing; the end is decided when the file is there.
        let stored = tokio::task::spawn_blocking(move || {
            dirs.store(id, number, &mut text.as_bytes(), left).map(|stored| (stored, text))
        });
        let (stored, text) = match stored.await {
            Ok(Ok(stored)) => stored,
            Ok(Err(refusal)) => return Ok(Err(refusal)),
            Err(error) => return Ok(Err(Refusal::new(RefusalKind::Host, error.to_string()))),
        };
        let artifact = stored_as(number, stored.size, stored.sha256);
        let attached = done(self.decide(Command::Attach(artifact.clone())).await?);
        Ok(attached.map(|()| (artifact, text)))
    }
}
