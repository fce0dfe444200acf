//! What becomes of a command line.

use clap::Parser as _;
use serde_json::json;

use crate::Grants;
use crate::cli::args::{Arguments, Command};

use super::*;

fn arguments(extra: &[&str]) -> RunArguments {
    let all = ["taskcell", "run", "x.wasm"].iter().chain(extra);
    let Command::Run(run) = Arguments::try_parse_from(all).unwrap().command else { panic!("it is another command") };
    *run
}

fn said(result: Result<Value, Fault>) -> String {
    result.unwrap_err().lines().join("\n")
}

#[test]
fn fields_win_over_the_input_and_the_last_one_over_those_before() {
    let least = arguments(&[]);
    let arguments = arguments(&[
        "--input",
        r#"{"name":"Ada","deep":{"a":1,"b":2}}"#,
        "--set",
        "name=Grace",
        "--set",
        "deep.b=3",
        "--set",
        "new.x.y=true",
        "--set",
        "deep.b=4",
    ]);
    assert_eq!(
        arguments.input.read().unwrap(),
        json!({"name": "Grace", "deep": {"a": 1, "b": 4}, "new": {"x": {"y": true}}})
    );
    assert_eq!(least.input.read().unwrap(), json!({}));
}

#[test]
fn a_field_needs_an_object_around_it() {
    assert!(said(arguments(&["--input", "[1]", "--set", "a=1"]).input.read()).contains("at the top"));
    assert!(said(arguments(&["--set", "a=1", "--set", "a.b=2"]).input.read()).contains("at a"));
}

#[test]
fn an_input_that_cannot_be_read_says_why() {
    let missing = said(arguments(&["--input", "@/no/such/file"]).input.read());
    assert!(missing.contains("/no/such/file: No such file"), "{missing}");
    let bad = said(arguments(&["--input", "{name: Ada}"]).input.read());
    assert!(bad.contains("--input is not JSON: key must be a string at line 1") && bad.contains("hint: "), "{bad}");
}

#[test]
fn flags_raise_the_defaults_too() {
    let line = ["--fuel", "5T", "--timeout", "3h", "--memory", "1GiB", "--limit", "handles=20_000"];
    let limits = limits(&arguments(&line).limits.wishes().unwrap());
    assert_eq!((limits.fuel, limits.timeout.as_secs(), limits.memory_bytes), (5_000_000_000_000, 10800, 1 << 30));
    assert_eq!((limits.handles, limits.resources), (20_000, Limits::default().resources));
}

#[test]
fn a_limit_has_one_value() {
    let read = |line: &[&str]| arguments(line).limits.wishes().map_err(|fault| fault.lines().join("\n"));
    for line in [["--fuel", "2G", "--limit", "fuel=3G"], ["--limit", "idle=5m", "--limit", "idle=6m"]] {
        assert!(read(&line).unwrap_err().contains("is given twice, with two values"), "{line:?}");
    }
    let same = read(&["--timeout", "90s", "--limit", "timeout=1m30s", "--limit", "idle=5m"]).unwrap();
    assert_eq!((same.timeout.unwrap().as_secs(), same.idle.unwrap().as_secs()), (90, 300));
}

#[test]
fn the_only_task_need_not_be_named() {
    let manifest = |tasks: Value| {
        Manifest::parse(&json!({"manifest": 1, "name": "p", "version": "1", "tasks": tasks}).to_string()).unwrap()
    };
    let file = Path::new("p.wasm");
    let one = manifest(json!([{"name": "only"}]));
    assert_eq!(choose(None, &one, file).unwrap(), "only");
    // Whether it is there, the host says.
    assert_eq!(choose(Some("other"), &one, file).unwrap(), "other");
    let two = choose(None, &manifest(json!([{"name": "a"}, {"name": "b"}])), file).unwrap_err().lines().join("\n");
    assert!(two.contains("name one: a, b") && two.contains("taskcell run p.wasm a"), "{two}");
}

#[test]
fn nothing_is_granted_unless_asked_for() {
    assert_eq!(arguments(&[]).grants.grants(), Grants::default());
    let granted = arguments(&["--dir", "a::/x", "--dir", "b::/y", "--allow", "signal", "--env", "A=1"]).grants.grants();
    assert_eq!((granted.dirs.len(), granted.env.len(), granted.signal), (2, 1, true));
}

#[test]
fn a_slip_in_the_tasks_name_is_recognised() {
    let error = StartError::UnknownTaskType { name: "digset".to_owned(), known: vec!["digest".to_owned()] };
    let lines = refused(error, &arguments(&[])).lines();
    assert_eq!(lines[0], "error: failed to start the task: the plugin has no task type \"digset\"; it has: digest");
    assert_eq!(lines[1], "hint: did you mean `digest`?");
}

#[test]
fn what_no_flag_names_is_decided_by_the_permission() {
    for (mode, other) in [
        ("ask", None),
        ("deny", Some(Verdict::Deny("--permission deny".to_owned()))),
        ("approve", Some(Verdict::Approve(None))),
    ] {
        let read =
            verdicts(&arguments(&["--permission", mode, "--deny", "b=no"])).map_err(|fault| fault.lines()).unwrap();
        assert_eq!((read.of("a"), read.of("b")), (other.as_ref(), Some(&Verdict::Deny("no".to_owned()))), "{mode}");
    }
}

#[test]
fn a_kind_has_one_decision() {
    let read = |line: &[&str]| verdicts(&arguments(line)).map_err(|fault| fault.lines().join("\n"));
    for line in [["--approve", "a", "--deny", "a"], ["--approve", "a", "--approve", "a=1"]] {
        assert!(read(&line).unwrap_err().contains("the approval `a` is decided twice"), "{line:?}");
    }
    let read = read(&["--approve", "a", "--approve", "a", "--deny", "b=no"]).unwrap();
    assert_eq!(read.of("a"), Some(&Verdict::Approve(None)));
    assert_eq!((read.of("b"), read.of("c")), (Some(&Verdict::Deny("no".to_owned())), None));
}
