//! `taskcell inspect --history`: what a plugin may touch, by the policy, and what it did, by the audit log.

use anyhow::Error;
use serde_json::json;

use crate::Plugin;
use crate::cli::args::InspectArguments;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::policy::{self, Reach};
use crate::cli::verbs::audit;
use crate::cli::{client, files, open, output};

/// Sums up what the audit log says of a plugin: by the name in its file, or by that name itself.
pub(super) async fn history(arguments: &InspectArguments) -> Result<Exit, Fault> {
    let path = audit::place(arguments.data.as_deref())?;
    let (name, this) = if files::is_file(&arguments.plugin) {
        let host = open::host(&open::Wanted { commands: arguments.command, ..open::Wanted::default() })?;
        let plugin = open::look_at(&host, &arguments.plugin).await?;
        host.shutdown().await;
        (plugin.name().to_owned(), Some(plugin))
    } else {
        (arguments.plugin.to_string_lossy().into_owned(), None)
    };
    let history = audit::of_plugin(&path, &name)?;
    if history.is_empty() {
        let said = format!("{} says nothing of a plugin {name:?}", path.display());
        return Err(Fault::new(Exit::Refused, Error::msg(said)).hint(
            "name the plugin's file, or the name that `taskcell plugin list` shows; --data names another directory",
        ));
    }
    // What a name alone asks for nobody knows.
    let data = client::data_dir(arguments.data.as_deref())?;
    let policy = this.as_ref().and_then(|_| policy::of_server(arguments.policy.as_deref(), &data));
    let rules = policy.as_deref().map(policy::read).transpose()?.map(policy::on_this_machine);
    let reach = match (&policy, &rules, &this) {
        (Some(file), Some(rules), Some(plugin)) => Some(Reach::new(file, rules, plugin)),
        _ => None,
    };
    let digest = this.as_ref().map(Plugin::digest);
    let written = if arguments.json {
        let (may, versions) = (reach.as_ref().map(Reach::document), history.document(digest));
        let log = path.to_string_lossy();
        output::json(&json!({ "plugin": name, "may_touch": may, "log": log, "versions": versions }), true)
    } else {
        let mut page = vec![format!("{name}: what it may touch now")];
        page.extend(may_touch(reach.as_ref(), this.is_some()).into_iter().map(|line| format!("  {line}")));
        page.extend([String::new(), format!("{name}: what it did, by {}", path.display())]);
        page.extend(history.page(digest));
        output::lines(&page)
    };
    written.map_err(Fault::stdout)?;
    Ok(Exit::Succeeded)
}

fn may_touch(reach: Option<&Reach<'_>>, is_file: bool) -> Vec<String> {
    match reach {
        Some(reach) => [vec![reach.standing()], reach.page()].concat(),
        None if is_file => vec!["what each start grants: there is no policy (--policy names one)".to_owned()],
        None => vec!["what it asks for stands in its file: name that to see it".to_owned()],
    }
}
