//! `start` and `wait`: the id alone on stdout, the result and the code of the task.

use serde_json::json;

use super::serving::Serving;
use crate::cli::program::finish;

#[test]
fn r43_the_id_alone_is_on_stdout_and_the_end_is_waited_for() {
    let serving = Serving::new();
    let id = serving.start("echo", &["--set", "a=1", "--title", "an echo"]);
    let done = serving.say(&["wait", &id]).ends_with(0).says("succeeded");
    assert_eq!(done.json(), json!({"a": 1}));
    let document = serving.say(&["wait", &id[..6], "--json"]).ends_with(0);
    assert_eq!(document.stdout.lines().count(), 1, "{document:?}");
    let document = document.json();
    assert_eq!(
        (&document["id"], &document["outcome"], &document["data"]),
        (&json!(id), &json!("succeeded"), &json!({"a": 1}))
    );
    let state = serving.say(&["start", "fixture", "echo", "--json"]).ends_with(0).json();
    assert_eq!(state["task"]["task_type"], "echo");
}

#[test]
fn r43_wait_ends_as_the_task_does() {
    let serving = Serving::new();
    let fail = serving.start("fail", &["--set", "message=not today", "--set", "retryable=false"]);
    serving.say(&["wait", &fail]).ends_with(1).says("failed (guest): not today").says("hint: ");
    let spin = serving.start("spin", &["--fuel", "20M"]);
    serving.say(&["wait", &spin]).ends_with(5).says("failed (out-of-fuel)");
    let echo = serving.start("echo", &[]);
    let both = serving.say(&["wait", &echo, &fail]).ends_with(1).says("succeeded").says("not today");
    assert_eq!(both.stdout, "");
    let both = serving.say(&["wait", &fail, &echo, "--json"]).ends_with(1);
    assert_eq!(both.stdout.lines().count(), 2, "{both:?}");
    let waiting = serving.start("wait", &["--set", "key=go"]);
    serving.say(&["wait", &waiting, "--timeout", "50ms"]).ends_with(8).says("has not ended yet");
}

#[test]
fn r43_start_waits_or_follows_if_it_is_told_to() {
    let serving = Serving::new();
    let waited = serving
        .say(&["start", "fixture", "echo", "--input", "[1]", "--wait"])
        .ends_with(0)
        .says("started fixture/echo");
    assert_eq!(waited.json(), json!([1]));
    let log = ["start", "fixture", "log", "--set", "level=warn", "--set", "message=careful", "--follow"];
    serving.say(&log).ends_with(0).says("  warn | ").says("careful").says("succeeded");
    serving.say(&["start", "fixture", "wait", "--set", "key=go", "--wait=50ms"]).ends_with(8);
    let mut stdin = serving.command(&["start", "fixture", "echo", "--input", "-", "--wait"]);
    stdin.stdin(std::process::Stdio::piped());
    assert_eq!(finish(stdin, "{\"b\": 2}").ends_with(0).json(), json!({"b": 2}));
}

#[test]
fn r10_once_starts_once() {
    let serving = Serving::new();
    let one = serving.start("echo", &["--once", "k", "--set", "a=1"]);
    assert_eq!(serving.start("echo", &["--once", "k", "--set", "a=1"]), one);
    let other = serving.say(&["start", "fixture", "echo", "--once", "k", "--set", "a=2"]);
    other.ends_with(4).says("hint: another request");
}

#[test]
fn a_start_that_is_refused_says_what_to_type() {
    let serving = Serving::new();
    serving.say(&["start", "fixtur", "echo"]).ends_with(4).says("did you mean `fixture`?");
    serving.say(&["start", "x/fixture.wasm", "echo"]).ends_with(4).says("taskcell plugin add");
    serving.say(&["start", "fixture", "ecko"]).ends_with(4).says("did you mean `echo`?");
    serving.say(&["start", "fixture"]).ends_with(2).says("more than one task");
    serving
        .say(&["start", "fixture", "wait", "--set", "key=1"])
        .ends_with(4)
        .says("at /key")
        .says("taskcell plugin show fixture");
    serving.say(&["start", "fixture", "echo", "--dir", "missing::/x"]).ends_with(4).says("missing");
    serving.say(&["start", "fixture", "echo", "--input", "{"]).ends_with(2).says("is not JSON");
    let key = ["wait", "--set", "key=go", "--key", "k"];
    serving.start(key[0], &key[1..]);
    serving.say(&[&["start", "fixture"][..], &key].concat()).ends_with(4).says("taskcell list --running");
}

#[test]
fn a_folder_is_found_from_where_the_person_is() {
    let serving = Serving::new();
    serving.place.file("docs/a.txt", "a");
    let listed = serving.say(&["start", "fixture", "list", "--dir", "docs::/docs", "--set", "path=/docs", "--wait"]);
    assert!(listed.stdout.contains("a.txt"), "{listed:?}");
}

#[test]
fn r12_a_key_that_is_in_use_is_refused_replaced_or_joined() {
    let serving = Serving::new();
    let wait = ["--set", "key=go", "--key", "k"];
    let first = serving.start("wait", &wait);
    let start = [&["start", "fixture", "wait"][..], &wait].concat();
    serving.say(&start).ends_with(4).says("--if-running replace");
    serving.say(&[&start[..], &["--if-running", "reject"]].concat()).ends_with(4);
    assert_eq!(serving.start("wait", &[&wait[..], &["--if-running", "join"]].concat()), first);
    let second = serving.start("wait", &[&wait[..], &["--if-running", "replace"]].concat());
    assert_ne!(second, first);
    let replaced = serving.show(&first);
    assert!(!replaced["outcome"].is_null(), "{replaced}");
    let asked = &replaced["cancel"];
    assert_eq!((&asked["by"], &asked["reason"]), (&json!("person"), &json!("replaced by a new start")));
    assert!(serving.show(&second)["outcome"].is_null());
    serving.say(&["start", "fixture", "echo", "--if-running", "join"]).ends_with(2).says("--key");
}
