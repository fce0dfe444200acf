//! `taskcell:plugin/host`.

use crate::model::grants::touch::Touch;
use crate::model::json;
use crate::model::machine::RefusalKind;
use crate::ports::functions::HostCallError;
use crate::ports::runner::GuestCall;
use crate::sandbox::bindings::taskcell::plugin::host;
use crate::sandbox::cell::CellData;

impl From<HostCallError> for host::HostError {
    fn from(error: HostCallError) -> Self {
        Self {
            kind: error.kind().word().to_owned(),
            message: error.message().to_owned(),
            details: error.details().map(ToString::to_string),
        }
    }
}

impl CellData {
    async fn call_function(&mut self, name: String, input: &str) -> Result<String, HostCallError> {
        let input =
            json::parse(input).map_err(|error| HostCallError::of(error.kind(), format!("the input {error}")))?;
        self.link.asked_about(&Touch::Function(name.clone())).await?;
        let answer = self.link.ask(|reply| GuestCall::CallHost { name, input, reply }).await;
        let ended = || HostCallError::of(RefusalKind::Ended, "the task has its outcome already");
        Ok(answer.unwrap_or_else(|| Err(ended()))?.to_string())
    }
}

impl host::Host for CellData {
    async fn call(&mut self, name: String, input: String) -> wasmtime::Result<Result<String, host::HostError>> {
        self.called(name.len() + input.len());
        Ok(self.call_function(name, &input).await.map_err(Into::into))
    }
}
