//! `taskcell:plugin/approvals`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::model::approval::{ApprovalAsk, ApprovalDecision};
use crate::model::machine::Refusal;
use crate::ports::runner::GuestCall;
use crate::sandbox::bindings::taskcell::plugin::{approvals, types};
use crate::sandbox::cell::CellData;

use super::convert;

impl CellData {
    async fn ask_for_approval(&mut self, ask: ApprovalAsk, metadata: Option<String>) -> Result<String, Refusal> {
        let ask = ApprovalAsk {
            reason: convert::message(ask.reason)?,
            summary: convert::message(ask.summary)?,
            metadata: convert::json(metadata)?,
            ..ask
        };
        let decision = self.link.request(|reply| GuestCall::RequestApproval { ask, reply }).await?;
        Ok(document(decision).to_string())
    }
}

/// The decision as the contract describes it.
fn document(decision: ApprovalDecision) -> Value {
    match decision {
        ApprovalDecision::Approved { by, input: None } => {
            json!({"version": 1, "decision": "approved", "by": by.word()})
        }
        ApprovalDecision::Approved { by, input: Some(input) } => {
            json!({"version": 1, "decision": "approved", "by": by.word(), "input": input})
        }
        ApprovalDecision::Denied { by, reason } => {
            json!({"version": 1, "decision": "denied", "by": by.word(), "reason": reason})
        }
        ApprovalDecision::TimedOut => json!({"version": 1, "decision": "timed-out"}),
        ApprovalDecision::Cancelled => json!({"version": 1, "decision": "cancelled"}),
    }
}

impl approvals::Host for CellData {
    async fn request(
        &mut self,
        kind: String,
        reason: String,
        summary: String,
        metadata: Option<String>,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<String, types::Refusal>> {
        self.called(kind.len() + reason.len() + summary.len() + metadata.as_ref().map_or(0, String::len));
        let ask =
            ApprovalAsk { timeout: timeout_ms.map(Duration::from_millis), ..ApprovalAsk::new(kind, reason, summary) };
        Ok(self.ask_for_approval(ask, metadata).await.map_err(Into::into))
    }
}
