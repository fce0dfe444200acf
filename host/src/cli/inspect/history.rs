//! `taskcell inspect --history`: what a plugin did, by the audit log.

use anyhow::Error;
use serde_json::json;

use crate::cli::args::InspectArguments;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::verbs::audit;
use crate::cli::{files, open, output};

/// Sums up what the audit log says of a plugin: by the name in its file, or by that name itself.
pub(super) async fn history(arguments: &InspectArguments) -> Result<Exit, Fault> {
    let path = audit::place(arguments.data.as_deref())?;
    let (name, this) = if files::is_file(&arguments.plugin) {
        let host = open::host(&open::Wanted { commands: arguments.command, ..open::Wanted::default() })?;
        let plugin = open::look_at(&host, &arguments.plugin).await?;
        host.shutdown().await;
        (plugin.name().to_owned(), Some(plugin.digest()))
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
    let written = if arguments.json {
        output::json(
            &json!({ "plugin": name, "log": path.to_string_lossy(), "versions": history.document(this) }),
            true,
        )
    } else {
        let mut page = vec![format!("{name}: what it did, by {}", path.display())];
        page.extend(history.page(this));
        output::lines(&page)
    };
    written.map_err(Fault::stdout)?;
    Ok(Exit::Succeeded)
}
