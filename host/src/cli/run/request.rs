//! From the command line to a request: input, task, limits, grants, signals, and what is decided in advance.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Error};
use serde_json::{Map, Value};

use crate::cli::args::{KeepScratch, PermissionMode, RunArguments};
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::prompt::Verdict;
use crate::cli::values::{Allowed, EarlyVerdict};
use crate::cli::{files, text};
use crate::{Grants, Limits, LimitsRequest, Manifest, Plugin, ScratchPolicy, StartError, StartRequest};

/// What is decided in advance.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    by_kind: BTreeMap<String, Verdict>,
    /// About whatever is of another kind; `None` when the person is asked.
    others: Option<Verdict>,
}

impl Verdicts {
    /// What is decided about a question of this kind.
    pub(super) fn of(&self, kind: &str) -> Option<&Verdict> {
        self.by_kind.get(kind).or(self.others.as_ref())
    }
}

/// The input: what `--input` says, with the fields of `--set` laid over it.
pub(super) fn input(arguments: &RunArguments) -> Result<Value, Fault> {
    let mut input = match arguments.input.as_deref() {
        None => Value::Object(Map::new()),
        Some("-") => parse(
            &files::read_stdin().context("failed to read the input from stdin").map_err(usage)?,
            "input",
            "stdin",
        )?,
        Some(named) => json(named, "input", "--input")?,
    };
    for (path, value) in arguments.fields() {
        set(&mut input, path, value.clone()).map_err(|at| {
            Fault::usage(format!(
                "--set {}=… needs an object at {at}, and the input has something else there",
                path.join(".")
            ))
        })?;
    }
    Ok(input)
}

/// The plugin's configuration, if `--config` says one.
pub(super) fn config(arguments: &RunArguments) -> Result<Option<Value>, Fault> {
    arguments.config.as_deref().map(|named| json(named, "configuration", "--config")).transpose()
}

/// What a flag says: JSON, or a file of it.
fn json(named: &str, what: &str, flag: &str) -> Result<Value, Fault> {
    let Some(path) = named.strip_prefix('@') else { return parse(named, what, flag) };
    let read = files::read_text(Path::new(path));
    parse(&read.with_context(|| format!("failed to read the {what} from {path}")).map_err(usage)?, what, path)
}

fn usage(error: Error) -> Fault {
    Fault::new(Exit::Usage, error)
}

fn parse(text: &str, what: &str, source: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|error| {
        let error = Error::new(error).context(format!("failed to read the {what}: {source} is not JSON"));
        let hint = if what == "input" {
            r#"an input is an object, as in --input '{"name": "Ada"}'; or set single fields with --set name=Ada; a file needs an @"#
        } else {
            r#"JSON is written as in --config '{"region": "eu"}'; a file needs an @"#
        };
        Fault::new(Exit::Usage, error).hint(hint)
    })
}

/// Sets a field, making the objects on the way. Says where something else is in the way.
fn set(target: &mut Value, path: &[String], value: Value) -> Result<(), String> {
    let mut place = target;
    let mut at = "the top".to_owned();
    for name in path {
        let Value::Object(fields) = place else { return Err(at) };
        place = fields.entry(name).or_insert_with(|| Value::Object(Map::new()));
        at.clone_from(name);
    }
    *place = value;
    Ok(())
}

/// What the person says about limits, by `--limit` and by the flags that have a name of their own. Each limit has one
/// value: two that differ are a mistake, and which of them is one nobody can tell.
pub(super) fn wishes(arguments: &RunArguments) -> Result<LimitsRequest, Fault> {
    let flags = LimitsRequest {
        fuel: arguments.fuel,
        timeout: arguments.timeout,
        memory_bytes: arguments.memory,
        ..LimitsRequest::default()
    };
    let mut all = flags;
    for setting in &arguments.limit {
        if all.or(setting.request) != setting.request.or(all) {
            let name = setting.name();
            return Err(Fault::usage(format!("the limit `{name}` is given twice, with two values")));
        }
        all = all.or(setting.request);
    }
    Ok(all)
}

/// What is decided in advance about the task's questions. Each kind has one decision.
pub(super) fn verdicts(arguments: &RunArguments) -> Result<Verdicts, Fault> {
    let mut by_kind = BTreeMap::new();
    for EarlyVerdict { kind, verdict } in arguments.approve.iter().chain(&arguments.deny) {
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
    let mut request = StartRequest::new(plugin.name(), task_type).input(input).grants(grants(arguments));
    request.key.clone_from(&arguments.key);
    request.limits = *wishes;
    request.attachments.clone_from(&arguments.attach);
    request.details.scratch = arguments.keep_scratch.map(|when| match when {
        KeepScratch::Always => ScratchPolicy::Keep,
        KeepScratch::OnFailure => ScratchPolicy::KeepOnFailure,
    });
    for signal in &arguments.signal {
        request = request.signal(signal.key.clone(), signal.payload.clone(), crate::Party::Person);
    }
    arguments.details.apply(request)
}

fn grants(arguments: &RunArguments) -> Grants {
    Grants {
        dirs: arguments.dir.clone(),
        env: arguments.env.clone(),
        signal: arguments.allow.contains(&Allowed::Signal),
        kv: arguments.allow.contains(&Allowed::Kv),
        tasks: arguments.allow.contains(&Allowed::Tasks),
        ..Grants::default()
    }
}

/// Why a task was refused, and what helps.
pub(super) fn refused(error: StartError, arguments: &RunArguments) -> Fault {
    let file = text::shell_word(&arguments.plugin.to_string_lossy());
    let hint = match &error {
        StartError::UnknownTaskType { name, known } => {
            text::suggestion(name, known.iter().map(String::as_str)).map(|meant| format!("did you mean `{meant}`?"))
        }
        StartError::InvalidInput { .. } if arguments.set.iter().any(|field| !field.value.is_string()) => Some(format!(
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
