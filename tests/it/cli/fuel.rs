//! A task that asks for more fuel, without a terminal.

use serde_json::json;

use super::program::Place;

const HUNGRY: [&str; 5] = ["request-fuel", "--set", "units=5000000000", "--set", "reason=one more page"];

#[test]
fn without_a_terminal_it_is_refused_at_once_and_the_option_is_named() {
    let place = Place::new();
    for extra in [&[] as &[&str], &["--json"]] {
        let done = place.fixture(&[&HUNGRY[..], extra].concat()).ends_with(0);
        let answer = if extra.is_empty() { done.json() } else { done.json()["data"].clone() };
        assert_eq!(answer["refused"], "denied", "{done:?}");
        // The task is told too, so that it can pass it on.
        assert!(answer["message"].as_str().unwrap().contains("--limit fuel_on_request=5G"), "{answer}");
        done.says("The task asks for 5G units of fuel more (≈ 0.50 CPU seconds): one more page")
            .says("there is no terminal to ask on; --limit fuel_on_request=5G gives it in advance");
    }
}

#[test]
fn fuel_is_decided_in_advance_like_other_questions() {
    let place = Place::new();
    let answered = |flags: &[&str]| place.fixture(&[&HUNGRY[..], flags].concat()).ends_with(0);
    for flags in [&["--approve", "fuel"] as &[&str], &["--permission", "approve"]] {
        assert_eq!(answered(flags).json()["granted"], json!(5_000_000_000_u64));
    }
    assert_eq!(answered(&["--approve", "fuel=7"]).json()["granted"], 7, "another amount");
    let denied = answered(&["--permission", "approve", "--deny", "fuel=too dear"]).json();
    assert!(denied["message"].as_str().unwrap().ends_with("turned down by a person: too dear"), "{denied}");
    let over = answered(&["--approve", "fuel", "--limit", "fuel_on_approval=1G"]);
    assert_eq!(over.json()["refused"], "denied");
    over.says("more than the 1000000000 that are left").says("--limit fuel_on_approval=6G allows it");
}

#[test]
fn what_was_given_in_advance_is_not_asked_for() {
    let place = Place::new();
    let done = place.fixture(&[&HUNGRY[..], &["--limit", "fuel_on_request=5G"]].concat()).ends_with(0);
    assert_eq!(done.json()["granted"], json!(5_000_000_000_u64));
    assert!(!done.stderr.contains("asks for") && !done.stderr.contains("no terminal"), "{done:?}");
    done.says("5G units more, from the host");
    // Less is not enough, and the option that is named counts what there was.
    let less = place.fixture(&[&HUNGRY[..], &["--limit", "fuel_on_request=1G"]].concat()).ends_with(0);
    assert_eq!(less.json()["refused"], "denied");
    less.says("--limit fuel_on_request=6G");
}
