//! What a shell is told that asks what can be typed next.

use super::serving::{Serving, with_data};
use crate::cli::program::{Done, Place, finish};

/// What bash is told about the last of these words.
fn completed(place: &Place, words: &[&str]) -> Done {
    let mut command = with_data(place, &[&["--", "taskcell"][..], words].concat());
    let index = words.len().to_string();
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index);
    command.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true").env("_CLAP_IFS", "\n");
    finish(command, "")
}

#[test]
fn ids_and_names_come_from_the_server() {
    let serving = Serving::new();
    let id = serving.start("wait", &["--set", "key=go", "--key", "nightly"]);
    let place = &serving.place;
    let offered = |words: &[&str]| completed(place, words).ends_with(0).stdout;
    assert!(offered(&["show", &id[..2]]).contains(&id[..8]));
    assert!(offered(&["show", &id[..10]]).contains(&id));
    assert!(offered(&["cancel", "--key", "fixture/"]).contains("fixture/wait/nightly"));
    assert!(offered(&["start", "fix"]).contains("fixture"));
    assert!(offered(&["start", "fixture", "ec"]).contains("echo"));
    assert!(offered(&["plugin", "disable", ""]).contains("fixture"));
    assert!(offered(&["run", "x.wasm", "--limit", "fuel_on_r"]).contains("fuel_on_request="));
    assert!(offered(&["canc"]).contains("cancel"));
}

#[test]
fn t35_without_a_server_a_completion_is_silent() {
    let place = Place::new();
    let done = completed(&place, &["show", "a"]).ends_with(0);
    assert!(done.stderr.is_empty() && !done.stdout.contains("error"), "{done:?}");
    let mut script = place.command(&[]);
    script.env("COMPLETE", "bash");
    assert!(finish(script, "").ends_with(0).stdout.contains("_CLAP_COMPLETE_INDEX"));
    let mut other = place.command(&["limits"]);
    other.env("COMPLETE", "no-shell");
    assert!(finish(other, "").ends_with(0).stdout.contains("LIMIT"), "somebody else's variable changes nothing");
}
