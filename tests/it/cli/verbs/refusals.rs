//! What every verb says when it cannot do what it is asked for.

use std::os::unix::ffi::OsStrExt as _;

use super::serving::{say, with_data};
use crate::cli::program::{Place, finish};

const VERBS: [&[&str]; 19] = [
    &["start", "p"],
    &["list"],
    &["show", "abcd"],
    &["wait", "abcd"],
    &["output", "abcd"],
    &["events", "abcd"],
    &["events"],
    &["cancel", "abcd"],
    &["stop-all", "--all", "--yes"],
    &["pause", "abcd"],
    &["resume", "abcd"],
    &["notify", "abcd", "go"],
    &["instruct", "abcd", "go"],
    &["approve"],
    &["deny"],
    &["fuel", "abcd", "5G"],
    &["plugin", "list"],
    &["schedule", "list"],
    &["gc", "--older-than", "1h"],
];

#[test]
fn without_a_server_every_verb_says_how_to_start_one() {
    let place = Place::new();
    for verb in VERBS {
        let done = say(&place, verb).ends_with(7).says("no server is running").says("taskcell serve --data");
        assert_eq!(done.stdout, "", "{verb:?}");
    }
    // The flag goes before the variable.
    let mut other = with_data(&place, &["list", "--data", "elsewhere"]);
    other.env("TASKCELL_DATA", "/nowhere");
    finish(other, "").ends_with(7).says("elsewhere");
}

#[test]
fn t35_an_argument_that_is_no_text_is_told() {
    let place = Place::new();
    for verb in ["show", "wait", "cancel", "output", "events", "approve", "pause"] {
        let mut command = with_data(&place, &[verb]);
        command.arg(std::ffi::OsStr::from_bytes(b"abcd\xff"));
        finish(command, "").ends_with(2).says("UTF-8");
    }
    // A folder may have any name.
    let mut command = with_data(&place, &["list", "--data"]);
    command.arg(std::ffi::OsStr::from_bytes(b"d\xff"));
    finish(command, "").ends_with(7);
}

#[test]
fn every_verb_has_a_help() {
    let place = Place::new();
    for verb in VERBS {
        let help = place.taskcell(&[verb[0], "--help"]).ends_with(0);
        assert!(help.stdout.contains("Usage: taskcell"), "{help:?}");
    }
}
