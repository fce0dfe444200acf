//! The rules of the house, checked on every file of the repository.
//!
//! Each rule is a function from a [`Tree`](tree::Tree) to the offences in it. Beside its run over the repository each has
//! tests of its own with a small bad sample, so that a rule that has gone blind is noticed.

mod behaviour;
mod expects;
mod fixtures;
mod imports;
mod layers;
mod places;
mod profiles;
mod roots;
mod rust;
mod sizes;
mod tree;
mod units;
mod wit;
mod words;

use tree::{Offence, Tree};

/// Runs a rule over the repository.
fn check(rule: fn(&Tree) -> Vec<Offence>) -> Result<(), String> {
    let tree = Tree::of_repository().map_err(|error| format!("cannot read the repository: {error}"))?;
    report(&rule(&tree))
}

/// All offences in one error, so that they can be mended in one go.
fn report(offences: &[Offence]) -> Result<(), String> {
    if offences.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = offences.iter().map(|offence| format!("\n  {offence}")).collect();
    Err(format!("{} against the rules of the house:{}", lines.len(), lines.concat()))
}

macro_rules! rules {
    ($($name:ident: $rule:path;)*) => { $(
        #[test]
        fn $name() {
            if let Err(error) = check($rule) {
                panic!("{error}");
            }
        }
    )* };
}

rules! {
    every_rust_file_can_be_read: rust::unreadable;
    layers_are_imported_downwards_only: layers::offences;
    some_crates_are_imported_in_one_place_only: imports::offences;
    files_are_short: sizes::offences;
    nothing_is_switched_off_or_left_open: words::offences;
    banned_calls_are_excused_in_known_files_only: expects::offences;
    every_rust_file_says_what_it_is_for: words::first_lines;
    roots_hold_no_logic: roots::offences;
    every_fixture_has_a_test: fixtures::offences;
    every_behaviour_has_a_test: behaviour::offences;
    the_contract_is_versioned_and_documented: wit::offences;
    no_file_names_a_machine: places::offences;
    our_own_code_is_not_optimised_for_tests: profiles::offences;
}

#[test]
fn the_repository_is_not_empty() {
    let tree = Tree::of_repository().unwrap();
    for path in ["Cargo.toml", "Cargo.lock", "xtask/tests/tidy/main.rs", "wit/world.wit", "host/src/lib.rs"] {
        assert!(tree.file(path).is_some(), "{path} is not among {} files", tree.files().len());
    }
    assert!(!tree.files().iter().any(|file| file.path.starts_with("target/") || file.path.starts_with(".git/")));
}

#[test]
fn every_offence_is_reported() {
    let offences = [Offence::new("a.rs", 1, "one"), Offence::new("b.rs", 2, "two")];
    assert_eq!(report(&offences).unwrap_err(), "2 against the rules of the house:\n  a.rs:1: one\n  b.rs:2: two");
    assert_eq!(report(&[]), Ok(()));
}
