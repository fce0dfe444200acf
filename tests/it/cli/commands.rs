//! The commands beside `run`: inspect, doctor, completions, help.

use super::program::{Place, text};
use crate::support::guest;

#[test]
fn inspect_says_what_a_person_needs_to_run_it() {
    let done = Place::new().taskcell(&["inspect", text(&guest("digest"))]).ends_with(0);
    for expected in [
        "digest 0.1.0",
        "a WebAssembly component",
        "sha256   ",
        "folder",
        "string, default \"/docs\"",
        "integer 1 to 50, default 8",
        "dir-read: the folder to read",
        "grant it with --dir HOST::GUEST",
        "taskcell:plugin@0.1.",
        "taskcell run ",
    ] {
        assert!(done.stdout.contains(expected), "{expected:?} is missing: {}", done.stdout);
    }
    assert_eq!(done.stderr, "");
}

#[test]
fn inspect_as_json_has_the_schemas_and_the_digest() {
    let document = Place::new().taskcell(&["inspect", "--json", text(&guest("digest"))]).ends_with(0).json();
    assert_eq!(document["kind"], "component");
    assert_eq!(document["sha256"].as_str().unwrap().len(), 64);
    assert!(document["manifest"]["tasks"][0]["input"]["properties"]["folder"].is_object());
    assert_eq!(document["grants"][0]["flag"], "--dir HOST::GUEST");
}

#[test]
fn r5_inspect_names_a_plugins_hooks_and_calls_none() {
    let place = Place::new();
    let page = place.taskcell(&["inspect", text(&guest("hooks"))]).ends_with(0);
    let hooks = "Hooks that the host calls\n  init, on-enabled, on-disabled, shutdown, on-cancel, on-terminal";
    assert!(page.stdout.contains(hooks), "{page:?}");
    let document = place.taskcell(&["inspect", "--json", text(&guest("hooks"))]).ends_with(0).json();
    assert_eq!((document["hooks"][0].as_str(), document["hooks"].as_array().unwrap().len()), (Some("init"), 6));
    let none = place.taskcell(&["inspect", "--json", text(&guest("hello"))]).ends_with(0).json();
    assert_eq!(none["hooks"].as_array().unwrap().len(), 0);
}

#[test]
fn inspect_knows_modules_and_commands() {
    let place = Place::new();
    let module = place.taskcell(&["inspect", text(&guest("hello-wasip1"))]).ends_with(0);
    assert!(module.stdout.contains("a core WebAssembly module that carries the contract"), "{module:?}");
    let command = place.taskcell(&["inspect", text(&guest("command"))]).ends_with(0);
    assert!(command.stdout.contains("args") && command.stdout.contains("list of string"), "{command:?}");
}

#[test]
fn doctor_finds_that_tasks_can_run_here() {
    let place = Place::new();
    let done = place.taskcell(&["doctor"]).ends_with(0);
    assert!(done.stdout.contains("✓ ok       engine: "), "{done:?}");
    assert!(done.stdout.ends_with("Tasks can run here.\n"), "{done:?}");
    let document = place.taskcell(&["doctor", "--json"]).ends_with(0).json();
    assert_eq!(document["healthy"], true);
    assert!(document["checks"].as_array().unwrap().len() >= 6);
}

#[test]
fn doctor_counts_the_mappings_of_so_many_cells() {
    let place = Place::new();
    for cells in ["1", "8000"] {
        let document = place.taskcell(&["doctor", "--json", "--cells", cells]).ends_with(0).json();
        let checks = document["checks"].as_array().unwrap();
        let mappings =
            checks.iter().find(|check| check["name"].as_str().unwrap().contains("vm.max_map_count")).unwrap();
        assert!(mappings["says"].as_str().unwrap().contains("cells at once (6 mappings each)"), "{mappings}");
    }
    place.taskcell(&["doctor", "--cells", "0"]).ends_with(2).says("1..=100000");
    place.taskcell(&["doctor", "--cells", "9000", "--dense"]).ends_with(0);
    place.taskcell(&["serve", "--data", "d", "--running-max", "8001"]).ends_with(2).says("need `--dense`");
}

#[test]
fn doctor_says_what_is_broken_and_what_to_do() {
    let place = Place::new();
    let mut command = place.command(&["doctor"]);
    command.env("TMPDIR", "/nowhere/at/all");
    let done = super::program::finish(command, "").ends_with(1);
    assert!(done.stdout.contains("✗ broken   temporary files: /nowhere/at/all cannot be written"), "{done:?}");
    assert!(done.stdout.contains("name another folder in TMPDIR"), "{done:?}");
}

#[test]
fn completions_are_written_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = place.taskcell(&["completions", shell]).ends_with(0);
        assert!(done.stdout.contains("taskcell") && done.stdout.contains("inspect"), "{shell}");
    }
}

#[test]
fn help_lists_the_exit_codes_and_shows_examples() {
    let place = Place::new();
    let help = place.taskcell(&["run", "--help"]).ends_with(0).stdout;
    for code in ["  0    ", "  1    ", "  2    ", "  3    ", "  4    ", "  5    ", "  6    ", "  70   ", "  130  "] {
        assert!(help.contains(code), "{code:?} is missing: {help}");
    }
    assert!(place.taskcell(&["--help"]).ends_with(0).stdout.contains("Examples:"));
    assert_eq!(place.taskcell(&["--version"]).ends_with(0).stdout, "taskcell 0.1.0\n");
}
