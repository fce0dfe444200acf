//! The hostile guests, and what each is let do.

use std::{path::Path, str::FromStr as _};

use anyhow::Result;
use serde_json::{Value, json};
use taskcell::{Access, Grants, HostPattern, HttpGrant, LimitsRequest, StartRequest};

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Everything but its time.
    pub(crate) request: StartRequest,
}

/// Paths that lead out of a folder, or would.
const TRICKS: [&str; 8] =
    ["../x", "/etc/passwd", "a/../../x", "..", "./.././..", "a//..//..//x", "x/", "/proc/self/mem"];
/// How many times each is tried.
const TRIES: usize = 2000;
/// Requests that are denied; twenty in a row end a task.
const REQUESTS: usize = 1000;

fn fixture(name: &'static str, task_type: &str, input: Value) -> Case {
    Case { name, request: StartRequest::new("fixture", task_type).input(input) }
}

fn flood(name: &'static str, kind: &str, bytes: usize) -> Case {
    fixture(name, "call-flood", json!({"kind": kind, "bytes": bytes}))
}

/// Requests to these hosts, one after the other.
fn requests(name: &'static str, grants: Grants, host: impl Fn(usize) -> String) -> Case {
    let wishes = (0..REQUESTS).map(|number| json!({"authority": host(number), "path": "/"})).collect();
    Case { name, request: StartRequest::new("web", "send").input(Value::Array(wishes)).grants(grants) }
}

/// Those whose names have one of these texts in them, or all. What is granted of the disk is this folder.
pub(crate) fn cases(folder: &Path, only: &[String]) -> Result<Vec<Case>> {
    let mut cases = all(folder)?;
    cases.retain(|case| only.is_empty() || only.iter().any(|only| case.name.contains(only)));
    Ok(cases)
}

fn all(folder: &Path) -> Result<Vec<Case>> {
    let granted = Grants::default().dir(folder, "/data", Access::ReadWrite);
    let tricks: Vec<Value> = (0..TRIES)
        .flat_map(|_| TRICKS.iter().flat_map(|path| ["read", "write"].map(|way| json!({"do": way, "path": path}))))
        .collect();
    let mut paths = fixture("path tricks", "path-tricks", json!({"hand": "std", "folder": "/data", "tricks": tricks}));
    paths.request = paths.request.grants(granted.clone());
    let mut forks = fixture("fork bomb", "fork", Value::Null);
    forks.request = forks.request.limits(LimitsRequest::default().tree(64));
    let everywhere = Grants::default().http(HttpGrant::new(HostPattern::from_str("*")?).ports([80]).plain());
    let private = |number: usize| format!("10.{}.{}.1", number / 250, number % 250);
    Ok(vec![
        fixture("busy loop", "spin", Value::Null),
        fixture("fill 64 MiB", "fill", json!({"mib": 64})),
        fixture("memory until the limit", "grow", json!({"mib_step": 1})),
        flood("1 MiB strings", "log", 1 << 20),
        flood("output flood", "write", 64 << 10),
        flood("report flood", "progress", 100),
        flood("cheap calls", "fuel", 0),
        forks,
        paths,
        fixture("files without number", "many-files", json!({"n": 1_000_000})),
        fixture("open files without number", "hoard", json!({"n": 1_000_000})),
        fixture("timer storm", "heartbeat", json!({"sleep_ms": 0})),
        fixture("waits for ever", "wait", json!({"key": "never"})),
        requests("denied requests", Grants::default(), |_| "example.com".to_owned()),
        requests("private addresses", everywhere, private),
    ])
}
