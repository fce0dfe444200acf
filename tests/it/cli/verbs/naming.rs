//! How tasks are named, and what is shown of them: `list` and `show`.

use serde_json::json;

use super::serving::Serving;

#[test]
fn r41_tasks_are_listed_by_what_they_have_in_common() {
    let serving = Serving::new();
    let none = serving.say(&["list"]).ends_with(0).says("there is no such task");
    assert_eq!(none.stdout, "");
    let waiting = serving.start("wait", &["--set", "key=go", "--session", "s1", "--key", "nightly"]);
    let echo = serving.start("echo", &["--label", "a=b"]);
    serving.say(&["wait", &echo]).ends_with(0);
    let list = serving.say(&["list"]).ends_with(0);
    assert!(
        list.stdout.starts_with("ID ") && list.stdout.contains("✓ succeeded") && list.stdout.contains("nightly"),
        "{list:?}"
    );
    let ids = |more: &[&str]| {
        let list = serving.say(&[&["list", "--json"], more].concat()).ends_with(0).json();
        let ids: Vec<String> =
            list["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect();
        ids
    };
    assert_eq!(ids(&[]), [echo.clone(), waiting.clone()], "the newest first");
    assert_eq!(ids(&["--running"]), std::slice::from_ref(&waiting));
    assert_eq!(ids(&["--ended"]), std::slice::from_ref(&echo));
    assert_eq!(ids(&["--session", "s1"]), std::slice::from_ref(&waiting));
    assert_eq!(ids(&["--type", "echo", "--label", "a=b"]), std::slice::from_ref(&echo));
    assert_eq!(ids(&["--state", "running", "--state", "ended", "--all"]).len(), 2);
    let page = serving.say(&["list", "--limit", "1"]).ends_with(0);
    let cursor = page.stderr.split("--cursor ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    assert_eq!(ids(&["--cursor", &cursor]), [waiting]);
    serving.say(&["list", "--state", "asleep"]).ends_with(2).says("held");
    serving.say(&["list", "--cursor", "x"]).ends_with(2);
    serving.say(&["list", "--label", "a"]).ends_with(2).says("NAME=VALUE");
}

#[test]
fn r41_a_task_is_named_in_three_ways() {
    let serving = Serving::new();
    let id = serving.start("wait", &["--set", "key=go", "--key", "a/b", "--title", "the wait"]);
    let page = serving.say(&["show", &id[..5]]).ends_with(0);
    assert!(page.stdout.starts_with(&id) && page.stdout.contains("the wait"), "{page:?}");
    let by_key = serving.say(&["show", "--key", "fixture/wait/a/b", "--json"]).ends_with(0).json();
    assert_eq!(by_key["id"], json!(id));
    serving.say(&["show", &id.to_uppercase()]).ends_with(0);
    serving.say(&["show", &id[..3]]).ends_with(2).says("at least 4 digits");
    serving.say(&["show", "fixture/wait/a/b"]).ends_with(2).says("say --key fixture/wait/a/b");
    serving.say(&["show", "--key", "fixture/wait/none"]).ends_with(4).says("there is no task fixture/wait/none");
    serving.say(&["show", &"0".repeat(32)]).ends_with(4).says("there is no task 0000");
    serving.say(&["show", "00000"]).ends_with(4).says("begins with 00000");
    serving.say(&["wait", &"0".repeat(32)]).ends_with(4);
}
