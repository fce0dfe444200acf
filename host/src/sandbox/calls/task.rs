//! `taskcell:plugin/task`.

use crate::ports::runner::GuestCall;
use crate::sandbox::bindings::taskcell::plugin::{task, types};
use crate::sandbox::cell::CellData;

use super::convert;

impl types::Host for CellData {}

impl task::Host for CellData {
    async fn info(&mut self) -> wasmtime::Result<String> {
        self.called(0).await;
        Ok(self.info.document.to_string())
    }

    async fn cancel_requested(&mut self) -> wasmtime::Result<Option<task::CancelRequest>> {
        self.called(0).await;
        let notice = self.link.cancel.borrow();
        Ok(notice.as_ref().map(|notice| {
            let left = notice.grace_ends.saturating_sub(self.clock.steady());
            task::CancelRequest {
                by: notice.request.by.word().to_owned(),
                reason: notice.request.reason.clone(),
                grace_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            }
        }))
    }

    async fn report_progress(
        &mut self,
        message: String,
        percent: Option<u8>,
    ) -> wasmtime::Result<Result<(), types::Refusal>> {
        self.called(0).await;
        let message = match convert::message(message) {
            Ok(message) => message,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let answer = self.link.request(|reply| GuestCall::Progress { message, percent, reply }).await;
        Ok(answer.map_err(Into::into))
    }

    async fn fuel_remaining(&mut self) -> wasmtime::Result<u64> {
        self.called(0).await;
        // The meter has just been read, on the way into this call.
        Ok(self.info.limits.fuel.saturating_sub(self.link.gauges.fuel_used()))
    }

    async fn report_panic(&mut self, message: String, place: String) -> wasmtime::Result<()> {
        self.called(0).await;
        let (message, place) = (convert::clipped(message), convert::clipped(place));
        // When the task is over already, nobody needs to know.
        let _ = self.link.ask(|reply| GuestCall::Panic { message, place, reply }).await;
        Ok(())
    }
}
