//! `taskcell:plugin/signals`.

use std::time::Duration;

use crate::model::event::WaitEnd;
use crate::model::machine::Refusal;
use crate::model::signal::{NotifyAnswer, Signal};
use crate::ports::runner::{GuestCall, NoSignal};
use crate::sandbox::bindings::taskcell::plugin::{signals, types};
use crate::sandbox::cell::CellData;

use super::convert;

impl CellData {
    async fn poll_signal(&mut self, key: String) -> Result<Option<Signal>, Refusal> {
        let key = convert::signal_key(key)?;
        self.link.request(|reply| GuestCall::Poll { key, reply }).await
    }

    async fn send_signal(
        &mut self,
        target: types::TaskRef,
        key: String,
        payload: Option<String>,
    ) -> Result<NotifyAnswer, Refusal> {
        let target = convert::task_ref(target)?;
        let key = convert::signal_key(key)?;
        let payload = convert::json(payload)?;
        self.link.request(|reply| GuestCall::Notify { target, key, payload, reply }).await
    }
}

impl signals::Host for CellData {
    async fn wait(
        &mut self,
        key: String,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<signals::Signal, signals::WaitError>> {
        self.called(0);
        let key = match convert::signal_key(key) {
            Ok(key) => key,
            Err(refusal) => return Ok(Err(signals::WaitError::Refused(refusal.into()))),
        };
        let timeout = timeout_ms.map(Duration::from_millis);
        let answer = self.link.ask(|reply| GuestCall::Wait { key, timeout, reply }).await;
        Ok(match answer {
            Some(Ok(signal)) => Ok(signal.into()),
            Some(Err(NoSignal::Refused(refusal))) => Err(signals::WaitError::Refused(refusal.into())),
            Some(Err(NoSignal::Over(WaitEnd::TimedOut))) => Err(signals::WaitError::TimedOut),
            Some(Err(NoSignal::Over(WaitEnd::WaitCancelled))) => Err(signals::WaitError::WaitCancelled),
            // Nobody answers any more: the task is over.
            Some(Err(NoSignal::Over(WaitEnd::Cancelled))) | None => Err(signals::WaitError::Cancelled),
        })
    }

    async fn poll(&mut self, key: String) -> wasmtime::Result<Result<Option<signals::Signal>, types::Refusal>> {
        self.called(0);
        let answer = self.poll_signal(key).await;
        Ok(answer.map(|signal| signal.map(Into::into)).map_err(Into::into))
    }

    async fn notify(
        &mut self,
        target: types::TaskRef,
        key: String,
        payload: Option<String>,
    ) -> wasmtime::Result<Result<signals::NotifyResult, types::Refusal>> {
        self.called(0);
        let answer = self.send_signal(target, key, payload).await;
        Ok(answer.map(Into::into).map_err(Into::into))
    }
}
