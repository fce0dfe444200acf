//! What goes in: input, fields, folders, variables, the choice of a task.

use serde_json::json;

use super::program::{Place, finish, text};

#[test]
fn fields_are_set_one_by_one_and_win_over_the_input() {
    let place = Place::new();
    let done = place.fixture(&["echo", "--input", r#"{"a": 1, "b": {"c": 2}}"#, "--set", "a=x", "--set", "b.d=[true]"]);
    assert_eq!(done.ends_with(0).json(), json!({"a": "x", "b": {"c": 2, "d": [true]}}));
}

#[test]
fn input_comes_from_a_file_or_from_stdin() {
    let place = Place::new();
    place.file("in put.json", r#"{"name": "Ada"}"#);
    let from_file = place.run("hello", &["--input", "@in put.json"]).ends_with(0);
    assert_eq!(from_file.json(), json!({"greeting": "Hello, Ada!"}));
    let from_stdin = finish(place.run_command("hello", &["--input", "-"]), r#"{"name": "Grace"}"#).ends_with(0);
    assert_eq!(from_stdin.json(), json!({"greeting": "Hello, Grace!"}));
}

#[test]
fn a_missing_task_lists_the_tasks_and_the_only_one_need_not_be_named() {
    let place = Place::new();
    place.run("crunch", &[]).ends_with(2).says("name one: primes, spin");
    place.run("hello", &[]).ends_with(0);
}

#[test]
fn a_folder_is_read_only_unless_said_otherwise() {
    let place = Place::new();
    place.file("docs/a.txt", "content");
    let read = place.fixture(&["read", "--set", "path=/docs/a.txt", "--dir", "docs::/docs"]).ends_with(0);
    assert_eq!(read.json(), json!({"text": "content"}));

    let write = ["write", "--set", "path=/docs/b.txt", "--set", "text=new"];
    let refused = place.fixture(&[write.as_slice(), &["--dir", "docs::/docs"]].concat()).ends_with(0);
    assert!(refused.json()["error"].is_object(), "{refused:?}");
    let written = place.fixture(&[write.as_slice(), &["--dir", "docs::/docs:rw"]].concat()).ends_with(0);
    assert_eq!(written.json(), json!({"bytes": 3}));
    assert_eq!(place.read("docs/b.txt"), "new");
}

#[test]
fn a_folder_alone_is_seen_as_it_was_typed() {
    let place = Place::new();
    let file = place.file("docs/a.txt", "content");
    let folder = text(file.parent().unwrap());
    let done = place.fixture(&["list", "--set", &format!("path={folder}"), "--dir", folder]).ends_with(0);
    assert_eq!(done.json(), json!({"names": ["a.txt"]}));
}

#[test]
fn only_the_variables_that_are_given_are_seen() {
    let place = Place::new();
    let done = place.fixture(&["env", "--env", "GREETING=hi=there"]).ends_with(0);
    assert_eq!(done.json()["vars"], json!({"GREETING": "hi=there"}));
}

#[test]
fn a_key_is_what_the_task_sees() {
    let done = Place::new().fixture(&["info", "--key", "monday"]).ends_with(0);
    assert!(done.stdout.contains("monday"), "{done:?}");
}

#[test]
fn r47_a_file_goes_along_and_one_that_is_none_is_refused() {
    let place = Place::new();
    place.file("notes.md", "# Notes");
    let read = |path: &str| format!("path=/attachments/{path}");
    let done = place.fixture(&["read", "--attach", "notes.md", "--set", &read("notes.md")]).ends_with(0);
    assert_eq!(done.json(), serde_json::json!({"text": "# Notes"}));
    let named = place.fixture(&["read", "--attach", "notes.md:in.txt", "--set", &read("in.txt")]).ends_with(0);
    assert_eq!(named.json(), serde_json::json!({"text": "# Notes"}));
    place.fixture(&["read", "--attach", "missing", "--set", &read("missing")]).ends_with(4).says("the attachment");
    place.fixture(&["read", "--attach", ":x", "--set", &read("x")]).ends_with(2).says("the file is missing");
}

#[test]
fn r8_the_plugins_configuration_comes_from_the_command_line_or_a_file() {
    let place = Place::new();
    assert_eq!(place.fixture(&["config", "--input", "null"]).ends_with(0).json(), json!({}));
    let done = place.fixture(&["config", "--input", "null", "--config", r#"{"region": "eu"}"#]).ends_with(0);
    assert_eq!(done.json(), json!({"region": "eu"}));
    place.file("plugin.json", r#"{"region": "us"}"#);
    let done = place.fixture(&["config", "--input", "null", "--config", "@plugin.json"]).ends_with(0);
    assert_eq!(done.json(), json!({"region": "us"}));
    place.fixture(&["config", "--input", "null", "--config", "region=eu"]).ends_with(2).says("--config is not JSON");
    place.fixture(&["config", "--input", "null", "--config", "@nowhere.json"]).ends_with(2).says("nowhere.json");
}
