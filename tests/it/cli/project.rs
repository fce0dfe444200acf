//! A plugin of one's own, outside the repository: made, built, run.

use std::path::Path;

use serde_json::json;

use super::program::{Place, finish, finish_build, target_dir, text};

/// The repository, whose lock file the new plugin gets: so no other versions need to be fetched.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn a_new_plugin_builds_and_runs() {
    let place = Place::new();
    let sdk = repository().join("guest-sdk");
    place
        .taskcell(&["new", "word-count", "--sdk", text(&sdk)])
        .ends_with(0)
        .says("cd word-count")
        .says("taskcell build");
    std::fs::copy(repository().join("Cargo.lock"), place.path().join("word-count/Cargo.lock")).unwrap();

    let mut build = place.command(&["build", "word-count"]);
    // Kept between runs, so that the dependencies are compiled once.
    build.env("CARGO_TARGET_DIR", target_dir().join("tmp/new-plugin"));
    finish_build(build)
        .ends_with(0)
        .says("built word-count/word-count.wasm")
        .says("taskcell run word-count/word-count.wasm");

    let run =
        place.taskcell(&["run", "word-count/word-count.wasm", "--set", "text=to be or not to be", "--set", "top=1"]);
    assert_eq!(
        run.ends_with(0).says("6 words, 4 of them different").json(),
        json!({"words": 6, "different": 4, "top": [{"word": "be", "times": 2}]})
    );
}

#[test]
fn a_bad_name_and_a_folder_in_use_are_refused() {
    let place = Place::new();
    place.taskcell(&["new", "Word_Count"]).ends_with(2).says("`word-count` would do");
    place.taskcell(&["new", "../x"]).ends_with(2);
    place.taskcell(&["new", "match"]).ends_with(2);
    place.file("taken/file", "precious");
    place.taskcell(&["new", "taken"]).ends_with(1).says("it is there already, and not empty");
    assert_eq!(place.read("taken/file"), "precious");
}

#[test]
fn an_sdk_that_is_not_there_is_told() {
    let place = Place::new();
    place
        .taskcell(&["new", "x", "--sdk", "/nowhere"])
        .ends_with(1)
        .says("failed to find the guest SDK (--sdk)")
        .says("TASKCELL_SDK");
    let mut command = place.command(&["new", "x"]);
    command.env("TASKCELL_SDK", "/nowhere");
    finish(command, "").ends_with(1).says("(TASKCELL_SDK)");
    assert_eq!(place.path().read_dir().unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_folder_that_is_no_plugin_is_told_before_anything_is_built() {
    let place = Place::new();
    place.taskcell(&["build"]).ends_with(1).says("there is no Cargo.toml in .").says("taskcell new");
    place.file("lib/Cargo.toml", "[package]\nname = \"lib\"\nedition = \"2024\"\n[workspace]\n");
    place.file("lib/src/lib.rs", "");
    place.taskcell(&["build", "lib"]).ends_with(1).says("no library of the type cdylib");
}
