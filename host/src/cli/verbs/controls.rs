//! What is said to running tasks: `taskcell pause`, `resume`, `notify`, `instruct` and `fuel`.

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::NotifyAnswer;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::values::{self, EarlySignal};
use crate::cli::{files, text};
use crate::serve::wire::{Fuel, SignalBody};

use super::at::At;
use super::each::{Answer, each};
use super::which::{Many, One};

#[derive(Debug, Args)]
pub(in crate::cli) struct PauseArguments {
    #[command(flatten)]
    tasks: Many,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArguments {
    #[command(flatten)]
    tasks: Many,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NotifyArguments {
    #[command(flatten)]
    task: One,
    /// The signal; without JSON it has no payload
    #[arg(value_name = "SIGNAL[=JSON]", value_parser = values::signal)]
    signal: EarlySignal,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct InstructArguments {
    #[command(flatten)]
    task: One,
    /// What to say; - reads it from stdin
    #[arg(value_name = "TEXT", required = true, num_args = 1.., allow_hyphen_values = true)]
    text: Vec<String>,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct FuelArguments {
    #[command(flatten)]
    task: One,
    /// So many units more; k, M, G, T are powers of 1000
    #[arg(value_name = "UNITS", value_parser = values::fuel, required_unless_present = "refuse")]
    units: Option<u64>,
    /// Refuses what it asked for, and says why
    #[arg(long, value_name = "REASON", num_args = 0..=1, require_equals = true, default_missing_value = "", conflicts_with = "units")]
    refuse: Option<String>,
    #[command(flatten)]
    at: At,
}

/// Pauses tasks.
pub(super) async fn pause(arguments: &PauseArguments) -> Result<Exit, Fault> {
    let client = arguments.at.connect().await?;
    let ids = arguments.tasks.find(&client).await?;
    each(&ids, arguments.at.json, async |id| {
        Ok(changed(client.pause(id, &arguments.reason).await?.changed, "paused", "was paused already"))
    })
    .await
}

/// Lets tasks go on.
pub(super) async fn resume(arguments: &ResumeArguments) -> Result<Exit, Fault> {
    let client = arguments.at.connect().await?;
    let ids = arguments.tasks.find(&client).await?;
    each(&ids, arguments.at.json, async |id| Ok(changed(client.resume(id).await?.changed, "goes on", "was not paused")))
        .await
}

fn changed(changed: bool, done: &str, was_so: &str) -> Answer {
    Answer::new(if changed { done } else { was_so }, json!({ "changed": changed }))
}

/// Sends a signal.
pub(super) async fn notify(arguments: &NotifyArguments) -> Result<Exit, Fault> {
    let client = arguments.at.connect().await?;
    let id = arguments.task.find(&client).await?;
    let EarlySignal { key, payload } = arguments.signal.clone();
    let body = SignalBody { key, payload };
    each(&[id], arguments.at.json, async |id| answered(client.signal(id, &body).await?.answer)).await
}

/// Says something.
pub(super) async fn instruct(arguments: &InstructArguments) -> Result<Exit, Fault> {
    let text = match arguments.text.as_slice() {
        [stdin] if stdin == "-" => {
            let read = files::read_stdin().context("failed to read the text from stdin");
            read.map_err(|error| Fault::new(Exit::Usage, error))?
        }
        words => words.join(" "),
    };
    let client = arguments.at.connect().await?;
    let id = arguments.task.find(&client).await?;
    each(&[id], arguments.at.json, async |id| answered(client.instruct(id, &text).await?.answer)).await
}

fn answered(answer: NotifyAnswer) -> Result<Answer, Fault> {
    let refused = |why: &str| Err(Fault::new(Exit::Refused, anyhow::Error::msg(why.to_owned())));
    let line = match answer {
        NotifyAnswer::Delivered => "it has it",
        NotifyAnswer::Buffered => "it gets it when it asks for it",
        NotifyAnswer::NoTask => return refused("there is no such task, or it has ended"),
        NotifyAnswer::Full => return refused("its mailbox is full; try again when it has taken something"),
    };
    Ok(Answer::new(line, json!({ "answer": answer })))
}

/// Gives fuel, or refuses it.
pub(super) async fn fuel(arguments: &FuelArguments) -> Result<Exit, Fault> {
    let client = arguments.at.connect().await?;
    let id = arguments.task.find(&client).await?;
    let body = match (arguments.units, &arguments.refuse) {
        (Some(units), _) => Fuel::Grant(units),
        (None, reason) => Fuel::Refuse(reason.clone().unwrap_or_default()),
    };
    each(&[id], arguments.at.json, async |id| {
        let changed = client.fuel(id, &body).await?.changed;
        let line = match (&body, changed) {
            (Fuel::Grant(units), true) => format!("has {} units of fuel more", text::fuel(*units)),
            (Fuel::Grant(_), false) => "takes no fuel now".to_owned(),
            (Fuel::Refuse(_), true) => "gets no more fuel".to_owned(),
            (Fuel::Refuse(_), false) => "had not asked for fuel".to_owned(),
        };
        Ok(Answer::new(line, json!({ "changed": changed })))
    })
    .await
}
