//! What the tests share: where things are, a host, a watchdog.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use taskcell::{Host, HostBuilder, Outcome, Plugin, StartRequest, TaskHandle};

/// How long anything may take before a test is called stuck. Generous: it decides about hanging, never about speed.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(120);

/// The build directory that this test binary lies in: `target/<profile>/deps/it-…`.
fn target_profile() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.parent().unwrap().parent().unwrap().to_owned()
}

/// A guest that `cargo xtask guests` built.
pub(crate) fn guest(name: &str) -> PathBuf {
    let path = target_profile()
        .parent()
        .unwrap()
        .join("guests/wasm")
        .join(format!("{name}.wasm"));
    assert!(
        path.is_file(),
        "{} is missing: run `cargo xtask guests` first",
        path.display()
    );
    path
}

/// A cache of compiled guests that all tests of a process, and all processes, share.
fn cache_dir() -> &'static PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| target_profile().parent().unwrap().join("guests/compiled"))
}

/// A host for tests: small, with compiled guests cached.
pub(crate) fn builder() -> HostBuilder {
    Host::builder().running_max(32).cache_dir(cache_dir())
}

/// A host with the fixture guest loaded.
pub(crate) async fn fixture() -> (Host, Plugin) {
    let host = builder().build().unwrap();
    let plugin = host.load_plugin(guest("fixture")).await.unwrap();
    (host, plugin)
}

/// A request for a task of the fixture guest.
pub(crate) fn request(task_type: &str, input: Value) -> StartRequest {
    StartRequest::new("fixture", task_type).input(input)
}

/// Starts a task of the fixture guest and waits for its end.
pub(crate) async fn run(host: &Host, task_type: &str, input: Value) -> Outcome {
    outcome(&host.start(request(task_type, input)).await.unwrap()).await
}

/// Waits for a task's end, under the watchdog.
pub(crate) async fn outcome(task: &TaskHandle) -> Outcome {
    within(task.wait()).await
}

/// Waits for something, under the watchdog.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    watchdog(future).await.expect("stuck: the watchdog's time is over")
}

#[expect(clippy::disallowed_methods, reason = "the watchdog watches real time")]
async fn watchdog<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(WATCHDOG, future).await.ok()
}
