//! `taskcell cancel`: asks tasks to stop.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::run::receipt_lines;
use crate::cli::{text, values};
use crate::serve::wire::{CancelAnswered, CancelBody};
use crate::{CancelReceipt, CancelRequest, Outcome, escape};

use super::at::{At, Patience};
use super::each::{Answer, each};
use super::wait::unfinished;
use super::which::Many;

#[derive(Debug, Args)]
pub(in crate::cli) struct CancelArguments {
    #[command(flatten)]
    tasks: Many,
    /// Why; the task can read it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// How long they may take to end by themselves; 0s stops them where they are [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    grace: Option<Duration>,
    /// Waits until they have ended, or so long
    #[arg(long, value_name = "TIME", value_parser = Patience::read, num_args = 0..=1, require_equals = true, default_missing_value = Patience::ENDLESS)]
    wait: Option<Patience>,
    #[command(flatten)]
    at: At,
}

/// Cancels tasks.
pub(super) async fn cancel(arguments: &CancelArguments) -> Result<Exit, Fault> {
    let client = arguments.at.connect().await?;
    let ids = arguments.tasks.find(&client).await?;
    let grace = arguments.grace.unwrap_or(CancelRequest::DEFAULT_GRACE);
    let body = CancelBody { reason: arguments.reason.clone(), grace: Some(grace) };
    // All of them are asked before one is waited for.
    let answers = RefCell::new(HashMap::new());
    let asked = each(&ids, arguments.at.json && arguments.wait.is_none(), async |id| {
        let answered = client.cancel(id, &body, None).await?;
        let said = answer(&answered, grace);
        answers.borrow_mut().insert(id, answered);
        Ok(said)
    })
    .await?;
    let Some(patience) = arguments.wait.filter(|_| asked == Exit::Succeeded) else { return Ok(asked) };
    let all = each(&ids, arguments.at.json, async |id| {
        let outcome = client.wait(id).await?;
        let answered = answers.borrow_mut().remove(&id);
        if let Some(ended @ CancelAnswered::AlreadyEnded { .. }) = answered {
            return Ok(answer(&ended, grace));
        }
        // Asked once more it only tells what the wish came to. A server that was started since does not know.
        let receipt = match client.cancel(id, &body, Some(RECEIPT)).await? {
            CancelAnswered::Requested { receipt } | CancelAnswered::AlreadyEnded { receipt, .. } => receipt,
        };
        Ok(ended(&outcome, receipt))
    });
    match patience.wait(all).await {
        Some(done) => done,
        None => unfinished(&client, &ids).await,
    }
}

/// How long a task that has its outcome may take to be gone.
const RECEIPT: Duration = Duration::from_secs(5);

fn answer(answer: &CancelAnswered, grace: Duration) -> Answer {
    let line = match answer {
        CancelAnswered::Requested { .. } if grace.is_zero() => "stopped where it is".to_owned(),
        CancelAnswered::Requested { .. } => format!("asked to stop; it has {}", text::duration_flag(grace)),
        CancelAnswered::AlreadyEnded { outcome, .. } => format!("had ended already: {}", escape(&outcome.to_string())),
    };
    Answer::new(line, serde_json::to_value(answer).unwrap_or(Value::Null))
}

/// What the wish came to: it was taken, and this is how the task ended.
fn ended(outcome: &Outcome, receipt: Option<Box<CancelReceipt>>) -> Answer {
    let line = escape(&outcome.to_string()).into_owned();
    let Some(receipt) = receipt else {
        return Answer::new(line, json!({ "answer": "requested", "outcome": outcome }));
    };
    let below = receipt_lines(&receipt);
    Answer { line, below, fields: json!({ "answer": "requested", "outcome": outcome, "receipt": receipt }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r33_what_becomes_of_a_cancel_is_told() {
        let grace = Duration::from_secs(5);
        assert_eq!(answer(&CancelAnswered::Requested { receipt: None }, grace).line, "asked to stop; it has 5s");
        assert_eq!(answer(&CancelAnswered::Requested { receipt: None }, Duration::ZERO).line, "stopped where it is");
        let done = Outcome::Succeeded { message: "42 read".to_owned(), data: None };
        let late = answer(&CancelAnswered::AlreadyEnded { outcome: done, receipt: None }, grace);
        assert_eq!(late.line, "had ended already: succeeded: 42 read");
        assert_eq!(late.fields["answer"], "already-ended");
    }
}
