//! What the person at the terminal adds to a policy for one run.

use anyhow::{Context as _, Error};

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::groups::GrantArguments;
use crate::cli::{files, output};
use crate::{LimitsRequest, Plugin, Policy};

/// The policy for one run of this plugin: with what the flags say beside it. What the policy forbids stays forbidden.
pub(in crate::cli) fn for_run(
    policy: Policy,
    plugin: &Plugin,
    flags: &GrantArguments,
    limits: &LimitsRequest,
) -> Result<Policy, Fault> {
    let refused = |error: Error| Fault::new(Exit::Refused, error.context("failed to start the task"));
    let mut more = flags.addition(limits);
    for dir in &mut more.grants.dirs {
        // Rules compare real paths, and a wrong one is an error of the command line and not of the task.
        let real = files::real_dir(&dir.host).with_context(|| format!("the granted folder {}", dir.host.display()));
        dir.host =
            real.map_err(|error| refused(error).hint("--dir takes a folder that is there: --dir HOST::GUEST"))?;
    }
    let policy = policy.with(plugin.name(), &plugin.digest(), &more);
    let all = policy.rules_for(plugin.name(), &plugin.digest()).all();
    if let Some(path) = all.clash() {
        let why = format!("two folders, or one and the host's own, would be seen as {path:?}");
        return Err(refused(Error::msg(why)).hint("give the folder of --dir another path: --dir HOST::GUEST"));
    }
    if flags.is_said() {
        output::talk("note: what the flags grant is added to the policy for this run; what it forbids stays forbidden");
    }
    Ok(policy)
}
