//! `taskcell:plugin/agent`.

use std::time::Duration;

use crate::model::grants::touch::Touch;
use crate::model::machine::Refusal;
use crate::model::outbox::Delivery;
use crate::ports::runner::GuestCall;
use crate::sandbox::bindings::taskcell::plugin::{agent, types};
use crate::sandbox::cell::CellData;

use super::convert;

impl CellData {
    async fn message_agent(
        &mut self,
        message: String,
        trigger: bool,
        once: Option<String>,
    ) -> Result<agent::Delivery, Refusal> {
        let message = convert::message(message)?;
        let once = once.map(convert::signal_key).transpose()?;
        self.link.permitted(Touch::Agent).await?;
        let answer = self.link.request(|reply| GuestCall::MessageAgent { message, trigger, once, reply }).await?;
        Ok(match answer {
            Delivery::Accepted => agent::Delivery::Accepted,
            Delivery::Queued => agent::Delivery::Queued,
            Delivery::Blocked => agent::Delivery::Blocked,
        })
    }
}

impl agent::Host for CellData {
    async fn notify_agent(
        &mut self,
        message: String,
        trigger: bool,
    ) -> wasmtime::Result<Result<agent::Delivery, types::Refusal>> {
        self.called(message.len());
        Ok(self.message_agent(message, trigger, None).await.map_err(Into::into))
    }

    async fn notify_agent_once(
        &mut self,
        key: String,
        message: String,
        trigger: bool,
    ) -> wasmtime::Result<Result<agent::Delivery, types::Refusal>> {
        self.called(key.len() + message.len());
        Ok(self.message_agent(message, trigger, Some(key)).await.map_err(Into::into))
    }

    async fn next_message(
        &mut self,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<Option<agent::Instruction>, types::Refusal>> {
        self.called(0);
        let timeout = timeout_ms.map(Duration::from_millis);
        let said = self.link.request(|reply| GuestCall::NextInstruction { timeout, reply }).await;
        let said =
            said.map(|said| said.map(|said| agent::Instruction { text: said.text, sender: said.by.word().to_owned() }));
        Ok(said.map_err(Into::into))
    }
}
