//! The plugins that come with zellij: programs for WASI preview 1 which call their own host.

use taskcell::LoadError;

use super::fetched::Fetched;
use crate::support::{compiling, within};

#[tokio::test]
async fn t20_plugins_of_another_host_are_refused_with_what_they_lack() {
    let Some(package) = Fetched::of_crate("zellij-utils", "0.45.1") else { return };
    let plugins = package.ending("wasm");
    assert!(plugins.len() >= 10, "{plugins:?}");
    // Whether or not programs may run: it would not help.
    for allowed in [false, true] {
        let host = compiling().plain_commands(allowed).build().unwrap();
        for plugin in &plugins {
            let error = within(host.load_plugin(plugin)).await.unwrap_err();
            let LoadError::UnknownImports { imports } = &error else { panic!("{}: {error}", plugin.display()) };
            assert_eq!(imports, &["zellij.host_run_plugin_command"], "{}", plugin.display());
        }
    }
}
