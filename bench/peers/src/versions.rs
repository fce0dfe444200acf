//! Which versions are compared: those of the lock file that this program was built with, and of the machine.

use std::fs;

/// What this program was built with.
const LOCK: &str = include_str!("../Cargo.lock");

/// The versions of this package, one after the other.
pub(crate) fn of(package: &str) -> Vec<&'static str> {
    let name = format!("name = \"{package}\"");
    let mut lines = LOCK.lines();
    let mut versions = Vec::new();
    while lines.any(|line| line == name) {
        let version = lines.next().and_then(|line| line.strip_prefix("version = ")).unwrap_or("\"?\"");
        versions.push(version.trim_matches('"'));
    }
    versions
}

/// The one version of this package; of several, the one that begins so.
pub(crate) fn one(package: &str, begins: &str) -> &'static str {
    of(package).into_iter().find(|version| version.starts_with(begins)).unwrap_or("?")
}

/// The machine, in a line: what it may say of itself without naming itself.
pub(crate) fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let first = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or(line, |(_, value)| value).trim().to_owned()
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cpus} processors ({}), {} of memory, Linux {}",
        first("/proc/cpuinfo", "model name"),
        first("/proc/meminfo", "MemTotal"),
        kernel.trim(),
    )
}

/// What else was going on: the load of the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_says_what_was_built() {
        assert_eq!(of("extism"), ["1.30.0"]);
        assert_eq!(of("wasmtime").len(), 2, "ours and Extism's: {:?}", of("wasmtime"));
        assert_eq!(one("no-such-package", ""), "?");
    }
}
