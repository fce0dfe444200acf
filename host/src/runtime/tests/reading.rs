//! Output as lines: tails, places to read on from, and waiting for some with a time-out.

use std::time::Duration;

use super::bench::{Bench, beside, key, request, script, settle, success, wait_for};
use crate::model::limits::LimitsRequest;
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::ports::output::{OutputCursor, OutputSource};
use crate::runtime::handle::TaskHandle;
use crate::runtime::reading::{OutputFrom, OutputQuery, OutputText, OutputWait};

fn said(text: &OutputText) -> Vec<&str> {
    text.lines.iter().map(|line| line.text.as_str()).collect()
}

/// Prints on both streams and logs, waits for `go`, prints more, waits for `end`.
fn printing() -> Bench {
    Bench::new(script(|link| async move {
        link.output.stdout("one\ntwo\nthr");
        link.output.stderr("oh no\n");
        link.output.log("warn", "here".to_owned(), "a record\nof two lines");
        wait_for(&link, "go", None).await;
        link.output.stdout("ee\n");
        wait_for(&link, "end", None).await;
        link.output.stderr("last words");
        success(None)
    }))
}

async fn send(task: &TaskHandle, name: &str) {
    task.notify(key(name), None, Party::Person).await;
    settle().await;
}

#[tokio::test]
async fn r44_the_tail_has_the_last_lines_of_the_wanted_streams() {
    let bench = printing();
    let task = bench.start().await;
    settle().await;
    let text = task.read_output(OutputQuery::default()).await;
    assert_eq!(said(&text), ["one", "two", "thr", "oh no"]);
    assert!(!text.lines[2].ended && !text.ended && !text.has_earlier && !text.has_more);
    let text = task.read_output(OutputQuery::tail(2)).await;
    assert_eq!((said(&text), text.has_earlier), (vec!["thr", "oh no"], true));
    let log = OutputQuery { stdout: false, stderr: false, log: true, ..OutputQuery::default() };
    let text = task.read_output(log).await;
    assert_eq!(said(&text), ["a record\nof two lines"]);
    let source = OutputSource::Log { level: "warn".to_owned(), target: "here".to_owned() };
    assert_eq!(text.lines[0].source, source);
    // From where it stopped, the unfinished line goes on.
    send(&task, "go").await;
    let text = task.read_output(OutputQuery::after(text.next)).await;
    assert_eq!((said(&text), text.lines[0].ended), (vec!["ee"], true));
}

#[tokio::test]
async fn f30_a_time_out_gives_what_there_is_of_both_streams() {
    let bench = printing();
    let task = bench.start().await;
    settle().await;
    let waits = task.clone();
    let query = OutputQuery::default().wait(OutputWait::UntilEnd, Duration::from_mins(1));
    let reader = beside(async move { waits.read_output(query).await });
    bench.advance(Duration::from_millis(59_999)).await;
    assert!(!reader.is_finished());
    bench.advance(Duration::from_millis(1)).await;
    let text = reader.end().await;
    assert_eq!((said(&text), text.ended), (vec!["one", "two", "thr", "oh no"], false));
    assert_eq!(OutputQuery::default().timeout, Duration::from_mins(1));
}

#[tokio::test]
async fn f30_a_task_that_failed_has_both_streams_at_its_end() {
    let bench = printing();
    let task = bench.start().await;
    settle().await;
    let waits = task.clone();
    let query = OutputQuery::tail(9).wait(OutputWait::UntilEnd, Duration::MAX);
    let reader = beside(async move { waits.read_output(query).await });
    send(&task, "go").await;
    send(&task, "end").await;
    let text = reader.end().await;
    assert_eq!((said(&text), text.ended), (vec!["one", "two", "oh no", "three", "last words"], true));
}

#[tokio::test]
async fn r44_whoever_waits_for_some_is_woken_by_the_wanted_streams_alone() {
    let bench = printing();
    let task = bench.start().await;
    settle().await;
    let all = task.read_output(OutputQuery::default()).await;
    let (waits, next) = (task.clone(), all.next);
    let reader = beside(async move {
        let query = OutputQuery { stdout: false, ..OutputQuery::after(next) };
        waits.read_output(query.wait(OutputWait::UntilSome, Duration::from_hours(1))).await
    });
    send(&task, "go").await;
    // What was printed was not wanted.
    let text = task.read_output(OutputQuery::after(all.next).wait(OutputWait::UntilSome, Duration::MAX)).await;
    assert_eq!(said(&text), ["ee"]);
    assert!(!reader.is_finished());
    send(&task, "end").await;
    let text = reader.end().await;
    assert_eq!(said(&text), ["last words"]);
    // Nothing more comes, and nobody waits for it.
    let query = OutputQuery::after(text.next).wait(OutputWait::UntilSome, Duration::MAX);
    let text = task.read_output(query).await;
    assert!(text.lines.is_empty() && text.ended && !text.has_more);
}

#[tokio::test]
async fn r44_an_answer_is_bounded_and_reading_on_misses_nothing() {
    let bench = Bench::new(script(|link| async move {
        for number in 0..4000 {
            let line = format!("line {number} {}\n", "ä".repeat(40));
            let is_over = if number % 7 == 0 { link.output.stderr(line) } else { link.output.stdout(line) };
            if is_over && let Some(turn) = link.output.turn().await {
                link.output.make_room(turn);
            }
        }
        success(None)
    }));
    let limits = LimitsRequest { output_bytes: Some(16 << 10), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    task.wait().await;
    let query = OutputQuery { bytes_max: 10_000, ..OutputQuery::after(OutputCursor::default()) };
    let (mut query, mut text, mut reads) = (query, String::new(), 0);
    loop {
        let read = task.read_output(query.clone()).await;
        assert!(read.lost == 0 && read.lines.iter().map(|line| line.text.len() + 1).sum::<usize>() < 10_000 + 8192);
        for line in read.lines.iter().filter(|line| line.source == OutputSource::Stdout) {
            text += &line.text;
            text += if line.ended { "\n" } else { "" };
        }
        reads += 1;
        query.from = OutputFrom::After(read.next);
        if !read.has_more {
            break;
        }
    }
    assert!(reads > 20, "{reads}");
    let numbers = text.lines().map(|line| line.split(' ').nth(1).unwrap().parse::<u32>().unwrap());
    assert!(numbers.eq((0..4000).filter(|number| number % 7 != 0)));
    // And back through the file: more lines than memory has.
    let tail = task.read_output(OutputQuery::tail(1000)).await;
    assert_eq!((tail.lines.len(), tail.has_earlier), (1000, true));
    assert!(tail.lines[999].text.starts_with("line 3999 ") && tail.lines.iter().all(|line| line.ended && !line.cut));
    let small = task.read_output(OutputQuery { bytes_max: 100, ..OutputQuery::tail(1000) }).await;
    assert_eq!(small.lines.len(), 2);
    assert!(small.lines[0].cut && small.lines[0].text.chars().all(|c| c == 'ä'));
    task.cancel(CancelRequest::force(Party::Host, "")).await;
}

#[tokio::test]
async fn f30_a_flood_of_an_unwanted_stream_does_not_hold_the_time_out_back() {
    // Ends by itself, so that the test fails and does not hang.
    let bench = Bench::new(script(|link| async move {
        for _ in 0..5_000_000 {
            link.output.stdout("flood\n");
            tokio::task::yield_now().await;
        }
        success(None)
    }));
    let limits = LimitsRequest { output_bytes: Some(4 << 10), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    settle().await;
    let waits = task.clone();
    let query = OutputQuery { stdout: false, ..OutputQuery::after(OutputCursor::default()) };
    let query = query.wait(OutputWait::UntilSome, Duration::from_mins(1));
    let reader = beside(async move { waits.read_output(query).await });
    bench.advance(Duration::from_secs(59)).await;
    // What was lost of it is not what is waited for.
    assert!(!reader.is_finished());
    bench.advance(Duration::from_secs(1)).await;
    let text = reader.end().await;
    assert!(text.lines.is_empty() && text.lost > 0 && !text.ended, "{} {}", text.lost, text.ended);
    task.cancel(CancelRequest::force(Party::Host, "")).await;
}

#[tokio::test]
async fn r44_who_reads_on_after_no_lines_at_all_misses_nothing() {
    let bench = printing();
    let task = bench.start().await;
    settle().await;
    let none = task.read_output(OutputQuery { log: true, ..OutputQuery::tail(0) }).await;
    assert!(none.lines.is_empty() && none.has_earlier);
    send(&task, "go").await;
    send(&task, "end").await;
    let text = task.read_output(OutputQuery::after(none.next)).await;
    assert_eq!(said(&text), ["ee", "last words"]);
    // The last piece is of the stream that goes on.
    let bench = Bench::new(script(|link| async move {
        link.output.stdout("one\n");
        wait_for(&link, "go", None).await;
        link.output.stdout("two\n");
        success(None)
    }));
    let task = bench.start().await;
    settle().await;
    let none = task.read_output(OutputQuery::tail(0)).await;
    send(&task, "go").await;
    task.wait().await;
    assert_eq!(said(&task.read_output(OutputQuery::after(none.next)).await), ["two"]);
}

#[tokio::test]
async fn r44_a_line_whose_beginning_is_no_longer_kept_is_cut_in_both_directions() {
    let bench = Bench::new(script(|link| async move {
        link.output.stderr("begun ");
        link.output.stdout("gone\n");
        link.output.stdout("x".repeat(2000));
        link.output.stdout("y".repeat(2000));
        link.output.stdout("z".repeat(2000) + "\nlast\n");
        link.output.stderr("and ended\n");
        success(None)
    }));
    let limits = LimitsRequest { output_bytes: Some(4 << 10), spill_bytes: Some(0), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    task.wait().await;
    let text = task.read_output(OutputQuery::after(OutputCursor::default())).await;
    assert!(text.lost > 0 && text.has_earlier);
    let long = text.lines.iter().find(|line| line.text.ends_with('z')).unwrap();
    assert!(long.cut && long.ended);
    // What stands on both sides of a hole is two lines.
    let begun = text.lines.iter().find(|line| line.text == "begun ").unwrap();
    assert!(!begun.cut && !begun.ended);
    let rest = text.lines.iter().find(|line| line.text == "and ended").unwrap();
    assert!(rest.cut && rest.ended);
    let tail = task.read_output(OutputQuery::tail(9)).await;
    assert_eq!((tail.lines, tail.lost), (text.lines, text.lost));
    // In small steps as well: none of them swallows the hole.
    let (mut query, mut lines, mut lost) = (OutputQuery::after(OutputCursor::default()), Vec::new(), 0);
    query.bytes_max = 1;
    loop {
        let step = task.read_output(query.clone()).await;
        lines.extend(step.lines);
        lost += step.lost;
        query.from = OutputFrom::After(step.next);
        if !step.has_more {
            break;
        }
    }
    assert_eq!(lost, text.lost);
    let cut: Vec<_> = lines.iter().filter(|line| line.cut).map(|line| line.source.clone()).collect();
    assert_eq!(cut, [OutputSource::Stdout]);
}

#[tokio::test]
async fn t06_the_targets_of_log_records_count_in_both_directions() {
    let bench = Bench::new(script(|link| async move {
        for _ in 0..40 {
            link.output.log("info", "t".repeat(1000), "m");
        }
        success(None)
    }));
    let task = bench.start().await;
    task.wait().await;
    for from in [OutputFrom::Tail(100), OutputFrom::After(OutputCursor::default())] {
        let text = task.read_output(OutputQuery { from, log: true, bytes_max: 10_020, ..OutputQuery::default() }).await;
        assert_eq!(text.lines.len(), 10);
    }
}

#[tokio::test]
async fn r44_a_place_beyond_the_end_is_the_end() {
    let bench = printing();
    let task = bench.start().await;
    settle().await;
    let text = task.read_output(OutputQuery::after(OutputCursor::at(u64::MAX))).await;
    assert!(text.lines.is_empty());
    send(&task, "go").await;
    assert_eq!(said(&task.read_output(OutputQuery::after(text.next)).await), ["ee"]);
}

#[tokio::test]
async fn r4c_the_last_pieces_are_read_from_the_end() {
    let bench = Bench::new(script(|link| async move {
        for number in 0..100 {
            link.output.stdout(format!("{number:08000}"));
        }
        success(None)
    }));
    let task = bench.start().await;
    task.wait().await;
    let (last, older) = task.last_output(OutputCursor::default(), 10_000).await;
    assert!((last.chunks.len(), last.lost, older) == (2, 0, true) && last.chunks[1].text.ends_with("99"));
    let (all, older) = task.last_output(OutputCursor::at(90), usize::MAX).await;
    assert!((all.chunks.len(), all.lost, older) == (10, 0, false) && all.chunks[0].text.ends_with("90"));
    for at in [all.next, OutputCursor::at(u64::MAX)] {
        let (nothing, older) = task.last_output(at, 10_000).await;
        assert!(nothing.is_empty() && nothing.next == all.next && !older);
    }
}

#[tokio::test]
async fn r44_lost_pieces_are_not_what_is_waited_for() {
    let bench = Bench::new(script(|link| async move {
        for _ in 0..20 {
            link.output.stdout("x".repeat(2000));
        }
        wait_for(&link, "go", None).await;
        link.output.stderr("wanted\n");
        wait_for(&link, "end", None).await;
        success(None)
    }));
    let limits = LimitsRequest { output_bytes: Some(4 << 10), spill_bytes: Some(0), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    settle().await;
    let waits = task.clone();
    let query = OutputQuery { stdout: false, ..OutputQuery::after(OutputCursor::default()) };
    let query = query.wait(OutputWait::UntilSome, Duration::MAX);
    let reader = beside(async move { waits.read_output(query).await });
    for _ in 0..50 {
        settle().await;
    }
    send(&task, "go").await;
    let text = reader.end().await;
    assert!(said(&text) == ["wanted"] && text.lost > 0);
    task.cancel(CancelRequest::force(Party::Host, "")).await;
}
