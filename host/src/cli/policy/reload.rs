//! `taskcell policy reload`.

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::{output, serve};

use super::command::ReloadArguments;

/// Has the server read its policy again, and says what its tasks lost by that.
pub(super) async fn reload(arguments: &ReloadArguments) -> Result<Exit, Fault> {
    let client = Client::connect(arguments.data.as_deref()).await?;
    let change = client.reload_policy().await?;
    if arguments.json {
        output::json(&change, true).map_err(Fault::stdout)?;
        return Ok(Exit::Succeeded);
    }
    output::talk("the server goes by its policy as the file is now");
    let lost = serve::lost(&change);
    if lost.is_empty() {
        output::talk("no task that runs may do less than before");
    }
    for line in lost {
        output::talk(&line);
    }
    Ok(Exit::Succeeded)
}
