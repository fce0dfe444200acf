//! `taskcell:plugin/tasks`.

use std::time::Duration;

use crate::model::children::ChildOptions;
use crate::model::grants::touch::Touch;
use crate::model::hook::outcome_document;
use crate::model::ids::{TaskId, TaskRef};
use crate::model::machine::{Refusal, RefusalKind};
use crate::ports::runner::GuestCall;
use crate::sandbox::bindings::taskcell::plugin::{tasks, types};
use crate::sandbox::cell::CellData;

use super::convert;

fn child((id, task): (TaskId, TaskRef)) -> tasks::Child {
    let TaskRef { plugin, task_type, key } = task;
    tasks::Child { id: id.to_string(), task: types::TaskRef { plugin, task_type, key: key.into() } }
}

fn task_id(text: &str) -> Result<TaskId, Refusal> {
    TaskId::parse(text).ok_or_else(|| Refusal::new(RefusalKind::NotFound, "this task has no child of this id"))
}

impl CellData {
    async fn start_child(&mut self, task_type: String, input: &str, options: &str) -> Result<tasks::Child, Refusal> {
        let input = convert::parsed(input, "the input")?;
        let options = convert::parsed(options, "the text of the options")?;
        let options: Box<ChildOptions> = serde_json::from_value(options).map_err(|error| {
            Refusal::new(RefusalKind::InvalidArgument, format!("the options are not valid: {error}"))
        })?;
        if let Some(plugin) =
            options.plugin.as_ref().filter(|plugin| self.info.task().is_none_or(|work| work.task.plugin != **plugin))
        {
            self.link.asked_about(&Touch::Tasks(plugin.clone())).await?;
        }
        self.link.request(|reply| GuestCall::StartChild { task_type, input, options, reply }).await.map(child)
    }

    async fn wait_for_child(&mut self, id: &str, timeout_ms: Option<u64>) -> Result<Option<String>, Refusal> {
        let (child, timeout) = (task_id(id)?, timeout_ms.map(Duration::from_millis));
        let outcome = self.link.request(|reply| GuestCall::WaitChild { child, timeout, reply }).await?;
        Ok(outcome.map(|outcome| outcome_document(&outcome).to_string()))
    }
}

impl tasks::Host for CellData {
    async fn start(
        &mut self,
        task_type: String,
        input: String,
        options: String,
    ) -> wasmtime::Result<Result<tasks::Child, types::Refusal>> {
        self.called(task_type.len() + input.len() + options.len());
        Ok(self.start_child(task_type, &input, &options).await.map_err(Into::into))
    }

    async fn wait(
        &mut self,
        id: String,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<Option<String>, types::Refusal>> {
        self.called(id.len());
        Ok(self.wait_for_child(&id, timeout_ms).await.map_err(Into::into))
    }

    async fn cancel(
        &mut self,
        id: String,
        mut reason: String,
        grace_ms: u64,
    ) -> wasmtime::Result<Result<bool, types::Refusal>> {
        self.called(id.len() + reason.len());
        // Before anything is cut off.
        self.link.secrets.hide(&mut reason);
        let reason = convert::clipped(reason);
        let grace = Duration::from_millis(grace_ms);
        let answer = match task_id(&id) {
            Ok(child) => self.link.request(|reply| GuestCall::CancelChild { child, reason, grace, reply }).await,
            Err(refusal) => Err(refusal),
        };
        Ok(answer.map_err(Into::into))
    }

    async fn state(&mut self, id: String) -> wasmtime::Result<Result<String, types::Refusal>> {
        self.called(id.len());
        let answer = match task_id(&id) {
            Ok(child) => self.link.request(|reply| GuestCall::ChildState { child, reply }).await,
            Err(refusal) => Err(refusal),
        };
        Ok(answer.map(|state| state.to_string()).map_err(Into::into))
    }

    async fn running(&mut self) -> wasmtime::Result<Vec<tasks::Child>> {
        self.called(0);
        let running = self.link.ask(|reply| GuestCall::RunningChildren { reply }).await;
        Ok(running.unwrap_or_default().into_iter().map(child).collect())
    }
}
