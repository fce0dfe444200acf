//! The order of things in `taskcell run`.

use crate::cli::args::RunArguments;
use crate::cli::details::beginning;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::progress::{Manner, Screen, labelled};
use crate::cli::{environment, open, output, policy, text};
use crate::{Export, Host, LimitsRequest, Plugin, Policy, TaskHandle};

use super::advice::{Situation, advice};
use super::branches::Branches;
use super::export::Wanted;
use super::farewell::Farewell;
use super::request::Verdicts;
use super::session::Session;
use super::summary::{End, LastWords};
use super::{artifacts, export, request, scratch};
use crate::cli::stops::Stops;

/// Runs one task to its end.
pub(in crate::cli) async fn run(arguments: RunArguments) -> Result<Exit, Fault> {
    let input = arguments.input.read()?;
    let wishes = arguments.limits.wishes()?;
    let verdicts = request::verdicts(&arguments)?;
    let exported = export::wanted(&arguments)?;
    let policy_file = policy::named(arguments.policy.as_deref());
    let policy = policy_file.as_deref().map(policy::read).transpose()?;
    let mut stops = Stops::listen()?;
    let mut screen = Screen::new(manner(&arguments));
    screen.begin(&format!("loading {}", arguments.plugin.display()));
    let config = request::config(&arguments)?;
    let wanted = open::Wanted {
        limits: request::limits(&wishes),
        config: config.as_ref(),
        data: arguments.data.as_deref(),
        commands: arguments.command,
        policy: policy.as_ref(),
        policy_file: policy_file.as_deref(),
    };
    let host = open::host(&wanted)?;
    let loaded = tokio::select! {
        loaded = load(&host, &arguments, &mut screen) => loaded,
        stop = stops.next() => {
            screen.clear();
            output::talk(&format!("{}: stopped before the task was started", stop.name()));
            return Ok(Exit::Interrupted);
        }
    };
    let mut farewell = Farewell::of(&host, arguments.data.is_some());
    let started = match loaded.and_then(|plugin| under_policy(&host, policy, &arguments, &wishes, plugin)) {
        Ok(plugin) => start(&host, &arguments, &wishes, plugin, input).await,
        Err(fault) => Err(fault),
    };
    let ended = match started {
        Ok((plugin, task)) => {
            let branches = arguments.tree.then(|| Branches::of(&host, &task));
            let export = exported.map(|wanted| (host.export_tree(&task, wanted.format), wanted));
            let started = Started { plugin: &plugin, task: &task, branches, export };
            farewell.about(&plugin, &task);
            follow(&arguments, verdicts, started, &mut screen, &mut stops).await
        }
        Err(fault) => {
            screen.clear();
            Err(fault)
        }
    };
    let in_a_hurry = ended.as_ref().is_err_and(|fault| fault.exit() == Exit::Interrupted);
    if !in_a_hurry {
        // So that the scratch files are gone when the program is. All is said, so the code stays what it was.
        tokio::select! {
            () = farewell.say(&host) => {}
            _ = stops.next() => {}
        }
        for note in host.plugins().iter().flat_map(Plugin::notes) {
            if let Some(error) = note.error {
                output::talk(&format!("warning: the plugin's hook `{}`: {error}", note.hook));
            }
        }
    }
    ended
}

/// Loads the plugin. In a directory, whatever else is there stays as it is.
async fn load(host: &Host, arguments: &RunArguments, screen: &mut Screen) -> Result<Plugin, Fault> {
    let plugin = open::plugin(host, &arguments.plugin).await?;
    if let Some(dir) = &arguments.data {
        let left = host.leave_tasks().await.map_err(|error| Fault::new(Exit::Host, error))?.waiting.len();
        if left > 0 {
            let dir = text::shell_word(&dir.to_string_lossy());
            let tasks = if left == 1 { "1 task stays".to_owned() } else { format!("{left} tasks stay") };
            screen.line(&format!(
                "{tasks} there as before; `taskcell serve --data {dir}` goes on with what has not ended"
            ));
        }
    }
    Ok(plugin)
}

/// Puts the policy in force, with what the person grants beside it.
fn under_policy(
    host: &Host,
    policy: Option<Policy>,
    arguments: &RunArguments,
    wishes: &LimitsRequest,
    plugin: Plugin,
) -> Result<Plugin, Fault> {
    if let Some(policy) = policy {
        host.set_policy(policy::for_run(policy, &plugin, &arguments.grants, wishes)?);
    } else if let Some(name) = arguments.grants.secret() {
        return Err(Fault::usage(format!("--allow secrets={name} needs a policy that says where that secret is"))
            .hint("name the policy with --policy FILE"));
    }
    Ok(plugin)
}

fn manner(arguments: &RunArguments) -> Manner {
    if arguments.json {
        Manner::Quiet
    } else if environment::can_redraw() {
        Manner::Live
    } else {
        Manner::Plain
    }
}

async fn start(
    host: &Host,
    arguments: &RunArguments,
    wishes: &LimitsRequest,
    plugin: Plugin,
    input: serde_json::Value,
) -> Result<(Plugin, TaskHandle), Fault> {
    let task_type = request::task_type(arguments, &plugin)?;
    let mut request = request::request(arguments, wishes, &plugin, task_type, input)?;
    if policy::named(arguments.policy.as_deref()).is_some() {
        // All that the policy gives; what the flags grant stands in it.
        request.grants = None;
    }
    match host.start(request).await {
        Ok(task) => Ok((plugin, task)),
        Err(error) => Err(request::refused(error, arguments)),
    }
}

/// A task to be followed.
struct Started<'a> {
    plugin: &'a Plugin,
    task: &'a TaskHandle,
    /// What is below it, if that shall be shown.
    branches: Option<Branches<'a>>,
    /// What happens, to be written out at the end, and where.
    export: Option<(Export, Wanted)>,
}

async fn follow(
    arguments: &RunArguments,
    verdicts: Verdicts,
    started: Started<'_>,
    screen: &mut Screen,
    stops: &mut Stops,
) -> Result<Exit, Fault> {
    let Started { plugin, task, mut branches, export } = started;
    let reference = task.task_ref();
    let manifest = plugin.manifest();
    let id = task.id().to_string();
    let short = id.get(..8).unwrap_or(&id);
    let details = task.state().details;
    let title = details.title.map(|title| format!(" · {}", crate::escape(&title))).unwrap_or_default();
    screen.line(&format!("{} {} · {} · {short}{title}", manifest.name, manifest.version, reference.task_type));
    match details.run_at.and_then(|at| beginning(at, &environment::now())) {
        Some(at) => {
            screen.line(&format!("begins at {at}"));
            screen.begin(&format!("begins at {at}"));
        }
        None => screen.begin("running"),
    }

    let session = Session::new(task, screen, stops, arguments.grace()).deciding(verdicts).showing(branches.as_mut());
    let ended = session.follow().await?;

    let dir = arguments.artifacts.clone().unwrap_or_else(|| artifacts::default_dir(task.id()));
    let (saved, mut unsaved) = tokio::select! {
        saved = artifacts::save(task, &dir) => match saved {
            Ok(saved) => (saved, None),
            Err(fault) => (Vec::new(), Some(fault)),
        },
        _ = stops.next() => return Err(Fault::silent(Exit::Interrupted)),
    };
    if arguments.keep_scratch.is_some() {
        let kept = tokio::select! {
            kept = scratch::save(task) => kept,
            _ = stops.next() => return Err(Fault::silent(Exit::Interrupted)),
        };
        match kept {
            Ok(Some(kept)) => screen.say(&labelled("kept", &format!("the scratch directory is {}", kept.display()))),
            Ok(None) => {}
            Err(fault) => unsaved = unsaved.or(Some(fault)),
        }
    }
    let state = task.state();
    // Comes when the cell is gone, which is soon; whoever cannot wait presses Ctrl-C once more.
    let receipt = if state.cancel.is_none() {
        None
    } else {
        tokio::select! {
            receipt = task.receipt() => receipt,
            _ = stops.next() => return Err(Fault::silent(Exit::Interrupted)),
        }
    };
    if let Some((export, wanted)) = export {
        // What happens beside the end is soon there too.
        let written = async {
            task.gone().await;
            export::save(&wanted, export).await
        };
        tokio::select! {
            written = written => unsaved = unsaved.or(written.err()),
            _ = stops.next() => return Err(Fault::silent(Exit::Interrupted)),
        }
    }
    let situation = Situation {
        limits: ended.limits,
        fuel_budget: state.fuel_budget,
        grace: Some(arguments.grace()).filter(|grace| ended.stops == 1 && !grace.is_zero()),
        any_dir: !arguments.grants.dir.is_empty(),
        plugin,
    };
    let end = End {
        state: &state,
        outcome: &ended.outcome,
        receipt: receipt.as_ref(),
        saved: &saved,
        advice: advice(&ended.outcome, &situation),
        // As late as this, so that what stops with it has had time to.
        tree: branches.map(|mut branches| branches.look()),
    };
    let last_words = LastWords::new(&end, arguments.json);
    // Whoever reads stdout may take long, and Ctrl-C works all the same.
    tokio::select! {
        said = tokio::task::spawn_blocking(move || last_words.say()) => said.unwrap_or_else(|error| Err(error.into())).map_err(Fault::stdout)?,
        _ = stops.next() => return Ok(Exit::Interrupted),
    }
    match unsaved {
        Some(fault) => Err(fault),
        None => Ok(Exit::of(&ended.outcome, ended.stops > 0)),
    }
}
