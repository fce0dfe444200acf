//! The demo's program is built of the very dependencies of the tests: a newcomer runs both, and compiles each once.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// What cargo would compile of other people's crates, each with its features and its profile.
fn units(targets: &[&str]) -> Result<BTreeSet<String>, String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["build", "--locked", "--workspace"])
        .args(targets)
        .args(["--unit-graph", "-Z", "unstable-options"])
        // The graph is for nightly toolchains only. Nothing is compiled here.
        .env("RUSTC_BOOTSTRAP", "1");
    let output = cargo.output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo shows no units: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let graph: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("no graph of units: {error}"))?;
    let units = graph.get("units").and_then(Value::as_array).ok_or("a graph without units")?;
    Ok(units.iter().filter_map(foreign).collect())
}

/// One of another workspace, by what makes it a different one.
fn foreign(unit: &Value) -> Option<String> {
    let package = unit.get("pkg_id")?.as_str().filter(|package| !package.starts_with("path+"))?;
    let target = unit.get("target")?;
    let parts = ["mode", "platform", "features", "profile"].map(|part| unit.get(part));
    Some(json!([package, target.get("name"), target.get("kind"), parts]).to_string())
}

#[test]
fn the_demo_compiles_nothing_that_the_tests_do_not() -> Result<(), String> {
    let (demo, tests) = (units(&["--bin", "taskcell"])?, units(&["--all-targets"])?);
    assert!(demo.len() > 100, "only {} units were seen", demo.len());
    let twice: Vec<_> = demo.difference(&tests).collect();
    assert!(
        twice.is_empty(),
        "compiled once for the demo and once for the tests, because a test's dependency brings features; name it in the \
         `[dependencies]` of `tests/Cargo.toml`, as those there:\n{twice:#?}"
    );
    Ok(())
}

#[test]
fn a_crate_with_other_features_is_another_unit_and_our_own_are_none() {
    let unit = |package: &str, features: &[&str]| json!({ "pkg_id": package, "target": { "name": "log", "kind": ["lib"] }, "mode": "build", "features": features });
    let (plain, std) = (unit("registry+log@0.4", &[]), unit("registry+log@0.4", &["std"]));
    assert_eq!(foreign(&plain), foreign(&plain.clone()));
    assert_ne!(foreign(&plain), foreign(&std));
    assert_eq!(foreign(&unit("path+file:///taskcell/host#0.1.0", &[])), None);
}
