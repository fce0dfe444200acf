//! `taskcell plugin`: the server's plugins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Error;
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;

use crate::cli::client::CallError;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::new::better_name;
use crate::cli::{output, text, values};
use crate::sandbox::load::{read_file, read_signature};
use crate::serve::wire::{DRAIN, PluginInfo, ProblemKind};
use crate::{CancelRequest, PluginBytes, Unload};

use super::at::At;
use super::table::Rows;
use super::times::Now;
use super::{completing, stop_all, which};

/// Bytes of a description in a list.
const WORDS_BYTES_MAX: usize = 200;
/// Lines that hooks left behind which are shown.
const NOTES_MAX: usize = 10;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PluginVerb {
    /// Adds a plugin to the server, which keeps it
    Add(AddArguments),
    /// Lists the server's plugins
    List(ListArguments),
    /// Shows all about a plugin
    Show(ShowArguments),
    /// Removes a plugin, when its tasks have ended
    Remove(RemoveArguments),
    /// Puts another version of a plugin in its place, when its tasks have ended
    Replace(ReplaceArguments),
    /// Lets a plugin's tasks be started again
    Enable(NamedArguments),
    /// Lets a plugin's tasks be started no more; those that run go on
    Disable(NamedArguments),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AddArguments {
    /// The plugin: a .wasm file
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// What it is called, if it is a plain command, which does not say so itself [default: the file's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    signature: SignatureArgument,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArguments {
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArguments {
    #[command(flatten)]
    plugin: Named,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NamedArguments {
    #[command(flatten)]
    plugin: Named,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveArguments {
    #[command(flatten)]
    plugin: Named,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReplaceArguments {
    #[command(flatten)]
    plugin: Named,
    /// The new version: a .wasm file
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    #[command(flatten)]
    signature: SignatureArgument,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    at: At,
}

/// Where the signature of a plugin is that does not have it inside.
#[derive(Debug, Args)]
struct SignatureArgument {
    /// Its publisher's signature, as `taskcell sign --detached` makes it [default: FILE.sig, if that is there]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    signature: Option<PathBuf>,
}

/// A plugin of the server.
#[derive(Debug, Args)]
struct Named {
    /// The plugin's name
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(completing::plugins))]
    name: String,
}

/// What becomes of a plugin's tasks.
#[derive(Debug, Args)]
struct How {
    /// What becomes of its tasks
    #[arg(long, value_enum, value_name = "MODE", default_value = "drain")]
    mode: Mode,
    /// How long they may go on, or take to end by themselves [default: 10m to go on, 5s to end]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    time: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// They go on to their ends; those that take too long are stopped
    Drain,
    /// They are asked to stop
    Cancel,
    /// They are stopped where they are
    Force,
}

impl How {
    fn unload(&self) -> Result<Unload, Fault> {
        Ok(match (self.mode, self.time) {
            (Mode::Drain, time) => Unload::Drain { deadline: time.unwrap_or(DRAIN) },
            (Mode::Cancel, time) => Unload::Cancel { grace: time.unwrap_or(CancelRequest::DEFAULT_GRACE) },
            (Mode::Force, None) => Unload::Force,
            (Mode::Force, Some(_)) => {
                return Err(
                    Fault::usage("--time has no meaning with --mode force").hint("leave it out, or say --mode cancel")
                );
            }
        })
    }
}

/// Does what is said about plugins.
pub(super) async fn run(verb: &PluginVerb) -> Result<Exit, Fault> {
    match verb {
        PluginVerb::Add(arguments) => add(arguments).await,
        PluginVerb::List(arguments) => list(arguments).await,
        PluginVerb::Show(arguments) => show(arguments).await,
        PluginVerb::Remove(arguments) => remove(arguments).await,
        PluginVerb::Replace(arguments) => replace(arguments).await,
        PluginVerb::Enable(arguments) => enable(arguments, true).await,
        PluginVerb::Disable(arguments) => enable(arguments, false).await,
    }
}

/// Reads a plugin with the signature that is named, or lies beside it.
fn read(file: &Path, SignatureArgument { signature }: &SignatureArgument) -> Result<PluginBytes, Fault> {
    let failed = |error| Fault::new(Exit::Plugin, Error::new(error));
    // How large it may be the server says.
    let bytes = read_file(file, u64::MAX).map_err(failed)?;
    match signature {
        Some(path) => Ok(bytes.signature(read_signature(path).map_err(failed)?)),
        None => Ok(bytes),
    }
}

async fn add(arguments: &AddArguments) -> Result<Exit, Fault> {
    let bytes = read(&arguments.file, &arguments.signature)?;
    // Most plugins name themselves, whatever their files are called.
    let stem = || arguments.file.file_stem().and_then(|stem| better_name(&stem.to_string_lossy()));
    let name = arguments.name.clone().or_else(stem);
    let client = arguments.at.connect().await?;
    let added = client.add_plugin(name.as_deref(), bytes).await.map_err(|error| refused(error, &arguments.file))?;
    let tasks = added.task_types.join(", ");
    let line = format!("added {} {} with {}: {tasks}", added.name, added.version, count(&added));
    let exit = arguments.at.confirm(&added, &line)?;
    if !arguments.at.json {
        say_granted_nothing(&arguments.at, &added, &arguments.file);
    }
    Ok(exit)
}

/// What an operator has to decide about a plugin that is granted nothing, such as an update.
fn say_granted_nothing(at: &At, plugin: &PluginInfo, file: &Path) {
    let Some(why) = &plugin.granted_nothing else { return };
    let PluginInfo { name, digest, .. } = plugin;
    let file = text::shell_word(&file.to_string_lossy());
    let data = at.data.as_deref().map(|dir| format!(" --data {}", text::shell_word(&dir.to_string_lossy())));
    output::talk(&format!("{name}: {why}"));
    output::talk(&format!(
        "`taskcell policy suggest {file}` shows what it wants, `taskcell inspect {file} --diff OLD` what an update asks for beside that"
    ));
    output::talk(&format!(
        "to grant it what [plugins.{name}.allow] of the server's policy says, let [plugins.{name}] have digest = \"sha256:{digest}\" and no \
         other; then `taskcell policy reload{}`",
        data.unwrap_or_default()
    ));
}

/// Why a plugin was not taken.
fn refused(error: CallError, file: &Path) -> Fault {
    let kind = error.kind();
    if kind == Some(ProblemKind::BadPlugin) {
        let file = text::shell_word(&file.to_string_lossy());
        return Fault::from(error)
            .context("the server does not take the plugin")
            .hint(format!("`taskcell inspect {file}` says what it is"));
    }
    let fault = Fault::from(error);
    if kind == Some(ProblemKind::NameInUse) {
        return fault
            .hint("`taskcell plugin replace NAME FILE` puts another version in the place of one that is there");
    }
    fault
}

fn count(plugin: &PluginInfo) -> String {
    match plugin.task_types.len() {
        1 => "1 task".to_owned(),
        many => format!("{many} tasks"),
    }
}

async fn list(arguments: &ListArguments) -> Result<Exit, Fault> {
    let list = arguments.at.connect().await?.plugins().await?;
    let exit = arguments
        .at
        .answer(&list, || if list.plugins.is_empty() { Vec::new() } else { rows(&list.plugins).lines() })?;
    if list.plugins.is_empty() && !arguments.at.json {
        output::talk("there are no plugins: `taskcell plugin add FILE` adds one");
    }
    Ok(exit)
}

fn rows(plugins: &[PluginInfo]) -> Rows {
    let mut rows = Rows::new(&["NAME", "VERSION", "STATE", "TASKS", "WHAT IT IS FOR"], &[3, 4]);
    for plugin in plugins {
        rows.add(&[
            plugin.name.clone(),
            plugin.version.clone(),
            if plugin.enabled { "enabled" } else { "disabled" }.to_owned(),
            text::clip(&plugin.task_types.join(", "), WORDS_BYTES_MAX),
            text::clip(plugin.description.as_deref().unwrap_or_default(), WORDS_BYTES_MAX),
        ]);
    }
    rows
}

async fn show(arguments: &ShowArguments) -> Result<Exit, Fault> {
    let plugin = arguments.at.connect().await?.plugin(&arguments.plugin.name).await?;
    arguments.at.answer(&plugin, || page(&plugin, &Now::new()))
}

fn page(plugin: &PluginInfo, now: &Now) -> Vec<String> {
    let mut lines = vec![format!("{} {}", plugin.name, plugin.version)];
    if let Some(description) = &plugin.description {
        lines.push(format!("  {description}"));
    }
    lines.push(format!("  {:<10} {}", "state", if plugin.enabled { "enabled" } else { "disabled" }));
    lines.push(format!("  {:<10} {} · sha256 {}", "file", text::bytes(plugin.size), plugin.digest));
    lines.extend(plugin.publisher.iter().map(|name| format!("  {:<10} {name}", "signed by")));
    lines.extend(plugin.granted_nothing.iter().map(|why| format!("  {:<10} {why}", "policy")));
    lines.push("  tasks".to_owned());
    let described = plugin.manifest.iter().flat_map(|manifest| &manifest.tasks);
    let described: Vec<(&str, &str)> =
        described.map(|of| (of.name.as_str(), of.description.as_deref().unwrap_or_default())).collect();
    for name in &plugin.task_types {
        let about = described.iter().find(|(of, _)| of == name).map_or("", |(_, about)| about);
        lines.push(format!("    {name}  {}", text::clip(about, WORDS_BYTES_MAX)));
    }
    if !plugin.daemons.is_empty() {
        lines.push("  daemons".to_owned());
        for daemon in &plugin.daemons {
            let task = daemon.task.map(|id| format!(" as {}", which::short(id))).unwrap_or_default();
            let why = daemon.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            lines.push(format!("    {}  {}{task}{why}", daemon.task_type, daemon.state));
        }
    }
    if !plugin.notes.is_empty() {
        lines.push("  hooks, the last calls".to_owned());
        for note in plugin.notes.iter().rev().take(NOTES_MAX) {
            let what = note.error.as_deref().map_or_else(|| "done".to_owned(), |error| format!("failed: {error}"));
            lines.push(format!("    {}  {}  {what}", now.told(note.at), note.hook));
        }
    }
    lines
}

async fn remove(arguments: &RemoveArguments) -> Result<Exit, Fault> {
    let how = arguments.how.unload()?;
    let client = arguments.at.connect().await?;
    let stops = client.unload_plugin(&arguments.plugin.name, how).await?;
    let exit = arguments.at.answer(&stops, || stop_all::lines(&stops))?;
    if !arguments.at.json {
        output::talk(&format!("removed {}", arguments.plugin.name));
    }
    Ok(exit)
}

async fn replace(arguments: &ReplaceArguments) -> Result<Exit, Fault> {
    let how = arguments.how.unload()?;
    let bytes = read(&arguments.file, &arguments.signature)?;
    let client = arguments.at.connect().await?;
    let name = &arguments.plugin.name;
    let replaced = client.replace_plugin(name, bytes, how).await.map_err(|error| refused(error, &arguments.file))?;
    let exit = arguments.at.answer(&replaced, || stop_all::lines(&replaced.report))?;
    if !arguments.at.json {
        output::talk(&format!("{} {} is there now", replaced.plugin.name, replaced.plugin.version));
        say_granted_nothing(&arguments.at, &replaced.plugin, &arguments.file);
    }
    Ok(exit)
}

async fn enable(arguments: &NamedArguments, enabled: bool) -> Result<Exit, Fault> {
    let client = arguments.at.connect().await?;
    let changed = client.enable_plugin(&arguments.plugin.name, enabled).await?;
    let state = if enabled { "enabled" } else { "disabled" };
    let line =
        if changed.changed { format!("{state} {}", arguments.plugin.name) } else { format!("it was {state} already") };
    arguments.at.confirm(&changed, &line)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::times::tests::now;
    use super::*;

    fn plugin() -> PluginInfo {
        serde_json::from_value(json!({
            "name": "digest", "version": "0.1.0", "description": "Reads documents\u{1b}[2J", "digest": "ab".repeat(32),
            "size": 1536, "enabled": false, "task_types": ["digest", "count"],
            "daemons": [{"task_type": "watch", "state": "given-up", "why": "it ends again and again"}],
        }))
        .unwrap()
    }

    #[test]
    fn r36_plugins_are_listed() {
        assert_eq!(
            rows(&[plugin()]).lines_within(None),
            [
                "NAME    VERSION  STATE     TASKS          WHAT IT IS FOR",
                r"digest  0.1.0    disabled  digest, count  Reads documents\u{1b}[2J",
            ]
        );
        let page = page(&plugin(), &now());
        assert_eq!(page[0], "digest 0.1.0");
        assert!(page.contains(&"    watch  given-up: it ends again and again".to_owned()), "{page:#?}");
    }

    #[test]
    fn how_a_plugin_goes_is_read() {
        let how = |mode, time| How { mode, time }.unload().map_err(|fault| fault.lines().join("\n"));
        assert_eq!(how(Mode::Drain, None), Ok(Unload::Drain { deadline: DRAIN }));
        assert_eq!(how(Mode::Cancel, Some(Duration::ZERO)), Ok(Unload::Cancel { grace: Duration::ZERO }));
        assert_eq!(how(Mode::Force, None), Ok(Unload::Force));
        assert!(how(Mode::Force, Some(DRAIN)).unwrap_err().contains("no meaning"));
    }
}
