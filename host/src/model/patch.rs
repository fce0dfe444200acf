//! What may be changed about a task while it runs and afterwards: a note, its title, its labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::details::{LABELS_MAX, TEXT_BYTES_MAX, is_line};
use super::event::EventBody;
use super::state::TaskState;

/// Characters of a note.
pub(crate) const NOTE_CHARS_MAX: usize = 255;

/// What is to be changed about a task. What is not said stays as it is, which is not the same as saying `null`: that
/// takes it away.
///
/// ```
/// use taskcell::TaskPatch;
///
/// let patch: TaskPatch = serde_json::from_str(r#"{"note": "waits for Ada", "title": null}"#)?;
/// assert_eq!(patch, TaskPatch::default().note("waits for Ada").without_title());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TaskPatch {
    /// What somebody wants to be seen beside it: one line of at most 255 characters.
    #[serde(skip_serializing_if = "Change::is_nothing")]
    pub note: Change,
    /// What people call it.
    #[serde(skip_serializing_if = "Change::is_nothing")]
    pub title: Change,
    /// Labels by their names; one that is not named stays.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Option<String>>,
}

/// What becomes of a text. Written as `null` or a text, and not at all when it stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<String>", into = "Option<String>")]
pub enum Change {
    /// It stays as it is.
    #[default]
    Nothing,
    /// It is taken away.
    Clear,
    /// It is this from now on.
    Set(String),
}

impl From<Option<String>> for Change {
    fn from(said: Option<String>) -> Self {
        said.map_or(Self::Clear, Self::Set)
    }
}

impl From<Change> for Option<String> {
    fn from(change: Change) -> Self {
        match change {
            Change::Set(text) => Some(text),
            Change::Nothing | Change::Clear => None,
        }
    }
}

impl Change {
    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }

    fn text(&self) -> Option<&String> {
        match self {
            Self::Set(text) => Some(text),
            Self::Nothing | Self::Clear => None,
        }
    }

    fn make(&self, of: &mut Option<String>) {
        match self {
            Self::Nothing => {}
            Self::Clear => *of = None,
            Self::Set(text) => *of = Some(text.clone()),
        }
    }
}

/// What is wrong with a patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The note is too long, or not one line.
    #[error("a note is one line of 1 to {NOTE_CHARS_MAX} characters without control characters")]
    Note,
    /// The title, a label's name or its value is not fit to be kept.
    #[error("the {what} has 1 to {TEXT_BYTES_MAX} bytes and no control characters")]
    Text {
        /// Which text.
        what: &'static str,
    },
    /// There would be more labels than a task has.
    #[error("a task has at most {LABELS_MAX} labels, and this one would have {0}")]
    Labels(usize),
}

impl TaskPatch {
    /// Sets the note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Change::Set(note.into());
        self
    }

    /// Takes the note away.
    #[must_use]
    pub fn without_note(mut self) -> Self {
        self.note = Change::Clear;
        self
    }

    /// Sets the title.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Change::Set(title.into());
        self
    }

    /// Takes the title away.
    #[must_use]
    pub fn without_title(mut self) -> Self {
        self.title = Change::Clear;
        self
    }

    /// Sets a label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), Some(value.into()));
        self
    }

    /// Takes a label away.
    #[must_use]
    pub fn without_label(mut self, name: impl Into<String>) -> Self {
        self.labels.insert(name.into(), None);
        self
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        let text = |change: &Change| change.text().map_or(0, String::len);
        let labels = self.labels.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len));
        text(&self.note) + text(&self.title) + labels.sum::<usize>()
    }

    /// Whether the task may be changed so.
    pub(crate) fn check(&self, state: &TaskState) -> Result<(), PatchError> {
        let is_note = |note: &String| {
            !note.is_empty() && note.chars().count() <= NOTE_CHARS_MAX && !note.chars().any(char::is_control)
        };
        if !self.note.text().is_none_or(is_note) {
            return Err(PatchError::Note);
        }
        let is_name = |text: &String| !text.is_empty() && is_line(text);
        if !self.title.text().is_none_or(is_name) {
            return Err(PatchError::Text { what: "title" });
        }
        if !self.labels.keys().all(is_name) {
            return Err(PatchError::Text { what: "label's name" });
        }
        if !self.labels.values().flatten().all(|value| is_line(value)) {
            return Err(PatchError::Text { what: "label's value" });
        }
        let mut labels = state.details.labels.clone();
        self.change_labels(&mut labels);
        // Who takes some away from a task that has too many is let.
        if labels.len() > LABELS_MAX.max(state.details.labels.len()) {
            return Err(PatchError::Labels(labels.len()));
        }
        Ok(())
    }

    fn change_labels(&self, labels: &mut BTreeMap<String, String>) {
        for (name, value) in &self.labels {
            match value {
                Some(value) => drop(labels.insert(name.clone(), value.clone())),
                None => drop(labels.remove(name)),
            }
        }
    }
}

impl TaskState {
    /// Takes something in that happened after the end. It changes nothing but what people see.
    pub(crate) fn after_the_end(&mut self, body: &EventBody) {
        if let EventBody::Updated { revision, patch, .. } = body
            && *revision > self.revision
        {
            self.other_events += 1;
            self.other_bytes += patch.bytes() as u64;
            self.patch(*revision, patch);
        }
    }

    /// Takes a change in.
    pub(crate) fn patch(&mut self, revision: u64, patch: &TaskPatch) {
        self.revision = revision;
        patch.note.make(&mut self.note);
        let details = Arc::make_mut(&mut self.details);
        patch.title.make(&mut details.title);
        patch.change_labels(&mut details.labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r4a_what_is_not_said_is_not_null() {
        let read = |text: &str| serde_json::from_str::<TaskPatch>(text);
        assert_eq!(read("{}").unwrap(), TaskPatch::default());
        assert_eq!(read(r#"{"note":null}"#).unwrap(), TaskPatch::default().without_note());
        assert_eq!(
            read(r#"{"labels":{"a":null,"b":"1"}}"#).unwrap(),
            TaskPatch::default().without_label("a").label("b", "1")
        );
        assert!(read(r#"{"nota":null}"#).is_err());
        for patch in [TaskPatch::default().without_note().title("t"), TaskPatch::default().note("n").without_title()] {
            assert_eq!(read(&serde_json::to_string(&patch).unwrap()).unwrap(), patch);
        }
    }

    #[test]
    fn r4a_a_patch_is_checked_as_a_whole() {
        let mut state = TaskState::default();
        let check = |patch: TaskPatch, state: &TaskState| patch.check(state);
        assert_eq!(check(TaskPatch::default().note("ü".repeat(255)).title("t").label("l", ""), &state), Ok(()));
        for bad in ["", "a\nb", &"x".repeat(256)] {
            assert_eq!(check(TaskPatch::default().note(bad), &state), Err(PatchError::Note), "{bad:?}");
        }
        assert_eq!(check(TaskPatch::default().title(""), &state), Err(PatchError::Text { what: "title" }));
        assert_eq!(check(TaskPatch::default().label("", "x"), &state), Err(PatchError::Text { what: "label's name" }));
        let long = "x".repeat(257);
        assert_eq!(
            check(TaskPatch::default().label("x", long), &state),
            Err(PatchError::Text { what: "label's value" })
        );
        Arc::make_mut(&mut state.details).labels = (0..64).map(|number| (number.to_string(), String::new())).collect();
        assert_eq!(check(TaskPatch::default().label("new", ""), &state), Err(PatchError::Labels(65)));
        assert_eq!(check(TaskPatch::default().label("new", "").without_label("0"), &state), Ok(()));
        assert_eq!(check(TaskPatch::default().label("1", "x"), &state), Ok(()));
    }
}
