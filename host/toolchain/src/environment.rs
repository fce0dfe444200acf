//! Commands that do not inherit what an outer cargo has set.

use std::{ffi::OsStr, process::Command};

/// Variables that a cargo, a rustup or a clippy around us sets, and that would make a guest's build use the wrong
/// compiler, the wrong flags, or the host's target.
const LEAKS: &[&str] = &[
    "CARGO",
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTDOC",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTDOCFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CLIPPY_ARGS",
    "RUSTC",
    "RUSTC_BOOTSTRAP",
    "RUSTC_LINKER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_TOOLCHAIN_SOURCE",
];

/// A command without those variables.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in LEAKS {
        command.env_remove(name);
    }
    command
}

/// A command for Debian's own compiler: also without the library path, which `cargo run` points at the libraries of the
/// compiler that it was started with.
pub(crate) fn debian_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = command(program);
    command.env_remove("LD_LIBRARY_PATH");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_removed(command: &Command, name: &str) -> bool {
        command.get_envs().any(|(key, value)| key == name && value.is_none())
    }

    #[test]
    fn an_outer_cargo_does_not_leak_in() {
        let command = command("cargo");
        for name in ["RUSTC", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTUP_TOOLCHAIN", "RUSTC_WORKSPACE_WRAPPER"] {
            assert!(is_removed(&command, name), "{name} is passed on");
        }
    }

    #[test]
    fn what_the_person_has_set_is_kept() {
        let command = command("cargo");
        for name in ["PATH", "HOME", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_NET_OFFLINE", "LD_LIBRARY_PATH"] {
            assert!(!is_removed(&command, name), "{name} is lost");
        }
        assert!(is_removed(&debian_command("rustc"), "LD_LIBRARY_PATH"));
    }
}
