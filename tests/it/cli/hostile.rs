//! T9 and T24: what a hostile plugin says, in every place where the program shows it to a person.

use serde_json::{Value, json};

use super::program::{Done, Place, text};
use crate::support::component::{Handmade, literal, outcome_of};
use crate::support::files::write;
use crate::support::imports;

/// Sets the window's title, clears the screen, goes back to the beginning of the line, turns the reading direction,
/// isolates, breaks the line in three ways, and hides characters.
const NASTY: &str =
    "\u{1b}]0;owned\u{7}\u{1b}[2J\rsucceeded\u{202e}\u{2066}\u{9b}31m\u{85}\u{2028}\u{200f}\u{7f}\u{8}nasty";

/// Whether a terminal shows these characters, and does nothing else about them.
fn is_harmless(text: &str) -> bool {
    let plays_tricks = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
    };
    !text.contains(plays_tricks)
}

fn harmless(done: Done) -> Done {
    assert!(is_harmless(&done.stdout) && is_harmless(&done.stderr), "{done:?}");
    done
}

/// A plugin that says it wherever it can, and ends like this.
fn plugin(place: &Place, ends: &[(u32, i64)]) -> std::path::PathBuf {
    let length = NASTY.len();
    let manifest = json!({
        "manifest": 1, "name": "nasty", "version": NASTY, "author": NASTY, "description": NASTY, "url": NASTY,
        "requests": [{"capability": "signal", "reason": NASTY}, {"capability": format!("host:{NASTY}"), "reason": NASTY}],
        "tasks": [{"name": "go", "description": NASTY, "input": {
            "type": "object", "description": NASTY, "properties": {NASTY: {"type": "string", "description": NASTY}},
        }}],
    });
    let bytes = literal(NASTY.as_bytes());
    let said = format!("(i32.const 2500) (i32.const {length})");
    let plugin = Handmade::new("nasty")
        .manifest(manifest.to_string())
        .imports(&imports::TASK)
        .imports(&imports::LOG)
        .imports(&imports::AGENT)
        .imports(&imports::OUTPUT)
        .field(&format!(r#"(data (i32.const 2500) "{bytes}")"#))
        .field(r#"(data (i32.const 3000) "{}")"#)
        .run(format!(
            "(call $progress {said} (i32.const 1) (i32.const 50) (i32.const 2048))
             (call $log (i32.const 3) {said} {said})
             (call $agent {said} (i32.const 1) (i32.const 2048))
             (call $write (i32.const 0) {said} (i32.const 2048))
             (call $write (i32.const 1) {said} (i32.const 2048))
             {}",
            outcome_of(ends)
        ));
    let path = place.path().join("nasty.wasm");
    write(&path, plugin.bytes());
    path
}

#[test]
fn t09_what_a_task_says_is_escaped_wherever_it_is_shown() {
    let place = Place::new();
    let length = i64::try_from(NASTY.len()).unwrap();
    for (code, ends) in [
        // A success, a failure with details, an end as cancelled.
        (0, vec![(0, 0), (4, 2500), (8, length)]),
        (1, vec![(0, 1), (4, 2500), (8, length), (12, 1), (16, 3000), (20, 2)]),
    ] {
        let path = plugin(&place, &ends);
        let done = harmless(place.taskcell(&["run", text(&path), "go"]).ends_with(code));
        let shown = done.stderr.matches(r"\u{1b}]0;owned\u{7}").count();
        assert!(shown >= 6, "progress, log, agent, both streams and the end: {shown} in {done:?}");
    }
}

#[test]
fn t09_a_document_for_programs_is_one_line_and_means_the_same() {
    let place = Place::new();
    let path = plugin(&place, &[(0, 0), (4, 2500), (8, i64::try_from(NASTY.len()).unwrap())]);
    let done = place.taskcell(&["run", "--json", text(&path), "go"]).ends_with(0);
    assert_eq!(done.stdout.lines().count(), 1, "{done:?}");
    assert!(is_harmless(&done.stdout) && is_harmless(&done.stderr), "{done:?}");
    assert_eq!(done.json()["message"], NASTY);
}

#[test]
fn t09_what_a_plugin_says_of_itself_is_escaped_wherever_it_is_shown() {
    let place = Place::new();
    let path = plugin(&place, &[(0, 0)]);
    let done = harmless(place.taskcell(&["inspect", text(&path)]));
    assert!(done.stdout.contains("owned") || done.stderr.contains("owned"), "{done:?}");
    harmless(place.taskcell(&["inspect", "--json", text(&path)]));
    // Errors name what there is.
    harmless(place.taskcell(&["run", text(&path), "no-such-type"]));
    harmless(place.taskcell(&["run", text(&path), "go", "--input", "[1]"]));
}

#[test]
fn t24_a_manifest_that_is_refused_is_told_without_its_tricks() {
    let place = Place::new();
    let manifest = |name: &str, task: &str, input: Value| {
        json!({
            "manifest": 1, "name": name, "version": "1", "tasks": [{"name": task, "input": input}],
        })
    };
    for manifest in [
        manifest(NASTY, "go", json!(true)),
        manifest("nasty", NASTY, json!(true)),
        manifest("nasty", "go", json!({"type": NASTY})),
        manifest("nasty", "go", json!({"$ref": NASTY})),
        manifest("nasty", "go", json!({"pattern": format!("({NASTY}")})),
        json!({"manifest": 1, "name": "nasty", "version": "1", "tasks": [{"name": "go"}], "requests": [{"capability": NASTY}]}),
        json!({"manifest": 1, "name": {NASTY: NASTY}}),
        json!({"manifest": NASTY}),
    ] {
        let path = place.path().join("refused.wasm");
        write(&path, Handmade::new("nasty").manifest(manifest.to_string()).bytes());
        for command in ["inspect", "run"] {
            let done = harmless(place.taskcell(&[command, text(&path)]));
            assert!(done.code != Some(0) && !done.stderr.is_empty(), "{manifest}: {done:?}");
        }
    }
}
