//! `taskcell:plugin/agent`.

use crate::ports::agent::Delivery;
use crate::ports::runner::GuestCall;
use crate::sandbox::bindings::taskcell::plugin::{agent, types};
use crate::sandbox::cell::CellData;

use super::convert;

impl agent::Host for CellData {
    async fn notify_agent(
        &mut self,
        message: String,
        trigger: bool,
    ) -> wasmtime::Result<Result<agent::Delivery, types::Refusal>> {
        self.called(0);
        let message = match convert::message(message) {
            Ok(message) => message,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let answer = self.link.request(|reply| GuestCall::MessageAgent { message, trigger, reply }).await;
        let delivery = answer.map(|delivery| match delivery {
            Delivery::Accepted => agent::Delivery::Accepted,
            Delivery::Queued => agent::Delivery::Queued,
            Delivery::Blocked => agent::Delivery::Blocked,
        });
        Ok(delivery.map_err(Into::into))
    }
}
