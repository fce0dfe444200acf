//! `taskcell serve`: keeps one host running and listens for those who ask it.

mod reloading;

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Error;

use crate::sandbox::load::read_file;
use crate::serve::{Keeping, Server, Shelf, listen, socket_path};
use crate::{ApprovalKinds, Compiler, Host, Policy, Profile, Recovery, StoreHealth};

use super::args::ServeArguments;
use super::client::data_dir;
use super::exit::Exit;
use super::fault::Fault;
use super::open;
use super::output::talk;
use super::policy;
use super::stops::{Hangups, Stops};

use reloading::Reloading;
pub(super) use reloading::lost;

/// Serves until it is told to end.
pub(super) async fn serve(arguments: ServeArguments) -> Result<Exit, Fault> {
    if let Some(most) = arguments.running_max.filter(|most| *most > FAST_MAX && !arguments.dense) {
        let message = format!("{most} tasks at once need `--dense`: without it there is room for {FAST_MAX}");
        return Err(Fault::usage(message));
    }
    let data = data_dir(arguments.data.as_deref())?;
    let failed = |error: Error| Fault::new(Exit::Host, error);
    let socket = socket_path(&data).map_err(|error| failed(error.into()))?;
    let mut stops = Stops::listen()?;
    let policy = policy::of_server(arguments.policy.as_deref(), &data);
    let mut reload = policy.as_ref().map(|_| Hangups::listen()).transpose()?;
    let rules = policy.as_deref().map(|file| policy::read(file).map(|read| (file, read))).transpose()?;
    let host = Arc::new(host(&arguments, &data, rules.as_ref().map(|(file, policy)| (*file, policy)))?);
    let shelf = Shelf::open(&data).map_err(|error| failed(error.into()))?;
    // Whatever ends the server, its tasks are not asked to end: the next server goes on with them. So the host is not
    // dropped, which would ask them; it goes with the process.
    std::mem::forget(Arc::clone(&host));
    let begun = async {
        for file in &arguments.plugin {
            talk(&keep(&host, &shelf, file).await?);
        }
        load(&host, &shelf).await?;
        for line in recovered(&host.recover().await.map_err(|error| failed(error.into()))?) {
            talk(&line);
        }
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
    if let Some(policy) = &policy {
        talk(&format!("policy: {}; SIGHUP or `taskcell policy reload` reads it again", policy.display()));
    }
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let server = Server::new(Arc::clone(&host), shelf).kept_in(data.display().to_string());
    let reloading = rules.map(|(file, _)| Arc::new(Reloading::new(Arc::clone(&host), file.to_owned())));
    let server = match reloading.clone() {
        Some(of) => server.reloading(move || of.reload("policy reload")),
        None => server,
    };
    let hangups = async {
        match reload.as_mut().zip(reloading.as_ref()) {
            Some((asked, of)) => of.on_hangups(asked).await,
            None => std::future::pending().await,
        }
    };
    let mut serving = pin!(server.serve(listener, async { drop(told.await) }));
    let mut broken = None;
    tokio::select! {
        () = &mut serving => {}
        why = store_failed(&host) => broken = Some(why),
        never = hangups => match never {},
        stop = stops.next() => talk(&format!("{}: ending; once more to end at once", stop.name())),
    }
    drop(tell);
    let end = async {
        serving.await;
        // What is written behind outlives the process anyhow, and so it outlives the machine too.
        let _ = host.flush().await;
    };
    tokio::select! {
        biased;
        () = end => {}
        _ = stops.next() => return Ok(Exit::Interrupted),
    }
    match broken {
        Some(why) => Err(failed(Error::msg(why)).hint("when the disk works again, start the server again: it goes on")),
        None => Ok(Exit::Succeeded),
    }
}

/// Completes when the store is done for.
async fn store_failed(host: &Host) -> String {
    let Some(mut health) = host.store_health() else { return std::future::pending().await };
    match health.wait_for(|health| matches!(health, StoreHealth::Failed { .. })).await {
        Ok(health) => health.to_string(),
        // The store went with the host.
        Err(_) => std::future::pending().await,
    }
}

/// What the host did with what it found, for a person.
fn recovered(found: &Recovery) -> Vec<String> {
    if found.is_empty() {
        return Vec::new();
    }
    let counts = [
        (found.ended, "ended before"),
        (found.went_on.len(), "go on"),
        (found.restarted.len(), "begin again"),
        (found.cancelled.len(), "cancelled"),
        (found.lost.len(), "lost"),
        (found.waiting.len(), "wait for their plugins"),
        (found.quarantined.len() + found.unnamed.len(), "cannot be read"),
    ];
    let said = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let mut lines = vec![format!("tasks found: {}", said.collect::<Vec<_>>().join(", "))];
    lines.extend(
        found.lost.iter().take(NAMED_MAX).map(|lost| format!("lost: {} ({}): {}", lost.task, lost.id, lost.why)),
    );
    lines.extend(found.waiting.iter().take(NAMED_MAX).map(|task| {
        let plugin = crate::escape(&task.task.plugin);
        let digest = task.plugin.map(|digest| format!(" with the digest {digest}")).unwrap_or_default();
        format!(
            "waits: {} ({}): for the plugin {plugin}{digest}; `taskcell plugin add FILE` adds it",
            task.task, task.id
        )
    }));
    let unreadable = found.quarantined.iter().take(NAMED_MAX);
    lines.extend(unreadable.map(|task| format!("cannot be read: {}: {}", task.id, task.why)));
    lines
}

/// Lost tasks, those that wait, and such as cannot be read, that are named; of more there is only the number.
const NAMED_MAX: usize = 10;
/// Tasks at once without `--dense`: what [`Profile::Fast`] has room for.
const FAST_MAX: u32 = 8000;

/// The host on the directory, which is this server's from now on.
fn host(arguments: &ServeArguments, data: &Path, policy: Option<(&Path, &Policy)>) -> Result<Host, Fault> {
    open::build(|| {
        // Whoever may open the socket may decide every question, and so in advance too.
        let builder = Host::builder().compiler(Compiler::ThisProgram).approve_in_advance(ApprovalKinds::All);
        let builder = builder.data_dir(data).plain_commands(arguments.command);
        let builder = match policy {
            Some((file, policy)) => policy::kept_in(policy::entrust(builder, policy), file),
            None => builder,
        };
        let builder = builder.profile(if arguments.dense { Profile::Dense } else { Profile::Fast });
        match arguments.running_max {
            Some(most) => builder.running_max(most),
            None => builder,
        }
    })
}

/// Loads a plugin from its file and keeps that, in the place of the one of its name that was kept before.
async fn keep(host: &Host, shelf: &Shelf, file: &Path) -> Result<String, Fault> {
    let plugin = open::plugin(host, file).await?;
    let failed = |error: Error| Fault::new(Exit::Host, error);
    let bytes = read_file(file, u64::MAX).map_err(|error| Fault::new(Exit::Plugin, error))?;
    let change = shelf.keep(&plugin, &bytes).map_err(|error| failed(error.into()))?;
    let (name, version) = (plugin.name(), &plugin.manifest().version);
    Ok(match change {
        Keeping::New => format!("plugin {name} {version}: kept, so that the next server has it too"),
        Keeping::Replaced => format!("plugin {name} {version}: kept, in the place of the one that was kept before"),
        Keeping::Same => format!("plugin {name} {version}: kept already"),
    })
}

/// Loads what is kept. A plugin that does not load is told and left where it is.
async fn load(host: &Host, shelf: &Shelf) -> Result<(), Fault> {
    let failed = |error: Error| Fault::new(Exit::Host, error);
    for kept in shelf.kept().map_err(|error| failed(error.into()))? {
        match open::kept(host, shelf, &kept).await {
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
    talk("in another terminal: taskcell plugin add FILE, taskcell start PLUGIN, taskcell list");
    talk(&format!("any other program: curl --unix-socket {} http://taskcell/v1", socket.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_have_lost_even_their_ids_are_counted() {
        let mut found = Recovery::default();
        assert_eq!(recovered(&found), Vec::<String>::new());
        (found.ended, found.unnamed) = (2, vec![3, 7]);
        assert_eq!(recovered(&found), ["tasks found: 2 ended before, 2 cannot be read"]);
    }
}
