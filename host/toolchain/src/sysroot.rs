//! Builds a sysroot for guests from Debian's packages: std, libc, linkers, and a `rustc` that knows where they are.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Target, ToolchainError, apt, disk, environment, run::run, rustup};

/// Debian's compiler. By its full name, because rustup's comes first in the path.
pub(crate) const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const LIBC: &str = "/usr/lib/wasm32-wasi";

/// What libc lacks, and how a command starts. Both say more.
const SHIM: &str = include_str!("../shims/wasi_shim.rs");
const START: &str = include_str!("../shims/crt1_command.rs");

/// Everything that decides what the folder will contain, besides the packages.
pub(crate) fn ingredients() -> [&'static str; 3] {
    [include_str!("sysroot.rs"), SHIM, START]
}

/// Whether the linkers for this target are there, whichever host they are for.
pub(crate) fn has_linkers(folder: &Path, target: Target) -> bool {
    let hosts = disk::list(&folder.join("lib/rustlib")).unwrap_or_default();
    let is_there = |bin: &Path| linkers(target).iter().all(|name| bin.join(name).is_file());
    hosts.into_iter().any(|host| is_there(&host.join("bin")))
}

/// `rust-lld` makes core modules, `wasm-component-ld` makes components of them.
fn linkers(target: Target) -> &'static [&'static str] {
    match target {
        Target::Wasip2 => &["rust-lld", "wasm-component-ld"],
        Target::Wasip1 => &["rust-lld"],
    }
}

/// One build.
#[derive(Debug)]
pub(crate) struct Recipe<'a> {
    pub(crate) target: Target,
    /// An empty folder. It may be moved afterwards.
    pub(crate) folder: &'a Path,
    /// What `rustc -vV` says.
    pub(crate) compiler: &'a str,
}

impl Recipe<'_> {
    pub(crate) fn cook(&self, say: &mut dyn FnMut(&str)) -> Result<(), ToolchainError> {
        let host = field(self.compiler, "host")?;
        let rustlib = self.folder.join("lib/rustlib");
        let host_dir = rustlib.join(host);
        let lib = rustlib.join(self.target.triple()).join("lib");
        let self_contained = lib.join("self-contained");
        for dir in [&self_contained, &host_dir, &self.folder.join("bin")] {
            disk::create_dirs(dir)?;
        }
        self.build_std(&lib, say)?;
        // Build scripts and macros of guests are compiled for the host, with the same `rustc`.
        disk::link(&Path::new("/usr/lib/rustlib").join(host).join("lib"), &host_dir.join("lib"))?;
        self.place_linkers(host, &host_dir.join("bin"), say)?;
        self.place_libc(&self_contained, say)?;
        self.place_programs()
    }

    fn build_std(&self, lib: &Path, say: &mut dyn FnMut(&str)) -> Result<(), ToolchainError> {
        let version = self.compiler.lines().next().unwrap_or_default();
        let what = format!("building the standard library for {}", self.target);
        say(&format!("{what} with Debian's {version}; this is done once and takes a minute or three"));
        let seed = self.folder.join("seed");
        disk::create_dirs(&seed)?;
        let manifest = "[package]\nname = \"seed\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n";
        disk::write(&seed.join("Cargo.toml"), manifest)?;
        disk::write(&seed.join("lib.rs"), "")?;
        let built = seed.join("target");
        let mut cargo = environment::debian_command(CARGO);
        cargo
            .current_dir(&seed)
            .env("RUSTC", RUSTC)
            .env("RUSTC_BOOTSTRAP", "1")
            // As in rustup's own; without it `lto = true` fails in guests.
            .env("RUSTFLAGS", "-Cembed-bitcode=yes")
            // Wherever the person's cargo puts such files otherwise.
            .env("CARGO_BUILD_BUILD_DIR", &built)
            .args(["build", "--release", "-Zbuild-std=std,panic_abort", "--target", self.target.triple()])
            .arg("--target-dir")
            .arg(&built);
        run(&what, cargo, None, say)?;
        let deps = built.join(self.target.triple()).join("release/deps");
        let mut has_std = false;
        for path in disk::list(&deps)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.extension().is_some_and(|extension| extension == "rlib") && !name.starts_with("libseed-") {
                has_std |= name.starts_with("libstd-");
                disk::copy(&path, &lib.join(name))?;
            }
        }
        if !has_std {
            return Err(ToolchainError::Incomplete(format!("no libstd in {}", deps.display())));
        }
        disk::remove_dir(&seed)
    }

    /// rustup's linkers where there is one, else Debian's and one that is built here.
    fn place_linkers(&self, host: &str, bin: &Path, say: &mut dyn FnMut(&str)) -> Result<(), ToolchainError> {
        // Linked to as a folder: rust-lld finds its libLLVM by its own place.
        if let Some(linkers) = rustup::linkers(host) {
            return disk::link(&linkers, bin);
        }
        let llvm = field(self.compiler, "LLVM version")?;
        let major = llvm.split('.').next().unwrap_or_default();
        let lld = PathBuf::from(format!("/usr/lib/llvm-{major}/bin/lld"));
        if !lld.is_file() {
            apt::install(self.target, &[&format!("lld-{major}")], say)?;
        }
        disk::create_dirs(bin)?;
        // One program, which behaves as its name or its first argument says.
        disk::link(&lld, &bin.join("rust-lld"))?;
        disk::link(&lld, &bin.join("wasm-ld"))?;
        if !linkers(self.target).contains(&"wasm-component-ld") {
            return Ok(());
        }
        let install = self.folder.join("install");
        say("building wasm-component-ld, the linker for components");
        let mut cargo = environment::debian_command(CARGO);
        cargo
            .env("RUSTC", RUSTC)
            .args(["install", "--locked", "wasm-component-ld", "--version", "^0.5", "--root"])
            .arg(&install)
            .arg("--target-dir")
            .arg(install.join("target"));
        run("building wasm-component-ld", cargo, None, say)?;
        disk::rename(&install.join("bin/wasm-component-ld"), &bin.join("wasm-component-ld"))?;
        disk::remove_dir(&install)
    }

    fn place_libc(&self, self_contained: &Path, say: &mut dyn FnMut(&str)) -> Result<(), ToolchainError> {
        for name in ["libc.a", "crt1-reactor.o"] {
            disk::copy(&Path::new(LIBC).join(name), &self_contained.join(name))?;
        }
        let shim = self.folder.join("wasi_shim.o");
        self.compile(SHIM, "wasi_shim", &shim, say)?;
        let mut ar = Command::new("ar");
        ar.arg("r").arg(self_contained.join("libc.a")).arg(&shim);
        run("adding to libc", ar, None, say)?;
        self.compile(START, "crt1_command", &self_contained.join("crt1-command.o"), say)
    }

    fn compile(
        &self,
        source: &str,
        name: &str,
        object: &Path,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), ToolchainError> {
        let file = self.folder.join(name).with_extension("rs");
        disk::write(&file, source)?;
        let mut emit = std::ffi::OsString::from("obj=");
        emit.push(object);
        let mut rustc = environment::debian_command(RUSTC);
        rustc
            .env("RUSTC_BOOTSTRAP", "1")
            .arg("--sysroot")
            .arg(self.folder)
            .args(["--edition", "2024", "--crate-type", "lib", "--target", self.target.triple()])
            .args(["-Copt-level=2", "-Cpanic=abort", "--emit"])
            .arg(emit)
            .arg(&file);
        run(&format!("compiling {name}"), rustc, None, say)
    }

    fn place_programs(&self) -> Result<(), ToolchainError> {
        let bin = self.folder.join("bin");
        disk::link(Path::new(CARGO), &bin.join("cargo"))?;
        disk::link(Path::new("/usr/bin/rustdoc"), &bin.join("rustdoc"))?;
        // The sysroot is found from the script's own place, so that the folder can be moved.
        let rustc = bin.join("rustc");
        disk::write(&rustc, &format!("#!/bin/sh\nexec {RUSTC} --sysroot \"${{0%/*}}/..\" \"$@\"\n"))?;
        disk::make_executable(&rustc)
    }
}

/// The value of a line such as `host: x86_64-unknown-linux-gnu`.
fn field<'a>(about: &'a str, name: &str) -> Result<&'a str, ToolchainError> {
    about
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .ok_or_else(|| ToolchainError::Incomplete(format!("`{RUSTC} -vV` names no {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_says_what_it_is() {
        let about = "rustc 1.96.0 (built from a source tarball)\nhost: aarch64-unknown-linux-gnu\nLLVM version: 22.1.8";
        assert_eq!(field(about, "host").unwrap(), "aarch64-unknown-linux-gnu");
        assert_eq!(field(about, "LLVM version").unwrap(), "22.1.8");
        assert!(field(about, "release").is_err());
    }

    #[test]
    fn a_change_of_a_shim_changes_the_ingredients() {
        let [_, shim, start] = ingredients();
        assert!(shim.contains("pthread_create(") && start.contains("fn _start("));
    }
}
