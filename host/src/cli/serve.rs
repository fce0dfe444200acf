//! `taskcell serve`: keeps one host running and listens for those who ask it.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Error;

use crate::serve::{Server, Shelf, listen, socket_path};
use crate::{BuildError, Compiler, Host, HostBuilder};

use super::args::ServeArguments;
use super::client::data_dir;
use super::exit::Exit;
use super::fault::{Fault, sentence};
use super::output::talk;
use super::stops::Stops;
use super::{environment, open};

/// Serves until it is told to end.
pub(super) async fn serve(arguments: ServeArguments) -> Result<Exit, Fault> {
    let data = data_dir(arguments.data.as_deref())?;
    let failed = |error: Error| Fault::new(Exit::Host, error);
    let socket = socket_path(&data).map_err(|error| failed(error.into()))?;
    let mut stops = Stops::listen()?;
    let host = Arc::new(host(&arguments)?);
    let shelf = Shelf::open(&data).map_err(|error| failed(error.into()))?;
    // Whatever ends the server, its tasks are not asked to end: the next server goes on with them. So the host is not
    // dropped, which would ask them; it goes with the process.
    std::mem::forget(Arc::clone(&host));
    let begun = async {
        for file in &arguments.plugin {
            open::plugin(&host, file).await?;
        }
        load(&host, &shelf).await?;
        listen(&data).map_err(|error| failed(error.into()))
    };
    let listener = tokio::select! {
        begun = begun => begun?,
        stop = stops.next() => {
            talk(&format!("{}: stopped before the server listened", stop.name()));
            return Ok(Exit::Succeeded);
        }
    };
    // From here on they fire.
    let _ = host.schedules();
    say(&host, &data, &socket);
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let server = Server::new(Arc::clone(&host), shelf).kept_in(data.display().to_string());
    let mut serving = pin!(server.serve(listener, async { drop(told.await) }));
    tokio::select! {
        () = &mut serving => {}
        stop = stops.next() => talk(&format!("{}: ending; once more to end at once", stop.name())),
    }
    drop(tell);
    tokio::select! {
        biased;
        () = serving => Ok(Exit::Succeeded),
        _ = stops.next() => Ok(Exit::Interrupted),
    }
}

/// The host. Until there is a store in the directory, it lives in memory, and says so.
fn host(arguments: &ServeArguments) -> Result<Host, Fault> {
    let builder = || {
        let builder = Host::builder().compiler(Compiler::ThisProgram);
        match arguments.running_max {
            Some(most) => builder.running_max(most),
            None => builder,
        }
    };
    talk("warning: tasks are kept in memory: they go with the server");
    build(builder)
}

fn build(builder: impl Fn() -> HostBuilder) -> Result<Host, Fault> {
    let built = match environment::cache_dir() {
        None => builder().build(),
        Some(dir) => match builder().cache_dir(dir).build() {
            Err(BuildError::Cache(error)) => {
                talk(&format!("warning: {}", sentence(&Error::new(error))));
                talk("warning: going on without it, so plugins are compiled anew each time");
                builder().build()
            }
            result => result,
        },
    };
    built.map_err(|error| Fault::new(Exit::Host, error).hint("`taskcell doctor` checks what this machine is missing"))
}

/// Loads what is kept. A plugin that does not load is told and left where it is.
async fn load(host: &Host, shelf: &Shelf) -> Result<(), Fault> {
    let failed = |error: Error| Fault::new(Exit::Host, error);
    for kept in shelf.kept().map_err(|error| failed(error.into()))? {
        match open::plugin(host, &kept.path).await {
            Ok(plugin) if !kept.enabled => {
                host.set_plugin_enabled(plugin.name(), false).await.map_err(|error| failed(error.into()))?;
            }
            Ok(_) => {}
            Err(fault) => {
                for line in fault.lines() {
                    talk(&format!("warning: {}", line.trim_start_matches("error: ")));
                }
                talk(&format!("warning: going on without the plugin {}", kept.name));
            }
        }
    }
    Ok(())
}

/// What a person who starts it wants to know.
fn say(host: &Host, data: &Path, socket: &Path) {
    let plugins: Vec<String> =
        host.plugins().iter().map(|plugin| format!("{} {}", plugin.name(), plugin.manifest().version)).collect();
    talk(&format!("data directory: {}", data.display()));
    let plugins = if plugins.is_empty() { "none yet".to_owned() } else { plugins.join(", ") };
    talk(&format!("plugins: {plugins}"));
    talk(&format!("listening on {}", socket.display()));
    let example = format!("curl --unix-socket {} http://taskcell/v1", socket.display());
    talk(&format!("try in another terminal: {example}"));
}
