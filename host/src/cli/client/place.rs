//! Where the server's directory is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cli::environment;
use crate::cli::fault::Fault;

/// Names the directory when no flag does.
pub(in crate::cli) const DATA_VARIABLE: &str = "TASKCELL_DATA";

/// The directory that a flag names, else `TASKCELL_DATA`, else the person's own.
pub(in crate::cli) fn data_dir(flag: Option<&Path>) -> Result<PathBuf, Fault> {
    data_dir_from(flag, environment::variable).ok_or_else(|| {
        Fault::usage("there is no place for the server's directory: neither HOME nor XDG_STATE_HOME is set")
            .hint("name one with --data DIR, or with the variable TASKCELL_DATA")
    })
}

fn data_dir_from(flag: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(dir) = flag {
        return Some(dir.to_owned());
    }
    if let Some(dir) = variable(DATA_VARIABLE) {
        return Some(dir.into());
    }
    // A relative XDG_STATE_HOME does not count, says its specification.
    let xdg = variable("XDG_STATE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let home = || variable("HOME").map(|home| Path::new(&home).join(".local/state"));
    Some(xdg.or_else(home)?.join("taskcell"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_the_flags_then_the_variables_then_the_persons() {
        let dir = |flag: Option<&str>, vars: &[(&str, &str)]| {
            let variable = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            data_dir_from(flag.map(Path::new), variable)
        };
        let all = [("TASKCELL_DATA", "/d"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(dir(Some("here"), &all), Some("here".into()));
        assert_eq!(dir(None, &all), Some("/d".into()));
        assert_eq!(dir(None, &all[1..]), Some("/x/taskcell".into()));
        assert_eq!(dir(None, &all[2..]), Some("/h/.local/state/taskcell".into()));
        assert_eq!(dir(None, &[("XDG_STATE_HOME", "relative")]), None);
    }
}
