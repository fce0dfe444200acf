//! Why a request was not fulfilled: problem details, as RFC 9457 has them.

use serde::{Deserialize, Serialize};

use crate::{Outcome, TaskRef};

/// What a type of problems begins with; its name follows.
const TYPES: &str = "/v1/problems/";

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $status:literal, $title:literal;)*) => {
        /// What kind of problem it is. Each has one name, one status and one title.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemKind {
            $($(#[$doc])* $kind,)*
        }

        impl ProblemKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Its name, with which its type ends.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The status of answers with it.
            pub fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)* }
            }

            /// What it is, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)* }
            }
        }
    };
}

kinds! {
    /// The request is no JSON, has fields or parameters that nobody knows, or values that mean nothing.
    InvalidRequest = "invalid-request", 400, "The request cannot be read";
    /// The party may not do that.
    NotAllowed = "not-allowed", 403, "Not allowed";
    /// There is nothing at this path.
    NotFound = "not-found", 404, "There is nothing here";
    /// There is no such task, or it is forgotten.
    UnknownTask = "unknown-task", 404, "There is no such task";
    /// There is no such plugin. `loaded` has the names there are.
    UnknownPlugin = "unknown-plugin", 404, "There is no such plugin";
    /// There is no such schedule.
    UnknownSchedule = "unknown-schedule", 404, "There is no such schedule";
    /// There is no such question, or it was decided already.
    UnknownApproval = "unknown-approval", 404, "There is no such question";
    /// The task has no such file.
    UnknownArtifact = "unknown-artifact", 404, "There is no such file";
    /// The path has no such method. The header `Allow` has those that it has.
    MethodNotAllowed = "method-not-allowed", 405, "There is no such method here";
    /// The request did not come in time.
    RequestTimeout = "request-timeout", 408, "The request did not come in time";
    /// A live task has the key. `task` is that one.
    KeyInUse = "key-in-use", 409, "A live task has this key";
    /// Another request was started with the idempotency key. `task` is what that one started.
    IdempotencyKeyUsed = "idempotency-key-used", 409, "The idempotency key was used for another request";
    /// The task has its outcome already. `outcome` is that.
    TaskEnded = "task-ended", 409, "The task has ended";
    /// The task has no outcome yet.
    TaskRunning = "task-running", 409, "The task has not ended";
    /// Another plugin or schedule has the name.
    NameInUse = "name-in-use", 409, "The name is in use";
    /// The plugin is being unloaded or disabled.
    PluginClosed = "plugin-closed", 409, "The plugin's tasks cannot be started now";
    /// The task was changed since. `revision` is what it is at.
    StaleRevision = "stale-revision", 412, "The task was changed since";
    /// The body, or something in it, is too large. `max` is the limit.
    TooLarge = "too-large", 413, "Too large";
    /// The body is of another type than the path takes.
    UnsupportedMediaType = "unsupported-media-type", 415, "The body is of another type";
    /// The plugin has no such task type. `known` has those that it has.
    UnknownTaskType = "unknown-task-type", 422, "The plugin has no such task type";
    /// The input does not match the type's schema. `faults` says where.
    InvalidInput = "invalid-input", 422, "The input does not match the schema";
    /// The request can be read, and not be fulfilled as it is.
    Refused = "refused", 422, "The request cannot be fulfilled";
    /// The file cannot be loaded as a plugin.
    BadPlugin = "bad-plugin", 422, "The plugin cannot be loaded";
    /// The server failed.
    Internal = "internal", 500, "The server failed";
    /// Too much is under way; try again in a while.
    Busy = "busy", 503, "Too much is under way";
    /// The store cannot read or write now.
    Store = "store", 503, "The store does not work now";
    /// The server is about to end.
    ShuttingDown = "shutting-down", 503, "The server is shutting down";
    /// The disk has no room.
    DiskFull = "disk-full", 507, "The disk has no room";
}

/// Why a request was not fulfilled: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Which kind, as a path: see [`Problem::kind`].
    #[serde(rename = "type")]
    pub kind: String,
    /// What that is, in a few words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong with this request, in a sentence.
    pub detail: String,
    /// The plugins that are loaded, where one that is not was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<Vec<String>>,
    /// The names that there are, where one that is not was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Vec<String>>,
    /// What is wrong with the input, each with its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Vec<String>>,
    /// The task that is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRef>,
    /// How the task ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The revision that the task is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The most that there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{TYPES}{}", kind.name()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            loaded: None,
            known: None,
            faults: None,
            task: None,
            outcome: None,
            revision: None,
            max: None,
        }
    }

    /// Which kind it is; `None` when this version does not know it.
    pub fn kind(&self) -> Option<ProblemKind> {
        let name = self.kind.strip_prefix(TYPES)?;
        ProblemKind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in ProblemKind::ALL {
            let problem = Problem::new(*kind, "x");
            let text = serde_json::to_string(&problem).unwrap();
            let read: Problem = serde_json::from_str(&text).unwrap();
            assert_eq!(read.kind(), Some(*kind));
            assert!((400..600).contains(&read.status), "{text}");
            assert!(!text.contains(r#""loaded":"#), "{text}");
        }
        assert_eq!(Problem { kind: "about:blank".to_owned(), ..Problem::new(ProblemKind::Busy, "x") }.kind(), None);
    }
}
