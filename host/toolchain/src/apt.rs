//! Debian's packages: which are installed, and installing them.

use std::{collections::BTreeMap, process::Command};

use crate::{
    Target, ToolchainError, environment,
    run::{answer, any_answer, run},
};

/// The compiler, cargo, the standard library's source, and the C library it stands on.
pub(crate) const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "wasi-libc"];

/// The oldest compiler that builds guests: the first with edition 2024, which wit-bindgen needs.
const OLDEST: (u32, u32) = (1, 85);

/// Installed packages and their versions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Installed(BTreeMap<String, String>);

impl Installed {
    pub(crate) fn look() -> Self {
        // It fails when one of them is unknown, and tells about the others all the same.
        Self::parse(&any_answer(
            Command::new("dpkg-query").args(["-W", "-f", "${Package} ${db:Status-Status} ${Version}\n"]).args(PACKAGES),
        ))
    }

    fn parse(text: &str) -> Self {
        let installed = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some(package), Some("installed"), Some(version)) => Some((package.to_owned(), version.to_owned())),
                _ => None,
            }
        });
        Self(installed.collect())
    }

    /// The compiler's version, if everything that is needed is there and fits together.
    pub(crate) fn usable(&self) -> Option<&str> {
        let version = self.0.get("rustc-web")?;
        let complete = PACKAGES.iter().all(|package| self.0.contains_key(*package));
        // The standard library compiles only with the compiler it was written for.
        let matching = self.0.get("rust-web-src") == Some(version);
        (complete && matching && !is_old(version)).then_some(version)
    }

    /// Why there is no usable compiler.
    pub(crate) fn complaint(&self, target: Target) -> ToolchainError {
        let target = target.triple();
        match self.0.get("rustc-web") {
            Some(found) if is_old(found) => {
                let needed = format!("{}.{}", OLDEST.0, OLDEST.1);
                ToolchainError::OldRustc { target, found: found.clone(), needed }
            }
            Some(_) | None => ToolchainError::Packages {
                target,
                packages: PACKAGES.join(" "),
                reason: "they are incomplete, or of different versions, even after apt-get".to_owned(),
            },
        }
    }
}

/// Whether a version such as `1.96.0+dfsg1-1~deb12u2` is too old. What cannot be read is.
fn is_old(version: &str) -> bool {
    let upstream = version.split_once(':').map_or(version, |(_epoch, rest)| rest);
    let mut numbers = upstream.split(['.', '+', '-', '~']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < OLDEST,
        _ => true,
    }
}

pub(crate) fn is_here() -> bool {
    answer(Command::new("apt-get").arg("--version")).is_some()
        && answer(Command::new("dpkg-query").arg("--version")).is_some()
}

/// Installs packages, with a fresh list: an old one offers old compilers, or files that the archive no longer has.
pub(crate) fn install(target: Target, packages: &[&str], say: &mut dyn FnMut(&str)) -> Result<(), ToolchainError> {
    let names = packages.join(" ");
    let refused = |reason| ToolchainError::Packages { target: target.triple(), packages: names.clone(), reason };
    let is_root = answer(Command::new("id").arg("-u")).is_some_and(|id| id == "0");
    if !is_root && answer(Command::new("sudo").args(["-n", "true"])).is_none() {
        return Err(refused("this needs root, and sudo asks for a password".to_owned()));
    }
    say(&format!("installing Debian's packages {names}"));
    for command in [update_command(is_root), install_command(is_root, packages)] {
        run("apt-get", command, None, say).map_err(|error| refused(error.to_string()))?;
    }
    Ok(())
}

fn update_command(is_root: bool) -> Command {
    let mut command = apt_get(is_root);
    command.args(["-q", "update"]);
    command
}

fn install_command(is_root: bool, packages: &[&str]) -> Command {
    let mut command = apt_get(is_root);
    // Never at the price of a package that the person has: Debian's own rustc is another package than rustc-web.
    command.args(["-q", "-y", "--no-install-recommends", "--no-remove", "install"]).args(packages);
    command
}

fn apt_get(is_root: bool) -> Command {
    let mut command = environment::command(if is_root { "env" } else { "sudo" });
    if !is_root {
        command.args(["-n", "env"]);
    }
    // Through `env`, because sudo passes no variables on.
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "cargo-web installed 1.96.0+dfsg1-1~deb12u2\nrust-web-src installed 1.96.0+dfsg1-1~deb12u2\n\
                        rustc-web installed 1.96.0+dfsg1-1~deb12u2\nwasi-libc installed 0.0~git20220510.9886d3d-2\n";

    #[test]
    fn a_complete_set_is_usable() {
        assert_eq!(Installed::parse(GOOD).usable(), Some("1.96.0+dfsg1-1~deb12u2"));
    }

    #[test]
    fn a_set_with_a_hole_is_not() {
        for package in PACKAGES {
            let removed = GOOD.replace(&format!("{package} installed"), &format!("{package} config-files"));
            assert_eq!(Installed::parse(&removed).usable(), None, "without {package}");
        }
        assert_eq!(Installed::parse("").usable(), None);
    }

    #[test]
    fn a_source_of_another_version_is_not_usable() {
        let other = GOOD.replace("rust-web-src installed 1.96", "rust-web-src installed 1.85");
        let installed = Installed::parse(&other);
        assert_eq!(installed.usable(), None);
        let text = installed.complaint(Target::Wasip2).to_string();
        assert!(text.contains("apt-get install rustc-web cargo-web rust-web-src wasi-libc"), "{text}");
    }

    #[test]
    fn an_old_compiler_is_refused_with_its_version() {
        let installed = Installed::parse(&GOOD.replace("1.96.0", "1.78.0"));
        assert_eq!(installed.usable(), None);
        let text = installed.complaint(Target::Wasip2).to_string();
        assert!(text.contains("is 1.78.0+dfsg1-1~deb12u2, and guests need Rust 1.85 or newer"), "{text}");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_old("1.84.1+dfsg") && is_old("1.9.0") && is_old("0.99") && is_old("unknown") && is_old(""));
        assert!(!is_old("1.85.0+dfsg3-1~deb12u3") && !is_old("1.100.0") && !is_old("2.0") && !is_old("1:1.96.0"));
    }

    #[test]
    fn apt_never_asks_and_never_removes() {
        let args = |command: &Command| command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let as_root: Vec<String> = args(&install_command(true, &["a"]));
        assert!(as_root.contains(&"--no-remove".to_owned()) && as_root.contains(&"-y".to_owned()));
        let command = update_command(false);
        assert_eq!(command.get_program(), "sudo");
        let as_user: Vec<String> = args(&command);
        assert_eq!(as_user.first().map(String::as_str), Some("-n"));
    }
}
