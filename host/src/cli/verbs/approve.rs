//! `taskcell approve` and `taskcell deny`: the questions of tasks, and what is decided about them.

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::prompt::grant;
use crate::cli::{output, text};
use crate::serve::wire::Verdict;
use crate::{AnswerFor, ApprovalAsk, ApprovalFilter, ApprovalNumber, OpenApproval, TaskId};

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
    /// Where the question is whether a plugin may touch something: it may this one time, which is what a yes means without such a flag
    #[arg(long, requires = "id", conflicts_with = "input")]
    once: bool,
    /// There too: it may for as long as the task lives
    #[arg(long, requires = "id", conflicts_with_all = ["input", "once"])]
    task: bool,
    /// There too: all tasks of the plugin may from now on, and it is written into the policy's file
    #[arg(long, requires = "id", conflicts_with_all = ["input", "once", "task"])]
    always: bool,
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
    let holds = match arguments {
        ApproveArguments { once: true, .. } => Some(AnswerFor::Once),
        ApproveArguments { task: true, .. } => Some(AnswerFor::Task),
        ApproveArguments { always: true, .. } => Some(AnswerFor::Always),
        ApproveArguments { .. } => None,
    };
    let input = holds.map(|holds| holds.to_string().into()).or_else(|| arguments.input.clone());
    decide(&arguments.question, &arguments.at, &Verdict::Approve { input }, holds).await
}

/// Says no.
pub(super) async fn deny(arguments: &DenyArguments) -> Result<Exit, Fault> {
    let verdict = Verdict::Deny { reason: arguments.reason.clone() };
    decide(&arguments.question, &arguments.at, &verdict, None).await
}

async fn decide(question: &Question, at: &At, verdict: &Verdict, holds: Option<AnswerFor>) -> Result<Exit, Fault> {
    let client = at.connect().await?;
    let Some(name) = &question.id else { return list(&client, at).await };
    let id = which::one(&client, name, question.key).await?;
    let number = match (question.number, holds) {
        (Some(number), None) => ApprovalNumber(number),
        (number, _) => {
            let open = open_of(&client, id).await?;
            let number = match number {
                Some(number) => ApprovalNumber(number),
                None => choose(id, &open)?,
            };
            may_hold(open.iter().find(|open| open.number == number), holds)?;
            number
        }
    };
    client.decide(id, number, verdict).await?;
    let word = match verdict {
        Verdict::Approve { .. } => "approved",
        Verdict::Deny { .. } => "denied",
    };
    let mut document = json!({ "id": id, "number": number, "decision": word });
    if let (Some(holds), Some(fields)) = (holds, document.as_object_mut()) {
        fields.insert("holds".to_owned(), holds.to_string().into());
    }
    let long = match holds {
        None => "",
        Some(AnswerFor::Once) => " for this once",
        Some(AnswerFor::Task) => " for as long as the task lives",
        Some(AnswerFor::Always) => " for all tasks of the plugin; the policy's file has it in a moment",
    };
    at.confirm(&document, &format!("{}: {word}{long}", which::short(id)))
}

/// How long an answer holds is said only of what a plugin may touch: to other questions it would be an answer of its own.
fn may_hold(open: Option<&OpenApproval>, holds: Option<AnswerFor>) -> Result<(), Fault> {
    match (open, holds) {
        (Some(open), Some(holds)) if open.ask.kind != ApprovalAsk::GRANT => {
            let kind = &open.ask.kind;
            Err(Fault::usage(format!(
                "--{holds} answers questions of the kind `grant`, and this one is of the kind `{kind}`"
            ))
            .hint("without the flag it is approved of as it is; --input JSON approves of something else"))
        }
        // One that is not there the server tells.
        (Some(_) | None, _) => Ok(()),
    }
}

async fn open_of(client: &Client, id: TaskId) -> Result<Vec<OpenApproval>, Fault> {
    let filter = ApprovalFilter { task: Some(id), ..ApprovalFilter::default() };
    Ok(client.approvals(&filter).await?.approvals)
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
                several.first().map(|open| to_type(id, open.number, &open.ask.kind)).unwrap_or_default()
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
                Some(first) => format!("to decide, type {}", to_type(first.id, first.number, &first.ask.kind)),
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
    let kind = match grant::about(ask) {
        Some(what) => format!("{} ({})", ask.kind, clip(&what)),
        None => ask.kind.clone(),
    };
    let what = if ask.summary.is_empty() { kind } else { format!("{kind}: {}", clip(&ask.summary)) };
    if ask.reason.is_empty() { what } else { format!("{what} - reason: {}", clip(&ask.reason)) }
}

/// What to type to decide a question.
pub(super) fn to_type(id: TaskId, number: ApprovalNumber, kind: &str) -> String {
    let (id, number) = (which::short(id), number.0);
    let long = if kind == ApprovalAsk::GRANT { " [--once|--task|--always]" } else { "" };
    format!("taskcell approve {id} {number}{long}, or taskcell deny {id} {number}")
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

    #[test]
    fn t16_how_long_a_yes_holds_is_said_of_what_a_plugin_may_touch_and_of_nothing_else() {
        let mut grant = open(2);
        grant.ask.kind = ApprovalAsk::GRANT.to_owned();
        grant.ask.metadata = Some(json!({"capability": "kv", "scope": ""}));
        assert!(may_hold(Some(&grant), Some(AnswerFor::Always)).is_ok() && may_hold(None, None).is_ok());
        let refused = may_hold(Some(&open(1)), Some(AnswerFor::Task)).map_err(|fault| fault.lines().join("\n"));
        assert!(refused.is_err_and(|said| said.contains("--task") && said.contains("of the kind `deploy`")));
        assert_eq!(words(&grant.ask), "grant (kv): version 7 - reason: all tests pass");
        assert!(
            to_type(grant.id, grant.number, &grant.ask.kind).contains("approve 0f0f0f0f 2 [--once|--task|--always]")
        );
    }
}
