//! The values of the secrets that a policy names.

use std::path::Path;

use crate::cli::output::talk;
use crate::cli::{environment, files};
use crate::ports::secrets::check;
use crate::{HostBuilder, Policy, SecretSource};

/// Who may not have any access to a secret's file.
const OPEN_TO_OTHERS: u32 = 0o077;

/// Gives a host the policy and the secrets that it names. One that is not there is told, and no task has it.
pub(in crate::cli) fn entrust(builder: HostBuilder, policy: &Policy) -> HostBuilder {
    let builder = builder.policy(policy.clone());
    policy.secrets().fold(builder, |builder, (name, rule)| match value(&rule.source) {
        Ok(value) => builder.secret(name, value),
        Err(why) => {
            talk(&format!("warning: the secret {name} is not there, and no task has it: {why}"));
            builder
        }
    })
}

/// The values of all secrets that a policy names, as they are at this moment; or each one that cannot be had, with the reason.
pub(in crate::cli) fn values(policy: &Policy) -> Result<Vec<(String, String)>, Vec<String>> {
    let (mut values, mut faults) = (Vec::new(), Vec::new());
    for (name, rule) in policy.secrets() {
        match usable(&rule.source) {
            Ok(value) => values.push((name.to_owned(), value)),
            Err(why) => faults.push(format!("the secret {name} cannot be had: {why}")),
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

/// What a secret is at this moment, if it can be one.
pub(super) fn usable(source: &SecretSource) -> Result<String, String> {
    let value = value(source)?;
    let (what, name) = match source {
        SecretSource::Env(name) => ("what is in the variable", name.clone()),
        SecretSource::File(path) => ("what is in", path.display().to_string()),
    };
    check(&value).map_err(|error| format!("{what} {name} can be no secret: {error}"))?;
    Ok(value)
}

/// What a secret is at this moment, or why it cannot be had.
fn value(source: &SecretSource) -> Result<String, String> {
    match source {
        SecretSource::Env(name) => {
            let value = environment::variable(name).ok_or_else(|| {
                format!("the variable {name} is not set here; a server has the variables that it was started with")
            })?;
            value.into_string().map_err(|_| format!("the variable {name} is no text"))
        }
        SecretSource::File(path) => of_file(path),
    }
}

fn of_file(path: &Path) -> Result<String, String> {
    let mode = files::mode(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if !files::is_file(path) {
        return Err(format!("{} is no file", path.display()));
    }
    if mode & OPEN_TO_OTHERS != 0 {
        return Err(format!("others may read or write {0} (mode {mode:o}): chmod 600 {0}", path.display()));
    }
    let text = files::read_text(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // As editors end a file.
    let line = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(line.to_owned())
}
