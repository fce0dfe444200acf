//! What can go wrong, and what the person in front of it can do.

use std::{io, path::PathBuf, time::Duration};

/// Why there is no compiler for guests. Each text says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolchainError {
    /// The way asked for does not exist.
    #[error("the guest toolchain can be `auto`, `rustup` or `debian`, not `{0}`")]
    UnknownWay(String),

    /// No folder to keep things in.
    #[error("nowhere to keep the guest toolchain: set HOME, or name a folder in TASKCELL_GUEST_TOOLCHAIN_DIR")]
    NoCacheDir,

    /// The machine has neither the target, nor rustup, nor Debian's packages.
    #[error(
        "no Rust compiler for {target} here, and no way to get one by itself: install rustup (https://rustup.rs), then \
         run `rustup target add {target}`"
    )]
    NoWay {
        /// The target's triple.
        target: &'static str,
    },

    /// The way `rustup` was asked for, and there is no rustup.
    #[error(
        "rustup is asked for, but is not to be found in the path: install it (https://rustup.rs), then run `rustup \
         target add {target}`"
    )]
    NoRustup {
        /// The target's triple.
        target: &'static str,
    },

    /// rustup ran, and the compiler in the path still has no such target.
    #[error(
        "rustup could not add the target: {reason}; with a network, run `rustup target add {target}` and look at what \
         it says"
    )]
    Rustup {
        /// The target's triple.
        target: &'static str,
        /// rustup's own last words, or what else was wrong.
        reason: String,
    },

    /// The way `debian` was asked for on a machine without apt and dpkg.
    #[error(
        "the guest toolchain `debian` needs apt-get and dpkg-query, which this machine has not: run `rustup target add \
         {target}` instead"
    )]
    NotDebian {
        /// The target's triple.
        target: &'static str,
    },

    /// The packages are not installed and could not be.
    #[error(
        "cannot install Debian's packages: {reason}; run `apt-get update && apt-get install {packages}` as root, or \
         `rustup target add {target}`"
    )]
    Packages {
        /// The target's triple.
        target: &'static str,
        /// The packages, with a space between them.
        packages: String,
        /// What was wrong.
        reason: String,
    },

    /// Debian's compiler is too old for guests.
    #[error(
        "Debian's rustc-web is {found}, and guests need Rust {needed} or newer: run `apt-get update && apt-get install \
         rustc-web` with the security archive in the sources, or `rustup target add {target}`"
    )]
    OldRustc {
        /// The target's triple.
        target: &'static str,
        /// The package's version.
        found: String,
        /// The oldest that will do.
        needed: String,
    },

    /// A program could not be started.
    #[error("cannot run `{program}`: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },

    /// A program ran and failed.
    #[error("{what} failed ({status}); its last words:\n{tail}")]
    Failed {
        /// What was being done.
        what: String,
        /// How it ended.
        status: String,
        /// The last lines it printed.
        tail: String,
    },

    /// A program took too long and was stopped.
    #[error("{what} took more than {} s and was stopped", limit.as_secs())]
    TooSlow {
        /// What was being done.
        what: String,
        /// The time it had.
        limit: Duration,
    },

    /// The disk said no.
    #[error("cannot {what} {}: {source}", path.display())]
    Disk {
        /// A verb.
        what: &'static str,
        /// Of which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A step that said it was fine left something out.
    #[error("the guest toolchain is incomplete: {0}; remove its cache folder and try again")]
    Incomplete(String),
}
