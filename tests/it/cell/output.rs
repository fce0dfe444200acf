//! What a task prints and logs.

use std::time::Duration;

use serde_json::json;
use taskcell::{
    CancelRequest, Host, Limits, Outcome, OutputCursor, OutputQuery, OutputSource, OutputWait, Party, StartRequest,
};

use crate::support::component::{Handmade, MANIFEST_AT};
use crate::support::imports;
use crate::support::task::{outcome, output, reported, start, start_as, stderr, stdout, written};
use crate::support::{builder, fixture, guest, with_fixture, within};

#[tokio::test]
async fn r44_both_streams_are_kept_apart_and_the_contracts_call_joins_stdout() {
    let (host, _) = fixture().await;
    let task = start(&host, "print", json!({"stdout": "out", "stderr": "err", "direct": "direct\n"})).await;
    outcome(&task).await;
    assert_eq!(stdout(&task).await, "out\ndirect\n");
    assert_eq!(stderr(&task).await, "err\n");
}

#[tokio::test]
async fn f30_output_has_both_streams_of_a_task_that_failed() {
    let host = builder().build().unwrap();
    within(host.load_plugin(guest("command"))).await.unwrap();
    let input = json!({"args": ["hello", "--exit", "1"], "stdin": "abc"});
    let task = start_as(&host, StartRequest::new("command", "command").input(input)).await;
    assert!(matches!(outcome(&task).await, Outcome::Failed(_)));
    let page = task.output(OutputCursor::default()).await;
    let sources: Vec<_> = page.chunks.iter().map(|chunk| chunk.source.clone()).collect();
    assert!(sources.contains(&OutputSource::Stdout) && sources.contains(&OutputSource::Stderr), "{page:?}");
    assert_eq!(stderr(&task).await, "3 bytes of input\n");
}

#[tokio::test]
async fn r44_the_output_of_a_guest_is_read_as_lines_by_its_tail_and_on_from_a_place() {
    let (host, _) = fixture().await;
    let lines: Vec<String> = (1..=150).map(|line| format!("line {line}")).collect();
    let task =
        start(&host, "print", json!({"stdout": lines.join("\n"), "stderr": "a remark", "direct": "the end"})).await;
    let tail = OutputQuery::tail(100).wait(OutputWait::UntilEnd, Duration::from_mins(1));
    let read = within(task.read_output(tail)).await;
    assert!(read.ended && read.has_earlier && !read.has_more);
    assert_eq!(read.lines.len(), 100);
    let last = read.lines.iter().rfind(|line| line.source == OutputSource::Stdout).unwrap();
    assert_eq!((last.text.as_str(), last.ended), ("the end", false));
    assert!(read.lines.iter().any(|line| line.source == OutputSource::Stderr && line.text == "a remark"));
    // All of it, from the beginning on, and nothing after it.
    let all = within(task.read_output(OutputQuery::after(OutputCursor::default()))).await;
    let stdout = all.lines.iter().filter(|line| line.source == OutputSource::Stdout);
    assert_eq!(stdout.take(150).map(|line| line.text.clone()).collect::<Vec<_>>(), lines);
    let rest = within(task.read_output(OutputQuery::after(all.next))).await;
    assert_eq!((rest.lines, rest.ended), (Vec::new(), true));
}

#[tokio::test]
async fn f31_a_character_that_is_cut_between_two_writes_is_whole_in_the_output() {
    let (host, _) = fixture().await;
    // "a€😀z", and "ß" at the very end.
    let task = start(&host, "print-raw", json!({"bytes_hex": "61e282acf09f98807ac39f"})).await;
    outcome(&task).await;
    assert_eq!(stdout(&task).await, "a€😀zß");
}

#[tokio::test]
async fn f31_bytes_that_are_no_text_do_not_break_the_output() {
    let (host, _) = fixture().await;
    let task = start(&host, "print-raw", json!({"bytes_hex": "41ff42c328430a"})).await;
    outcome(&task).await;
    let text = stdout(&task).await;
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
    let text = stdout(&task).await;
    // Escaping is for those who show it; the output is the task's own.
    assert!(text.starts_with("\u{1b}[31mred\u{1b}[0m\u{7}\0"), "{text:?}");
}

/// A host with little room for output in memory, and so much on disk.
async fn narrow(spill_bytes: u64) -> Host {
    let limits = Limits::default().output_bytes(64 << 10).spill_bytes(spill_bytes);
    with_fixture(builder().limits(limits)).await.0
}

/// A guest that writes pieces of 1000 letters, `a` to `z` and again, in many calls of the contract.
fn alphabet(pieces: u32) -> Handmade {
    let body = format!(
        "(local $n i32)
         (loop
           (memory.fill (i32.const {MANIFEST_AT})
             (i32.add (i32.const 97) (i32.rem_u (local.get $n) (i32.const 26))) (i32.const 1000))
           (call $write (i32.const 0) (i32.const {MANIFEST_AT}) (i32.const 1000) (i32.const 2048))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if 0 (i32.lt_u (local.get $n) (i32.const {pieces}))))
         (i32.const 1024)"
    );
    Handmade::new("made").imports(&imports::OUTPUT).run(body)
}

fn letters(pieces: u32) -> String {
    (0..pieces).map(|piece| char::from(b'a' + u8::try_from(piece % 26).unwrap()).to_string().repeat(1000)).collect()
}

#[tokio::test]
async fn t06_a_flood_on_stdout_without_a_spill_keeps_the_newest_and_tells_what_is_lost() {
    let host = narrow(0).await;
    let task = start(&host, "flood-output", json!({"mib": 4})).await;
    assert!(matches!(outcome(&task).await, Outcome::Succeeded { .. }));
    let page = within(task.output(OutputCursor::default())).await;
    let kept: usize = page.chunks.iter().map(|chunk| chunk.text.len()).sum();
    assert!((32 << 10..=64 << 10).contains(&kept), "{kept}");
    assert!(page.lost > 0);
    assert!(page.chunks.last().unwrap().text.ends_with("o\n"));
}

#[tokio::test]
async fn r44_what_memory_has_no_room_for_is_read_from_disk_in_order_and_once() {
    let host = narrow(16 << 20).await;
    let plugin = alphabet(4000);
    within(host.load_plugin_bytes("made", plugin.bytes())).await.unwrap();
    let task = start_as(&host, StartRequest::new("made", "go")).await;
    // Beside the guest, from a cursor of its own.
    let (mut text, mut cursor) = (String::new(), OutputCursor::default());
    while text.len() < 4_000_000 {
        let page = within(task.output_after(cursor)).await;
        assert!(!page.is_empty() && page.lost == 0, "{}", page.lost);
        text.extend(page.chunks.into_iter().map(|chunk| chunk.text));
        cursor = page.next;
    }
    assert!(matches!(outcome(&task).await, Outcome::Succeeded { .. }));
    let expected = letters(4000);
    assert!(text == expected, "as it comes");
    assert!(stdout(&task).await == expected, "afterwards");
}

#[tokio::test]
async fn r44_wasis_streams_wait_for_the_disk_and_lose_nothing() {
    let host = narrow(16 << 20).await;
    let task = start(&host, "flood-output", json!({"mib": 8})).await;
    assert!(matches!(outcome(&task).await, Outcome::Succeeded { .. }));
    let (chunks, lost) = output(&task).await;
    let text: String = chunks.into_iter().map(|chunk| chunk.text).collect();
    assert_eq!((text.len(), lost), (8 << 20, 0));
    assert!(text.lines().all(|line| line.len() == 63 && line.bytes().all(|byte| byte == b'o')));
}

#[tokio::test]
async fn r33_a_guest_that_fills_the_spill_is_stopped_at_once() {
    let host = narrow(1 << 20).await;
    let task = start(&host, "call-flood", json!({"kind": "write", "bytes": 1 << 20})).await;
    reported(&task).await;
    // Until it writes round and round.
    while within(task.output(OutputCursor::default())).await.lost == 0 {
        tokio::task::yield_now().await;
    }
    task.cancel(CancelRequest::force(Party::Person, "enough")).await;
    within(task.gone()).await;
    let (chunks, lost) = output(&task).await;
    assert!(!chunks.is_empty() && lost > 0);
}

#[tokio::test]
async fn r44_a_log_line_has_its_level_and_its_target() {
    let (host, _) = fixture().await;
    let task = start(&host, "log", json!({"level": "warn", "message": "careful"})).await;
    outcome(&task).await;
    let logged = task.output(OutputCursor::default()).await.chunks;
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
        let text = written(&task, |source| matches!(source, OutputSource::Log { level: of, .. } if of == level)).await;
        assert_eq!(text, "m\u{1b}", "{level}");
    }
}

#[tokio::test]
async fn r44_a_cursor_goes_on_where_it_stopped() {
    let (host, _) = fixture().await;
    let task = start(&host, "print", json!({"stdout": "one", "stderr": "two", "direct": null})).await;
    let first = within(task.output_after(OutputCursor::default())).await;
    outcome(&task).await;
    let rest = task.output(first.next).await;
    let all: Vec<_> = first.chunks.into_iter().chain(rest.chunks).collect();
    assert_eq!(all, task.output(OutputCursor::default()).await.chunks);
    assert_eq!(task.output(rest.next).await.chunks, []);
}
