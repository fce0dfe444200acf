//! From the command line to a request: task, signals, and what is decided in advance.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Error;
use serde_json::Value;

use crate::cli::args::{KeepScratch, PermissionMode, RunArguments};
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::prompt::{Verdict, grant};
use crate::cli::values::EarlyVerdict;
use crate::cli::{groups, text};
use crate::{ApprovalAsk, Limits, LimitsRequest, Manifest, Plugin, ScratchPolicy, StartError, StartRequest};

/// What is decided in advance.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    by_kind: BTreeMap<String, Verdict>,
    /// About whatever is of another kind; `None` when the person is asked.
    others: Option<Verdict>,
}

impl Verdicts {
    /// What is decided about a question of this kind. What a plugin may touch is approved of in advance only by its name.
    pub(super) fn of(&self, kind: &str) -> Option<&Verdict> {
        let others = self.others.as_ref();
        let others = others.filter(|verdict| kind != ApprovalAsk::GRANT || matches!(verdict, Verdict::Deny(_)));
        self.by_kind.get(kind).or(others)
    }
}

/// The plugin's configuration, if `--config` says one.
pub(super) fn config(arguments: &RunArguments) -> Result<Option<Value>, Fault> {
    arguments.config.as_deref().map(|named| groups::json(named, "configuration", "--config")).transpose()
}

/// What is decided in advance about the task's questions. Each kind has one decision.
pub(super) fn verdicts(arguments: &RunArguments) -> Result<Verdicts, Fault> {
    let mut by_kind = BTreeMap::new();
    for EarlyVerdict { kind, verdict } in arguments.approve.iter().chain(&arguments.deny) {
        if let (ApprovalAsk::GRANT, Verdict::Approve(Some(input))) = (kind.as_str(), verdict)
            && !grant::is_answer(input)
        {
            return Err(Fault::usage(format!("--approve grant={input} says nothing about how long that holds")).hint(
                "write --approve grant for each one time, or --approve 'grant=\"task\"' for as long as the task lives",
            ));
        }
        if by_kind.insert(kind.clone(), verdict.clone()).is_some_and(|other| other != *verdict) {
            return Err(Fault::usage(format!("the approval `{kind}` is decided twice, in two ways")));
        }
    }
    let others = match arguments.permission {
        PermissionMode::Ask => None,
        PermissionMode::Deny => Some(Verdict::Deny("--permission deny".to_owned())),
        PermissionMode::Approve => Some(Verdict::Approve(None)),
    };
    Ok(Verdicts { by_kind, others })
}

/// The operator's limits: the person at the command line is the operator, so a flag may also raise a default.
pub(super) fn limits(wishes: &LimitsRequest) -> Limits {
    Limits::default().replaced_by(*wishes)
}

/// Which task is meant: the one that was named, or the only one there is.
pub(super) fn task_type(arguments: &RunArguments, plugin: &Plugin) -> Result<String, Fault> {
    choose(arguments.task.as_deref(), plugin.manifest(), &arguments.plugin)
}

fn choose(wanted: Option<&str>, manifest: &Manifest, file: &Path) -> Result<String, Fault> {
    match (wanted, manifest.tasks.as_slice()) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, [only]) => Ok(only.name.clone()),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|task| task.name.as_str()).collect();
            let example = names.first().copied().unwrap_or("TASK");
            let file = text::shell_word(&file.to_string_lossy());
            Err(Fault::usage(format!("the plugin has more than one task, so name one: {}", names.join(", ")))
                .hint(format!("for example: taskcell run {file} {example}")))
        }
    }
}

/// The whole request.
pub(super) fn request(
    arguments: &RunArguments,
    wishes: &LimitsRequest,
    plugin: &Plugin,
    task_type: String,
    input: Value,
) -> Result<StartRequest, Fault> {
    let mut request = StartRequest::new(plugin.name(), task_type).input(input).grants(arguments.grants.grants());
    request.key.clone_from(&arguments.key);
    request.limits = *wishes;
    request.attachments.clone_from(&arguments.grants.attach);
    request.details.scratch = arguments.keep_scratch.map(|when| match when {
        KeepScratch::Always => ScratchPolicy::Keep,
        KeepScratch::OnFailure => ScratchPolicy::KeepOnFailure,
    });
    for signal in &arguments.signal {
        request = request.signal(signal.key.clone(), signal.payload.clone(), crate::Party::Person);
    }
    arguments.details.apply(request)
}

/// Why a task was refused, and what helps.
pub(super) fn refused(error: StartError, arguments: &RunArguments) -> Fault {
    let file = text::shell_word(&arguments.plugin.to_string_lossy());
    let hint = match &error {
        StartError::UnknownTaskType { name, known } => {
            text::suggestion(name, known.iter().map(String::as_str)).map(|meant| format!("did you mean `{meant}`?"))
        }
        StartError::InvalidInput { .. } if arguments.input.sets_no_text() => Some(format!(
            "`taskcell inspect {file}` shows the fields; a text that looks like JSON needs quotes, as in --set 'name=\"7\"'"
        )),
        StartError::InvalidInput { .. } => Some(format!("`taskcell inspect {file}` shows the fields of the input")),
        StartError::InputTooLarge { size, .. } => {
            Some(format!("--limit input_bytes={} allows it", text::bytes_flag_up(*size)))
        }
        StartError::GrantedDir { .. } => Some("--dir takes a folder that is there: --dir HOST::GUEST".to_owned()),
        StartError::OutputSchema(_) => {
            Some(r#"a schema that any text matches is --output-schema '{"type": "string"}'"#.to_owned())
        }
        StartError::BeyondPolicy { .. } => Some("`taskcell policy explain PLUGIN` shows what it grants".to_owned()),
        StartError::GuestPath { .. } => Some("give each folder a path of its own: --dir a::/a --dir b::/b".to_owned()),
        StartError::UnknownPlugin { .. }
        | StartError::NotRecovered
        | StartError::PluginUnloading { .. }
        | StartError::PluginDisabled { .. }
        | StartError::KeyLikeId
        | StartError::DaemonKey { .. }
        | StartError::DaemonChild { .. }
        | StartError::TooManyValues { .. }
        | StartError::KeyInUse { .. }
        | StartError::KeyAwaitsPlugin { .. }
        | StartError::KeyAwaitsHost { .. }
        | StartError::TooManySignals { .. }
        | StartError::Permission
        | StartError::Details(_)
        | StartError::Attachment(_)
        | StartError::IdempotencyKeyUsed { .. }
        | StartError::ParentGone { .. }
        | StartError::ParentRefuses { .. }
        | StartError::Schedule
        | StartError::UnknownOnTerminal { .. }
        | StartError::Plan(_)
        | StartError::UnknownPlanner { .. }
        | StartError::Store(_)
        | StartError::QueueFull { .. }
        | StartError::ShuttingDown => None,
    };
    Fault::new(Exit::Refused, Error::new(error).context("failed to start the task")).maybe_hint(hint)
}

#[cfg(test)]
mod tests;
