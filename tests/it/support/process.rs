//! What this process holds: memory, descriptors, threads. From `/proc`, so only where a test runs alone.
#![expect(clippy::disallowed_methods, reason = "the system is read where it says what it knows")]

use std::fs;
use std::path::{Path, PathBuf};

/// The program `taskcell` that cargo built, which lies beside this test's own folder.
pub(crate) fn taskcell() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let path = exe.parent().unwrap().parent().unwrap().join("taskcell");
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// Whether there is a process of this number, be it one that nobody waited for.
pub(crate) fn is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// The limits of a process, as the system lists them: name, soft, hard.
pub(crate) fn limits(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/limits")).unwrap()
}

/// Bytes of memory that are really there.
pub(crate) fn resident_bytes() -> u64 {
    status("VmRSS:")
}

/// The most there ever were since [`forget_peak`].
pub(crate) fn peak_bytes() -> u64 {
    status("VmHWM:")
}

/// Lets the peak begin anew from what is there now.
pub(crate) fn forget_peak() {
    // 5 is the peak; see proc(5). Where that is forbidden the peak counts from the beginning, which is stricter.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn status(name: &str) -> u64 {
    status_of("self", name)
}

/// Bytes that another process has of something, by the name that the system has for it: `VmData:`.
pub(crate) fn bytes_of(pid: u32, name: &str) -> u64 {
    status_of(&pid.to_string(), name)
}

fn status_of(process: &str, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kibibytes: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    kibibytes << 10
}

pub(crate) fn descriptors() -> usize {
    // The one that this reading takes is always among them.
    fs::read_dir("/proc/self/fd").unwrap().count()
}

pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Files and directories below a directory, at any depth. Not what is in a folder `output`: the host keeps the older output
/// of a task there for as long as it remembers the task.
pub(crate) fn entries(dir: &Path) -> usize {
    let mut count = 0;
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        // A directory may go away while it is looked at.
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            count += 1;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name() != "output" {
                waiting.push(entry.path());
            }
        }
    }
    count
}
