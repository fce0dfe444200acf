//! The manifest: what a plugin says about itself, as `wit/manifest.schema.json` describes it.

use schemars::Schema;
use serde::Serialize;
use serde_json::Value;

use crate::plugin::Parts;

/// The version of the document.
const MANIFEST_VERSION: u32 = 1;

#[derive(Serialize)]
struct Manifest {
    #[serde(rename = "manifest")]
    document_version: u32,
    name: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requests: Vec<Request>,
    tasks: Vec<Task>,
}

#[derive(Serialize)]
struct Request {
    capability: &'static str,
    reason: &'static str,
}

#[derive(Serialize)]
struct Task {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    input: Schema,
    output: Schema,
    #[serde(skip_serializing_if = "Limits::is_empty")]
    limits: Limits,
}

#[derive(Serialize)]
struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        self.fuel.is_none() && self.timeout_ms.is_none() && self.memory_bytes.is_none()
    }
}

pub(crate) fn of(parts: &Parts) -> Value {
    let requests = parts.requests.iter();
    let manifest = Manifest {
        document_version: MANIFEST_VERSION,
        name: parts.name,
        version: parts.version,
        author: parts.author,
        description: parts.description,
        url: parts.url,
        requests: requests.map(|r| Request { capability: r.capability, reason: r.reason }).collect(),
        tasks: parts.tasks.iter().map(task).collect(),
    };
    // Strings, numbers and schemas, which are JSON already: nothing here can fail.
    serde_json::to_value(manifest).unwrap_or_default()
}

fn task(entry: &crate::plugin::TaskEntry) -> Task {
    Task {
        name: entry.name,
        description: entry.description,
        input: (entry.input_schema)(),
        output: (entry.output_schema)(),
        limits: Limits {
            fuel: entry.limits.fuel,
            timeout_ms: entry.limits.timeout_ms,
            memory_bytes: entry.limits.memory_bytes,
        },
    }
}
