//! Trees of every shape on screens of every size.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::{Snapshot, Usage};

const NOW: Timestamp = Timestamp(1_000_000);

fn id(number: u64) -> String {
    format!("{number:032x}")
}

/// A task as its snapshot has it, with these fields besides.
fn state(number: u64, more: &Value) -> Snapshot {
    let mut state = json!({
        "id": id(number), "task": {"plugin": "p", "task_type": "t", "key": id(number)}, "phase": "running",
        "artifacts": [], "usage": Usage::default(), "seq": 1,
    });
    for (name, value) in more.as_object().unwrap() {
        state[name] = value.clone();
    }
    serde_json::from_value(state).unwrap()
}

fn node(number: u64, more: &Value) -> Node {
    Node::of(&state(number, more))
}

fn titled(number: u64, title: &str) -> Node {
    node(number, &json!({"details": {"title": title}}))
}

fn ended(number: u64, at: u64) -> Node {
    let outcome = json!({"outcome": "succeeded", "message": "12 words", "data": null});
    node(number, &json!({"phase": "ended", "outcome": outcome, "ended_at": at}))
}

fn failed(number: u64) -> Node {
    let outcome =
        json!({"outcome": "failed", "kind": "out-of-fuel", "message": "the tank is empty", "retryable": true});
    node(number, &json!({"phase": "ended", "outcome": outcome, "ended_at": 1}))
}

fn over(mut parent: Node, children: Vec<Node>) -> Node {
    parent.children = children;
    parent
}

fn parent(children: Vec<Node>) -> Node {
    over(titled(0, "report"), children)
}

fn drawn(root: &Node, columns: u16, lines_max: usize) -> Vec<String> {
    let lines = lines(root, &Frame { columns: Columns::of(Some(columns)), lines_max, now: NOW });
    assert!(lines.len() <= lines_max, "{lines:#?}");
    for line in &lines {
        assert!(line.width() <= columns.into(), "{columns}: {line:?}");
        assert_eq!(crate::escape(line), *line, "it is safe");
    }
    lines
}

#[test]
fn a_tree_has_a_line_for_each_task_with_all_that_is_known() {
    let usage = Usage { fuel: 1_250_000, memory_peak_bytes: 3 << 20, ..Usage::default() };
    let progress = json!({"message": "reading b.md", "percent": 45});
    let busy = json!({"usage": usage, "fuel_budget": 5_000_000, "progress": progress, "attempt": 2});
    let waiting = json!({"waiting": {"wait": 1, "keys": ["go", "stop"]}});
    let grand = over(node(2, &busy), vec![node(4, &waiting)]);
    let root = parent(vec![ended(1, 1), grand, failed(3)]);
    assert_eq!(
        drawn(&root, 120, 24),
        [
            "report              running",
            "├─ t [00000000]     ✓ succeeded                                           12 words",
            "├─ t [00000000]     running                  45%  1.2M of 5M fuel  3 MiB  attempt 2 · reading b.md",
            "│  └─ t [00000000]  waits for a signal                                    `go` or `stop`",
            "└─ t [00000000]     ✗ failed (out-of-fuel)                                the tank is empty",
        ]
        .map(str::to_owned)
    );
}

#[test]
fn why_a_task_does_not_go_on_is_said() {
    let ask = json!({"kind": "publish", "reason": "", "summary": "3 files"});
    let said =
        |more: Value| drawn(&node(7, &more), 120, 1).remove(0).split_whitespace().skip(2).collect::<Vec<_>>().join(" ");
    let asking = json!([{"number": 1, "ask": ask, "since": 1}]);
    assert_eq!(said(json!({"approvals": asking})), "waits for approval publish: 3 files");
    assert_eq!(said(json!({"phase": "held", "approvals": asking})), "held publish: 3 files");
    assert_eq!(said(json!({"phase": "queued"})), "queued");
    assert_eq!(said(json!({"phase": "delayed"})), "delayed");
    assert_eq!(said(json!({"fuel_request": {"units": 5000, "reason": "more"}})), "waits for fuel 5k units: more");
    assert_eq!(said(json!({"awaits_instruction": true})), "waits to be told");
    assert_eq!(said(json!({"hour_used_up": true})), "waits for its next hour");
    let paused = json!({"by": "person", "reason": "lunch", "since": 1});
    assert_eq!(said(json!({"paused": paused})), "paused by a person: lunch");
    let cancel = json!({"by": "person", "reason": "Ctrl-C", "grace_ms": 5});
    assert_eq!(said(json!({"cancel": cancel})), "stopping Ctrl-C");
    let child = json!({
        "id": id(8), "task": {"plugin": "p", "task_type": "measure", "key": "a.md"}, "fuel": 1, "detached": false,
        "outcome": null,
    });
    assert_eq!(said(json!({"children": [child], "awaits_child": id(8)})), "waits for a child measure [a.md]");
}

#[test]
fn no_line_is_wider_than_the_screen_and_none_is_lost_on_a_narrow_one() {
    let progress = json!({"message": "a long way to go ".repeat(9), "percent": 7});
    let usage = Usage { fuel: 1_250_000, memory_peak_bytes: 3 << 20, ..Usage::default() };
    let busy = json!({"progress": progress, "usage": usage, "details": {"title": "日本語の題名".repeat(20)}});
    let root = parent(vec![node(1, &busy), titled(2, "👨‍👩‍👧 ❤️ family"), ended(3, 1)]);
    for columns in (1..130).chain([u16::MAX]) {
        assert_eq!(drawn(&root, columns, 24).len(), 4, "{columns}");
    }
    let narrow = drawn(&root, 42, 24);
    assert!(narrow[1].starts_with("├─ 日本語") && narrow[1].contains("running  7%"), "{narrow:#?}");
    assert_eq!(narrow[3], "└─ t [00000000]  ✓ succeeded  12 words");
    assert!(!drawn(&root, 80, 24)[1].contains("MiB") && drawn(&root, 120, 24)[1].contains("3 MiB"));
}

#[test]
fn what_a_plugin_says_cannot_play_tricks() {
    let nasty = "a\u{1b}[2J\n├─ fake\u{202e}x\u{200b}";
    let progress = json!({"message": nasty, "percent": 5});
    let root = parent(vec![node(1, &json!({"details": {"title": nasty}, "progress": progress}))]);
    let lines = drawn(&root, 160, 24);
    assert_eq!(lines.len(), 2);
    assert!(lines[1].starts_with(r"└─ a\u{1b}[2J\n├─ fake\u{202e}x\u{200b}"), "{lines:#?}");
}

#[test]
fn what_ended_long_ago_folds_first_then_all_that_ended_then_what_is_queued_then_the_rest() {
    let recent = NOW.0 - LINGER_MS + 1;
    let mut children: Vec<Node> = (1..=10).map(|number| ended(number, 1)).collect();
    children.push(failed(11));
    children.extend((12..=13).map(|number| ended(number, recent)));
    children.extend((14..=17).map(|number| node(number, &json!({"phase": "queued"}))));
    children.extend((18..=20).map(|number| titled(number, "live")));
    let root = parent(children);
    let counted = |lines_max| drawn(&root, 120, lines_max).pop().unwrap();
    assert_eq!(drawn(&root, 120, 21).len(), 21);
    assert_eq!((counted(20), drawn(&root, 120, 20).len()), ("└─ 11 ended: 10 ✓ 1 ✗".to_owned(), 11));
    assert_eq!((counted(10), drawn(&root, 120, 10).len()), ("└─ 13 ended: 12 ✓ 1 ✗".to_owned(), 9));
    assert_eq!((counted(8), drawn(&root, 120, 8).len()), ("└─ 13 ended: 12 ✓ 1 ✗, 4 queued".to_owned(), 5));
    assert_eq!(drawn(&root, 120, 3), ["report   running", "├─ live  running", "… 19 more"].map(str::to_owned));
    assert_eq!(drawn(&root, 120, 1), ["… 21 more"]);
}

#[test]
fn who_has_live_tasks_below_does_not_fold() {
    let root = parent(vec![over(ended(1, 1), vec![titled(2, "left behind")]), ended(3, 1)]);
    let lines = drawn(&root, 120, 3);
    assert!(lines[1].contains("✓ succeeded") && lines[2].contains("… 2 more"), "{lines:#?}");
    let lines = drawn(&root, 120, 4);
    assert!(lines[2].starts_with("│  └─ left behind") && lines[3].starts_with("└─ t "), "{lines:#?}");
}

#[test]
fn a_deep_tree_keeps_its_names() {
    let mut tree = titled(99, "the last");
    for number in (1..99).rev() {
        tree = over(titled(number, "one"), vec![tree]);
    }
    for columns in [42, 80, 120] {
        let lines = drawn(&tree, columns, 200);
        assert_eq!(lines.len(), 99);
        assert!(lines[98].starts_with('…') && lines[98].contains("└─ the last"), "{}", lines[98]);
    }
}

#[test]
fn a_thousand_children_fit_a_screen() {
    let mut root = parent((1..=1000).map(|number| titled(number, "live")).collect());
    root.unseen = 500;
    assert_eq!(drawn(&root, 80, 22).pop().unwrap(), "… 1480 more");
    assert_eq!(drawn(&root, 80, 2000).pop().unwrap(), "└─ 500 more");
}

#[test]
fn a_child_that_the_host_forgot_is_what_its_parent_knows() {
    let child = json!({
        "id": id(8), "task": {"plugin": "other", "task_type": "measure", "key": "a.md"}, "fuel": 1, "detached": false,
        "outcome": "failed",
    });
    let root = parent(vec![Node::as_told(&serde_json::from_value(child).unwrap())]);
    assert_eq!(drawn(&root, 120, 9)[1], "└─ other/measure [a.md]  ✗ failed");
    assert!(!root.is_over() && root.children[0].is_over());
    assert_eq!(root.tasks(), 2);
}

#[test]
fn a_program_gets_every_task_with_its_children() {
    let progress = json!({"message": "reading", "percent": 45});
    let root = parent(vec![node(1, &json!({"progress": progress})), failed(2)]);
    let document = root.document();
    assert_eq!((&document["title"], &document["state"]), (&json!("report"), &json!("running")));
    assert_eq!(document["children"][0]["progress"], progress);
    let failed = &document["children"][1];
    assert_eq!((&failed["state"], &failed["why"]), (&json!("failed"), &json!("the tank is empty")));
    assert_eq!(failed["usage"], json!({"fuel": 0, "fuel_budget": 0, "memory_peak_bytes": 0}));
    assert_eq!(failed["children"], json!([]));
}
