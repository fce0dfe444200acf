//! What is shown of one task of a tree.

use serde_json::{Value, json};

use crate::cli::text;
use crate::{
    ApprovalAsk, Child, ChildOutcome, FailureKind, Outcome, Phase, Snapshot, TaskId, TaskRef, Timestamp, escape,
};

/// Digits of an id that are shown where a task has no name.
const ID_DIGITS: usize = 8;
/// Bytes of a task's words that are kept: more than a line has.
const WORDS_BYTES_MAX: usize = 500;

/// A task, and all that is below it.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Node {
    id: TaskId,
    task: TaskRef,
    title: Option<String>,
    pub(super) standing: Standing,
    /// What it waits for, or how it ended, in its own words or somebody's: not escaped.
    why: String,
    message: Option<String>,
    percent: Option<u8>,
    attempt: u32,
    fuel: u64,
    fuel_budget: u64,
    memory_peak_bytes: u64,
    pub(super) ended_at: Option<Timestamp>,
    /// What it started, in that order.
    pub(in crate::cli::run) children: Vec<Node>,
    /// How many children it has beside these.
    pub(in crate::cli::run) unseen: usize,
}

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Standing {
    /// It may not begin before somebody has approved.
    Held,
    /// It waits for its moment to begin, or to be tried again.
    Delayed,
    /// It waits for its turn.
    Queued,
    /// It runs.
    Running,
    /// It was asked to stop, and has not ended.
    Stopping,
    /// Somebody made it stand still.
    Paused,
    /// It asked for more fuel.
    AwaitsFuel,
    /// A daemon whose fuel for this hour is used up.
    AwaitsHour,
    /// It asked for approval.
    AwaitsApproval,
    /// It waits for a signal.
    AwaitsSignal,
    /// It waits to be told something.
    AwaitsInstruction,
    /// It waits for a task that it started.
    AwaitsChild,
    /// Its server has not loaded its plugin.
    AwaitsPlugin,
    /// It did what it was asked to do.
    Succeeded,
    /// It could not.
    Failed(Option<FailureKind>),
    /// It was stopped.
    Cancelled,
    /// Its parent wanted it, and it could not be started.
    NotStarted,
}

impl Standing {
    /// Whether nothing comes after it.
    pub(in crate::cli::run) fn is_over(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed(_) | Self::Cancelled | Self::NotStarted => true,
            Self::Held
            | Self::Delayed
            | Self::Queued
            | Self::Running
            | Self::Stopping
            | Self::Paused
            | Self::AwaitsFuel
            | Self::AwaitsHour
            | Self::AwaitsApproval
            | Self::AwaitsSignal
            | Self::AwaitsInstruction
            | Self::AwaitsChild
            | Self::AwaitsPlugin => false,
        }
    }

    /// For a person.
    pub(in crate::cli) fn words(self) -> String {
        match self {
            Self::Failed(Some(kind)) if kind != FailureKind::Guest => format!("✗ failed ({})", kind.word()),
            Self::Failed(_) => "✗ failed".to_owned(),
            Self::Succeeded => "✓ succeeded".to_owned(),
            Self::Cancelled => "✗ cancelled".to_owned(),
            Self::NotStarted => "✗ not started".to_owned(),
            Self::AwaitsFuel => "waits for fuel".to_owned(),
            Self::AwaitsHour => "waits for its next hour".to_owned(),
            Self::AwaitsApproval => "waits for approval".to_owned(),
            Self::AwaitsSignal => "waits for a signal".to_owned(),
            Self::AwaitsInstruction => "waits to be told".to_owned(),
            Self::AwaitsChild => "waits for a child".to_owned(),
            Self::AwaitsPlugin => "waits for its plugin".to_owned(),
            Self::Held | Self::Delayed | Self::Queued | Self::Running | Self::Stopping | Self::Paused => {
                self.word().to_owned()
            }
        }
    }

    /// For a program.
    fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Delayed => "delayed",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Paused => "paused",
            Self::AwaitsFuel => "waits-for-fuel",
            Self::AwaitsHour => "waits-for-hour",
            Self::AwaitsApproval => "waits-for-approval",
            Self::AwaitsSignal => "waits-for-signal",
            Self::AwaitsInstruction => "waits-for-instruction",
            Self::AwaitsChild => "waits-for-child",
            Self::AwaitsPlugin => "waits-for-plugin",
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::NotStarted => "not-started",
        }
    }

    /// How a task stands, and why.
    pub(in crate::cli) fn of(state: &Snapshot) -> (Self, String) {
        if let Some(outcome) = &state.outcome {
            return Self::after(outcome);
        }
        if let Some(digest) = &state.awaits_plugin {
            return (Self::AwaitsPlugin, format!("{} with the digest {digest}", state.task.plugin));
        }
        let asks = || state.approvals.iter().map(|pending| question(&pending.ask)).collect::<Vec<_>>().join("; ");
        match state.phase {
            Phase::Held => return (Self::Held, asks()),
            Phase::Delayed => return (Self::Delayed, String::new()),
            Phase::Queued => return (Self::Queued, String::new()),
            Phase::Running | Phase::Ended => {}
        }
        if let Some(pause) = &state.paused {
            let by = format!("by {}", pause.by);
            return (Self::Paused, if pause.reason.is_empty() { by } else { format!("{by}: {}", pause.reason) });
        }
        if let Some(cancel) = &state.cancel {
            return (Self::Stopping, cancel.reason.clone());
        }
        if let Some(request) = &state.fuel_request {
            let units = format!("{} units", text::fuel(request.units));
            let why = if request.reason.is_empty() { units } else { format!("{units}: {}", request.reason) };
            return (Self::AwaitsFuel, why);
        }
        if state.hour_used_up {
            return (Self::AwaitsHour, String::new());
        }
        if !state.approvals.is_empty() {
            return (Self::AwaitsApproval, asks());
        }
        if let Some(wait) = &state.waiting {
            let keys: Vec<String> = wait.keys.iter().map(|key| format!("`{key}`")).collect();
            return (Self::AwaitsSignal, keys.join(" or "));
        }
        if state.awaits_instruction {
            return (Self::AwaitsInstruction, String::new());
        }
        if let Some(awaited) = state.awaits_child {
            // It stands below; two of its type are told apart by what stands in brackets.
            let child = state.children.iter().find(|child| child.id == awaited);
            return (Self::AwaitsChild, child.map(|child| called(child.id, &child.task)).unwrap_or_default());
        }
        (Self::Running, String::new())
    }

    fn after(outcome: &Outcome) -> (Self, String) {
        match outcome {
            Outcome::Succeeded { message, .. } => (Self::Succeeded, message.clone()),
            Outcome::Failed(failure) => (Self::Failed(Some(failure.kind)), failure.message.clone()),
            Outcome::Cancelled { reason, message, .. } => {
                (Self::Cancelled, if reason.is_empty() { message.clone() } else { reason.clone() })
            }
        }
    }
}

impl Node {
    /// What a snapshot says of a task; what is below it is not known yet.
    pub(in crate::cli::run) fn of(state: &Snapshot) -> Self {
        let (standing, why) = Standing::of(state);
        let kept = |words: &str| text::clip(words, WORDS_BYTES_MAX);
        Self {
            id: state.id,
            task: state.task.clone(),
            title: state.details.title.clone(),
            standing,
            why: kept(&why),
            message: state.progress.as_ref().map(|progress| kept(&progress.message)),
            percent: state.progress.as_ref().and_then(|progress| progress.percent),
            attempt: state.attempt,
            fuel: state.usage.fuel,
            fuel_budget: state.fuel_budget,
            memory_peak_bytes: state.usage.memory_peak_bytes,
            ended_at: state.ended_at,
            children: Vec::new(),
            unseen: 0,
        }
    }

    /// What its parent knows of a child that the host has no more, or not yet.
    pub(in crate::cli::run) fn as_told(child: &Child) -> Self {
        let standing = match child.outcome {
            None => Standing::Queued,
            Some(ChildOutcome::Succeeded) => Standing::Succeeded,
            Some(ChildOutcome::Failed) => Standing::Failed(None),
            Some(ChildOutcome::Cancelled) => Standing::Cancelled,
            Some(ChildOutcome::NotStarted) => Standing::NotStarted,
        };
        Self {
            id: child.id,
            task: child.task.clone(),
            title: None,
            standing,
            why: String::new(),
            message: None,
            percent: None,
            attempt: 0,
            fuel: 0,
            fuel_budget: child.fuel,
            memory_peak_bytes: 0,
            ended_at: None,
            children: Vec::new(),
            unseen: 0,
        }
    }

    /// Whether nothing changes any more, below it too.
    pub(in crate::cli::run) fn is_over(&self) -> bool {
        self.standing.is_over() && self.children.iter().all(Self::is_over)
    }

    /// How many tasks it stands for, with those below.
    pub(in crate::cli::run) fn tasks(&self) -> usize {
        1 + self.unseen + self.children.iter().map(Self::tasks).sum::<usize>()
    }

    /// What people call it, in one safe line.
    pub(super) fn name(&self, root: &Self) -> String {
        let name = self.title.clone().unwrap_or_else(|| called(self.id, &self.task));
        let plugin = if self.task.plugin == root.task.plugin { "" } else { self.task.plugin.as_str() };
        let slash = if plugin.is_empty() { "" } else { "/" };
        escape(&format!("{plugin}{slash}{name}")).into_owned()
    }

    /// Why it stands as it does, which try it is, and what it says itself, in one safe line. Its last report says no more
    /// once it has succeeded.
    pub(super) fn words(&self) -> String {
        let report = self.message.as_deref().filter(|_| self.standing != Standing::Succeeded).unwrap_or_default();
        let attempt = if self.attempt > 1 { format!("attempt {}", self.attempt) } else { String::new() };
        let words = [self.why.as_str(), &attempt, report];
        let said: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
        escape(&said.join(" · ")).into_owned()
    }

    /// How far it is, or came. Once it has succeeded, its last report says nothing any more.
    pub(super) fn percent(&self) -> Option<u8> {
        self.percent.filter(|_| self.standing != Standing::Succeeded)
    }

    /// `1.2G fuel`; nothing before it has burnt any.
    pub(super) fn fuel_burnt(&self) -> String {
        if self.fuel == 0 { String::new() } else { format!("{} fuel", text::fuel(self.fuel)) }
    }

    /// `1.2G of 1T fuel`.
    pub(super) fn fuel_of_budget(&self) -> String {
        if self.fuel == 0 {
            return String::new();
        }
        format!("{} of {} fuel", text::fuel(self.fuel), text::fuel(self.fuel_budget))
    }

    /// The most it had at once: `2.5 MiB`.
    pub(super) fn memory(&self) -> String {
        if self.memory_peak_bytes == 0 { String::new() } else { text::bytes(self.memory_peak_bytes) }
    }

    /// For a program, with all that is below.
    pub(in crate::cli::run) fn document(&self) -> Value {
        let mut document = json!({
            "id": self.id,
            "task": self.task,
            "state": self.standing.word(),
            "usage": {
                "fuel": self.fuel,
                "fuel_budget": self.fuel_budget,
                "memory_peak_bytes": self.memory_peak_bytes,
            },
            "children": self.children.iter().map(Self::document).collect::<Vec<_>>(),
        });
        if let Value::Object(fields) = &mut document {
            if let Some(title) = &self.title {
                fields.insert("title".to_owned(), title.as_str().into());
            }
            if !self.why.is_empty() {
                fields.insert("why".to_owned(), self.why.as_str().into());
            }
            if let Some(message) = &self.message {
                fields.insert("progress".to_owned(), json!({ "message": message, "percent": self.percent }));
            }
            if self.unseen > 0 {
                fields.insert("more".to_owned(), self.unseen.into());
            }
        }
        document
    }
}

/// `type [key]`; the beginning of the id in place of a key that nobody chose.
fn called(id: TaskId, task: &TaskRef) -> String {
    let id = id.to_string();
    let key = task.key.as_str();
    let key = if key == id { id.get(..ID_DIGITS).unwrap_or(&id) } else { key };
    format!("{} [{key}]", task.task_type)
}

fn question(ask: &ApprovalAsk) -> String {
    if ask.summary.is_empty() { ask.kind.clone() } else { format!("{}: {}", ask.kind, ask.summary) }
}
