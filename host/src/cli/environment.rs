//! The only reader of arguments, of the environment, and of what the program's streams are connected to.
#![expect(clippy::disallowed_methods, reason = "here the command line reads the environment, and nowhere else")]

use std::ffi::OsString;
use std::io::{IsTerminal as _, stderr, stdin, stdout};
use std::path::{Path, PathBuf};

/// Where compiled plugins are kept.
const CACHE_DIR_VARIABLE: &str = "TASKCELL_CACHE_DIR";
/// Where the guest SDK lies.
pub(super) const SDK_VARIABLE: &str = "TASKCELL_SDK";

/// The arguments, the program's name first.
pub(super) fn arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os()
}

/// The path from the root, for somebody who is in another folder. Nothing need be there.
pub(super) fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    std::path::absolute(path)
}

/// The folder that the program was started in, if it can be told.
pub(super) fn current_dir() -> Option<PathBuf> {
    std::env::current_dir().ok()
}

/// The date here, in the person's time zone.
pub(super) fn now() -> jiff::Zoned {
    jiff::Zoned::now()
}

/// A variable; one that is empty counts as not set.
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The folder for compiled plugins, if there is a place for one.
pub(super) fn cache_dir() -> Option<PathBuf> {
    cache_dir_from(variable)
}

fn cache_dir_from(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(dir) = variable(CACHE_DIR_VARIABLE) {
        return Some(dir.into());
    }
    // A relative XDG_CACHE_HOME does not count, says its specification.
    let xdg = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let home = || variable("HOME").map(|home| Path::new(&home).join(".cache"));
    Some(xdg.or_else(home)?.join("taskcell/compiled"))
}

/// Where scratch files are kept.
pub(super) fn temp_dir() -> PathBuf {
    std::env::temp_dir()
}

/// The SDK of the source tree that this program was built from. It may have moved since.
pub(super) fn sdk_of_this_build() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("guest-sdk")
}

/// Whether a person can be asked: both what they type and what they see is a terminal.
pub(super) fn can_ask() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// Whether stderr is a terminal on which lines can be redrawn.
pub(super) fn can_redraw() -> bool {
    let dumb = variable("TERM").is_none_or(|term| term == "dumb");
    stderr().is_terminal() && !dumb
}

/// How many columns the terminal at stderr has right now.
pub(super) fn columns() -> Option<u16> {
    rustix::termios::tcgetwinsize(stderr()).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// How many lines the terminal at stderr has right now.
pub(super) fn rows() -> Option<u16> {
    rustix::termios::tcgetwinsize(stderr()).ok().map(|size| size.ws_row).filter(|rows| *rows > 0)
}

/// How many columns the terminal at stdout has; none when it is something else.
pub(super) fn columns_of_stdout() -> Option<u16> {
    rustix::termios::tcgetwinsize(stdout()).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// Throws away what was typed before the question was asked: it cannot be the answer.
pub(super) fn forget_typed() {
    // When it does not work, the person sees what they typed.
    let _ = rustix::termios::tcflush(stdin(), rustix::termios::QueueSelector::IFlush);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_its_variable_then_xdg_then_home() {
        let dir = |vars: &[(&str, &str)]| {
            cache_dir_from(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        let all = [("TASKCELL_CACHE_DIR", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(dir(&all), Some("/c".into()));
        assert_eq!(dir(&all[1..]), Some("/x/taskcell/compiled".into()));
        assert_eq!(dir(&all[2..]), Some("/h/.cache/taskcell/compiled".into()));
        assert_eq!(dir(&[("XDG_CACHE_HOME", "relative")]), None);
    }
}
