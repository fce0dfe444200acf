//! Where the policy is, what stands in it, and where in it something is wrong.
//!
//! A policy is only ever a file that somebody named, or the one in the server's own directory. The folder that the program
//! is started in is not looked into: it may be somebody else's checkout, which would then say what may be touched.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error};

use crate::cli::client::data_dir;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::{environment, files};
use crate::{Policy, PolicyError};

/// Names the policy when no flag does.
const POLICY_VARIABLE: &str = "TASKCELL_POLICY";
/// What it is called in a server's directory.
const FILE: &str = "taskcell.toml";

/// The file that a flag names, else `TASKCELL_POLICY`.
pub(in crate::cli) fn named(flag: Option<&Path>) -> Option<PathBuf> {
    flag.map(Path::to_owned).or_else(|| environment::variable(POLICY_VARIABLE).map(PathBuf::from))
}

/// The same, else the one in the server's directory, if there is any. One that cannot be read is there too: a server that
/// went on without it would grant more.
pub(in crate::cli) fn of_server(flag: Option<&Path>, data: &Path) -> Option<PathBuf> {
    let own = || Some(data.join(FILE)).filter(|path| files::is_there(path));
    named(flag).or_else(own)
}

/// The same, for commands that are about a policy.
pub(super) fn wanted(flag: Option<&Path>, data: Option<&Path>) -> Result<PathBuf, Fault> {
    let data = match (named(flag), data_dir(data)) {
        (Some(path), _) => return Ok(path),
        (None, data) => data?,
    };
    of_server(None, &data).ok_or_else(|| {
        Fault::usage(format!("there is no policy: no file is named, and {} has no {FILE}", data.display()))
            .hint("name one, as in `taskcell policy check FILE`; host/docs/policy has examples")
    })
}

/// Reads a policy.
pub(in crate::cli) fn read(path: &Path) -> Result<Policy, Fault> {
    let text = text(path)?;
    Policy::parse(&text).map_err(|error| {
        let said = problem(&text, &error).said();
        Fault::new(Exit::Usage, Error::msg(format!("failed to read the policy {}: {said}", path.display())))
            .hint("`taskcell policy schema` has every key that there is")
    })
}

/// A policy with the folders that are meant, which is a matter of this machine.
pub(in crate::cli) fn on_this_machine(policy: Policy) -> Policy {
    policy.with_real_folders(|folder| files::resolved(folder).unwrap_or_else(|_| folder.to_owned()))
}

/// What stands in the file.
pub(super) fn text(path: &Path) -> Result<String, Fault> {
    let read = files::read_text(path).with_context(|| format!("failed to read the policy {}", path.display()));
    read.map_err(|error| Fault::new(Exit::Usage, error))
}

/// Why a text is no policy, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// As a path of keys, where that is known.
    pub(super) at: Option<String>,
    pub(super) says: String,
    /// The line with a caret below it.
    pub(super) shown: Option<String>,
}

impl Problem {
    /// All of it, over several lines.
    pub(super) fn said(&self) -> String {
        let at = self.at.as_deref().map(|at| format!("{at}: ")).unwrap_or_default();
        let shown = self.shown.as_deref().map(|shown| format!("\n{shown}")).unwrap_or_default();
        format!("{at}{}{shown}", self.says)
    }
}

/// What the reader complains about, with the place where it stands.
pub(super) fn problem(text: &str, error: &PolicyError) -> Problem {
    match error {
        // These show their place themselves.
        PolicyError::Text(says) => Problem { at: None, says: says.clone(), shown: None },
        PolicyError::Version { .. } => {
            Problem { at: Some("version".to_owned()), says: error.to_string(), shown: point(text, "version") }
        }
        PolicyError::TooLarge { .. } => Problem { at: None, says: error.to_string(), shown: None },
        PolicyError::Value { at, why } => Problem { at: Some(at.clone()), says: why.clone(), shown: point(text, at) },
    }
}

/// The line where a path of keys leads, as deep as it can be followed, with a caret.
fn point(text: &str, at: &str) -> Option<String> {
    let document = toml_edit::Document::parse(text).ok()?;
    let mut item = document.as_item();
    let mut place = None;
    for word in at.split(['.', '[']) {
        let next = match word.strip_suffix(']').and_then(|number| number.parse::<usize>().ok()) {
            Some(number) => item.get(number),
            None => item.get(word),
        };
        let Some(next) = next else { break };
        item = next;
        place = item.span().or(place);
    }
    let start = place?.start;
    let before = text.get(..start)?;
    let number = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count();
    let line = text.lines().nth(number - 1)?;
    let width = number.to_string().len();
    Some(format!("{:width$} |\n{number} | {line}\n{:width$} | {:column$}^", "", "", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t24_a_wrong_value_is_pointed_at() {
        let text = "version = 1\n\n[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nfs = [{ host = \"/a\" }, { host = \"b\" }]\n";
        let error = Policy::parse(text).unwrap_err();
        assert_eq!(
            problem(text, &error).said(),
            "plugins.a.allow.fs[1]: b is no absolute path without `..`\n  |\n6 | fs = [{ host = \"/a\" }, { host = \"b\" }]\n  |                        ^"
        );
        let other = problem("version = 2", &Policy::parse("version = 2").unwrap_err()).said();
        assert!(other.starts_with("version: it is of version 2") && other.ends_with("  |           ^"), "{other}");
        let text = "version = 1\n[all]\nsign = true";
        let unknown = problem(text, &Policy::parse(text).unwrap_err()).said();
        assert!(
            unknown.contains("line 3, column 1") && unknown.contains('^') && unknown.contains("`signed`"),
            "{unknown}"
        );
    }

    #[test]
    fn t23_only_a_file_that_somebody_named_is_a_policy() {
        assert_eq!(named(Some("a.toml".as_ref())), Some("a.toml".into()));
        assert_eq!(of_server(None, "/nowhere/at/all".as_ref()), None);
    }
}
