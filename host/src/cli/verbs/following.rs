//! Follows a task of the server to its end, as `taskcell run` follows its own: what happens and what it prints, on stderr.

use crate::cli::client::Client;
use crate::cli::fault::Fault;
use crate::cli::output::talk;
use crate::cli::progress::labelled;
use crate::cli::run::line;
use crate::{ApprovalAsk, ApprovalNumber, EventBody, EventSeq, OutputCursor, OutputQuery, TaskId};

use super::approve;
use super::output::{Lines, Reader, with_origin};
use super::which;

/// Follows it until it has its outcome.
pub(super) async fn follow(client: &Client, id: TaskId) -> Result<(), Fault> {
    tokio::try_join!(happenings(client, id), output(client, id))?;
    Ok(())
}

async fn happenings(client: &Client, id: TaskId) -> Result<(), Fault> {
    let mut events = client.follow(id, EventSeq::default());
    while let Some(event) = events.next().await? {
        if let Some(line) = words(id, &event.body) {
            talk(&line);
        }
    }
    Ok(())
}

async fn output(client: &Client, id: TaskId) -> Result<(), Fault> {
    let mut query = OutputQuery::after(OutputCursor::default());
    query.log = true;
    let mut reader = Reader::new(id, query, true);
    let mut lines = Lines::default();
    loop {
        let page = reader.read(client, true).await?;
        if page.lost > 0 {
            talk(&labelled("...", &format!("{} pieces of output are no longer kept", page.lost)));
        }
        for (source, text) in lines.take(&page) {
            talk(&with_origin(&source, &text));
        }
        if page.ended && !page.has_more {
            break;
        }
    }
    for (source, text) in lines.finish() {
        talk(&with_origin(&source, &text));
    }
    Ok(())
}

/// What an event looks like here, where nobody is asked anything: a question comes with what to type.
fn words(id: TaskId, event: &EventBody) -> Option<String> {
    let said = line(event);
    if said.is_some() {
        return said;
    }
    let asked = |what: String, number: ApprovalNumber, kind: &str| {
        labelled("ask", &format!("{what}: {}", approve::to_type(id, number, kind)))
    };
    if let EventBody::Progress { message, percent, .. } = event {
        let label = percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent}%"));
        Some(labelled(&label, message))
    } else if let EventBody::ApprovalRequested { number, ask } = event {
        Some(asked(approve::words(ask), *number, &ask.kind))
    } else if let EventBody::FuelRequested { number, .. } = event {
        Some(asked(event.display_message(), *number, ApprovalAsk::FUEL))
    } else if let EventBody::WaitStarted { keys, .. } = event {
        let keys: Vec<&str> = keys.iter().map(crate::SignalKey::as_str).collect();
        let (id, first) = (which::short(id), keys.first().copied().unwrap_or("KEY"));
        Some(labelled("wait", &format!("for a signal, {}: taskcell notify {id} {first}", keys.join(" or "))))
    } else if let EventBody::InstructionWaitStarted { .. } = event {
        Some(labelled("wait", &format!("to be told something: taskcell instruct {} TEXT", which::short(id))))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::SignalKey;

    use super::*;

    #[test]
    fn r26_a_question_comes_with_what_to_type() {
        let id = crate::serve::wire::task_id(&"0f".repeat(16)).unwrap();
        let ask = ApprovalAsk::new("deploy", "", "version 7");
        let asks = EventBody::ApprovalRequested { number: ApprovalNumber(2), ask };
        assert_eq!(
            words(id, &asks).unwrap(),
            "   ask | deploy: version 7: taskcell approve 0f0f0f0f 2, or taskcell deny 0f0f0f0f 2"
        );
        let wait = EventBody::WaitStarted {
            wait: 1,
            keys: vec![SignalKey::new("go").unwrap()],
            senders: crate::Senders::default(),
            timeout: None,
        };
        assert_eq!(words(id, &wait).unwrap(), "  wait | for a signal, go: taskcell notify 0f0f0f0f go");
        let progress = EventBody::Progress { message: "x".into(), percent: Some(5), restarted: false, merged: 0 };
        assert_eq!(words(id, &progress).unwrap(), "    5% | x");
        assert_eq!(words(id, &EventBody::Due), None);
    }
}
