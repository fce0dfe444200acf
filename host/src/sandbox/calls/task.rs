//! `taskcell:plugin/task`.

use std::time::Duration;

use crate::model::machine::{Refusal, check_percent};
use crate::ports::hooks::no_task;
use crate::ports::runner::{CancelNotice, GuestCall};
use crate::sandbox::bindings::taskcell::plugin::{task, types};
use crate::sandbox::cell::CellData;

use super::convert;

impl types::Host for CellData {}

impl CellData {
    /// Puts a report up. It is not waited for: the actor hears of it when the guest's turn is over, and reads the newest.
    fn report(&self, message: String, percent: Option<u8>, restarted: bool) -> Result<(), Refusal> {
        check_percent(percent)?;
        if self.info.task().is_none() {
            return Err(no_task());
        }
        self.link.news.put_up(convert::message(message)?, percent, restarted);
        Ok(())
    }
}

impl task::Host for CellData {
    async fn info(&mut self) -> wasmtime::Result<String> {
        self.called(0);
        let mut document = self.info.document();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("deadline_ms".to_owned(), self.link.gauges.deadline_ms().into());
            fields.insert("fuel_budget".to_owned(), self.link.gauges.fuel_budget().into());
        }
        Ok(document.to_string())
    }

    async fn cancel_requested(&mut self) -> wasmtime::Result<Option<task::CancelRequest>> {
        self.called(0);
        let told = |notice: &CancelNotice| {
            let left = notice.grace_ends.saturating_sub(self.clock.steady());
            task::CancelRequest {
                by: notice.request.by.word().to_owned(),
                reason: notice.request.reason.clone(),
                grace_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            }
        };
        Ok(self.link.cancel.read(|notice| notice.as_ref().map(told)))
    }

    async fn report_progress(
        &mut self,
        message: String,
        percent: Option<u8>,
    ) -> wasmtime::Result<Result<(), types::Refusal>> {
        self.called(message.len());
        let answer = self.report(message, percent, false);
        Ok(answer.map_err(Into::into))
    }

    async fn restart_progress(&mut self, message: String) -> wasmtime::Result<Result<(), types::Refusal>> {
        self.called(message.len());
        let answer = self.report(message, Some(0), true);
        Ok(answer.map_err(Into::into))
    }

    async fn heartbeat(&mut self) -> wasmtime::Result<()> {
        // That the call was made is all there is to it.
        self.called(0);
        Ok(())
    }

    async fn request_fuel(
        &mut self,
        units: u64,
        reason: String,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<u64, types::Refusal>> {
        self.called(reason.len());
        let reason = match convert::message(reason) {
            Ok(reason) => reason,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let timeout = timeout_ms.map(Duration::from_millis);
        let answer = self.link.request(|reply| GuestCall::RequestFuel { units, reason, timeout, reply }).await;
        Ok(answer.map_err(Into::into))
    }

    async fn fuel_remaining(&mut self) -> wasmtime::Result<u64> {
        self.called(0);
        // The meter has just been read, on the way into this call.
        Ok(self.link.gauges.fuel_budget().saturating_sub(self.link.gauges.fuel_used()))
    }

    async fn record_usage(
        &mut self,
        tool: String,
        tokens: u64,
        actions: u64,
    ) -> wasmtime::Result<Result<(), types::Refusal>> {
        self.called(tool.len());
        let answer = self.link.request(|reply| GuestCall::RecordUsage { tool, tokens, actions, reply }).await;
        Ok(answer.map_err(Into::into))
    }

    async fn set_note(&mut self, note: Option<String>) -> wasmtime::Result<Result<(), types::Refusal>> {
        self.called(note.as_ref().map_or(0, String::len));
        let answer = self.link.request(|reply| GuestCall::SetNote { note, reply }).await;
        Ok(answer.map_err(Into::into))
    }

    async fn report_panic(&mut self, mut message: String, mut place: String) -> wasmtime::Result<()> {
        self.called(message.len() + place.len());
        // Before anything is cut off.
        self.link.secrets.hide(&mut message);
        self.link.secrets.hide(&mut place);
        let (message, place) = (convert::clipped(message), convert::clipped(place));
        // When the task is over already, nobody needs to know.
        let _ = self.link.ask(|reply| GuestCall::Panic { message, place, reply }).await;
        Ok(())
    }
}
