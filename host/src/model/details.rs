//! What a caller says about a task beyond what it shall do: whose it is, and how it shall be treated.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approval::Approvers;
use super::attachment::AttachedFile;
use super::delivery::{ContinuePolicy, DeliveryMode};
use super::ids::TaskId;
use super::json;
use super::manifest::TaskKind;
use super::oversize::Oversize;
use super::permission::Permission;
use super::retry::RetryPolicy;
use super::schedule::ScheduledBy;
use super::scratch::ScratchPolicy;
use super::signal::present;
use super::time::Timestamp;
use super::wire::millis;

/// Bytes of a title, a label, or any other name that a caller gives.
pub(crate) const TEXT_BYTES_MAX: usize = 256;
/// Bytes of the call metadata as JSON. Protects the host's memory from callers: each task keeps it.
const METADATA_BYTES_MAX: usize = 64 << 10;
/// Labels of one task.
pub(crate) const LABELS_MAX: usize = 64;

/// Whose a task is, what it belongs to, and how it shall be treated. Everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TaskDetails {
    /// The session it belongs to: whoever shares one sees the same tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The turn of the session's agent in which it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Names and values for finding it again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What kind its task type is of. The host writes it; what a request says does not count.
    #[serde(skip_serializing_if = "TaskKind::is_task")]
    pub kind: TaskKind,
    /// Whether it is begun again when its host stopped while it ran: whether its type's manifest says so. The host writes
    /// it; what a request says does not count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restartable: bool,
    /// The task that it is a child of. Whoever starts it names a live one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// Whether it goes on when its parent ends.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
    /// The schedule that started it, and which of its firings that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduledBy>,
    /// Which of the waiting tasks runs first: the higher. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Not before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_at: Option<Timestamp>,
    /// Whether it is tried again.
    #[serde(skip_serializing_if = "is_default")]
    pub retry: RetryPolicy,
    /// Whether it has only succeeded when its plan is done: when it ends as succeeded before, that is a failure of kind
    /// `plan`, which `retry` may try again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enforce_plan: bool,
    /// The registered planner that makes its plan before it runs, if the request has none, and others when it is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planner: Option<String>,
    /// Starting again with the same key gives the first task's handle and starts nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Where the caller waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// Where its updates go when nobody waits for it in a turn.
    #[serde(skip_serializing_if = "is_default")]
    pub delivery: DeliveryMode,
    /// Whether its result asks the agent to take another turn.
    #[serde(skip_serializing_if = "is_default")]
    pub continue_policy: ContinuePolicy,
    /// What the caller wants the result to be written as, in a word that caller and task agree on, such as `markdown`.
    /// Taskcell does not look into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<String>,
    /// A JSON Schema that the result must match, beside the type's own.
    #[serde(with = "present", skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// What becomes of a result that is too large.
    #[serde(skip_serializing_if = "Oversize::is_default")]
    pub oversize: Oversize,
    /// The files that it got along. The host writes it; what a request says does not count
    /// ([`StartRequest::attachment`](crate::StartRequest::attachment)).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachedFile>,
    /// Who may decide its approvals.
    #[serde(skip_serializing_if = "is_default")]
    pub approvers: Approvers,
    /// What is decided about its questions before it asks.
    #[serde(skip_serializing_if = "is_default")]
    pub permission: Permission,
    /// Whether its scratch directory stays after its end; without this as the host does with all
    /// ([`HostBuilder::scratch_policy`](crate::HostBuilder::scratch_policy)). A task's children have their parent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<ScratchPolicy>,
    /// The tool call that started it, as the agent's model numbered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// What the caller wants to find with it again, of at most 64 KiB as JSON; Taskcell does not look into it.
    #[serde(with = "present", skip_serializing_if = "Option::is_none")]
    pub call_metadata: Option<Value>,
    /// The agent that it works for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentInfo>,
    /// The user in whose name it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The registered function that is called when it has its outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_terminal: Option<String>,
    /// The W3C trace context (`traceparent`) that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Its id.
    pub id: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Where the caller of a task waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Routing {
    /// With the caller waiting until it has its outcome.
    Foreground,
    /// Beside the caller, who gets a handle at once.
    Background,
    /// With the caller waiting for this long, and then beside it.
    DetachAfter {
        /// How long the caller waits.
        #[serde(rename = "after_ms", with = "millis")]
        after: Duration,
    },
}

/// What is wrong with a request's details.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DetailsError {
    /// A text is empty, too long, or holds control characters.
    #[error("the {what} has 1 to {TEXT_BYTES_MAX} bytes and no control characters")]
    Text {
        /// Which text.
        what: &'static str,
    },
    /// More labels than a task has.
    #[error("a task has at most {LABELS_MAX} labels, and this one has {0}")]
    Labels(usize),
    /// The permission names something that cannot be the kind of a question.
    #[error("a permission has at most 64 kinds, each of 1 to 64 bytes without control characters")]
    Kinds,
    /// The call metadata is longer than a task keeps.
    #[error("the call metadata has at most {METADATA_BYTES_MAX} bytes as JSON")]
    CallMetadata,
}

impl TaskDetails {
    /// Whether a task was started for this very call of this session's turn.
    pub(crate) fn is_of_call(&self, session: Option<&str>, turn: Option<&str>, call: Option<&str>) -> bool {
        let same = |own: &Option<String>, asked: Option<&str>| own.as_deref() == asked;
        call.is_some() && same(&self.call_id, call) && same(&self.session, session) && same(&self.turn, turn)
    }

    /// Takes what is left open from a parent's.
    pub(crate) fn inherit(&mut self, parent: &Self) {
        let texts = [
            (&mut self.session, &parent.session),
            (&mut self.turn, &parent.turn),
            (&mut self.user, &parent.user),
            (&mut self.trace, &parent.trace),
        ];
        for (own, of_parent) in texts {
            if own.is_none() {
                own.clone_from(of_parent);
            }
        }
        if self.agent.is_none() {
            self.agent.clone_from(&parent.agent);
        }
        if is_zero(&self.priority) {
            self.priority = parent.priority;
        }
        if is_default(&self.approvers) {
            self.approvers = parent.approvers;
        }
        if is_default(&self.permission) {
            self.permission.clone_from(&parent.permission);
        }
        // What the parent had, also where the host does otherwise with tasks that do not say.
        self.scratch.get_or_insert(parent.scratch.unwrap_or_default());
    }

    /// The names in it, with what each is.
    fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let agent = self.agent.as_ref();
        let texts = [
            ("session", self.session.as_deref()),
            ("turn", self.turn.as_deref()),
            ("title", self.title.as_deref()),
            ("output format", self.output_format.as_deref()),
            ("idempotency key", self.idempotency_key.as_deref()),
            ("call id", self.call_id.as_deref()),
            ("agent's id", agent.map(|agent| agent.id.as_str())),
            ("agent's version", agent.and_then(|agent| agent.version.as_deref())),
            ("user", self.user.as_deref()),
            ("name of the on-terminal function", self.on_terminal.as_deref()),
            ("trace context", self.trace.as_deref()),
            ("name of the planner", self.planner.as_deref()),
        ];
        let given = texts.into_iter().filter_map(|(what, text)| Some((what, text?)));
        given.chain(self.labels.keys().map(|name| ("label's name", name.as_str())))
    }

    /// What it weighs where it is kept.
    pub(crate) fn weight(&self) -> u64 {
        let texts = self.names().map(|(_, text)| text).chain(self.labels.values().map(String::as_str));
        let values = [&self.output_schema, &self.call_metadata].into_iter().flatten();
        texts.map(|text| text.len() as u64).sum::<u64>() + values.map(json::weight).sum::<u64>()
    }

    /// Whether every text is one line of bearable length, and what Taskcell does not look into is bearable too.
    pub(crate) fn check(&self) -> Result<(), DetailsError> {
        for (what, text) in self.names() {
            if text.is_empty() || !is_line(text) {
                return Err(DetailsError::Text { what });
            }
        }
        if !self.permission.approve.are_names() {
            return Err(DetailsError::Kinds);
        }
        if self.labels.len() > LABELS_MAX {
            return Err(DetailsError::Labels(self.labels.len()));
        }
        if !self.labels.values().all(|value| is_line(value)) {
            return Err(DetailsError::Text { what: "label's value" });
        }
        match &self.call_metadata {
            Some(metadata) if json::has_too_many(metadata) || metadata.to_string().len() > METADATA_BYTES_MAX => {
                Err(DetailsError::CallMetadata)
            }
            Some(_) | None => Ok(()),
        }
    }
}

pub(crate) fn is_line(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_said_is_not_written() {
        assert_eq!(serde_json::to_string(&TaskDetails::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<TaskDetails>("{}").unwrap(), TaskDetails::default());
    }

    #[test]
    fn texts_are_bounded_lines() {
        let title = |text: &str| TaskDetails { title: Some(text.to_owned()), ..TaskDetails::default() }.check();
        assert_eq!(title("Build the app"), Ok(()));
        for bad in ["", "two\nlines", "\u{1b}[31m", &"x".repeat(257)] {
            assert_eq!(title(bad), Err(DetailsError::Text { what: "title" }), "{bad:?}");
        }
        let labels = (0..65).map(|number| (number.to_string(), String::new())).collect();
        let many = TaskDetails { labels, ..TaskDetails::default() };
        assert_eq!(many.check(), Err(DetailsError::Labels(65)));
    }

    #[test]
    fn call_metadata_is_bounded() {
        let of = |value: Value| TaskDetails { call_metadata: Some(value), ..TaskDetails::default() }.check();
        let text = |bytes: usize| Value::from("x".repeat(bytes - 2));
        assert_eq!((of(text(64 << 10)), of(text((64 << 10) + 1))), (Ok(()), Err(DetailsError::CallMetadata)));
        assert_eq!(of(vec![0; 100_000].into()), Err(DetailsError::CallMetadata));
    }

    #[test]
    fn what_is_kept_has_its_weight() {
        let labels = BTreeMap::from([("ab".to_owned(), "cde".to_owned())]);
        let title = Some("fghi".to_owned());
        let mut details = TaskDetails { title, labels, ..TaskDetails::default() };
        assert_eq!((TaskDetails::default().weight(), details.weight()), (0, 9));
        (details.output_schema, details.call_metadata) = (Some(Value::Bool(true)), Some(Value::from("x".repeat(1000))));
        assert!((1013..1200).contains(&details.weight()), "{}", details.weight());
    }
}
