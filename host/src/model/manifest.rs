//! What a plugin says about itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::details::Routing;
use super::ids::TaskKey;
use super::json;
use super::limits::LimitsRequest;
use super::requests::{CapabilityRequest, RequestError};
use super::schema::{self, Schema, SchemaError};

/// The manifest version that this host knows.
const VERSION: u64 = 1;
/// Task types of one plugin. Protects the host from a hostile `describe`.
const TASK_TYPES_MAX: usize = 256;
/// Capabilities that one plugin may ask for.
const REQUESTS_MAX: usize = 64;
/// Bytes of a name. Names become parts of paths, tool names and table columns.
const NAME_BYTES_MAX: usize = 64;

/// A plugin's manifest: the document that `describe` returns, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// The version of the document.
    pub manifest: u64,
    /// The plugin's name: lower-case letters, digits and `-`, at most 64.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it would like to be granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<CapabilityRequest>,
    /// What it can do.
    pub tasks: Vec<TaskType>,
}

/// Something that a plugin can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskType {
    /// Its name within the plugin: lower-case letters, digits and `-`, at most 64.
    pub name: String,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its input; anything goes when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// JSON Schema of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Its default limits.
    #[serde(default)]
    pub limits: LimitsRequest,
    /// Where the caller waits for it, unless the request or the host says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// How it lives.
    #[serde(default, skip_serializing_if = "TaskKind::is_task")]
    pub kind: TaskKind,
    /// What its tasks would like to be granted, beside what the plugin asks for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<CapabilityRequest>,
    /// Whether it changes nothing outside its own cell. What a type does not say it does not promise.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Whether several of its tasks may work at the same time on the same things. A hint for whoever starts them: cells
    /// share nothing, but granted folders and the plugin's store are one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub concurrent_safe: bool,
    /// Whether one that broke off can be begun again from its beginning without harm. A hint for whoever does so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub restartable: bool,
}

/// How tasks of a type live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TaskKind {
    /// Started for one input, and over when that is dealt with.
    #[default]
    Task,
    /// Started with its plugin and stopped with it: it has no deadline and may be silent, and its fuel is for an hour.
    Daemon,
}

impl TaskKind {
    /// Whether it is the ordinary kind.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
    pub(crate) fn is_task(&self) -> bool {
        matches!(self, Self::Task)
    }

    /// Its name in a manifest.
    pub fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Daemon => "daemon",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is not the JSON document that it should be.
    #[error("the manifest is not valid: {0}")]
    Json(String),
    /// It is of a version that this host does not know.
    #[error("the manifest has version {found}, and this host knows version {VERSION}: use a newer Taskcell")]
    Version {
        /// The version in the document.
        found: u64,
    },
    /// A name is empty, too long, or holds other characters.
    #[error("the {what} {name:?} is not a name: it must be 1 to 64 lower-case letters, digits or '-', a letter first")]
    Name {
        /// Which name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two task types have the same name.
    #[error("two task types are called {0:?}")]
    Duplicate(String),
    /// A daemon's key is its name, and this one looks like the key of a task that was given none.
    #[error("the daemon {0:?} has a name that looks like the id of a task: give it another")]
    DaemonName(String),
    /// A text is longer than it may be.
    #[error("its {what} has more than {max} bytes")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// How many bytes it may have.
        max: usize,
    },
    /// It asks for too much.
    #[error("it asks for {0} capabilities; a plugin, and each task type, asks for at most {REQUESTS_MAX}")]
    Requests(usize),
    /// What it asks for cannot be asked for.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// There are no task types, or too many.
    #[error("it has {0} task types; a plugin has 1 to {TASK_TYPES_MAX}")]
    TaskTypes(usize),
    /// A schema cannot be used.
    #[error("the {what} schema of task type {task_type:?} cannot be used: {source}")]
    Schema {
        /// `input` or `output`.
        what: &'static str,
        /// Whose schema.
        task_type: String,
        /// Why not.
        source: SchemaError,
    },
}

/// A task type's schemas, ready to check values with.
#[derive(Debug, Clone)]
pub(crate) struct Schemas {
    pub(crate) input: Schema,
    pub(crate) output: Schema,
}

impl Manifest {
    /// Reads and checks the document.
    ///
    /// # Errors
    /// When it is not a manifest that this host can work with.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let document: Value = json::parse(text).map_err(|error| ManifestError::Json(format!("it {error}")))?;
        // The version comes first: a newer document may look quite different.
        match document.get("manifest").and_then(Value::as_u64) {
            Some(VERSION) | None => {}
            Some(found) => return Err(ManifestError::Version { found }),
        }
        let manifest: Self =
            serde_json::from_value(document).map_err(|error| ManifestError::Json(error.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        check_name("plugin name", &self.name)?;
        if self.tasks.is_empty() || self.tasks.len() > TASK_TYPES_MAX {
            return Err(ManifestError::TaskTypes(self.tasks.len()));
        }
        let texts = [
            ("version", Some(&self.version), 64),
            ("author", self.author.as_ref(), 256),
            ("description", self.description.as_ref(), 4096),
            ("url", self.url.as_ref(), 2048),
        ];
        let asking = || std::iter::once(&self.requests).chain(self.tasks.iter().map(|task| &task.requests));
        let requests = asking().flatten().flat_map(|request| [("reason", request.reason.as_ref(), 1024)]);
        let tasks = self.tasks.iter().map(|task| ("task description", task.description.as_ref(), 4096));
        for (what, text, max) in texts.into_iter().chain(requests).chain(tasks) {
            if text.is_some_and(|text| text.len() > max) {
                return Err(ManifestError::TooLong { what, max });
            }
        }
        if let Some(many) = asking().map(Vec::len).find(|count| *count > REQUESTS_MAX) {
            return Err(ManifestError::Requests(many));
        }
        asking().flatten().try_for_each(CapabilityRequest::check)?;
        let mut seen = std::collections::HashSet::new();
        for task in &self.tasks {
            check_name("task type", &task.name)?;
            if !seen.insert(task.name.as_str()) {
                return Err(ManifestError::Duplicate(task.name.clone()));
            }
            let is_like_an_id = TaskKey::new(&task.name).is_ok_and(|key| key.is_like_an_id());
            if task.kind == TaskKind::Daemon && is_like_an_id {
                return Err(ManifestError::DaemonName(task.name.clone()));
            }
        }
        Ok(())
    }

    /// What tasks of this type would like to be granted: what the plugin asks for all, and what the type asks for beside.
    pub fn requests_of<'a>(&'a self, task: &'a TaskType) -> impl Iterator<Item = &'a CapabilityRequest> {
        let own = task.requests.iter();
        let all = self.requests.iter();
        all.chain(own.filter(|own| self.requests.iter().all(|request| !request.asks_the_same_as(own))))
    }

    /// The schemas of each task type, compiled; each nested no deeper than this.
    pub(crate) fn schemas(&self, depth_max: u32) -> Result<Vec<(String, Schemas)>, ManifestError> {
        let all = self.tasks.iter().flat_map(|task| [&task.input, &task.output]).flatten();
        let patterns = all.map(schema::patterns).sum();
        self.tasks.iter().map(|task| Ok((task.name.clone(), task.schemas(depth_max, patterns)?))).collect()
    }

    /// The task type of this name.
    pub fn task_type(&self, name: &str) -> Option<&TaskType> {
        self.tasks.iter().find(|task| task.name == name)
    }
}

impl TaskType {
    /// Its schemas, compiled; in a document with so many patterns.
    fn schemas(&self, depth_max: u32, patterns: usize) -> Result<Schemas, ManifestError> {
        let compile = |what, schema: &Option<Value>| {
            Schema::new_among(schema.as_ref().unwrap_or(&Value::Bool(true)), depth_max, patterns)
                .map_err(|source| ManifestError::Schema { what, task_type: self.name.clone(), source })
        };
        Ok(Schemas { input: compile("input", &self.input)?, output: compile("output", &self.output)? })
    }
}

/// Whether this can be the name of a plugin, or of something in one.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn check_name(what: &'static str, name: &str) -> Result<(), ManifestError> {
    if is_name(name) { Ok(()) } else { Err(ManifestError::Name { what, name: name.chars().take(100).collect() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(document: &Value) -> Result<Manifest, ManifestError> {
        Manifest::parse(&document.to_string())
    }

    #[test]
    fn a_small_manifest_is_read_and_unknown_fields_are_ignored() {
        let manifest = parse(&serde_json::json!({
            "manifest": 1, "name": "hello", "version": "1.0.0", "later": true,
            "tasks": [{"name": "hello", "limits": {"fuel": 5}, "also-later": "daemon"}],
        }))
        .unwrap();
        assert_eq!(manifest.task_type("hello").unwrap().limits.fuel, Some(5));
    }

    #[test]
    fn r6_a_daemons_name_is_a_key_and_does_not_look_like_an_id() {
        let of = |kind: &str, name: &str| {
            parse(&serde_json::json!({
                "manifest": 1, "name": "x", "version": "1", "tasks": [{"name": name, "kind": kind}],
            }))
        };
        let name = "deadbeefdeadbeefdeadbeefdeadbeef";
        assert!(matches!(of("daemon", name), Err(ManifestError::DaemonName(of)) if of == name));
        of("task", name).unwrap();
        of("daemon", &name[1..]).unwrap();
    }

    #[test]
    fn r1_a_type_says_what_it_is_and_promises_nothing_that_it_does_not_say() {
        let manifest = parse(&serde_json::json!({
            "manifest": 1, "name": "x", "version": "1", "requests": [{"capability": "kv"}],
            "tasks": [
                {"name": "plain"},
                {"name": "watch", "kind": "daemon", "read_only": true, "concurrent_safe": true, "restartable": true,
                 "requests": [{"capability": "signal"}, {"capability": "kv", "reason": "again"}]},
            ],
        }))
        .unwrap();
        let [plain, watch] = manifest.tasks.as_slice() else { panic!("{manifest:?}") };
        assert_eq!(
            (plain.kind, plain.read_only, plain.concurrent_safe, plain.restartable),
            (TaskKind::Task, false, false, false)
        );
        assert_eq!(
            (watch.kind, watch.read_only, watch.concurrent_safe, watch.restartable),
            (TaskKind::Daemon, true, true, true)
        );
        let asked = |task| manifest.requests_of(task).map(|it| it.capability.as_str()).collect::<Vec<_>>();
        assert_eq!((asked(plain), asked(watch)), (vec!["kv"], vec!["kv", "signal"]));
        // What is not said is not written either, so that an older reader finds what it knows.
        let written = serde_json::to_value(plain).unwrap();
        assert_eq!(written.as_object().unwrap().keys().collect::<Vec<_>>(), ["limits", "name"]);
    }

    #[test]
    fn r1_a_kind_that_this_host_does_not_know_is_a_load_error_that_names_it() {
        let other = serde_json::json!({
            "manifest": 1, "name": "x", "version": "1", "tasks": [{"name": "a", "kind": "cron"}],
        });
        let Err(ManifestError::Json(said)) = parse(&other) else { panic!("it was taken") };
        assert!(said.contains("cron") && said.contains("daemon"), "{said}");
    }

    #[test]
    fn t24_a_type_does_not_ask_for_more_than_a_plugin_may() {
        let many = vec![serde_json::json!({"capability": "x"}); REQUESTS_MAX + 1];
        let greedy = serde_json::json!({
            "manifest": 1, "name": "x", "version": "1", "tasks": [{"name": "a", "requests": many}],
        });
        assert_eq!(parse(&greedy), Err(ManifestError::Requests(REQUESTS_MAX + 1)));
        let long = serde_json::json!([{"capability": "x", "reason": "y".repeat(1025)}]);
        let wordy = serde_json::json!({
            "manifest": 1, "name": "x", "version": "1", "tasks": [{"name": "a", "requests": long}],
        });
        assert_eq!(parse(&wordy), Err(ManifestError::TooLong { what: "reason", max: 1024 }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let with =
            |name: &str, tasks: Value| serde_json::json!({"manifest": 1, "name": name, "version": "1", "tasks": tasks});
        let newer = serde_json::json!({"manifest": 2, "quite": "different"});
        assert_eq!(parse(&newer), Err(ManifestError::Version { found: 2 }));
        assert!(matches!(Manifest::parse("{"), Err(ManifestError::Json(_))));
        assert!(matches!(parse(&with("../x", serde_json::json!([{"name": "a"}]))), Err(ManifestError::Name { .. })));
        assert!(matches!(parse(&with("x", serde_json::json!([]))), Err(ManifestError::TaskTypes(0))));
    }

    #[test]
    fn r14_a_task_type_hints_where_its_caller_waits() {
        let with = |routing: Value| {
            let tasks = serde_json::json!([{"name": "a", "routing": routing}]);
            parse(&serde_json::json!({"manifest": 1, "name": "x", "version": "1", "tasks": tasks}))
        };
        let read = with(serde_json::json!({"mode": "detach-after", "after_ms": 2000})).unwrap();
        let after = std::time::Duration::from_secs(2);
        assert_eq!(read.task_type("a").unwrap().routing, Some(Routing::DetachAfter { after }));
        assert!(matches!(with(serde_json::json!({"mode": "sideways"})), Err(ManifestError::Json(_))));
    }

    #[test]
    fn r1_a_duplicate_task_type_is_a_load_error() {
        let twice = serde_json::json!({
            "manifest": 1, "name": "x", "version": "1", "tasks": [{"name": "a"}, {"name": "a"}],
        });
        assert_eq!(parse(&twice), Err(ManifestError::Duplicate("a".into())));
    }
}
