//! What a model sees of tasks, their types, and their questions.

use serde_json::{Value, json};

use crate::{
    Failure, OpenApproval, Outcome, PendingApproval, Phase, Plugin, Progress, Snapshot, TaskId, TaskRef, TaskSummary,
    TaskType, Timestamp,
};

use super::answer::{Fields, fitting, within};

/// Bytes of a key or a title.
const NAME_BYTES_MAX: usize = 256;
/// Bytes of the name of a plugin or a type. Those that are loaded have 64; what was done elsewhere may say anything.
const TYPE_BYTES_MAX: usize = 80;
/// Bytes of a sentence in a list, and of one that is looked at by itself.
const WORDS_BYTES_MAX: usize = 300;
const TEXT_BYTES_MAX: usize = 4_000;
/// Bytes of a result, or of a schema that was asked for by name.
const DATA_BYTES_MAX: usize = 24_000;
/// Bytes of a schema in a list, and of what a question carries for whatever shows it.
const SCHEMA_BYTES_MAX: usize = 4_000;
/// Bytes of all that a task has several of: questions, children, files.
const PARTS_BYTES_MAX: usize = 8_000;

/// The fields that say which task it is.
fn named(fields: Fields, id: TaskId, task: &TaskRef) -> Fields {
    let id = id.to_string();
    let key = Some(task.key.as_str()).filter(|key| *key != id);
    fields
        .with("task", id)
        .with_text("plugin", Some(&task.plugin), TYPE_BYTES_MAX)
        .with_text("task_type", Some(&task.task_type), TYPE_BYTES_MAX)
        .with_text("key", key, NAME_BYTES_MAX)
}

/// The word for a phase.
fn word(phase: Phase) -> Value {
    serde_json::to_value(phase).unwrap_or_default()
}

/// Milliseconds since 1970.
fn at(moment: Option<Timestamp>) -> Option<u64> {
    moment.map(|moment| moment.0)
}

fn progress(progress: Option<&Progress>) -> Option<Value> {
    let progress = progress?;
    let left = progress.eta.and_then(|eta| u64::try_from(eta.as_millis()).ok());
    let fields = Fields::default().with_text("message", Some(&progress.message), WORDS_BYTES_MAX);
    Some(fields.with_some("percent", progress.percent).with_some("ms_left", left).done())
}

/// A task in a list. `others` says whose each is.
pub(super) fn line(task: &TaskSummary, others: bool) -> Value {
    let end = task.end.as_ref().and_then(|end| serde_json::to_value(end).ok());
    let session = task.session.as_deref().filter(|_| others);
    named(Fields::default(), task.id, &task.task)
        .with_text("title", task.title.as_deref(), NAME_BYTES_MAX)
        .with_text("session", session, NAME_BYTES_MAX)
        .with("state", word(task.phase))
        .with_some("end", end)
        .with_some("progress", progress(task.progress.as_ref()))
        .with_some("awaits_plugin", task.awaits_plugin.map(|_| true))
        .with_some("open_questions", (task.open_approvals > 0).then_some(task.open_approvals))
        .with_some("created_ms", at(task.created_at))
        .done()
}

/// All about a task that a model needs.
pub(super) fn task(of: &Snapshot) -> Value {
    let keys = of.waiting.iter().flat_map(|point| point.keys.iter().map(|key| Value::from(key.as_str())));
    let parts = |items: Vec<Value>| fitting(items.into_iter(), PARTS_BYTES_MAX).0;
    let children = of.children.iter().map(|child| {
        let ended = child.outcome.as_ref().map(|_| true);
        named(Fields::default(), child.id, &child.task).with_some("ended", ended).done()
    });
    let files = of.artifacts.iter().map(|file| {
        let fields = Fields::default().with("number", file.number).with_text("name", Some(&file.name), NAME_BYTES_MAX);
        fields.with_text("media_type", Some(&file.media_type), NAME_BYTES_MAX).with("bytes", file.size).done()
    });
    let fuel = json!({ "used": of.usage.fuel, "given": of.fuel_budget });
    named(Fields::default(), of.id, &of.task)
        .with_text("title", of.details.title.as_deref(), NAME_BYTES_MAX)
        .with_text("session", of.details.session.as_deref(), NAME_BYTES_MAX)
        .with("state", word(of.phase))
        .with_text("summary", Some(&of.summary()), TEXT_BYTES_MAX)
        .with_some("progress", progress(of.progress.as_ref()))
        .with_text("note", of.note.as_deref(), NAME_BYTES_MAX * 4)
        .with_list("waits_for", parts(keys.collect()))
        .with_some("awaits_instruction", of.awaits_instruction.then_some(true))
        .with_text("paused", of.paused.as_ref().map(|pause| &*pause.reason), WORDS_BYTES_MAX)
        .with_list("questions", parts(of.approvals.iter().map(pending).collect()))
        .with_list("children", parts(children.collect()))
        .with_list("files", parts(files.collect()))
        .with("fuel", fuel)
        .with_some("created_ms", at(of.created_at))
        .with_some("ended_ms", at(of.ended_at))
        .with_some("outcome", of.outcome.as_ref().map(outcome))
        .done()
}

fn outcome(of: &Outcome) -> Value {
    let data = |data: &Option<Value>| data.as_ref().map(|data| within(data, DATA_BYTES_MAX));
    match of {
        Outcome::Succeeded { message, data: result } => Fields::default()
            .with("end", "succeeded")
            .with_text("message", Some(message), TEXT_BYTES_MAX)
            .with_some("result", data(result)),
        Outcome::Failed(failure) => failed(failure).with_some("details", data(&failure.error)),
        Outcome::Cancelled { by, reason, forced, begun, message, data: result } => Fields::default()
            .with("end", "cancelled")
            .with("by", by.to_string())
            .with_text("reason", Some(reason), WORDS_BYTES_MAX)
            .with("forced", *forced)
            .with_some("had_not_begun", (!begun).then_some(true))
            .with_text("message", Some(message), TEXT_BYTES_MAX)
            .with_some("result", data(result)),
    }
    .done()
}

fn failed(failure: &Failure) -> Fields {
    Fields::default()
        .with("end", "failed")
        .with("kind", failure.kind.word())
        .with_text("message", Some(&failure.message), TEXT_BYTES_MAX)
        .with("what_to_do", failure.advice().into_owned())
        .with_some("may_succeed_when_tried_again", failure.retryable.then_some(true))
}

/// A question, where its task is known.
fn pending(question: &PendingApproval) -> Value {
    asked(Fields::default().with("number", question.number.0), &question.ask).done()
}

/// A question in a list of all of them.
pub(super) fn question(open: &OpenApproval, others: bool) -> Value {
    let approvers = serde_json::to_value(open.approvers).unwrap_or_default();
    let session = open.session.as_deref().filter(|_| others);
    asked(named(Fields::default(), open.id, &open.task).with("number", open.number.0), &open.ask)
        .with_text("title", open.title.as_deref(), NAME_BYTES_MAX)
        .with_text("session", session, NAME_BYTES_MAX)
        .with("who_decides", approvers)
        .with_some("until_ms", at(open.until))
        .done()
}

fn asked(fields: Fields, ask: &crate::ApprovalAsk) -> Fields {
    fields
        .with_text("kind", Some(&ask.kind), NAME_BYTES_MAX)
        .with_text("what", Some(&ask.summary), TEXT_BYTES_MAX / 4)
        .with_text("why", Some(&ask.reason), TEXT_BYTES_MAX / 4)
        .with_some("more", ask.metadata.as_ref().map(|more| within(more, SCHEMA_BYTES_MAX / 2)))
}

/// A type of tasks; `in_full` when it was asked for by its name.
pub(super) fn task_type(plugin: &Plugin, of: &TaskType, in_full: bool) -> Value {
    let (schema, words) = if in_full { (DATA_BYTES_MAX, TEXT_BYTES_MAX) } else { (SCHEMA_BYTES_MAX, WORDS_BYTES_MAX) };
    let promise = |name, holds: bool| holds.then(|| Value::from(name));
    let promises = [
        promise("read-only", of.read_only),
        promise("concurrent-safe", of.concurrent_safe),
        promise("restartable", of.restartable),
    ];
    Fields::default()
        .with("plugin", plugin.name())
        .with("task_type", of.name.as_str())
        .with_text("description", of.description.as_deref(), words)
        .with("kind", of.kind.word())
        .with_list("promises", promises.into_iter().flatten())
        .with("input_schema", of.input.as_ref().map_or(Value::Bool(true), |input| within(input, schema)))
        .with_some("result_schema", of.output.as_ref().filter(|_| in_full).map(|output| within(output, schema)))
        .done()
}
