//! Everything that happened to a task, written out.

use serde_json::{Value, json};

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use crate::model::export::ExportFormat;
use crate::model::signal::Party;
use crate::ports::runner::GuestCall;
use crate::runtime::export::Export;

async fn whole(mut export: Export) -> Vec<String> {
    let mut pieces = Vec::new();
    while let Some(piece) = export.next().await.unwrap() {
        assert!(piece.ends_with('\n'));
        pieces.push(piece);
    }
    pieces
}

/// Reports, waits for a signal, ends.
fn telling() -> Bench {
    Bench::new(script(|link| async move {
        link.news.report("reading\n# not a heading".to_owned(), Some(5), false);
        wait_for(&link, "go", None).await;
        success(json!("42"))
    }))
}

#[tokio::test]
async fn r4b_the_lines_have_every_event_of_both_lanes_and_say_when_they_are_complete() {
    let bench = telling();
    let task = bench.inner.start(request().input(json!({"question": 7}))).await.unwrap();
    settle().await;
    let so_far = whole(task.export(ExportFormat::JsonLines)).await.concat();
    task.notify(key("go"), Some(json!("now")), Party::Person).await;
    task.wait().await;
    task.notify(key("late"), None, Party::Agent).await;
    task.gone().await;
    let text = whole(task.export(ExportFormat::JsonLines)).await.concat();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (header, end) = (&lines[0], lines.last().unwrap());
    assert_eq!((&header["export"], &header["id"]), (&json!(1), &json!(task.id())));
    assert_eq!(header["snapshot"]["outcome"]["data"], "42");
    let events = log(&task).await;
    assert_eq!(end, &json!({"id": task.id(), "complete": true, "events": events.len(), "after": 1}));
    let lane = |lane: &str| lines.iter().filter(|line| line["lane"] == lane).cloned().collect::<Vec<_>>();
    for (line, event) in lane("log").iter().zip(&events) {
        assert_eq!((&line["seq"], &line["at"]), (&json!(event.seq), &json!(event.at)));
        assert_eq!(line["body"], serde_json::to_value(&event.body).unwrap());
    }
    assert_eq!(lane("log").len(), events.len());
    assert_eq!(lane("after")[0]["body"]["event"], "late-signal");
    // What was written out of the live task is what it says of that time.
    let before: Vec<&str> = so_far.lines().collect();
    assert!(before.len() > 3 && text.contains(before[1]));
}

#[tokio::test]
async fn r4b_the_page_tells_what_was_asked_what_happened_and_what_came_of_it() {
    let bench = telling();
    let task = bench.inner.start(request().input(json!({"question": 7})).title("A question")).await.unwrap();
    bench.advance(std::time::Duration::from_millis(90_500)).await;
    task.notify(key("go"), Some(json!("now")), Party::Person).await;
    task.wait().await;
    let page = whole(task.export(ExportFormat::Page)).await.concat();
    for part in [
        "# `A question`\n\n- Task: `script` of `scripted`, key `",
        "\n- Outcome: succeeded: `done`\n",
        "\n## What came of it\n\n```json\n\"42\"\n```\n",
        "\n## What it was asked\n\n```json\n{\n  \"question\": 7\n}\n```\n\n## What happened\n\n- at once: created\n- at once: began\n",
        "\n- at once: 5 %: `reading\\n# not a heading`\n",
        "\n- after 1 min 30 s: the signal `go` came from a person: `\"now\"`\n",
        "\n- after 1 min 30 s: succeeded: `done`\n",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    assert!(!page.contains("After its end"));
}

#[tokio::test]
async fn r4b_a_long_log_comes_in_pieces() {
    let bench = Bench::new(script(|link| async move {
        for _ in 0..300 {
            let tool = "search".to_owned();
            let record = |reply| GuestCall::RecordUsage { tool, tokens: 1, actions: 0, reply };
            link.request(record).await.unwrap();
        }
        success(None)
    }));
    let task = bench.start().await;
    task.wait().await;
    let events = log(&task).await.len();
    let pieces = whole(task.export(ExportFormat::JsonLines)).await;
    assert_eq!(pieces.concat().lines().count(), events + 2);
    assert!(events > 300 && pieces.iter().all(|piece| piece.lines().count() <= 64));
}
