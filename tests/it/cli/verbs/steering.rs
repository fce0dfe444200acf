//! What is said to running tasks, and what becomes of it.

use serde_json::{Value, json};

use super::serving::Serving;

const WAIT: [&str; 2] = ["--set", "key=go"];

#[test]
fn r33_several_are_cancelled_at_once() {
    let serving = Serving::new();
    let (one, other) = (serving.start("wait", &WAIT), serving.start("spin", &[]));
    let done = serving.say(&["cancel", &one, &other, "--grace", "0s", "--reason", "enough", "--wait"]).ends_with(0);
    assert_eq!(done.stdout, "");
    assert_eq!(serving.show(&other)["outcome"]["reason"], "enough");
    serving.say(&["wait", &other]).ends_with(6).says("cancelled by a person (enough)");
    let again = serving.say(&["cancel", &one, &other, "--json"]).ends_with(0);
    assert_eq!(again.stdout.lines().count(), 2);
    assert!(again.stdout.lines().all(|line| line.contains("already-ended")), "{again:?}");
    // None is touched when one of the names means nothing.
    let third = serving.start("wait", &WAIT);
    serving.say(&["cancel", &third, "ffff0000"]).ends_with(4);
    assert_eq!(serving.show(&third)["cancel"], Value::Null);
}

#[test]
fn r33_the_time_to_wait_is_for_all_together() {
    let serving = Serving::new();
    let (one, other) = (serving.start("spin", &[]), serving.start("spin", &[]));
    let late = serving.say(&["cancel", &one, &other, "--grace", "1h", "--wait=50ms"]).ends_with(8);
    for id in [&one, &other] {
        assert_eq!(late.stderr.matches(&format!("{}: has not ended yet", &id[..8])).count(), 1, "{late:?}");
    }
    serving.say(&["cancel", &one, &other, "--grace", "0s", "--wait"]).ends_with(0);
}

#[test]
fn r35_a_task_stands_still_and_goes_on() {
    let serving = Serving::new();
    let id = serving.start("wait", &WAIT);
    serving.until(&id, |state| !state["waiting"].is_null());
    serving.say(&["pause", &id, "--reason", "lunch"]).ends_with(0).says("paused");
    serving.say(&["pause", &id]).ends_with(0).says("was paused already");
    assert!(serving.say(&["show", &id]).stdout.contains("paused: by a person: lunch"));
    assert_eq!(serving.say(&["resume", &id, "--json"]).ends_with(0).json(), json!({"id": id, "changed": true}));
    serving.say(&["notify", &id, "go={\"a\": 1}"]).ends_with(0).says("it has it");
    let done = serving.say(&["wait", &id]).ends_with(0);
    assert_eq!(done.json()["payload"], json!({"a": 1}));
    serving.say(&["notify", &id, "go"]).ends_with(4).says("the task has ended");
    serving.say(&["notify", &id, "go=yes"]).ends_with(2).says("go=true");
    serving.say(&["pause", &id]).ends_with(4);
    serving.say(&["resume", &id]).ends_with(4);
}

#[test]
fn r28_a_task_is_told_something() {
    let serving = Serving::new();
    let id = serving.start("listen", &["--set", "times=1"]);
    serving.say(&["instruct", &id, "use", "the", "cache"]).ends_with(0);
    let heard = serving.say(&["wait", &id]).ends_with(0);
    assert!(heard.stdout.contains("use the cache"), "{heard:?}");
    serving.say(&["instruct", &id]).ends_with(2);
}

#[test]
fn r26_a_question_is_decided() {
    let serving = Serving::new();
    serving.say(&["approve"]).ends_with(0).says("no task asks for anything");
    let ask = ["--set", "kind=deploy", "--set", "summary=version 7", "--set", "reason=tests pass"];
    let id = serving.start("approve", &ask);
    serving.say(&["approve", &"0".repeat(32)]).ends_with(4);
    serving.until(&id, |state| !state["approvals"].is_null());
    let list = serving.say(&["deny"]).ends_with(0).says(&format!("taskcell approve {} 1", &id[..8]));
    assert!(list.stdout.contains("deploy: version 7"), "{list:?}");
    assert_eq!(serving.say(&["approve", "--json"]).ends_with(0).json()["approvals"][0]["id"], json!(id));
    serving.say(&["approve", &id, "7"]).ends_with(4).says("no question 7");
    serving.say(&["approve", &id, "--input", "six"]).ends_with(2).says("is not JSON");
    serving.say(&["approve", &id, "--input", "{\"version\": 6}"]).ends_with(0).says("approved");
    let done = serving.say(&["wait", &id]).ends_with(0);
    assert!(done.stdout.contains("\"version\": 6"), "{done:?}");
    serving.say(&["deny", &id]).ends_with(4).says("asks for nothing");
}

#[test]
fn r26_a_question_is_decided_in_advance() {
    let serving = Serving::new();
    let ask =
        ["start", "fixture", "approve", "--set", "kind=deploy", "--set", "summary=s", "--set", "reason=r", "--wait"];
    let approved = serving.say(&[&ask[..], &["--approve", "deploy"]].concat()).ends_with(0);
    assert!(approved.stdout.contains("approved"), "{approved:?}");
    let denied = serving.say(&[&ask[..], &["--permission", "deny"]].concat()).ends_with(0);
    assert!(denied.stdout.contains("denied"), "{denied:?}");
}

#[test]
fn r48_fuel_is_given_and_refused() {
    let serving = Serving::new();
    let ask = ["--set", "units=5000000000", "--set", "reason=one more page"];
    let (one, other) = (serving.start("request-fuel", &ask), serving.start("request-fuel", &ask));
    for id in [&one, &other] {
        serving.until(id, |state| !state["fuel_request"].is_null());
    }
    serving.say(&["fuel", &one, "5G"]).ends_with(0).says("5G units of fuel more");
    serving.say(&["fuel", &other, "--refuse=too dear"]).ends_with(0).says("no more fuel");
    assert!(serving.say(&["wait", &one]).ends_with(0).stdout.contains("granted"));
    assert!(serving.say(&["wait", &other]).ends_with(0).stdout.contains("denied"));
    serving.say(&["fuel", &one, "2GB"]).ends_with(2).says("counted in units");
    serving.say(&["fuel", &one]).ends_with(2);
    serving.say(&["fuel", &one, "5G"]).ends_with(4);
}

#[test]
fn r34_many_are_stopped_at_once() {
    let serving = Serving::new();
    let mine = serving.start("wait", &["--set", "key=go", "--session", "s1"]);
    let other = serving.start("wait", &WAIT);
    serving.say(&["stop-all", "--session", "s1"]).ends_with(2).says("say --yes");
    serving.say(&["stop-all", "--yes"]).ends_with(2).says("--session");
    serving.say(&["stop-all", "--all", "--session", "s1", "--yes"]).ends_with(2);
    let stopped =
        serving.say(&["stop-all", "--session", "s1", "--grace", "0s", "--yes"]).ends_with(0).says("1 task was asked");
    assert!(stopped.stdout.contains(&mine[..8]) && !stopped.stdout.contains(&other[..8]), "{stopped:?}");
    assert_eq!(serving.show(&other)["outcome"], Value::Null);
    let all = serving.say(&["stop-all", "--all", "--grace", "0s", "--yes", "--json"]).ends_with(0).json();
    assert_eq!(all["tasks"][0]["id"], json!(other));
    serving.say(&["stop-all", "--all", "--yes"]).ends_with(0).says("nothing to stop");
}

#[test]
fn ended_tasks_are_thrown_away() {
    let serving = Serving::new();
    let id = serving.start("echo", &[]);
    serving.say(&["wait", &id]).ends_with(0);
    serving.say(&["gc", "--older-than", "1h"]).ends_with(0).says("threw away 0 ended tasks; 1 are kept");
    assert_eq!(serving.say(&["gc", "--older-than", "0s", "--json"]).ends_with(0).json()["removed"], 1);
    serving.say(&["show", &id]).ends_with(4);
    serving.say(&["gc"]).ends_with(2).says("--older-than");
}

#[test]
fn r31_what_a_cancel_came_to_is_told_with_how_it_was_answered() {
    let serving = Serving::new();
    let (spin, echo) = (serving.start("spin", &[]), serving.start("echo", &[]));
    serving.say(&["wait", &echo]).ends_with(0);
    let done = serving.say(&["cancel", &spin, &echo, "--grace", "0s", "--wait", "--json"]).ends_with(0);
    let told: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&told[0]["answer"], &told[0]["outcome"]["outcome"]), (&json!("requested"), &json!("cancelled")));
    assert_eq!((&told[0]["receipt"]["request"]["by"], &told[0]["receipt"]["effects"]), (&json!("person"), &json!([])));
    assert_eq!((&told[1]["answer"], &told[1]["outcome"]["outcome"]), (&json!("already-ended"), &json!("succeeded")));
    let spin = serving.start("spin", &[]);
    let reason = "enough\nhint: type this";
    let done = serving.say(&["cancel", &spin, &echo, "--grace", "0s", "--wait", "--reason", reason]).ends_with(0);
    let done = done.says("stopped where it is").says("had ended already: succeeded").says(r"enough\nhint: type this");
    // The receipt is below the line that it belongs to, and nothing in it passes for a line of the program's own.
    let told: Vec<&str> = done.stderr.lines().collect();
    let at = told.iter().position(|line| line.contains("the cell was gone after")).unwrap();
    assert!(told[at - 1].starts_with(&spin[..8]) && told[at].starts_with("    asked by a person"), "{done:?}");
    assert!(
        told.iter().all(|line| line.starts_with("  ") || [&spin, &echo].iter().any(|id| line.starts_with(&id[..8])))
    );
}
