//! The components of another sandbox for agents: interpreters of JavaScript and of Python, which call their own host.

use taskcell::LoadError;

use super::fetched::Fetched;
use crate::support::{compiling, within};

#[tokio::test]
async fn t20_components_of_another_sandbox_are_refused_with_what_they_lack() {
    let Some(package) = Fetched::wheel("capsule-run-adapter", "0.3.5") else { return };
    let host = compiling().build().unwrap();
    let plugins = package.ending("wasm");
    assert_eq!(plugins.len(), 2, "{plugins:?}");
    for plugin in plugins {
        let error = within(host.load_plugin(&plugin)).await.unwrap_err();
        let reason = match &error {
            // A program as well, which needs its own host.
            LoadError::UnknownImports { imports } => imports.join(" "),
            // No program: it says what it would have to export, and what it does.
            LoadError::OtherWorld { missing, exports } => {
                assert_eq!(missing, "plugin-info and runner");
                exports.clone()
            }
            other => panic!("{}: {other}", plugin.display()),
        };
        assert!(reason.contains("capsule:host/"), "{}: {error}", plugin.display());
    }
}
