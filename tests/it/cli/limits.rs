//! Limits on the command line: named, listed, suggested, set.

use super::program::Place;

#[test]
fn any_limit_is_set_by_its_name() {
    let place = Place::new();
    place.fixture(&["spin", "--limit", "fuel=20M"]).ends_with(5).says("failed (out-of-fuel)");
    place.fixture(&["spin", "--limit", "timeout=100ms"]).ends_with(5).says("failed (timeout)");
    let more = place.fixture(&["allocate", "--set", "mib=200", "--limit", "memory_bytes=512MiB"]).ends_with(0);
    assert_eq!(more.json(), 200 << 20);
}

#[test]
fn a_wrong_name_is_answered_with_the_right_ones() {
    let place = Place::new();
    let wrong = place.run("hello", &["--limit", "scratch_byte=1GiB"]).ends_with(2);
    wrong.says("there is no limit `scratch_byte`; did you mean `scratch_bytes`?").says("fuel, fuel_on_request, ");
    place.run("hello", &["--limit", "handles=many"]).ends_with(2).says("write for example 500");
    place.run("hello", &["--limit", "idle=5"]).ends_with(2).says("30s, 5m or 1h30m");
}

#[test]
fn two_values_for_one_limit_are_a_mistake() {
    let place = Place::new();
    let twice = ["--fuel", "2G", "--limit", "fuel=3G"];
    place.run("hello", &twice).ends_with(2).says("the limit `fuel` is given twice, with two values");
    place.run("hello", &["--memory", "64MiB", "--limit", "memory_bytes=64MiB"]).ends_with(0);
}

#[test]
fn all_limits_are_listed_and_each_can_be_set_to_its_default() {
    let place = Place::new();
    let table = place.taskcell(&["limits"]).ends_with(0).stdout;
    let document = place.taskcell(&["limits", "--json"]).ends_with(0).json();
    let limits = document["limits"].as_array().unwrap();
    assert!(limits.len() > 20, "{document}");
    for limit in limits {
        let name = limit["flag"].as_str().unwrap().strip_prefix("--limit ").unwrap().strip_suffix('=').unwrap();
        let line = table.lines().find(|line| line.split(' ').next() == Some(name));
        let default = line.unwrap_or_else(|| panic!("{name} is missing: {table}")).split_whitespace().nth(1).unwrap();
        place.run("hello", &["--limit", &format!("{name}={default}")]).ends_with(0);
    }
}

#[test]
fn the_shell_completes_the_names() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.taskcell(&["completions", shell]).ends_with(0).stdout.contains("scratch_inodes"), "{shell}");
    }
    assert!(!place.taskcell(&["run", "--help"]).ends_with(0).stdout.contains("scratch_inodes"));
}
