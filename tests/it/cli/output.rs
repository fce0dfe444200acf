//! What comes out: data on stdout, talk on stderr, nothing that plays tricks on a terminal.

use std::fs::OpenOptions;
use std::process::Stdio;

use serde_json::json;

use super::program::{Done, Place, Running};

/// No control characters and none that turn the reading direction.
fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| (c == '\n' || !c.is_control()) && !('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn the_result_is_on_stdout_and_everything_else_on_stderr() {
    let done = Place::new().run("hello", &["--set", "name=Ada"]).ends_with(0);
    assert_eq!(done.stdout, "{\n  \"greeting\": \"Hello, Ada!\"\n}\n");
    let done = done.says("hello 0.1.0").says("50% | greeting Ada").says("succeeded: ").says("CPU seconds");
    assert!(is_harmless(&done.stderr), "{done:?}");
}

#[test]
fn what_the_task_prints_and_logs_is_told_apart() {
    let place = Place::new();
    let printed = place.fixture(&["print", "--set", "stdout=one", "--set", "stderr=two", "--set", "direct=three"]);
    let printed = printed.ends_with(0).says("   out | one\n").says("   err | two\n").says("   out | three\n");
    assert!(!printed.stdout.contains("one"), "{printed:?}");
    place
        .fixture(&["log", "--set", "level=warn", "--set", "message=careful"])
        .ends_with(0)
        .says("  warn | ")
        .says("careful");
    place.fixture(&["agent", "--set", "message=look", "--set", "trigger=true"]).ends_with(0).says("agent! | look\n");
    let accepted = place.fixture(&["agent", "--set", "message=look", "--set", "trigger=false"]).ends_with(0);
    assert_eq!(accepted.json(), json!("accepted"));
}

#[test]
fn json_is_one_line_with_everything_and_no_progress() {
    let done = Place::new().run("hello", &["--json", "--set", "name=Ada"]).ends_with(0);
    assert_eq!(done.stdout.lines().count(), 1);
    assert_eq!(done.stderr, "");
    let document = done.json();
    assert_eq!(document["outcome"], "succeeded");
    assert_eq!(document["data"], json!({"greeting": "Hello, Ada!"}));
    assert_eq!(document["task"]["task_type"], "hello");
    assert_eq!(document["id"].as_str().unwrap().len(), 32);
    assert!(document["usage"]["fuel"].as_u64().unwrap() > 0);
    assert_eq!(document["artifacts"], json!([]));
}

#[test]
fn a_failure_as_json_has_its_kind() {
    let done = Place::new().fixture(&[
        "fail",
        "--json",
        "--set",
        "message=no",
        "--set",
        "retryable=true",
        "--set",
        "details=[1]",
    ]);
    let document = done.ends_with(1).json();
    assert_eq!(document["outcome"], "failed");
    assert_eq!(
        (&document["kind"], &document["retryable"], &document["error"]),
        (&json!("guest"), &json!(true), &json!([1]))
    );
}

#[test]
fn hostile_text_is_escaped_wherever_it_is_shown() {
    let place = Place::new();
    let nasty = "\u{1b}[31mred\u{202e}\u{9b}2J\r\u{7}";
    let message = format!("message={nasty}");
    let shown = |done: Done| {
        assert!(is_harmless(&done.stderr) && is_harmless(&done.stdout), "{done:?}");
        assert!(done.stderr.contains(r"\u{1b}[31mred"), "{done:?}");
    };
    shown(place.fixture(&["print-raw"]).ends_with(0));
    shown(place.fixture(&["agent", "--set", &message, "--set", "trigger=true"]).ends_with(0));
    shown(place.fixture(&["log", "--set", "level=error", "--set", &message]).ends_with(0));
    shown(place.fixture(&["fail", "--set", "retryable=false", "--set", &message]).ends_with(1));
    shown(place.fixture(&["panic", "--set", &message]).ends_with(1));

    let echoed = place.fixture(&["echo", "--set", &message]).ends_with(0);
    assert!(is_harmless(&echoed.stdout), "{echoed:?}");
    assert_eq!(echoed.json()["message"], nasty, "and it still means the same");
}

#[test]
fn t35_a_closed_stdout_is_nobodys_fault() {
    let place = Place::new();
    let mut running = place.start("hello", &[]);
    running.close_stdout();
    let done = running.end().ends_with(0);
    assert!(!done.stderr.contains("panicked"), "{done:?}");
}

#[test]
fn t35_a_closed_stderr_is_nobodys_fault() {
    let place = Place::new();
    let mut command = place.run_command("fixture", &["flood-output", "--set", "mib=1"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_full_disk_under_stdout_is_told() {
    let place = Place::new();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = place.run_command("hello", &[]);
    let mut child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(70));
    assert!(stderr.contains("failed to write to stdout: No space left"), "{stderr}");
}

#[test]
fn a_broken_cache_is_a_warning() {
    let place = Place::new();
    let file = place.file("cache", "no folder");
    let mut command = place.run_command("hello", &[]);
    command.env("TASKCELL_CACHE_DIR", file);
    let done = Running::start(command).end().ends_with(0);
    done.says("warning: failed to open the cache").says("succeeded");
}
