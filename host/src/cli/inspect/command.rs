//! Loads the plugin and says what it is.

use crate::cli::args::InspectArguments;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::{open, output};

use super::{document, page};

/// Looks at a plugin, which runs its `describe` in a cell with nothing granted and none of its hooks, and says what it is.
pub(in crate::cli) async fn inspect(arguments: InspectArguments) -> Result<Exit, Fault> {
    let host = open::host(&open::Wanted { commands: arguments.command, ..open::Wanted::default() })?;
    let plugin = open::look_at(&host, &arguments.plugin).await?;
    let written = if arguments.json {
        output::json(&document::document(&plugin, &arguments.plugin), true)
    } else {
        output::lines(&page::page(&plugin, &arguments.plugin))
    };
    written.map_err(Fault::stdout)?;
    host.shutdown().await;
    Ok(Exit::Succeeded)
}
