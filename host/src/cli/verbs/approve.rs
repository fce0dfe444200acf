//! `taskcell approve` and `taskcell deny`: the questions of tasks, and what is decided about them.

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::{output, text};
use crate::serve::wire::Verdict;
use crate::{ApprovalAsk, ApprovalFilter, ApprovalNumber, OpenApproval, TaskId};

use super::at::At;
use super::table::Rows;
use super::times::Now;
use super::{completing, which};

/// Bytes of a question that are shown.
const WORDS_BYTES_MAX: usize = 300;

#[derive(Debug, Args)]
pub(in crate::cli) struct ApproveArguments {
    #[command(flatten)]
    question: Question,
    /// Approves of this instead of what was asked for
    #[arg(long, value_name = "JSON", value_parser = input, requires = "id", allow_hyphen_values = true)]
    input: Option<Value>,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DenyArguments {
    #[command(flatten)]
    question: Question,
    /// Why; the task is told
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, requires = "id")]
    reason: String,
    #[command(flatten)]
    at: At,
}

/// Which question is meant.
#[derive(Debug, Args)]
struct Question {
    /// The task: its id, or the beginning of it; without one, the questions of all tasks are listed
    #[arg(value_name = "ID", add = ArgValueCompleter::new(completing::asking))]
    id: Option<String>,
    /// Which of its questions; may be left out when it has one only
    #[arg(value_name = "NUMBER")]
    number: Option<u64>,
    /// ID is a PLUGIN/TYPE/KEY
    #[arg(long, requires = "id")]
    key: bool,
}

fn input(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("this is not JSON ({error}); a text has quotes, as in '\"text\"'"))
}

/// Says yes.
pub(super) async fn approve(arguments: &ApproveArguments) -> Result<Exit, Fault> {
    let verdict = Verdict::Approve { input: arguments.input.clone() };
    decide(&arguments.question, &arguments.at, &verdict).await
}

/// Says no.
pub(super) async fn deny(arguments: &DenyArguments) -> Result<Exit, Fault> {
    let verdict = Verdict::Deny { reason: arguments.reason.clone() };
    decide(&arguments.question, &arguments.at, &verdict).await
}

async fn decide(question: &Question, at: &At, verdict: &Verdict) -> Result<Exit, Fault> {
    let client = at.connect().await?;
    let Some(name) = &question.id else { return list(&client, at).await };
    let id = which::one(&client, name, question.key).await?;
    let number = match question.number {
        Some(number) => ApprovalNumber(number),
        None => the_only_one(&client, id).await?,
    };
    client.decide(id, number, verdict).await?;
    let word = match verdict {
        Verdict::Approve { .. } => "approved",
        Verdict::Deny { .. } => "denied",
    };
    let document = json!({ "id": id, "number": number, "decision": word });
    at.confirm(&document, &format!("{}: {word}", which::short(id)))
}

async fn the_only_one(client: &Client, id: TaskId) -> Result<ApprovalNumber, Fault> {
    let filter = ApprovalFilter { task: Some(id), ..ApprovalFilter::default() };
    choose(id, &client.approvals(&filter).await?.approvals)
}

fn choose(id: TaskId, open: &[OpenApproval]) -> Result<ApprovalNumber, Fault> {
    match open {
        [] => Err(Fault::new(Exit::Refused, anyhow::Error::msg("the task asks for nothing"))
            .hint("`taskcell approve` lists the questions of all tasks")),
        [only] => Ok(only.number),
        several => {
            let asked: Vec<String> =
                several.iter().map(|open| format!("{} ({})", open.number.0, words(&open.ask))).collect();
            Err(Fault::usage(format!("the task asks more than one question: {}", asked.join(", "))).hint(format!(
                "name one: {}",
                to_type(id, several.first().map_or(ApprovalNumber(1), |open| open.number))
            )))
        }
    }
}

async fn list(client: &Client, at: &At) -> Result<Exit, Fault> {
    let list = client.approvals(&ApprovalFilter::default()).await?;
    let exit = at.answer(&list, || lines(&list.approvals, &Now::new()))?;
    if !at.json {
        output::talk(
            match list.approvals.first() {
                Some(first) => format!("to decide, type {}", to_type(first.id, first.number)),
                None => "no task asks for anything".to_owned(),
            }
            .as_str(),
        );
    }
    Ok(exit)
}

fn lines(open: &[OpenApproval], now: &Now) -> Vec<String> {
    if open.is_empty() { Vec::new() } else { rows(open, now).lines() }
}

fn rows(open: &[OpenApproval], now: &Now) -> Rows {
    let mut rows = Rows::new(&["ID", "NUMBER", "TASK", "ASKED", "UNTIL", "QUESTION"], &[5]);
    for open in open {
        let task = open.title.clone().unwrap_or_else(|| format!("{}/{}", open.task.plugin, open.task.task_type));
        rows.add(&[
            which::short(open.id),
            open.number.0.to_string(),
            text::clip(&task, WORDS_BYTES_MAX),
            now.told(open.since),
            open.until.map(|until| now.told(until)).unwrap_or_default(),
            words(&open.ask),
        ]);
    }
    rows
}

/// What is asked, and why. Not escaped.
pub(super) fn words(ask: &ApprovalAsk) -> String {
    let clip = |text: &str| text::clip(text, WORDS_BYTES_MAX);
    let what = if ask.summary.is_empty() { ask.kind.clone() } else { format!("{}: {}", ask.kind, clip(&ask.summary)) };
    if ask.reason.is_empty() { what } else { format!("{what} - reason: {}", clip(&ask.reason)) }
}

/// What to type to decide a question.
pub(super) fn to_type(id: TaskId, number: ApprovalNumber) -> String {
    let (id, number) = (which::short(id), number.0);
    format!("taskcell approve {id} {number}, or taskcell deny {id} {number}")
}

#[cfg(test)]
mod tests {
    use super::super::times::tests::{NOW_MS, now};
    use super::*;

    fn open(number: u64) -> OpenApproval {
        let ask = json!({"kind": "deploy", "reason": "all tests pass", "summary": "version 7"});
        let document = json!({
            "id": "0f".repeat(16), "task": {"plugin": "p", "task_type": "t", "key": "k"}, "number": number, "ask": ask,
            "since": NOW_MS - 60_000, "until": NOW_MS + 120_000, "approvers": "person",
        });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn r26_open_questions_are_listed_with_what_to_type() {
        assert_eq!(
            rows(&[open(1)], &now()).lines_within(None),
            [
                "ID        NUMBER  TASK  ASKED   UNTIL  QUESTION",
                "0f0f0f0f  1       p/t   1m ago  in 2m  deploy: version 7 - reason: all tests pass",
            ]
        );
    }

    #[test]
    fn r26_the_only_question_needs_no_number() {
        let id = open(1).id;
        let said = |open: &[OpenApproval]| choose(id, open).map_err(|fault| fault.lines().join("\n"));
        assert_eq!(said(&[open(3)]), Ok(ApprovalNumber(3)));
        assert!(said(&[]).unwrap_err().contains("asks for nothing"));
        let several = said(&[open(1), open(2)]).unwrap_err();
        assert!(
            several.contains("2 (deploy: version 7") && several.contains("taskcell approve 0f0f0f0f 1"),
            "{several}"
        );
        assert!(input("yes").is_err() && input("\"yes\"").is_ok());
    }
}
