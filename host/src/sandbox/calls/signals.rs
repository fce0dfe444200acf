//! `taskcell:plugin/signals`.

use std::time::Duration;

use crate::model::event::WaitEnd;
use crate::model::grants::touch::Touch;
use crate::model::ids::SignalKey;
use crate::model::machine::{Refusal, RefusalKind};
use crate::model::signal::{NotifyAnswer, Signal};
use crate::ports::runner::{GuestCall, NoSignal};
use crate::sandbox::bindings::taskcell::plugin::{signals, types};
use crate::sandbox::cell::CellData;

use super::convert;

impl CellData {
    async fn wait_for(
        &mut self,
        keys: Vec<String>,
        senders: Vec<String>,
        timeout_ms: Option<u64>,
    ) -> Result<(SignalKey, Signal), signals::WaitError> {
        let keys: Result<Vec<SignalKey>, Refusal> = keys.into_iter().map(convert::signal_key).collect();
        let refused = |refusal: Refusal| signals::WaitError::Refused(refusal.into());
        let (keys, senders) = (keys.map_err(refused)?, convert::senders(&senders).map_err(refused)?);
        let timeout = timeout_ms.map(Duration::from_millis);
        match self.link.ask(|reply| GuestCall::Wait { keys, senders, timeout, reply }).await {
            Some(Ok(taken)) => Ok(taken),
            Some(Err(NoSignal::Refused(refusal))) => Err(refused(refusal)),
            Some(Err(NoSignal::Over(WaitEnd::TimedOut))) => Err(signals::WaitError::TimedOut),
            Some(Err(NoSignal::Over(WaitEnd::WaitCancelled))) => Err(signals::WaitError::WaitCancelled),
            // Nobody answers any more: the task is over.
            Some(Err(NoSignal::Over(WaitEnd::Cancelled))) | None => Err(signals::WaitError::Cancelled),
        }
    }

    async fn send_to_scope(
        &mut self,
        scope: signals::Scope,
        key: String,
        payload: Option<String>,
        all: bool,
    ) -> Result<u32, Refusal> {
        let (key, payload) = (convert::signal_key(key)?, convert::json(payload)?);
        let session = matches!(scope, signals::Scope::Session);
        if session {
            self.link.asked_about(&Touch::Signal).await?;
        }
        self.link.request(|reply| GuestCall::NotifyScope { session, key, payload, all, reply }).await
    }

    async fn end_wait_of(&mut self, target: types::TaskRef, key: Option<String>) -> Result<u32, Refusal> {
        let target = convert::task_ref(target)?;
        let key = key.map(convert::signal_key).transpose()?;
        let again = self.would_ask().then(|| (target.clone(), key.clone()));
        match (self.link.request(|reply| GuestCall::CancelWait { target, key, reply }).await, again) {
            (Err(refusal), Some((target, key))) if refusal.kind == RefusalKind::Denied => {
                self.link.asked_about(&Touch::Signal).await?;
                self.link.request(|reply| GuestCall::CancelWait { target, key, reply }).await
            }
            (answer, _) => answer,
        }
    }

    /// Whether somebody has to be asked before the task reaches others than those of its tree. Which one it means only the
    /// actor knows, so it is called first.
    fn would_ask(&self) -> bool {
        self.link.has_to_ask(&Touch::Signal)
    }

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
        let again = self.would_ask().then(|| (target.clone(), key.clone(), payload.clone()));
        match (self.link.request(|reply| GuestCall::Notify { target, key, payload, reply }).await, again) {
            (Err(refusal), Some((target, key, payload))) if refusal.kind == RefusalKind::Denied => {
                self.link.asked_about(&Touch::Signal).await?;
                self.link.request(|reply| GuestCall::Notify { target, key, payload, reply }).await
            }
            (answer, _) => answer,
        }
    }
}

impl signals::Host for CellData {
    async fn wait(
        &mut self,
        key: String,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<signals::Signal, signals::WaitError>> {
        self.called(key.len());
        Ok(self.wait_for(vec![key], Vec::new(), timeout_ms).await.map(|(_, signal)| signal.into()))
    }

    async fn wait_any(
        &mut self,
        keys: Vec<String>,
        senders: Vec<String>,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<signals::Taken, signals::WaitError>> {
        self.called(convert::carried(&keys) + convert::carried(&senders));
        let taken = self.wait_for(keys, senders, timeout_ms).await;
        Ok(taken.map(|(key, signal)| signals::Taken { key: key.into(), signal: signal.into() }))
    }

    async fn poll(&mut self, key: String) -> wasmtime::Result<Result<Option<signals::Signal>, types::Refusal>> {
        self.called(key.len());
        let answer = self.poll_signal(key).await;
        Ok(answer.map(|signal| signal.map(Into::into)).map_err(Into::into))
    }

    async fn notify(
        &mut self,
        target: types::TaskRef,
        key: String,
        payload: Option<String>,
    ) -> wasmtime::Result<Result<signals::NotifyResult, types::Refusal>> {
        self.called(convert::ref_bytes(&target) + key.len() + payload.as_ref().map_or(0, String::len));
        let answer = self.send_signal(target, key, payload).await;
        Ok(answer.map(Into::into).map_err(Into::into))
    }

    async fn notify_scope(
        &mut self,
        scope: signals::Scope,
        key: String,
        payload: Option<String>,
        all: bool,
    ) -> wasmtime::Result<Result<u32, types::Refusal>> {
        self.called(key.len() + payload.as_ref().map_or(0, String::len));
        Ok(self.send_to_scope(scope, key, payload, all).await.map_err(Into::into))
    }

    async fn cancel_wait(
        &mut self,
        target: types::TaskRef,
        key: String,
    ) -> wasmtime::Result<Result<bool, types::Refusal>> {
        self.called(convert::ref_bytes(&target) + key.len());
        Ok(self.end_wait_of(target, Some(key)).await.map(|ended| ended > 0).map_err(Into::into))
    }

    async fn cancel_all_waits(&mut self, target: types::TaskRef) -> wasmtime::Result<Result<u32, types::Refusal>> {
        self.called(convert::ref_bytes(&target));
        Ok(self.end_wait_of(target, None).await.map_err(Into::into))
    }
}
