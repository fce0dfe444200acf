//! A plugin as `plugin!` puts it together: what it says about itself, and which function runs which task type.

use std::any::TypeId;
use std::fmt;

use schemars::{Schema, generate::SchemaSettings};
use serde_json::Value;

use crate::check::{TaskInput, TaskResult};
use crate::ctl::TaskCtl;
use crate::hook::HookTable;
use crate::json;
use crate::manifest;
use crate::task_error::TaskError;

/// What `plugin!` makes of its fields: the constant `PLUGIN` of a plugin crate.
#[derive(Debug)]
pub struct Plugin {
    pub(crate) parts: Parts,
}

impl Plugin {
    #[doc(hidden)]
    pub const fn __new(parts: Parts) -> Self {
        Self { parts }
    }

    /// The manifest as the host gets it: name, version, task types with their schemas, what the plugin asks for.
    /// `wit/manifest.schema.json` describes the document.
    pub fn manifest(&self) -> Value {
        manifest::of(&self.parts)
    }

    /// Runs one task from JSON to JSON.
    pub(crate) fn run(&self, ctl: &TaskCtl, task_type: &str, input: &str) -> Result<String, TaskError> {
        match self.parts.tasks.iter().find(|task| task.name == task_type) {
            Some(task) => (task.run)(ctl, input),
            None => Err(TaskError::new(format!("the plugin \"{}\" has no task type \"{task_type}\"", self.parts.name))),
        }
    }
}

/// What the macro fills in.
#[doc(hidden)]
#[derive(Debug)]
pub struct Parts {
    pub name: &'static str,
    pub version: &'static str,
    pub author: Option<&'static str>,
    pub description: Option<&'static str>,
    pub url: Option<&'static str>,
    pub requests: &'static [Request],
    pub tasks: &'static [TaskEntry],
    pub hooks: HookTable,
}

/// One capability that the plugin asks for.
#[doc(hidden)]
#[derive(Debug)]
pub struct Request {
    pub capability: &'static str,
    pub access: Option<&'static str>,
    pub hosts: &'static [&'static str],
    pub methods: &'static [&'static str],
    pub names: &'static [&'static str],
    pub plugins: &'static [&'static str],
    pub reason: &'static str,
}

/// One task type.
#[doc(hidden)]
pub struct TaskEntry {
    pub name: &'static str,
    pub description: Option<&'static str>,
    /// Defaults by their names in the manifest; those that are not set are not listed.
    pub limits: &'static [(&'static str, u64)],
    /// Where the caller waits for it: the mode's name in the manifest, and for how many milliseconds.
    pub routing: Option<(&'static str, Option<u64>)>,
    /// Its kind as the manifest names it, unless it is an ordinary task.
    pub kind: Option<&'static str>,
    /// Beside those of the plugin.
    pub requests: &'static [Request],
    pub read_only: bool,
    pub concurrent_safe: bool,
    pub restartable: bool,
    pub input_schema: fn() -> Schema,
    pub output_schema: fn() -> Schema,
    pub run: fn(&TaskCtl, &str) -> Result<String, TaskError>,
}

impl fmt::Debug for TaskEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskEntry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Subschemas are written where they are used, so that a reader that cannot follow a `$ref` (many an agent's tool form)
/// understands the schema too. Only a type that contains itself still gets one.
fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true)
}

#[doc(hidden)]
pub fn input_schema<I: TaskInput + 'static>() -> Schema {
    if takes_nothing::<I>() {
        // A caller that has nothing to say sends `{}` or `null`, and both are right.
        return schemars::json_schema!({ "type": ["object", "null"], "maxProperties": 0 });
    }
    settings().for_deserialize().into_generator().into_root_schema_for::<I>()
}

/// Whether a task of this input type has no input at all.
fn takes_nothing<I: 'static>() -> bool {
    TypeId::of::<I>() == TypeId::of::<()>()
}

#[doc(hidden)]
pub fn output_schema<R: TaskResult>() -> Schema {
    settings().for_serialize().into_generator().into_root_schema_for::<R::Output>()
}

#[doc(hidden)]
pub fn run_json<I: TaskInput + 'static, R: TaskResult>(
    ctl: &TaskCtl,
    input: &str,
    task: fn(&TaskCtl, I) -> R,
) -> Result<String, TaskError> {
    let input = if takes_nothing::<I>() { "null" } else { input };
    let input = json::read(input).map_err(|misfit| {
        TaskError::new(format!("the input does not fit: {}", misfit.sentence())).with_details(misfit.details())
    })?;
    let output = task(ctl, input).into_result()?;
    serde_json::to_string(&output).map_err(|error| TaskError::new(format!("the result is not JSON: {error}")))
}
