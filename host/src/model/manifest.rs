//! What a plugin says about itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::details::Routing;
use super::grants::Capability;
use super::json;
use super::limits::LimitsRequest;
use super::schema::{Schema, SchemaError};

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

/// Something that a plugin would like to be granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CapabilityRequest {
    /// Its name. A name that this host does not know can be shown but not granted.
    pub capability: String,
    /// What it is needed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl CapabilityRequest {
    /// The capability, if this host knows it.
    pub fn known(&self) -> Option<Capability> {
        Capability::from_name(&self.capability)
    }
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
    /// A text is longer than it may be.
    #[error("its {what} has more than {max} bytes")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// How many bytes it may have.
        max: usize,
    },
    /// It asks for too much.
    #[error("it asks for {0} capabilities; a plugin asks for at most {REQUESTS_MAX}")]
    Requests(usize),
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
        let requests = self.requests.iter().flat_map(|request| {
            [("capability", Some(&request.capability), 128), ("reason", request.reason.as_ref(), 1024)]
        });
        let tasks = self.tasks.iter().map(|task| ("task description", task.description.as_ref(), 4096));
        for (what, text, max) in texts.into_iter().chain(requests).chain(tasks) {
            if text.is_some_and(|text| text.len() > max) {
                return Err(ManifestError::TooLong { what, max });
            }
        }
        if self.requests.len() > REQUESTS_MAX {
            return Err(ManifestError::Requests(self.requests.len()));
        }
        let mut seen = std::collections::HashSet::new();
        for task in &self.tasks {
            check_name("task type", &task.name)?;
            if !seen.insert(task.name.as_str()) {
                return Err(ManifestError::Duplicate(task.name.clone()));
            }
        }
        Ok(())
    }

    /// The task type of this name.
    pub fn task_type(&self, name: &str) -> Option<&TaskType> {
        self.tasks.iter().find(|task| task.name == name)
    }
}

impl TaskType {
    /// Its schemas, compiled; each nested no deeper than this.
    pub(crate) fn schemas(&self, depth_max: u32) -> Result<Schemas, ManifestError> {
        let compile = |what, schema: &Option<Value>| {
            Schema::new(schema.as_ref().unwrap_or(&Value::Bool(true)), depth_max)
                .map_err(|source| ManifestError::Schema { what, task_type: self.name.clone(), source })
        };
        Ok(Schemas { input: compile("input", &self.input)?, output: compile("output", &self.output)? })
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), ManifestError> {
    let fits = name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if fits { Ok(()) } else { Err(ManifestError::Name { what, name: name.chars().take(100).collect() }) }
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
            "tasks": [{"name": "hello", "limits": {"fuel": 5}, "kind": "daemon"}],
        }))
        .unwrap();
        assert_eq!(manifest.task_type("hello").unwrap().limits.fuel, Some(5));
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
