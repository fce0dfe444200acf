//! The manifest: what a plugin says about itself, as `wit/manifest.schema.json` describes it.

use std::collections::BTreeMap;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<&'static str>,
    #[serde(skip_serializing_if = "is_empty")]
    hosts: &'static [&'static str],
    #[serde(skip_serializing_if = "is_empty")]
    methods: &'static [&'static str],
    #[serde(skip_serializing_if = "is_empty")]
    names: &'static [&'static str],
    #[serde(skip_serializing_if = "is_empty")]
    plugins: &'static [&'static str],
    reason: &'static str,
}

fn is_empty(list: &[&'static str]) -> bool {
    list.is_empty()
}

#[derive(Serialize)]
struct Task {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    input: Schema,
    output: Schema,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    limits: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing: Option<Routing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requests: Vec<Request>,
    #[serde(skip_serializing_if = "is_false")]
    read_only: bool,
    #[serde(skip_serializing_if = "is_false")]
    concurrent_safe: bool,
    #[serde(skip_serializing_if = "is_false")]
    restartable: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn requests(listed: &[crate::plugin::Request]) -> Vec<Request> {
    let request = |it: &crate::plugin::Request| {
        let crate::plugin::Request { capability, access, hosts, methods, names, plugins, reason } = *it;
        Request { capability, access, hosts, methods, names, plugins, reason }
    };
    listed.iter().map(request).collect()
}

#[derive(Serialize)]
struct Routing {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
}

pub(crate) fn of(parts: &Parts) -> Value {
    let manifest = Manifest {
        document_version: MANIFEST_VERSION,
        name: parts.name,
        version: parts.version,
        author: parts.author,
        description: parts.description,
        url: parts.url,
        requests: requests(parts.requests),
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
        limits: entry.limits.iter().copied().collect(),
        routing: entry.routing.map(|(mode, after_ms)| Routing { mode, after_ms }),
        kind: entry.kind,
        requests: requests(entry.requests),
        read_only: entry.read_only,
        concurrent_safe: entry.concurrent_safe,
        restartable: entry.restartable,
    }
}
