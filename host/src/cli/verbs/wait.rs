//! `taskcell wait`: waits for the end of tasks, and ends as they do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Error;
use clap::Args;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::run::{End, LastWords, Saved, Standing, save_one};
use crate::cli::{output, values};
use crate::{Outcome, Snapshot, TaskId, escape};

use super::at::{At, Patience};
use super::which::{self, Many};

#[derive(Debug, Args)]
pub(in crate::cli) struct WaitArguments {
    #[command(flatten)]
    tasks: Many,
    /// How long at most; a task that has not ended then goes on, and the code is 8 [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    timeout: Option<Duration>,
    /// Saves the files that they published, each task's in a folder named by its id when there are several
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    #[command(flatten)]
    at: At,
}

/// A task that has ended.
struct Ended {
    state: Snapshot,
    outcome: Outcome,
    saved: Vec<Saved>,
}

/// Waits for tasks.
pub(super) async fn wait(arguments: &WaitArguments) -> Result<Exit, Fault> {
    let client = arguments.at.connect().await?;
    let ids = arguments.tasks.find(&client).await?;
    let patience = arguments.timeout.map_or(Patience::Endless, Patience::For);
    let artifacts = arguments.artifacts.as_deref();
    let mut exit = None;
    let all = async {
        for id in &ids {
            let dir = artifacts.map(|dir| if ids.len() == 1 { dir.to_owned() } else { dir.join(which::short(*id)) });
            let ended = ended(&client, *id, dir.as_deref()).await?;
            let of_this = if let [_] = ids.as_slice() {
                say(&ended, arguments.at.json)?
            } else {
                line(&ended, arguments.at.json)?
            };
            // The first that is no success says how it all ended.
            exit = exit.filter(|exit| *exit != Exit::Succeeded).or(Some(of_this));
        }
        Ok::<(), Fault>(())
    };
    match patience.wait(all).await {
        Some(done) => done.map(|()| exit.unwrap_or(Exit::Succeeded)),
        None => unfinished(&client, &ids).await,
    }
}

/// Waits for one task, and ends as it does: its result on stdout, how it ended on stderr.
pub(super) async fn for_one(client: &Client, id: TaskId, patience: Patience, json: bool) -> Result<Exit, Fault> {
    match patience.wait(ended(client, id, None)).await {
        Some(ended) => say(&ended?, json),
        None => unfinished(client, &[id]).await,
    }
}

async fn ended(client: &Client, id: TaskId, dir: Option<&Path>) -> Result<Ended, Fault> {
    let outcome = client.wait(id).await?;
    let state = client.task(id).await?;
    let mut saved = Vec::new();
    for artifact in &state.artifacts {
        saved.push(match dir {
            Some(dir) => {
                let content = client.artifact(id, artifact.number).await.map_err(Error::new);
                save_one(artifact.clone(), content, dir).await?
            }
            None => Saved { artifact: artifact.clone(), path: None },
        });
    }
    Ok(Ended { state, outcome, saved })
}

fn last_words(ended: &Ended, json: bool) -> LastWords {
    let advice = match &ended.outcome {
        Outcome::Failed(failure) => Some(failure.advice().into_owned()),
        Outcome::Succeeded { .. } | Outcome::Cancelled { .. } => None,
    };
    let Ended { state, outcome, saved } = ended;
    LastWords::new(&End { state, outcome, receipt: None, saved, advice, tree: None }, json)
}

fn say(ended: &Ended, json: bool) -> Result<Exit, Fault> {
    last_words(ended, json).say().map_err(Fault::stdout)?;
    Ok(Exit::of(&ended.outcome, false))
}

/// One of several: a line of JSON on stdout if that is wanted, else a line on stderr.
fn line(ended: &Ended, json: bool) -> Result<Exit, Fault> {
    if json {
        last_words(ended, true).say().map_err(Fault::stdout)?;
    } else {
        output::talk(&format!("{}: {}", which::short(ended.state.id), ended.outcome));
    }
    Ok(Exit::of(&ended.outcome, false))
}

/// Says which of the tasks have not ended in the time that there was.
pub(super) async fn unfinished(client: &Client, ids: &[TaskId]) -> Result<Exit, Fault> {
    for id in ids {
        let state = client.task(*id).await?;
        if state.outcome.is_none() {
            let words = Standing::of(&state).0.words();
            let words = escape(&words).into_owned();
            output::talk(&format!("{}: has not ended yet ({words}); the time to wait is over", which::short(*id)));
        }
    }
    Ok(Exit::Unfinished)
}
