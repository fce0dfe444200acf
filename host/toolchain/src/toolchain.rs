//! A compiler for guests that is ready to be run.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Options, Target, ToolchainError, Way, apt, debian, environment,
    lock::Lock,
    plan::{Facts, Step, steps},
    rustup,
};

/// A compiler for guests that is ready to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    target: Target,
    origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    /// The compiler in the path.
    Installed { version: String },
    /// Debian's, with what was built for it.
    Debian(debian::Made),
}

impl Toolchain {
    /// Finds the compiler, or installs or builds what is missing.
    ///
    /// That may take minutes: `say` gets a line for each thing that is done, at least every 15 seconds while one of them
    /// lasts. Two processes do not get in each other's way. When it is there already this takes a fraction of a second.
    ///
    /// Fails with what the person can do about it.
    pub fn ensure(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Self, ToolchainError> {
        if let Some(found) = Self::find(options) {
            return Ok(found);
        }
        // rustc and cargo run in other folders than this process does.
        let cache_dir = absolute(&options.cache_dir)?;
        let options = &Options { cache_dir, ..options.clone() };
        let _lock = Lock::take(&options.cache_dir, say)?;
        // Looked at again: another process may have done it while this one waited for the lock.
        let mut steps = steps(options.way, facts(options)).into_iter().peekable();
        while let Some(step) = steps.next() {
            match take(step, options, say) {
                Ok(origin) => {
                    return Ok(Self { target: options.target, origin });
                }
                Err(failed) if steps.peek().is_none() => return Err(failed),
                Err(failed) => say(&failed.to_string()),
            }
        }
        Err(no_way(options))
    }

    /// Finds the compiler if it is ready for use. Installs and builds nothing.
    pub fn find(options: &Options) -> Option<Self> {
        let cache_dir = absolute(&options.cache_dir).ok()?;
        let options = &Options { cache_dir, ..options.clone() };
        let step = steps(options.way, facts(options)).into_iter().find(|step| step.is_ready())?;
        let origin = take(step, options, &mut |_| {}).ok()?;
        Some(Self { target: options.target, origin })
    }

    /// A cargo command that uses this compiler and none of what an outer cargo has set.
    ///
    /// It has no arguments yet: the caller adds `build --target` with [`Target::triple`], and a target directory, which
    /// should not be that of the host's own builds, because the compiler may be another one.
    pub fn cargo(&self) -> Command {
        match &self.origin {
            Origin::Installed { .. } => environment::command("cargo"),
            Origin::Debian(made) => {
                let bin = made.folder.join("bin");
                let mut command = environment::debian_command(bin.join("cargo"));
                // Stronger than what a configuration file may say about the compiler.
                command.env("RUSTC", bin.join("rustc")).env("RUSTDOC", bin.join("rustdoc"));
                command
            }
        }
    }

    /// What it compiles for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// What it is, for a person: one line without a full stop.
    pub fn describe(&self) -> String {
        let target = self.target;
        match &self.origin {
            Origin::Installed { version } => format!("{version} with the target {target}"),
            Origin::Debian(made) => {
                format!("Debian's rustc-web {} with std for {target} in {}", made.version, made.folder.display())
            }
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, ToolchainError> {
    std::path::absolute(path).map_err(|source| ToolchainError::Disk {
        what: "find the folder",
        path: path.to_owned(),
        source,
    })
}

fn facts(options: &Options) -> Facts {
    // In the order of `steps`, and no further than it looks: each of these runs a program.
    let mut facts = Facts::default();
    if options.way != Way::Debian {
        facts.target_installed = rustup::has_target(options.target);
        facts.rustup = !facts.target_installed && rustup::is_here();
    }
    if options.way != Way::Rustup && !facts.target_installed {
        facts.debian = apt::is_here();
        facts.debian_made = facts.debian && debian::find(options).is_some();
    }
    facts
}

fn take(step: Step, options: &Options, say: &mut dyn FnMut(&str)) -> Result<Origin, ToolchainError> {
    match step {
        Step::UseInstalled => installed(),
        Step::AddTarget => rustup::add_target(options.target, say).and_then(|()| installed()),
        Step::UseDebian => debian::find(options)
            .map(Origin::Debian)
            .ok_or_else(|| ToolchainError::Incomplete("it went away while it was being looked at".to_owned())),
        Step::MakeDebian => debian::make(options, say).map(Origin::Debian),
    }
}

fn installed() -> Result<Origin, ToolchainError> {
    let version = rustup::version();
    let version = version.ok_or_else(|| ToolchainError::Incomplete("the rustc in the path does not run".to_owned()))?;
    Ok(Origin::Installed { version })
}

fn no_way(options: &Options) -> ToolchainError {
    let target = options.target.triple();
    match options.way {
        Way::Auto => ToolchainError::NoWay { target },
        Way::Rustup => ToolchainError::NoRustup { target },
        Way::Debian => ToolchainError::NotDebian { target },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_in(folder: &str) -> Toolchain {
        let made = debian::Made { folder: folder.into(), version: "1.96.0".to_owned() };
        Toolchain { target: Target::Wasip2, origin: Origin::Debian(made) }
    }

    #[test]
    fn debians_cargo_uses_the_compiler_beside_it() {
        let command = made_in("/made").cargo();
        assert_eq!(command.get_program(), "/made/bin/cargo");
        let envs: Vec<_> = command.get_envs().collect();
        let value = |name: &str| envs.iter().find(|(key, _)| *key == name).and_then(|(_, value)| *value);
        assert_eq!(value("RUSTC"), Some("/made/bin/rustc".as_ref()));
        assert_eq!(value("RUSTFLAGS"), None);
    }

    #[test]
    fn every_dead_end_names_the_command_that_helps() {
        for way in [Way::Auto, Way::Rustup, Way::Debian] {
            let text = no_way(&Options { way, target: Target::Wasip2, cache_dir: "/c".into() }).to_string();
            assert!(text.contains("`rustup target add wasm32-wasip2`"), "{text}");
        }
    }

    #[test]
    fn it_says_what_it_is() {
        let text = made_in("/made").describe();
        assert_eq!(text, "Debian's rustc-web 1.96.0 with std for wasm32-wasip2 in /made");
    }

    #[test]
    fn looking_in_an_empty_folder_makes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache_dir = dir.path().join("cache");
        let options = Options { way: Way::Debian, target: Target::Wasip2, cache_dir: cache_dir.clone() };
        assert_eq!(Toolchain::find(&options), None);
        assert!(!cache_dir.exists());
    }
}
