//! `taskcell start`: starts a task on the server.

use anyhow::{Context as _, Error};
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;

use crate::cli::args::PermissionMode;
use crate::cli::client::{CallError, Client};
use crate::cli::details::DetailArguments;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::groups::{GrantArguments, InputArguments, LimitArguments};
use crate::cli::values::{self, EarlySignal};
use crate::cli::{environment, output, text};
use crate::serve::wire::ProblemKind;
use crate::{ApprovalKinds, AttachmentSource, KeyPolicy, Party, Permission, StartRequest, TaskKey};

use super::at::{At, Patience};
use super::{completing, following, wait, which};

#[derive(Debug, Args)]
pub(in crate::cli) struct StartArguments {
    #[command(flatten)]
    task: TaskArguments,
    /// Starts it once, however often this is said with the same key and the same request; prints the first one's id
    #[arg(long, value_name = "KEY")]
    once: Option<String>,
    /// What happens when a task of its type with this --key has not ended: this start is refused, that task is asked to stop
    /// and this one begins when it has ended, or that task is taken for this one and nothing is started
    #[arg(long, value_enum, value_name = "MODE", default_value = "reject", requires = "key")]
    if_running: IfRunning,
    /// Waits until it has ended, or so long, and ends as it does
    #[arg(long, value_name = "TIME", value_parser = Patience::read, num_args = 0..=1, require_equals = true, default_missing_value = Patience::ENDLESS)]
    wait: Option<Patience>,
    /// Shows what happens to it and what it prints until it has ended, and ends as it does
    #[arg(long, conflicts_with_all = ["wait", "json"])]
    follow: bool,
    #[command(flatten)]
    at: At,
}

/// What a start does whose key a task has that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IfRunning {
    /// It is refused
    Reject,
    /// That task is asked to stop, and this one begins when it has ended
    Replace,
    /// That task is taken for this one
    Join,
}

impl From<IfRunning> for KeyPolicy {
    fn from(mode: IfRunning) -> Self {
        match mode {
            IfRunning::Reject => Self::Reject,
            IfRunning::Replace => Self::replace(Party::Person),
            IfRunning::Join => Self::Join,
        }
    }
}

/// A task to be started, now or by a schedule.
#[derive(Debug, Args)]
pub(super) struct TaskArguments {
    /// The plugin's name; `taskcell plugin list` shows them
    #[arg(value_name = "PLUGIN", add = ArgValueCandidates::new(completing::plugins))]
    plugin: String,
    /// Which of its tasks; may be left out when it has one only
    #[arg(value_name = "TASK", add = ArgValueCandidates::new(completing::task_types))]
    task: Option<String>,
    #[command(flatten)]
    input: InputArguments,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    grants: GrantArguments,
    /// Sends a signal in advance; without JSON it has no payload
    #[arg(long, value_name = "KEY[=JSON]", value_parser = values::signal)]
    signal: Vec<EarlySignal>,
    /// Approves of every question of this kind that the task asks; `grant` are the policy's questions
    #[arg(long, value_name = "KIND")]
    approve: Vec<String>,
    /// What becomes of its other questions: they wait for somebody, or all are denied or approved; the policy's (`grant`) are not approved by this
    #[arg(long, value_enum, value_name = "MODE", default_value = "ask")]
    permission: PermissionMode,
    /// A name for this run, which the task can see, and which one task of its type has at a time
    #[arg(long, value_name = "KEY", value_parser = |text: &str| TaskKey::new(text))]
    key: Option<TaskKey>,
    #[command(flatten)]
    details: DetailArguments,
}

impl TaskArguments {
    /// The request. Asks the server which task is meant, when none is named.
    pub(super) async fn request(&self, client: &Client) -> Result<StartRequest, Fault> {
        let input = self.input.read()?;
        let wishes = self.limits.wishes()?;
        let task_type = match &self.task {
            Some(name) => name.clone(),
            None => self.only_type(client).await?,
        };
        let mut grants = self.grants.grants();
        for dir in &mut grants.dirs {
            dir.host = absolute(&dir.host)?;
        }
        let mut request = StartRequest::new(&self.plugin, task_type).input(input);
        // Where the server has a policy, nothing said is as much as that gives; and else nothing.
        request.grants = self.grants.is_said().then_some(grants);
        request.key.clone_from(&self.key);
        request.limits = wishes;
        for attachment in &self.grants.attach {
            let mut attachment = attachment.clone();
            if let AttachmentSource::Path(path) = &mut attachment.source {
                *path = absolute(path)?;
            }
            request.attachments.push(attachment);
        }
        request.details.permission = permission(&self.approve, self.permission);
        for signal in &self.signal {
            request = request.signal(signal.key.clone(), signal.payload.clone(), Party::Person);
        }
        self.details.apply(request)
    }

    async fn only_type(&self, client: &Client) -> Result<String, Fault> {
        let plugin = client.plugin(&self.plugin).await.map_err(|error| self.refused(error))?;
        match plugin.task_types.as_slice() {
            [only] => Ok(only.clone()),
            several => {
                let example = several.first().map_or("TASK", String::as_str);
                let name = text::shell_word(&self.plugin);
                Err(Fault::usage(format!("the plugin has more than one task, so name one: {}", several.join(", ")))
                    .hint(format!("for example: taskcell start {name} {example}")))
            }
        }
    }

    /// Why the server did not start it, and what helps.
    pub(super) fn refused(&self, error: CallError) -> Fault {
        let plugin = text::shell_word(&self.plugin);
        let hint = match (&error, error.kind()) {
            (_, Some(ProblemKind::UnknownPlugin)) if std::path::Path::new(&self.plugin).extension().is_some() => {
                Some(format!("the server's plugins have names; `taskcell plugin add {plugin}` adds this file"))
            }
            (CallError::Problem(problem), Some(ProblemKind::UnknownPlugin)) => {
                suggestion(&self.plugin, problem.loaded.as_deref()).or_else(|| {
                    Some("`taskcell plugin list` shows what there is; `taskcell plugin add FILE` adds one".to_owned())
                })
            }
            (CallError::Problem(problem), Some(ProblemKind::UnknownTaskType)) => {
                suggestion(self.task.as_deref().unwrap_or_default(), problem.known.as_deref())
            }
            (_, Some(ProblemKind::InvalidInput)) if self.input.sets_no_text() => Some(format!(
                "`taskcell plugin show {plugin} --json` has the schema; a text that looks like JSON needs quotes, as in --set 'name=\"7\"'"
            )),
            (_, Some(ProblemKind::InvalidInput)) => {
                Some(format!("`taskcell plugin show {plugin} --json` has the schema of the input"))
            }
            (_, Some(ProblemKind::KeyInUse)) => {
                Some(
                    "wait for that task, or stop it: `taskcell list --running` shows its id; --if-running replace stops it, and join takes it"
                        .to_owned(),
                )
            }
            (_, Some(ProblemKind::IdempotencyKeyUsed)) => {
                Some("another request was started with this --once; choose another key for this one".to_owned())
            }
            (_, Some(ProblemKind::PluginClosed)) => {
                Some(format!("`taskcell plugin enable {plugin}` lets them be started again"))
            }
            _ => None,
        };
        let fault = Fault::from(error).context("failed to start the task");
        match hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}

fn suggestion(typed: &str, known: Option<&[String]>) -> Option<String> {
    let meant = text::suggestion(typed, known?.iter().map(String::as_str))?;
    Some(format!("did you mean `{meant}`?"))
}

/// The server is in another folder, so the path is said from the root.
fn absolute(path: &std::path::Path) -> Result<std::path::PathBuf, Fault> {
    let absolute = environment::absolute(path).with_context(|| format!("failed to find {}", path.display()));
    let absolute = absolute.map_err(|error| Fault::new(Exit::Usage, error))?;
    if absolute.to_str().is_none() {
        let error = Error::msg(format!("the path {} is not UTF-8, which a server needs", absolute.display()));
        return Err(Fault::new(Exit::Usage, error).hint("give it another name, or make a link to it"));
    }
    Ok(absolute)
}

fn permission(kinds: &[String], mode: PermissionMode) -> Permission {
    let kinds = || ApprovalKinds::only(kinds.iter().cloned());
    match mode {
        PermissionMode::Ask => Permission::approve(kinds()),
        PermissionMode::Deny => Permission::approve(kinds()).deny_others(),
        PermissionMode::Approve => Permission::approve(ApprovalKinds::All),
    }
}

/// Starts a task.
pub(super) async fn start(arguments: StartArguments) -> Result<Exit, Fault> {
    let client = arguments.at.connect().await?;
    let mut request = arguments.task.request(&client).await?;
    request.on_key_in_use = arguments.if_running.into();
    let started = client.start(&request, arguments.once.as_deref()).await;
    let state = started.map_err(|error| arguments.task.refused(error))?;
    let (id, short) = (state.id, which::short(state.id));
    let what = format!("{}/{}", state.task.plugin, state.task.task_type);
    if arguments.follow {
        output::talk(&format!("started {what}: {id}"));
        following::follow(&client, id).await?;
        return wait::for_one(&client, id, Patience::Endless, false).await;
    }
    if let Some(patience) = arguments.wait {
        output::talk(&format!("started {what}: {id}"));
        return wait::for_one(&client, id, patience, arguments.at.json).await;
    }
    arguments.at.answer(&state, || vec![id.to_string()])?;
    if !arguments.at.json {
        output::talk(&format!("started {what}; `taskcell wait {short}` waits for its end"));
    }
    Ok(Exit::Succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r26_what_is_decided_in_advance_goes_with_the_task() {
        let kinds = ["deploy".to_owned()];
        let asks = permission(&kinds, PermissionMode::Ask);
        assert!(asks.approve.contains("deploy") && !asks.approve.contains("pay") && !asks.deny_others);
        assert!(permission(&kinds, PermissionMode::Deny).deny_others);
        assert!(permission(&[], PermissionMode::Approve).approve.contains("pay"));
        assert_eq!(permission(&[], PermissionMode::Ask), Permission::default());
    }

    #[test]
    fn a_path_is_said_from_the_root() {
        assert_eq!(absolute("/a/b".as_ref()).unwrap(), std::path::Path::new("/a/b"));
        assert!(absolute("docs".as_ref()).unwrap().is_absolute());
        let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"/\xff");
        assert!(absolute(bytes.as_ref()).unwrap_err().lines()[0].contains("not UTF-8"));
    }
}
