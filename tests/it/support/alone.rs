//! Tests in a process of their own, where memory, descriptors and threads can be counted without those of other tests.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the processes tell each other, and whoever looks, so")]

use std::any::type_name;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Marks the process of a test that runs alone; its value is the test's name.
const CHILD: &str = "TASKCELL_TEST_ALONE";
/// What the child says when the test's body has come to its end, so that a test which was not found is no success.
const DONE: &str = "alone: came to its end";
/// How long a process may take before it is called stuck: much longer than one wait inside, whose watchdog says more.
const STUCK: Duration = Duration::from_mins(45);
/// An idle thread of the runtime's pool for blocking calls goes soon, so that the count of threads settles.
const IDLE_THREAD: Duration = Duration::from_millis(50);

/// Runs the body of a test in a process of its own. To be called from the test itself, with a closure written there:
/// the closure's type is how the child is told which test it is.
pub(crate) fn alone<F: Future<Output = ()>>(body: impl FnOnce() -> F) {
    let name = test_name(&body);
    if is_child(&name) {
        run(body());
        println!("{DONE}");
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([&name, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, &name).stdin(Stdio::null());
    // With it, wasmtime takes the host's own backtrace of each trap, and the symbols that it reads for that stay in memory.
    child.env("RUST_BACKTRACE", "0");
    // Each arena keeps what was freed in it, 34 MiB after the largest values, and which thread has which one is chance.
    child.env("MALLOC_ARENA_MAX", "1");
    // glibc raises this by itself after large frees, and then keeps what is freed: it would look like a leak.
    child.env("MALLOC_MMAP_THRESHOLD_", "131072");
    let done = child.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    let fine = done.status.success() && stdout.contains(DONE);
    assert!(fine, "alone, it ended with {}:\n{stdout}\n{stderr}", done.status);
    // What it measured is worth seeing with `--nocapture`.
    // The runner has said on the same line which test it is.
    for (_, measured) in stdout.lines().filter_map(|line| line.split_once("measured: ")) {
        println!("{name}: {measured}");
    }
}

/// The test's path as the test runner knows it: that of the function in which the closure was written.
fn test_name<F>(_closure: &F) -> String {
    let closure = type_name::<F>();
    let function = closure.strip_suffix("::{{closure}}").expect("a closure written in the test itself");
    let (_crate, path) = function.split_once("::").unwrap();
    path.to_owned()
}

#[expect(clippy::disallowed_methods, reason = "this file is what reads this variable")]
fn is_child(name: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|child| child == name)
}

fn run(body: impl Future<Output = ()>) {
    let (alive, ended) = mpsc::channel::<()>();
    watch(ended);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).thread_keep_alive(IDLE_THREAD).enable_all().build().unwrap();
    runtime.block_on(body);
    drop(alive);
}

/// Ends the process when the test does not end: also when one of its threads is blocked for ever.
#[expect(clippy::disallowed_methods, reason = "the thread ends with the test, or ends it")]
fn watch(ended: mpsc::Receiver<()>) {
    std::thread::spawn(move || {
        if ended.recv_timeout(STUCK) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("stuck: the process is given up");
            std::process::abort();
        }
    });
}
