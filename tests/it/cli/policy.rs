//! The policy at the command line: where it is found, what it does to a run, what the verbs say about it.

use std::path::Path;

use super::program::{Place, Running, finish, text};
use crate::support::guest;

/// A policy that lets the fixture use its store, whatever its bytes are.
const POLICY: &str = "version = 1\n[plugins.fixture]\ndigest = \"any\"\n[plugins.fixture.allow]\nkv = true\n";

#[test]
fn t24_every_example_can_be_checked() {
    let place = Place::new();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("host/docs/policy");
    let entries = std::fs::read_dir(&examples).unwrap();
    let mut seen = 0;
    for entry in entries {
        let mut command = place.command(&["policy", "check", "--json"]);
        command.arg(entry.unwrap().path()).env("SERVICE_TOKEN", "a-token-of-the-service");
        let document = finish(command, "").json();
        // Their folders are not on this machine.
        let found = document["found"].as_array().unwrap();
        let strange = found.iter().find(|it| it["weight"] == "error" && !it["at"].as_str().unwrap().contains(".fs["));
        assert!(strange.is_none(), "{document}");
        seen += 1;
    }
    assert_eq!(seen, 4, "each example is in the table of the schema's tests too");
}

#[test]
fn t24_a_policy_is_checked_with_line_and_caret() {
    let place = Place::new();
    place.file("bad.toml", "version = 1\n[plugins.a]\ndigest = \"any\"\nallowed = true\n");
    let done = place.taskcell(&["policy", "check", "bad.toml"]).ends_with(1);
    assert!(done.stdout.contains("line 4, column 1") && done.stdout.contains("^^^"), "{done:?}");
    place
        .file("wrong.toml", "version = 1\n[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nfs = [{ host = \"b\" }]\n");
    let done = place.taskcell(&["policy", "check", "wrong.toml"]).ends_with(1);
    assert!(
        done.stdout.contains("5 | fs = [{ host = \"b\" }]") && done.stdout.contains("error    plugins.a.allow.fs[0]")
    );
    place
        .run("hello", &["--policy", "wrong.toml"])
        .ends_with(2)
        .says("no absolute path")
        .says("taskcell policy schema");
    place.file("good.toml", POLICY);
    let done = place.taskcell(&["policy", "check", "good.toml"]).ends_with(0);
    assert!(done.stdout.contains("warning  plugins.fixture.digest") && done.stdout.contains("0 errors, 1 warning\n"));
}

#[test]
fn t23_check_compares_the_rules_with_a_plugin() {
    let place = Place::new();
    let zeros = "0".repeat(64);
    place.file(
        "p.toml",
        &format!("version = 1\n[plugins.hello]\ndigest = \"sha256:{zeros}\"\n[plugins.hello.allow]\nsignal = true\n"),
    );
    let done = place.taskcell(&["policy", "check", "p.toml", "--plugin", text(&guest("hello"))]).ends_with(1);
    assert!(done.stdout.contains("error    plugins.hello.digest: the file has the digest sha256:"), "{done:?}");
}

#[test]
fn t23_explain_says_by_which_rule() {
    let place = Place::new();
    place.file("p.toml", POLICY);
    let digest = place.taskcell(&["policy", "explain", text(&guest("digest")), "--policy", "p.toml"]).ends_with(0);
    assert!(digest.stdout.contains("no rules for this plugin"), "{digest:?}");
    let line = |name: &str| digest.stdout.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("fs").contains("any folder") && line("fs").contains("denied"), "{digest:?}");
    let fixture = guest("fixture");
    let arguments = ["policy", "explain", text(&fixture), "--policy", "p.toml", "--json"];
    let document = place.taskcell(&arguments).ends_with(0).json();
    let wishes = document["asks_for"].as_array().unwrap();
    let kv = wishes.iter().find(|wish| wish["capability"] == "kv").unwrap_or_else(|| panic!("{document}"));
    assert_eq!((&kv["verdict"], &kv["rule"]), (&"allowed".into(), &"plugins.fixture.allow.kv".into()));
}

#[test]
fn t24_the_schema_is_written_out() {
    let document = Place::new().taskcell(&["policy", "schema"]).ends_with(0).json();
    assert_eq!(document["title"], "Taskcell policy");
}

#[test]
fn t23_a_policy_in_the_working_directory_is_not_looked_at() {
    let place = Place::new();
    place.file("taskcell.toml", "this is no policy");
    place.run("hello", &[]).ends_with(0);
    place.taskcell(&["policy", "check", "--data", "elsewhere"]).ends_with(2).says("there is no policy");
    let mut command = place.run_command("hello", &[]);
    command.env("TASKCELL_POLICY", place.path().join("taskcell.toml"));
    finish(command, "").ends_with(2).says("failed to read the policy");
}

#[test]
fn t23_flags_add_to_the_policy_for_one_run() {
    let place = Place::new();
    place.file("docs/a.txt", "some words");
    place.file("p.toml", "version = 1\n");
    let run = |arguments: &[&str]| place.run("digest", &[&["--signal", "approval=true"], arguments].concat());
    run(&["--policy", "p.toml"]).ends_with(1);
    run(&["--policy", "p.toml", "--dir", "docs::/docs"]).ends_with(0).says("added to the policy for this run");
    place.file("strict.toml", "version = 1\n[all.deny]\ncapabilities = [\"fs\"]\n");
    run(&["--policy", "strict.toml", "--dir", "docs::/docs"]).ends_with(1);
    run(&["--policy", "p.toml", "--dir", "missing::/docs"]).ends_with(4).says("the granted folder missing");
    run(&["--allow", "secrets=token"]).ends_with(2).says("needs a policy");
    run(&["--allow", "http"]).ends_with(2).says("http=GET:api.example.com");
}

#[test]
fn t23_two_versions_are_compared_as_diff_does() {
    let place = Place::new();
    let (hello, digest) = (guest("hello"), guest("digest"));
    let same = place.taskcell(&["inspect", text(&hello), "--diff", text(&hello)]).ends_with(0);
    assert!(same.stdout.contains("it asks for the same"), "{same:?}");
    let other = place.taskcell(&["inspect", text(&digest), "--diff", text(&hello)]).ends_with(1);
    assert!(other.stdout.contains("+ request dir-read") && other.stdout.contains("- task hello"), "{other:?}");
    let document = place.taskcell(&["inspect", text(&digest), "--diff", text(&hello), "--json"]).ends_with(1).json();
    assert_eq!(document["differences"][0]["what"], "request");
}

#[test]
fn t23_a_server_reads_its_policy_again_and_keeps_the_old_one_when_the_new_one_is_wrong() {
    let place = Place::new();
    place.file("p.toml", "version = 1\n");
    let mut server = Running::start(place.command(&["serve", "--data", "d", "--policy", "p.toml"]));
    server.until("policy reload` reads it again");
    place.file("p.toml", "version = 2\n");
    server.signal("HUP");
    server.until("the policy stays as it was");
    place.file("p.toml", POLICY);
    server.signal("HUP");
    server.until("holds as it is now");
    server.signal("TERM");
    server.end().ends_with(0);
    place.file("p.toml", "none");
    place.taskcell(&["serve", "--data", "d", "--policy", "p.toml"]).ends_with(2).says("failed to read the policy");
}
