//! What a task prints and logs.

use serde_json::json;
use taskcell::{Outcome, OutputCursor, OutputSource, StartRequest};

use crate::support::task::{outcome, start, start_as, stderr, stdout, written};
use crate::support::{builder, fixture, guest, with_fixture, within};

#[tokio::test]
async fn r44_both_streams_are_kept_apart_and_the_contracts_call_joins_stdout() {
    let (host, _) = fixture().await;
    let task = start(&host, "print", json!({"stdout": "out", "stderr": "err", "direct": "direct\n"})).await;
    outcome(&task).await;
    assert_eq!(stdout(&task), "out\ndirect\n");
    assert_eq!(stderr(&task), "err\n");
}

#[tokio::test]
async fn f30_output_has_both_streams_of_a_task_that_failed() {
    let host = builder().build().unwrap();
    within(host.load_plugin(guest("command"))).await.unwrap();
    let input = json!({"args": ["hello", "--exit", "1"], "stdin": "abc"});
    let task = start_as(&host, StartRequest::new("command", "command").input(input)).await;
    assert!(matches!(outcome(&task).await, Outcome::Failed(_)));
    let page = task.output(OutputCursor::default());
    let sources: Vec<_> = page.chunks.iter().map(|chunk| chunk.source.clone()).collect();
    assert!(sources.contains(&OutputSource::Stdout) && sources.contains(&OutputSource::Stderr), "{page:?}");
    assert_eq!(stderr(&task), "3 bytes of input\n");
}

#[tokio::test]
async fn f31_a_character_that_is_cut_between_two_writes_is_whole_in_the_output() {
    let (host, _) = fixture().await;
    // "a€😀z", and "ß" at the very end.
    let task = start(&host, "print-raw", json!({"bytes_hex": "61e282acf09f98807ac39f"})).await;
    outcome(&task).await;
    assert_eq!(stdout(&task), "a€😀zß");
}

#[tokio::test]
async fn f31_bytes_that_are_no_text_do_not_break_the_output() {
    let (host, _) = fixture().await;
    let task = start(&host, "print-raw", json!({"bytes_hex": "41ff42c328430a"})).await;
    outcome(&task).await;
    let text = stdout(&task);
    for kept in ["A", "B", "(C\n"] {
        assert!(text.contains(kept), "{text:?}");
    }
    assert!(text.contains('\u{fffd}'), "{text:?}");
}

#[tokio::test]
async fn t09_control_characters_come_out_as_they_were_written() {
    let (host, _) = fixture().await;
    let task = start(&host, "print-raw", json!({"bytes_hex": null})).await;
    outcome(&task).await;
    let text = stdout(&task);
    // Escaping is for those who show it; the output is the task's own.
    assert!(text.starts_with("\u{1b}[31mred\u{1b}[0m\u{7}\0"), "{text:?}");
}

#[tokio::test]
async fn t06_a_flood_on_stdout_keeps_the_newest_and_tells_what_is_lost() {
    let limits = taskcell::Limits::default().output_bytes(256 << 10);
    let (host, _) = with_fixture(builder().limits(limits)).await;
    let task = start(&host, "flood-output", json!({"mib": 16})).await;
    assert!(matches!(outcome(&task).await, Outcome::Succeeded { .. }));
    let page = task.output(OutputCursor::default());
    let kept: usize = page.chunks.iter().map(|chunk| chunk.text.len()).sum();
    assert!((128 << 10..=256 << 10).contains(&kept), "{kept}");
    assert!(page.lost > 0);
    assert!(page.chunks.last().unwrap().text.ends_with("o\n"));
}

#[tokio::test]
async fn r44_a_log_line_has_its_level_and_its_target() {
    let (host, _) = fixture().await;
    let task = start(&host, "log", json!({"level": "warn", "message": "careful"})).await;
    outcome(&task).await;
    let logged = task.output(OutputCursor::default()).chunks;
    let line = logged
        .iter()
        .find(|chunk| matches!(&chunk.source, OutputSource::Log { level, target } if level == "warn" && target == "fixture"))
        .expect("a log line");
    assert_eq!(line.text, "careful");
}

#[tokio::test]
async fn r44_every_level_of_the_log_arrives() {
    let (host, _) = fixture().await;
    for level in ["trace", "debug", "info", "warn", "error"] {
        let task = start(&host, "log", json!({"level": level, "message": "m\u{1b}"})).await;
        outcome(&task).await;
        let text = written(&task, |source| matches!(source, OutputSource::Log { level: of, .. } if of == level));
        assert_eq!(text, "m\u{1b}", "{level}");
    }
}

#[tokio::test]
async fn r44_a_cursor_goes_on_where_it_stopped() {
    let (host, _) = fixture().await;
    let task = start(&host, "print", json!({"stdout": "one", "stderr": "two", "direct": null})).await;
    let first = within(task.output_after(OutputCursor::default())).await;
    outcome(&task).await;
    let rest = task.output(first.next);
    let all: Vec<_> = first.chunks.into_iter().chain(rest.chunks).collect();
    assert_eq!(all, task.output(OutputCursor::default()).chunks);
    assert_eq!(task.output(rest.next).chunks, []);
}
