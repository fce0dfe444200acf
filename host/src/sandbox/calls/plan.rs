//! `taskcell:plugin/plan`.

use std::time::Duration;

use crate::model::command::PlanCommand;
use crate::model::json;
use crate::model::machine::{Refusal, RefusalKind};
use crate::model::plan::{Plan, PlanError, StepStatus};
use crate::model::signal::Party;
use crate::model::snapshot::Usage;
use crate::ports::runner::GuestCall;
use crate::sandbox::bindings::taskcell::plugin::{plan, types};
use crate::sandbox::cell::CellData;

use super::convert;

/// A plan of the guest's. What is none goes on as such, because everybody shall see it.
fn read(text: &str) -> Result<Box<Plan>, PlanError> {
    let document = json::parse(text).map_err(|error| PlanError::NotAPlan(format!("the text {error}")))?;
    Plan::from_json(document).map(Box::new)
}

fn status(word: &str) -> Result<StepStatus, Refusal> {
    StepStatus::from_word(word).ok_or_else(|| {
        let message = format!("a step ends as completed, failed, skipped or cancelled, and not as {word:?}");
        Refusal::new(RefusalKind::InvalidArgument, message)
    })
}

impl CellData {
    async fn change_plan(&mut self, change: PlanCommand) -> Result<String, Refusal> {
        let plan = self.link.request(|reply| GuestCall::ChangePlan { change, reply }).await?;
        Ok(plan.to_json().to_string())
    }

    async fn make_plan_anew(&mut self, reason: String, timeout: Option<Duration>) -> Result<String, Refusal> {
        let reason = convert::message(reason)?;
        let plan = self.link.request(|reply| GuestCall::Replan { reason, timeout, reply }).await?;
        Ok(plan.to_json().to_string())
    }
}

impl plan::Host for CellData {
    async fn get(&mut self) -> wasmtime::Result<Option<String>> {
        self.called(0);
        let plan = self.link.ask(|reply| GuestCall::ReadPlan { reply }).await.flatten();
        Ok(plan.map(|plan| plan.to_json().to_string()))
    }

    async fn set(
        &mut self,
        plan: String,
        expected_revision: Option<u64>,
    ) -> wasmtime::Result<Result<String, types::Refusal>> {
        self.called(plan.len());
        let change = PlanCommand::Set { plan: read(&plan), expected: expected_revision, by: Party::Itself };
        Ok(self.change_plan(change).await.map_err(Into::into))
    }

    async fn advance(&mut self, note: Option<String>) -> wasmtime::Result<Result<String, types::Refusal>> {
        self.called(note.as_ref().map_or(0, String::len));
        let change = PlanCommand::Advance { note, by: Party::Itself, usage: Usage::default() };
        Ok(self.change_plan(change).await.map_err(Into::into))
    }

    async fn finish_step(
        &mut self,
        word: String,
        note: Option<String>,
    ) -> wasmtime::Result<Result<String, types::Refusal>> {
        self.called(word.len() + note.as_ref().map_or(0, String::len));
        let status = match status(&word) {
            Ok(status) => status,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let change = PlanCommand::FinishStep { status, note, by: Party::Itself };
        Ok(self.change_plan(change).await.map_err(Into::into))
    }

    async fn replan(
        &mut self,
        reason: String,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<String, types::Refusal>> {
        self.called(reason.len());
        let timeout = timeout_ms.map(Duration::from_millis);
        Ok(self.make_plan_anew(reason, timeout).await.map_err(Into::into))
    }
}
