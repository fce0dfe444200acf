//! The compiler in the path, and the target that rustup can give it.

use std::{path::PathBuf, process::Command, time::Duration};

use crate::{
    Target, ToolchainError, disk, environment,
    run::{answer, run},
};

/// rustup downloads 25 MB. Without a network it can hang on a proxy; then the next way is tried.
const LIMIT: Duration = Duration::from_secs(90);

/// What the compiler in the path says of itself.
pub(crate) fn version() -> Option<String> {
    answer(environment::command("rustc").arg("--version"))
}

/// Whether the compiler in the path has a standard library for this target.
pub(crate) fn has_target(target: Target) -> bool {
    let libdir = answer(environment::command("rustc").args(["--print", "target-libdir", "--target", target.triple()]));
    let Some(files) = libdir.and_then(|dir| disk::list(&PathBuf::from(dir)).ok()) else {
        return false;
    };
    files.iter().any(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libstd-") && path.extension().is_some_and(|extension| extension == "rlib")
    })
}

pub(crate) fn is_here() -> bool {
    answer(environment::command("rustup").arg("--version")).is_some()
}

/// The folder with rustup's linkers for WebAssembly, if the compiler in the path comes with them.
pub(crate) fn linkers(host: &str) -> Option<PathBuf> {
    let sysroot = answer(environment::command("rustc").args(["--print", "sysroot"]))?;
    let bin = PathBuf::from(sysroot).join("lib/rustlib").join(host).join("bin");
    (bin.join("wasm-component-ld").is_file() && bin.join("rust-lld").is_file()).then_some(bin)
}

/// Asks rustup for the target.
pub(crate) fn add_target(target: Target, say: &mut dyn FnMut(&str)) -> Result<(), ToolchainError> {
    say(&format!("the compiler here has no {target} yet: running `rustup target add {target}`"));
    run("rustup target add", add_command(target), Some(LIMIT), say).map_err(|error| failed(target, &error))?;
    if has_target(target) {
        return Ok(());
    }
    let reason = "it says that it did, but the rustc in the path is another one".to_owned();
    Err(ToolchainError::Rustup { target: target.triple(), reason })
}

fn add_command(target: Target) -> Command {
    let mut command = environment::command("rustup");
    // Its retries wait longer each time; the next way is quicker.
    command.args(["target", "add", target.triple()]).env("RUSTUP_MAX_RETRIES", "0");
    command
}

fn failed(target: Target, error: &ToolchainError) -> ToolchainError {
    ToolchainError::Rustup { target: target.triple(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustup_is_asked_for_the_target_and_nothing_else() {
        let command = add_command(Target::Wasip2);
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["target", "add", "wasm32-wasip2"]);
        assert!(command.get_envs().any(|(key, value)| key == "RUSTUP_TOOLCHAIN" && value.is_none()));
    }

    #[test]
    fn a_failure_says_what_to_run() {
        let slow = ToolchainError::TooSlow { what: "rustup target add".to_owned(), limit: LIMIT };
        let text = failed(Target::Wasip1, &slow).to_string();
        assert!(text.contains("took more than 90 s") && text.contains("`rustup target add wasm32-wasip1`"), "{text}");
    }
}
