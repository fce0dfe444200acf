//! The values of the secrets that a policy names.

use std::path::Path;

use crate::cli::output::talk;
use crate::cli::{environment, files};
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

/// What a secret is at this moment, or why it cannot be had.
pub(super) fn value(source: &SecretSource) -> Result<String, String> {
    match source {
        SecretSource::Env(name) => {
            let value = environment::variable(name).ok_or_else(|| {
                format!("the variable {name} is not set here; it is read where the server is started")
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
