//! Makes the host that a command needs, and loads a plugin into it.

use std::path::Path;

use anyhow::Error;
use serde_json::Value;

use crate::serve::{Kept, Shelf};
use crate::{
    BuildError, Compiler, Delivery, Host, HostBuilder, Limits, LoadError, LoadLimits, OpenError, Plugin, Policy,
};

use super::environment;
use super::exit::Exit;
use super::fault::{Fault, sentence};
use super::output::talk;
use super::policy;
use super::text::shell_word;

/// One task runs at a time, and its signals are the person's: few cells make a quick start.
const CELLS: u32 = 16;

/// What a person wants of the host that is made for them.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) limits: Limits,
    /// The configuration of whatever plugin is loaded.
    pub(super) config: Option<&'a Value>,
    /// The directory in which what happens is kept.
    pub(super) data: Option<&'a Path>,
    /// Whether plain programs are plugins too.
    pub(super) commands: bool,
    /// What plugins may touch; without one, what each task is granted.
    pub(super) policy: Option<&'a Policy>,
    /// The file that it was read from, into which answers for always are written.
    pub(super) policy_file: Option<&'a Path>,
}

/// Makes a host as the person wants it.
pub(super) fn host(wanted: &Wanted<'_>) -> Result<Host, Fault> {
    // Messages to the agent are shown as they come out of the event log; this says that somebody reads them.
    let builder = || {
        let builder = Host::builder().running_max(CELLS).limits(wanted.limits).compiler(Compiler::ThisProgram);
        let builder = builder.daemons(false).plain_commands(wanted.commands).agent_sink(|_: &_| Delivery::Accepted);
        let builder = match wanted.data {
            Some(dir) => builder.data_dir(dir),
            None => builder,
        };
        let builder = match wanted.policy {
            Some(policy) => policy::entrust(builder, policy),
            None => builder,
        };
        let builder = match wanted.policy_file {
            Some(file) => policy::kept_in(builder, file),
            None => builder,
        };
        match wanted.config {
            Some(config) => builder.default_plugin_config(config.clone()),
            None => builder,
        }
    };
    build(builder)
}

/// Builds a host with the person's cache of compiled plugins. One that cannot be used costs time, and a warning.
pub(super) fn build(builder: impl Fn() -> HostBuilder) -> Result<Host, Fault> {
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
    built.map_err(|error| {
        // These say themselves what to do.
        let says = matches!(error, BuildError::DataDir(_) | BuildError::Files(_) | BuildError::Mappings(_));
        if matches!(error, BuildError::DataDir(OpenError::InUse { .. })) {
            return Fault::new(Exit::Host, error).hint("`taskcell start` asks the server that is there to run a task");
        }
        let hint = (!says).then(|| "`taskcell doctor` checks what this machine is missing".to_owned());
        Fault::new(Exit::Host, error).maybe_hint(hint)
    })
}

/// Loads a plugin from its file.
pub(super) async fn plugin(host: &Host, path: &Path) -> Result<Plugin, Fault> {
    host.load_plugin(path).await.map_err(|error| refused(error, path))
}

/// Loads a plugin that a server keeps.
pub(super) async fn kept(host: &Host, shelf: &Shelf, kept: &Kept) -> Result<Plugin, Fault> {
    let read = shelf.bytes(kept, LoadLimits::default().file_bytes);
    let loaded = match read {
        Ok(bytes) => host.load_plugin_bytes(kept.name.clone(), bytes).await,
        Err(error) => Err(error),
    };
    loaded.map_err(|error| refused(error, &kept.path))
}

/// Looks at a plugin's file without running anything of it but its description.
pub(super) async fn look_at(host: &Host, path: &Path) -> Result<Plugin, Fault> {
    host.inspect_plugin(path).await.map_err(|error| refused(error, path))
}

fn refused(error: LoadError, path: &Path) -> Fault {
    // That is no fault of the plugin's.
    let exit = if matches!(error, LoadError::NoCompiler { .. }) { Exit::Host } else { Exit::Plugin };
    let unsigned = matches!(error, LoadError::NotSigned { .. });
    let names_the_file = matches!(error, LoadError::Io { .. } | LoadError::NotAFile { .. });
    let error = Error::new(error);
    let error = if names_the_file { error } else { error.context(format!("failed to load {}", path.display())) };
    Fault::new(exit, error).maybe_hint(unsigned.then(|| {
        let path = shell_word(&path.to_string_lossy());
        format!("a signature that is in no plugin lies beside it, as {path}.sig; `taskcell policy explain {path}` says whose is wanted")
    }))
}
