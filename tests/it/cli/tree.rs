//! `run --tree`: the task and everything below it.

use serde_json::json;

use super::program::{Place, signal};
use super::terminal::Seated;

/// A parent of one that succeeds, one that fails, and one that has a child of its own.
const CHILDREN: &str = r#"children=[
    {"task_type": "echo", "input": 1, "key": "first"},
    {"task_type": "fail", "input": {"message": "no", "retryable": false}},
    {"task_type": "family", "input": {"children": [{"task_type": "echo", "input": 2, "key": "grandchild"}]}}
]"#;

#[test]
fn without_a_terminal_the_tree_is_told_once_at_the_end() {
    let done =
        Place::new().run("fixture", &["family", "--tree", "--title", "all of us", "--set", CHILDREN]).ends_with(0);
    let lines: Vec<&str> = done.stderr.lines().skip_while(|line| !line.starts_with("all of us  ")).collect();
    assert!(lines[0].contains("✓ succeeded") && lines[0].contains(" of 1T fuel  "), "{done:?}");
    assert!(lines[1].starts_with("├─ echo [first]  ") && lines[1].contains("✓ succeeded"), "{done:?}");
    assert!(lines[2].starts_with("├─ fail [") && lines[2].contains("✗ failed"), "{done:?}");
    assert!(lines[3].starts_with("└─ family ["), "{done:?}");
    assert!(lines[4].starts_with("   └─ echo [grandchild]"), "{done:?}");
    assert!(lines[5].starts_with("succeeded: ") && lines.len() == 7, "{done:?}");
}

#[test]
fn the_document_has_the_tree_only_when_it_is_asked_for() {
    let place = Place::new();
    let done = place.run("fixture", &["family", "--tree", "--json", "--set", CHILDREN]).ends_with(0);
    assert_eq!(done.stderr, "");
    let document = done.json();
    let tree = &document["tree"];
    assert_eq!((&tree["id"], &tree["state"]), (&document["id"], &json!("succeeded")));
    let states: Vec<_> = tree["children"].as_array().unwrap().iter().map(|child| &child["state"]).collect();
    assert_eq!(states, ["succeeded", "failed", "succeeded"]);
    assert_eq!(tree["children"][1]["why"], "no");
    assert_eq!(tree["children"][2]["children"][0]["task"]["key"], "grandchild");
    assert!(tree["children"][0]["usage"]["fuel"].as_u64().unwrap() > 0);
    let done = place.run("fixture", &["family", "--json", "--set", "children=[]"]).ends_with(0);
    assert_eq!(done.json().get("tree"), None);
}

/// A parent that waits for a child, which waits for a signal that nobody sends.
const STUCK: [&str; 4] =
    ["family", "--tree", "--set", r#"children=[{"task_type": "wait", "key": "deaf", "input": {"key": "never"}}]"#];

#[test]
fn on_a_terminal_the_tree_is_drawn_below_the_bar_and_fits() {
    let place = Place::new();
    for columns in [120, 46] {
        let mut seated = Seated::run(&place, columns, &STUCK);
        // A line of its own.
        seated.until("\r\n└─ wait [deaf]  ");
        seated.until("waits for a signal");
        signal(&seated.child, "INT");
        // It stays, as it is at the end.
        seated.until("✗ cancelled");
        seated.until("\r\n└─ wait [deaf]  ");
        assert_eq!(seated.end().0, Some(130));
    }
}

#[test]
fn whoever_is_asked_sees_the_tree_above_the_question() {
    let place = Place::new();
    let children = r#"children=[{"task_type": "wait", "key": "deaf", "input": {"key": "never"}}]"#;
    let mut seated =
        Seated::run(&place, 120, &["family", "--tree", "--set", children, "--set", "until=go", "--set", "leave=true"]);
    seated.until("waits for a signal");
    seated.until("`go`");
    seated.until("└─ wait [deaf]");
    seated.until("The task waits for the signal `go`.");
    seated.types("y\n");
    assert_eq!(seated.end().0, Some(0));
}
