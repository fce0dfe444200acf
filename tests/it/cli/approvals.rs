//! A task that asks for approval or waits for a word, without a terminal.

use serde_json::{Value, json};

use super::program::Place;

const DEPLOY: [&str; 7] =
    ["approve", "--set", "kind=deploy", "--set", "summary=version 7\u{1b}[2J", "--set", "reason=tests pass"];

#[test]
fn t35_without_a_terminal_it_is_declined_at_once_and_the_flag_is_named() {
    let place = Place::new();
    for extra in [&[] as &[&str], &["--json"]] {
        let done = place.fixture(&[&DEPLOY[..], extra].concat()).ends_with(0);
        let answer = if extra.is_empty() { done.json()[0].clone() } else { done.json()["data"][0].clone() };
        assert_eq!(answer["denied"], "host", "{done:?}");
        // The task is told too, so that it can pass it on.
        assert!(answer["reason"].as_str().unwrap().contains("--approve deploy"), "{answer}");
        done.says("The task asks for approval (deploy): version 7\\u{1b}[2J - reason: tests pass")
            .says("there is no terminal to ask on; --approve deploy says yes in advance");
    }
}

fn answered(flags: &[&str]) -> Value {
    Place::new().fixture(&[&DEPLOY[..], flags].concat()).ends_with(0).json()
}

#[test]
fn what_was_decided_in_advance_is_decided_by_a_person_for_every_question_of_its_kind() {
    let yes = json!({"approved": "person"});
    assert_eq!(answered(&["--approve", "deploy", "--set", "times=3"]), json!([yes, yes, yes]));
    let changed = answered(&["--approve", r#"deploy={"version":6}"#]);
    assert_eq!(changed, json!([{"approved": "person", "input": {"version": 6}}]));
    let no = answered(&["--deny", "deploy=not today", "--approve", "pay"]);
    assert_eq!(no, json!([{"denied": "person", "reason": "not today"}]));
    assert_eq!(answered(&["--approve", "pay"])[0]["denied"], "host", "that is another kind");
    let place = Place::new();
    place.fixture(&[&DEPLOY[..], &["--approve", "deploy"]].concat()).says("answer | approved by a person");
    place
        .fixture(&[&DEPLOY[..], &["--approve", "deploy", "--deny", "deploy"]].concat())
        .ends_with(2)
        .says("the approval `deploy` is decided twice");
}

#[test]
fn a_permission_decides_what_no_flag_names() {
    let yes = json!([{"approved": "person"}]);
    assert_eq!(answered(&["--permission", "approve"]), yes);
    assert_eq!(answered(&["--permission", "deny"]), json!([{"denied": "person", "reason": "--permission deny"}]));
    assert_eq!(answered(&["--permission", "deny", "--approve", "deploy"]), yes, "the kind comes first");
    assert_eq!(answered(&["--permission", "ask"])[0]["denied"], "host", "there is nobody to ask");
    Place::new().fixture(&[&DEPLOY[..], &["--permission", "perhaps"]].concat()).ends_with(2);
}

#[test]
fn what_nobody_here_can_say_is_told() {
    let place = Place::new();
    place
        .fixture(&["listen", "--set", "times=1", "--set", "timeout_ms=50"])
        .ends_with(0)
        .says("the task waits to be told something for at most 50ms; there is no terminal to ask on");
    let several = |senders: &str| {
        let senders = format!("senders={senders}");
        place.fixture(&["wait-any", "--set", r#"keys=["a","b"]"#, "--set", &senders, "--set", "timeout_ms=50"])
    };
    several("[]").says("waits for one of the signals `a`, `b` for at most 50ms").says("--signal a=true");
    several(r#"["task"]"#).says("waits for one of the signals `a`, `b` for at most 50ms, and not from a person");
}

#[test]
fn what_a_task_spends_is_counted_and_its_budget_told() {
    let place = Place::new();
    let spend = ["spend", "--set", "tool=search", "--set", "tokens=80", "--set", "actions=1", "--set"];
    let done = place.fixture(&[&spend[..], &["times=1", "--json", "--limit", "tokens=100"]].concat()).ends_with(0);
    assert_eq!((&done.json()["usage"]["tokens"], &done.json()["usage"]["actions"]), (&json!(80), &json!(1)));
    place
        .fixture(&[&spend[..], &["times=2", "--limit", "tokens=100"]].concat())
        .ends_with(5)
        .says("low: 80 of 100 tokens are used")
        .says("its limit of 100 tokens is used up: it has recorded 160");
}
