//! Signals without a terminal: given in advance, or asked for in a line.

use serde_json::json;

use super::program::Place;

#[test]
fn a_signal_in_advance_is_found_with_its_payload_and_comes_from_a_person() {
    let place = Place::new();
    let done = place.fixture(&["wait", "--set", "key=go", "--signal", r#"go={"yes":true}"#]).ends_with(0);
    assert_eq!(done.json()["payload"], json!({"yes": true}));
    assert_eq!(done.json()["sender"], "person");
    let bare = place.fixture(&["wait", "--set", "key=go", "--signal", "go"]).ends_with(0);
    assert_eq!(bare.json()["absent"], true);
}

#[test]
fn several_signals_are_taken_in_order() {
    let done =
        Place::new().fixture(&["wait-twice", "--set", "key=go", "--signal", "go=1", "--signal", "go=2"]).ends_with(0);
    assert_eq!((&done.json()[0]["payload"], &done.json()[1]["payload"]), (&json!(1), &json!(2)));
}

#[test]
fn t35_without_a_terminal_a_line_says_what_is_waited_for_and_how_to_give_it() {
    let place = Place::new();
    for extra in [&[] as &[&str], &["--json"]] {
        let arguments = [&["wait", "--set", "key=go", "--set", "timeout_ms=50"], extra].concat();
        place
            .fixture(&arguments)
            .ends_with(0)
            .says("waits for the signal `go` for at most 50ms")
            .says("--signal go=true");
    }
}

#[test]
fn other_tasks_are_signalled_only_if_that_is_allowed() {
    let place = Place::new();
    let notify = [
        "notify",
        "--set",
        "plugin=fixture",
        "--set",
        "task_type=wait",
        "--set",
        "key=nobody",
        "--set",
        "signal=go",
        "--set",
        "with_payload=false",
    ];
    assert_eq!(place.fixture(&notify).ends_with(0).json(), "denied");
    let allowed = [notify.as_slice(), &["--allow", "signal"]].concat();
    assert_eq!(place.fixture(&allowed).ends_with(0).json(), "no-task");
}
