//! What the tests share: where things are, a host, a watchdog, and short ways to say what is expected.

pub(crate) mod alone;
pub(crate) mod component;
pub(crate) mod files;
pub(crate) mod imports;
pub(crate) mod looks;
pub(crate) mod mounted;
pub(crate) mod oracle;
pub(crate) mod process;
pub(crate) mod seccomp;
pub(crate) mod task;

use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use taskcell::{BuildError, Compiler, Host, HostBuilder, LoadLimits, OpenError, Plugin, StartRequest};

/// How long anything may take before a test is called stuck. Generous: it decides about hanging, never about speed.
pub(crate) const WATCHDOG: Duration = Duration::from_mins(10);

/// The build directory that this test binary lies in: `target/<profile>/deps/it-…`.
fn target_profile() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.parent().unwrap().parent().unwrap().to_owned()
}

/// An example of the library, which `cargo test` builds.
pub(crate) fn example(name: &str) -> PathBuf {
    let path = target_profile().join("examples").join(name);
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace --examples` first", path.display());
    path
}

/// A guest that `cargo xtask guests` built.
pub(crate) fn guest(name: &str) -> PathBuf {
    let path = target_profile().parent().unwrap().join("guests/wasm").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run `cargo xtask guests` first", path.display());
    path
}

/// A cache of compiled guests that all tests of a process, and all processes, share.
pub(crate) fn cache_dir() -> &'static PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| target_profile().parent().unwrap().join("guests/compiled"))
}

/// A host for tests: small, with compiled guests cached, and what is not compiled in a child process.
pub(crate) fn builder() -> HostBuilder {
    compiling().running_max(32).cache_dir(cache_dir())
}

/// A host that compiles what it is given and keeps nothing: for files that are like no other.
pub(crate) fn uncached() -> Host {
    compiling().build().unwrap()
}

/// The builder of such a host.
pub(crate) fn compiling() -> HostBuilder {
    let limits = LoadLimits::default().compile_timeout(Duration::from_mins(10));
    Host::builder().running_max(4).load_limits(limits).compiler(Compiler::Helper(process::taskcell()))
}

/// A host with the fixture guest loaded.
pub(crate) async fn fixture() -> (Host, Plugin) {
    with_fixture(builder()).await
}

/// A host made by this builder, with the fixture guest loaded.
pub(crate) async fn with_fixture(builder: HostBuilder) -> (Host, Plugin) {
    let host = builder.build().unwrap();
    let plugin = host.load_plugin(guest("fixture")).await.unwrap();
    (host, plugin)
}

/// A host on a data directory, with nothing loaded. What is left of the one before lets go of it in a moment.
pub(crate) async fn on_data(dir: &Path, make: impl Fn() -> HostBuilder) -> Host {
    within(async {
        loop {
            match make().data_dir(dir).build() {
                Err(BuildError::DataDir(OpenError::InUse { .. })) => tokio::task::yield_now().await,
                built => break built.unwrap(),
            }
        }
    })
    .await
}

/// A request for a task of the fixture guest.
pub(crate) fn request(task_type: &str, input: Value) -> StartRequest {
    StartRequest::new("fixture", task_type).input(input)
}

/// Waits for something, under the watchdog.
#[track_caller]
pub(crate) fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move { watchdog(future).await.unwrap_or_else(|| panic!("stuck at {caller}: the watchdog's time is over")) }
}

#[expect(clippy::disallowed_methods, reason = "the watchdog watches real time")]
pub(crate) async fn watchdog<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(WATCHDOG, future).await.ok()
}
