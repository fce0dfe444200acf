//! `taskcell policy suggest`: runs a plugin that is denied everything, and writes a policy for what it wanted.

use std::time::Duration;

use anyhow::{Context as _, Error};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::groups::{InputArguments, LimitArguments};
use crate::cli::output::talk;
use crate::cli::prompt::grant;
use crate::cli::stops::Stops;
use crate::cli::values::{self, EarlySignal};
use crate::cli::{environment, files, groups, open, output, text};
use crate::model::policy::suggest::{Subject, Wanted, probe};
use crate::{
    CancelRequest, Capability, DirGrant, EventBody, EventSeq, Limits, Outcome, Party, Permission, Plugin, Policy,
    SignalKey, StartRequest, TaskHandle, Timestamp,
};

/// How long a run takes, unless somebody says so: nobody is there for whom a task might wait.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Runs, when each is given what the one before it wanted.
const RUNS_MAX: u32 = 10;

#[derive(Debug, Args)]
pub(in crate::cli) struct SuggestArguments {
    /// The plugin: a .wasm file
    #[arg(value_name = "PLUGIN", value_hint = clap::ValueHint::FilePath)]
    plugin: std::path::PathBuf,
    /// Which of its tasks is run; may be left out when it has one only
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    #[command(flatten)]
    input: InputArguments,
    /// The plugin's configuration: JSON, or @FILE [default: {}]
    #[arg(long, value_name = "JSON|@FILE", allow_hyphen_values = true)]
    config: Option<String>,
    /// Takes a plain program for wasm32-wasip1 too
    #[arg(long)]
    command: bool,
    /// A folder that it may want: it sees that it is there, and each use is denied
    #[arg(long, value_name = "HOST[::GUEST]", value_parser = OsStringValueParser::new().try_map(|text| values::dir(&text)))]
    dir: Vec<DirGrant>,
    /// Sends a signal in advance; without JSON it has no payload
    #[arg(long, value_name = "KEY[=JSON]", value_parser = values::signal)]
    signal: Vec<EarlySignal>,
    #[command(flatten)]
    limits: LimitArguments,
    /// Runs it again with what it wanted, for real: files are changed and requests are sent; until it wants nothing more
    #[arg(long)]
    follow: bool,
    /// Writes the policy into this file, which may not be there yet [default: stdout]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<std::path::PathBuf>,
}

/// Writes a policy for what the plugin wanted.
pub(super) async fn suggest(arguments: &SuggestArguments) -> Result<Exit, Fault> {
    let input = arguments.input.read()?;
    let mut wishes = arguments.limits.wishes()?;
    wishes.timeout.get_or_insert(TIMEOUT);
    let config =
        arguments.config.as_deref().map(|named| groups::json(named, "configuration", "--config")).transpose()?;
    if let Some(out) = arguments.out.as_deref().filter(|out| files::is_there(out)) {
        return Err(Fault::usage(format!("{} is there already", out.display()))
            .hint("name another file, and take what you need of it into yours"));
    }
    let dirs = arguments.dir.iter().map(real).collect::<Result<Vec<_>, _>>()?;
    let mut stops = Stops::listen()?;
    let nobody = Policy::default();
    let host = open::host(&open::Wanted {
        limits: Limits::default().replaced_by(wishes),
        config: config.as_ref(),
        commands: arguments.command,
        policy: Some(&nobody),
        ..open::Wanted::default()
    })?;
    let plugin = tokio::select! {
        plugin = open::plugin(&host, &arguments.plugin) => plugin?,
        _ = stops.next() => return Ok(Exit::Interrupted),
    };
    let task_type = task_type(arguments, &plugin)?;
    let mut request = StartRequest::new(plugin.name(), &task_type).input(input);
    request.limits = wishes;
    request.details.permission = Permission::deny_all();
    for signal in &arguments.signal {
        request = request.signal(signal.key.clone(), signal.payload.clone(), Party::Person);
    }
    let mut wanted = Wanted::default();
    for run in 1..=RUNS_MAX {
        let policy = probe(plugin.name(), plugin.digest(), &dirs, &wanted.grants(&dirs));
        host.set_policy(policy);
        talk(&if run == 1 {
            format!("run 1: {} {task_type} is denied everything", plugin.name())
        } else {
            let things: Vec<String> = wanted.things().map(ToString::to_string).collect();
            format!("run {run}, for real, with: {}", things.join(", "))
        });
        let task = host
            .start(request.clone())
            .await
            .map_err(|error| Fault::new(Exit::Refused, Error::new(error).context("failed to start the task")))?;
        let seen = look(&task, &mut stops, &mut wanted, &dirs).await?;
        talk(&format!("run {run}: {}", seen.outcome));
        if !arguments.follow || seen.stopped || !seen.anything_new {
            break;
        }
        if run == RUNS_MAX {
            talk(&format!("note: it still wants more after {RUNS_MAX} runs"));
        }
    }
    let written = write(arguments, &plugin, &task_type, &wanted, &dirs);
    host.shutdown().await;
    written
}

/// Rules compare real paths.
fn real(dir: &DirGrant) -> Result<DirGrant, Fault> {
    let host = files::real_dir(&dir.host).with_context(|| format!("the folder {}", dir.host.display()));
    let host = host.map_err(|error| {
        Fault::new(Exit::Usage, error).hint("--dir takes a folder that is there: --dir HOST::GUEST")
    })?;
    // How it is used is what is to be found out.
    Ok(DirGrant { host, access: crate::Access::ReadWrite, ..dir.clone() })
}

fn task_type(arguments: &SuggestArguments, plugin: &Plugin) -> Result<String, Fault> {
    let names: Vec<&str> = plugin.manifest().tasks.iter().map(|task| task.name.as_str()).collect();
    match (&arguments.task, names.as_slice()) {
        (Some(name), _) => Ok(name.clone()),
        (None, [only]) => Ok((*only).to_owned()),
        (None, several) => {
            let example = several.first().copied().unwrap_or("TASK");
            Err(Fault::usage(format!("the plugin has more than one task, so name one: {}", several.join(", ")))
                .hint(format!("for example: --task {example}")))
        }
    }
}

/// What came of a run.
struct Seen {
    outcome: Outcome,
    anything_new: bool,
    /// Whether the person stopped it.
    stopped: bool,
}

/// Follows a task to its end, and notes what it is denied.
async fn look(task: &TaskHandle, stops: &mut Stops, wanted: &mut Wanted, dirs: &[DirGrant]) -> Result<Seen, Fault> {
    let mut events = task.events(EventSeq::default());
    let (mut anything_new, mut stopped) = (false, false);
    loop {
        let event = tokio::select! {
            event = events.next() => event.map_err(|error| Fault::new(Exit::Host, error))?,
            stop = stops.next() => {
                if stopped {
                    return Err(Fault::silent(Exit::Interrupted));
                }
                stopped = true;
                task.cancel(CancelRequest::force(Party::Person, stop.name())).await;
                continue;
            }
        };
        let Some(event) = event else { break };
        if let EventBody::Denied { capability, scope, rule, .. } = &event.body {
            anything_new |= wanted.add(*capability, scope, rule, dirs);
        } else if let EventBody::ApprovalRequested { ask, .. } = &event.body {
            // Of what is asked about, and answered with no; the task's own questions are not meant.
            let about = grant::about(ask);
            if let Some((capability, scope)) =
                about.as_deref().map(|about| about.split_once(' ').unwrap_or((about, "")))
                && let Some(capability) = Capability::from_name(capability)
            {
                anything_new |= wanted.add(capability, scope, "", dirs);
            }
        } else if let EventBody::WaitStarted { keys, .. } = &event.body {
            let key = keys.first().map(SignalKey::as_str).unwrap_or_default();
            let flag = text::shell_word(&format!("{key}=true"));
            talk(&format!(
                "note: it waits for the signal {key}, which nobody sends: --signal {flag} gives it in advance; Ctrl-C ends the run"
            ));
        } else if let EventBody::InstructionWaitStarted { .. } = &event.body {
            talk("note: it waits to be told something, and nobody is there; Ctrl-C ends the run");
        }
    }
    Ok(Seen { outcome: task.wait().await, anything_new, stopped })
}

/// Writes what was found, and says what to do with it.
fn write(
    arguments: &SuggestArguments,
    plugin: &Plugin,
    task_type: &str,
    wanted: &Wanted,
    dirs: &[DirGrant],
) -> Result<Exit, Fault> {
    let manifest = plugin.manifest();
    let asked: Vec<_> = manifest.task_type(task_type).into_iter().flat_map(|of| manifest.requests_of(of)).collect();
    let millis = u64::try_from(environment::now().timestamp().as_millisecond()).unwrap_or_default();
    let of = Subject {
        plugin: plugin.name(),
        version: &manifest.version,
        digest: plugin.digest(),
        task: task_type,
        at: Timestamp(millis),
    };
    let text = wanted.written(of, dirs, &asked);
    let file = if let Some(out) = &arguments.out {
        let written =
            files::write_project_file(out, &text).with_context(|| format!("failed to write {}", out.display()));
        written.map_err(|error| Fault::new(Exit::Host, error))?;
        talk(&format!("written: {}", out.display()));
        out.to_string_lossy().into_owned()
    } else {
        output::data(text.as_bytes()).map_err(Fault::stdout)?;
        "FILE".to_owned()
    };
    let (wasm, file) = (text::shell_word(&arguments.plugin.to_string_lossy()), text::shell_word(&file));
    talk(&format!(
        "hint: read it, then: taskcell policy check {file} --plugin {wasm}; taskcell run {wasm} {task_type} --policy {file}"
    ));
    if !arguments.follow && wanted.things().next().is_some() {
        talk("hint: it may want more once it has this; --follow runs it again with what it wanted, for real");
    }
    Ok(Exit::Succeeded)
}
