//! Secrets of a server: read with its policy, when it starts and whenever the policy is read again.

use serde_json::{Value, json};

use super::program::{Done, Place, Running, finish};
use super::verbs::serving::with_data;
use crate::support::files::set_mode;
use crate::support::guest;

const VARIABLE: &str = "TASKCELL_SECRET_API";

/// A policy that lets the guest use a secret which is here.
fn policy(place: &Place, source: &str) {
    let text = format!(
        "version = 1\n[plugins.web]\ndigest = \"any\"\n[plugins.web.allow]\nsecrets = [\"api\"]\n\
         [secrets.api]\n{source}\nhosts = [\"api.example.com\"]\n"
    );
    place.file("p.toml", &text);
}

fn served(place: &Place) -> Running {
    let mut command = place.command(&["serve", "--data", "d", "--policy", "p.toml", "--plugin"]);
    command.arg(guest("web")).env("THE_TOKEN", "a-token-in-the-environment");
    let mut server = Running::start(command);
    server.until("listening on");
    server
}

fn say(place: &Place, arguments: &[&str]) -> Done {
    finish(with_data(place, arguments), "")
}

fn variables(place: &Place) -> Value {
    say(place, &["start", "web", "variables", "--wait"]).ends_with(0).json()
}

#[test]
fn t14_a_secret_that_is_new_is_there_when_the_policy_is_read_again() {
    let place = Place::new();
    place.file("p.toml", "version = 1\n[plugins.web]\ndigest = \"any\"\n");
    let _server = served(&place);
    assert_eq!(variables(&place), json!({}));
    let token = place.file("token", "a-token-in-a-file\n");
    let source = format!("file = {:?}", token.to_str().unwrap());
    policy(&place, &source);

    // What cannot be had changes nothing.
    set_mode(&token, 0o644);
    let refused = say(&place, &["policy", "reload"]).ends_with(4).says("the server's policy stays as it was");
    assert!(refused.stderr.contains("the secret api cannot be had: others may read or write"), "{refused:?}");
    assert_eq!(variables(&place), json!({}));

    set_mode(&token, 0o600);
    say(&place, &["policy", "reload"]).ends_with(0);
    let first = variables(&place);
    assert!(first[VARIABLE].as_str().unwrap().starts_with("taskcell-secret-"), "{first}");

    for (source, why) in [
        ("env = \"NO_SUCH_TOKEN\"".to_owned(), "the variable NO_SUCH_TOKEN is not set here"),
        (format!("file = {:?}", place.path().join("none").to_str().unwrap()), "No such file"),
    ] {
        policy(&place, &source);
        say(&place, &["policy", "reload"]).ends_with(4).says(why).says("the server's policy stays as it was");
        assert!(variables(&place)[VARIABLE].is_string());
    }
    policy(&place, &source);
    place.file("token", "short\n");
    say(&place, &["policy", "reload"]).ends_with(4).says("can be no secret: it has 5 bytes");
    policy(&place, "env = \"THE_TOKEN\"");
    say(&place, &["policy", "reload"]).ends_with(0);
    assert!(variables(&place)[VARIABLE].is_string());
    // And gone with the policy that names it.
    place.file("p.toml", "version = 1\n[plugins.web]\ndigest = \"any\"\n");
    say(&place, &["policy", "reload"]).ends_with(0);
    assert_eq!(variables(&place), json!({}));
}

#[test]
fn t14_check_finds_what_can_be_no_secret() {
    let place = Place::new();
    let token = place.file("token", "two\nlines\n");
    set_mode(&token, 0o600);
    policy(&place, &format!("file = {:?}", token.to_str().unwrap()));
    let done = place.taskcell(&["policy", "check", "p.toml"]).ends_with(1);
    assert!(
        done.stdout.contains("error    secrets.api: what is in ") && done.stdout.contains("a line's end"),
        "{done:?}"
    );
}
