//! Builds the guests: every plugin, and every guest of the tests.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use taskcell_toolchain::{Options, Target, Toolchain};

use crate::{
    cargo::{self, Artifact},
    workspace::{Package, Workspace},
};

/// Guests that are also built as core modules, for the tests of the way from a module to a component.
const ALSO_AS_MODULES: [&str; 1] = ["hello"];

pub(crate) fn command() -> Result<()> {
    build(&Workspace::read()?).map(drop)
}

/// Builds whatever is not up to date, and returns the folder with the finished files.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let started = Instant::now();
    let guests = workspace.guests();
    ensure!(!guests.is_empty(), "no guests in {}", workspace.root.display());
    let finished = workspace.target_dir.join("guests/wasm");
    fs::create_dir_all(&finished).with_context(|| format!("cannot create {}", finished.display()))?;

    build_for(Target::Wasip2, workspace, &guests, &finished)?;
    let modules: Vec<_> = guests.into_iter().filter(|guest| ALSO_AS_MODULES.contains(&guest.short_name())).collect();
    ensure!(modules.len() == ALSO_AS_MODULES.len(), "one of {ALSO_AS_MODULES:?} is no guest any more");
    build_for(Target::Wasip1, workspace, &modules, &finished)?;

    eprintln!("guests: all in {} ({} s)", finished.display(), started.elapsed().as_secs());
    Ok(finished)
}

fn build_for(target: Target, workspace: &Workspace, guests: &[&Package], finished: &Path) -> Result<()> {
    let options = Options::from_env(|name| std::env::var_os(name))?.for_target(target);
    let toolchain = Toolchain::ensure(&options, &mut |doing| eprintln!("guests: {doing}"))?;
    let names: Vec<_> = guests.iter().map(|guest| guest.short_name()).collect();
    eprintln!("guests: building {} with {}", names.join(", "), toolchain.describe());

    let mut command = toolchain.cargo();
    command.current_dir(&workspace.root).args(["build", "--profile", "guest", "--target", target.triple()]);
    // A folder of their own: their compiler is another one than the host's, and so are their features.
    command.arg("--target-dir").arg(workspace.target_dir.join("guests"));
    for guest in guests {
        command.args(["-p", &guest.name]);
    }
    let artifacts = cargo::build(command)?;
    for guest in guests {
        deliver(target, guest, &artifacts, finished)?;
    }
    Ok(())
}

/// Copies one finished guest to its place. A file that has not changed keeps its time.
fn deliver(target: Target, guest: &Package, artifacts: &[Artifact], finished: &Path) -> Result<()> {
    let artifact = artifacts.iter().find(|artifact| guest.owns(artifact));
    let from = &artifact.with_context(|| format!("cargo has built no WebAssembly of {}", guest.name))?.file;
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    check_format(target, &bytes).with_context(|| format!("{} is not what was asked for", from.display()))?;
    let to = finished.join(file_name(target, guest.short_name()));
    if fs::read(&to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    // Renamed into its place, so that nobody reads half a file.
    let temporary = to.with_extension("new");
    fs::write(&temporary, &bytes).with_context(|| format!("cannot write {}", temporary.display()))?;
    fs::rename(&temporary, &to).with_context(|| format!("cannot write {}", to.display()))?;
    eprintln!("guests: {} ({} KiB)", to.display(), bytes.len().div_ceil(1024));
    Ok(())
}

fn file_name(target: Target, short_name: &str) -> String {
    match target {
        Target::Wasip2 => format!("{short_name}.wasm"),
        Target::Wasip1 => format!("{short_name}-wasip1.wasm"),
    }
}

/// The first eight bytes tell a component from a core module.
fn check_format(target: Target, bytes: &[u8]) -> Result<()> {
    let (name, preamble): (_, &[u8]) = match target {
        Target::Wasip2 => ("component", b"\0asm\x0d\0\x01\0"),
        Target::Wasip1 => ("core module", b"\0asm\x01\0\0\0"),
    };
    if bytes.starts_with(preamble) {
        return Ok(());
    }
    bail!("it does not begin like a WebAssembly {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_and_modules_are_told_apart() {
        let component = b"\0asm\x0d\0\x01\0more";
        let module = b"\0asm\x01\0\0\0more";
        assert!(check_format(Target::Wasip2, component).is_ok());
        assert!(check_format(Target::Wasip1, module).is_ok());
        assert!(check_format(Target::Wasip2, module).is_err());
        assert!(check_format(Target::Wasip1, component).is_err());
        assert!(check_format(Target::Wasip1, b"\0as").is_err());
    }

    #[test]
    fn a_module_does_not_overwrite_its_component() {
        assert_eq!(file_name(Target::Wasip2, "hello"), "hello.wasm");
        assert_eq!(file_name(Target::Wasip1, "hello"), "hello-wasip1.wasm");
    }
}
