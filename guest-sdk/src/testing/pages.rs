//! The fake host's answers, by the contract's rules.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Component, Path};
use std::rc::Rc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::records::{AgentMessage, Attached, EndedWait, Notified, ScopeNotified, UsageRecord};
use super::state::{Pending, State, check_key};
use crate::approval::Approval;
use crate::backend::{AgentPage, ApprovalsPage, OutputPage, OutputStream, SignalsPage, TaskPage, WaitEnd, WireSignal};
use crate::error::{RefusalKind, Refused};
use crate::values::{Artifact, CancelRequest, Delivery, NotifyResult, Sender, TaskInfo, TaskRef};
use crate::waiting::{Instruction, Reach, Scope, WaitFor};

pub(super) struct Pages {
    pub(super) state: Rc<RefCell<State>>,
}

impl TaskPage for Pages {
    fn info(&self) -> TaskInfo {
        let state = &mut *self.state.borrow_mut();
        TaskInfo {
            id: "fake-id".to_owned(),
            plugin: "fake-plugin".to_owned(),
            task_type: "fake-task".to_owned(),
            key: "fake-key".to_owned(),
            session: None,
            attempt: 1,
            parent: None,
            labels: BTreeMap::new(),
            deadline_ms: None,
            fuel_budget: state.fuel.budget,
            scratch: scratch(state),
            attachments: state.attachments.files.clone(),
        }
    }

    fn cancel_requested(&self) -> Option<CancelRequest> {
        self.state.borrow_mut().look()
    }

    fn report_progress(&self, message: &str, percent: Option<u8>) -> Result<(), Refused> {
        if percent.is_some_and(|percent| percent > 100) {
            return Err(Refused::invalid("percent: 0 to 100"));
        }
        self.state.borrow_mut().report(message, percent, false);
        Ok(())
    }

    fn restart_progress(&self, message: &str) -> Result<(), Refused> {
        self.state.borrow_mut().report(message, Some(0), true);
        Ok(())
    }

    fn heartbeat(&self) {
        self.state.borrow_mut().heartbeats += 1;
    }

    fn fuel_remaining(&self) -> u64 {
        self.state.borrow_mut().fuel.look()
    }

    fn request_fuel(&self, units: u64, reason: &str, timeout_ms: Option<u64>) -> Result<u64, Refused> {
        self.state.borrow_mut().request_fuel(units, reason, timeout_ms)
    }

    fn record_usage(&self, tool: &str, tokens: u64, actions: u64) -> Result<(), Refused> {
        if tool.is_empty() || tool.len() > 256 || tool.chars().any(char::is_control) {
            return Err(Refused::invalid("tool: 1 to 256 bytes without control characters"));
        }
        self.state.borrow_mut().asking.usage.push(UsageRecord { tool: tool.to_owned(), tokens, actions });
        Ok(())
    }

    fn set_note(&self, note: Option<&str>) -> Result<(), Refused> {
        let is_note = |note: &str| (1..=255).contains(&note.chars().count()) && !note.chars().any(char::is_control);
        if !note.is_none_or(is_note) {
            return Err(Refused::invalid("note: one line of 1 to 255 characters without control characters"));
        }
        self.state.borrow_mut().asking.note = note.map(str::to_owned);
        Ok(())
    }
}

impl SignalsPage for Pages {
    fn wait(&self, key: &str, timeout_ms: Option<u64>) -> Result<WireSignal, WaitEnd> {
        Ok(self.wait_any(&WaitFor::any_of([key]), timeout_ms)?.1)
    }

    fn poll(&self, key: &str) -> Result<Option<WireSignal>, Refused> {
        check_key(key)?;
        Ok(self.state.borrow_mut().take(key))
    }

    fn notify(&self, target: &TaskRef, key: &str, payload: Option<&str>) -> Result<NotifyResult, Refused> {
        check_key(key)?;
        let own = self.info();
        let to_itself = target.plugin == own.plugin && target.task_type == own.task_type && target.key == own.key;
        let state = &mut *self.state.borrow_mut();
        state.notified.push(Notified { target: target.clone(), key: key.to_owned(), payload: value(payload) });
        if to_itself {
            let at = state.now;
            let payload = payload.map(str::to_owned);
            state.send(Pending { at, key: key.to_owned(), payload, sender: Sender::Itself });
            return Ok(NotifyResult::Buffered);
        }
        state.notify_answer.clone().unwrap_or(Ok(NotifyResult::Delivered))
    }

    fn wait_any(&self, wait: &WaitFor, timeout_ms: Option<u64>) -> Result<(String, WireSignal), WaitEnd> {
        self.state.borrow_mut().wait_any(wait, timeout_ms)
    }

    fn notify_scope(&self, scope: Scope, reach: Reach, key: &str, payload: Option<&str>) -> Result<u32, Refused> {
        check_key(key)?;
        let state = &mut *self.state.borrow_mut();
        state.scope_notified.push(ScopeNotified { scope, reach, key: key.to_owned(), payload: value(payload) });
        state.notify_scope_answer.clone().unwrap_or(Ok(1))
    }

    fn cancel_wait(&self, target: &TaskRef, key: Option<&str>) -> Result<u32, Refused> {
        key.map_or(Ok(()), check_key)?;
        let state = &mut *self.state.borrow_mut();
        state.ended_waits.push(EndedWait { target: target.clone(), key: key.map(str::to_owned) });
        state.cancel_wait_answer.clone().unwrap_or(Ok(1))
    }
}

impl AgentPage for Pages {
    fn notify_agent(&self, once: Option<&str>, message: &str, trigger: bool) -> Result<Delivery, Refused> {
        let state = &mut *self.state.borrow_mut();
        if let Some(key) = once {
            check_key(key)?;
            if state.sent_once.iter().any(|sent| sent == key) {
                return Ok(Delivery::Accepted);
            }
            state.sent_once.push(key.to_owned());
        }
        state.messages.push(AgentMessage { message: message.to_owned(), trigger });
        Ok(Delivery::Accepted)
    }

    fn next_message(&self, timeout_ms: Option<u64>) -> Result<Option<Instruction>, Refused> {
        self.state.borrow_mut().next_message(timeout_ms)
    }
}

impl ApprovalsPage for Pages {
    fn request_approval(&self, approval: Approval, timeout_ms: Option<u64>) -> Result<String, Refused> {
        self.state.borrow_mut().request_approval(approval, timeout_ms)
    }
}

impl OutputPage for Pages {
    fn write(&self, stream: OutputStream, bytes: &[u8]) -> Result<(), Refused> {
        let state = &mut *self.state.borrow_mut();
        match stream {
            OutputStream::Stdout => state.stdout.extend_from_slice(bytes),
            OutputStream::Stderr => state.stderr.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn attach(&self, name: &str, media_type: &str, path: &str) -> Result<Artifact, Refused> {
        if name.is_empty() || name.len() > 255 || name.contains(['/', '\\']) || name == "." || name == ".." {
            return Err(Refused::invalid("name: 1 to 255 bytes, and not a path"));
        }
        let state = &mut *self.state.borrow_mut();
        let scratch = scratch(state);
        // A relative path is in the scratch directory; an absolute one stays as it is.
        let path = scratch.join(path);
        let inside = path.strip_prefix(&scratch).is_ok_and(only_down);
        if !inside {
            return Err(Refused::invalid("path: a file in the scratch directory"));
        }
        let content = read(&path)?;
        let sha256 = hex(&Sha256::digest(&content));
        let number = u32::try_from(state.attached.len() + 1).unwrap_or(u32::MAX);
        let artifact = Artifact { number, sha256, size: content.len() as u64 };
        state.attached.push(Attached { name: name.to_owned(), media_type: media_type.to_owned(), content });
        Ok(artifact)
    }
}

fn value(payload: Option<&str>) -> Option<Value> {
    payload.and_then(|text| serde_json::from_str(text).ok())
}

/// The task's directory, made when it is first wanted.
#[expect(clippy::panic, reason = "a test on a machine without a place for temporary files cannot go on")]
fn scratch(state: &mut State) -> std::path::PathBuf {
    if let Some(made) = &state.scratch {
        return made.path().to_owned();
    }
    let made = tempfile::tempdir().unwrap_or_else(|error| panic!("failed to make a scratch directory: {error}"));
    let path = made.path().to_owned();
    state.scratch = Some(made);
    path
}

fn only_down(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[expect(clippy::disallowed_methods, reason = "the host's own look at what the task wrote")]
fn read(path: &Path) -> Result<Vec<u8>, Refused> {
    std::fs::read(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let kind = if missing { RefusalKind::NotFound } else { RefusalKind::InvalidArgument };
        Refused { kind, message: format!("failed to read {}: {error}", path.display()) }
    })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
