//! Loads the plugin and says what it is.

use serde_json::json;

use crate::Plugin;
use crate::cli::args::InspectArguments;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::{open, output};

use super::{diff, document, history, page};

/// Looks at a plugin, which runs its `describe` in a cell with nothing granted and none of its hooks, and says what it is.
pub(in crate::cli) async fn inspect(arguments: InspectArguments) -> Result<Exit, Fault> {
    if arguments.history {
        return history::history(&arguments).await;
    }
    let host = open::host(&open::Wanted { commands: arguments.command, ..open::Wanted::default() })?;
    let plugin = open::look_at(&host, &arguments.plugin).await?;
    if let Some(file) = &arguments.diff {
        let old = open::look_at(&host, file).await?;
        let found = diff::differences(&old, &plugin);
        let written = if arguments.json {
            let side = |plugin: &Plugin| json!({ "name": plugin.name(), "version": plugin.manifest().version, "sha256": plugin.digest() });
            output::json(&json!({ "old": side(&old), "new": side(&plugin), "differences": found }), true)
        } else {
            output::lines(&diff::page(&old, &plugin, &found))
        };
        written.map_err(Fault::stdout)?;
        host.shutdown().await;
        // As `diff` ends.
        return Ok(if found.is_empty() { Exit::Succeeded } else { Exit::Failed });
    }
    let written = if arguments.json {
        output::json(&document::document(&plugin, &arguments.plugin), true)
    } else {
        output::lines(&page::page(&plugin, &arguments.plugin))
    };
    written.map_err(Fault::stdout)?;
    host.shutdown().await;
    Ok(Exit::Succeeded)
}
