//! `--export`: what happened, in a file, whatever the end.

use serde_json::Value;

use super::program::Place;

#[test]
fn r4b_what_happened_is_written_as_lines_or_as_a_page() {
    let place = Place::new();
    place.run("hello", &["--set", "name=Ada", "--export", "all.jsonl"]).ends_with(0);
    let lines: Vec<Value> = place.read("all.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["task"]["plugin"], "hello");
    assert_eq!(lines[1]["body"]["event"], "created");
    assert_eq!(lines.last().unwrap()["complete"], true);
    // One that is there is replaced.
    place.file("page.md", "old");
    place.run("hello", &["--set", "name=Ada", "--export", "page.md"]).ends_with(0);
    let page = place.read("page.md");
    assert!(page.starts_with("# `hello hello`\n") && page.contains("Hello, Ada!") && !page.contains("old"), "{page}");
}

#[test]
fn r4b_a_task_that_failed_is_written_down_too() {
    let place = Place::new();
    let failing =
        ["fail", "--set", "message=no `way`", "--set", "retryable=false", "--export", "log", "--export-format", "md"];
    place.fixture(&failing).ends_with(1);
    let page = place.read("log");
    assert!(page.contains("\n- Outcome: failed (guest): `` no `way` ``\n"), "{page}");
}

#[test]
fn r4b_a_file_that_cannot_be_written_loses_no_result() {
    let place = Place::new();
    let done = place.run("hello", &["--set", "name=Ada", "--export", "no/such/folder.jsonl"]);
    assert!(done.stdout.contains("Hello, Ada!"), "{done:?}");
    assert_ne!(done.code, Some(0));
    done.says("failed to write what happened into no/such/folder.jsonl").says("succeeded: ");
    place.run("hello", &["--export", "unclear"]).ends_with(2).says("--export-format");
}
