//! What an operator sees of a policy: questions that are answered for always, the audit log, a plugin's history, a policy
//! that is suggested, one that is read again.

use std::io::ErrorKind;
use std::net::TcpListener;

use serde_json::{Value, json};

use super::program::{Done, Following, Place, Running, text};
use super::terminal::Seated;
use super::verbs::serving::{say, with_data};
use crate::support::guest;

/// A policy that asks before the fixture uses its store.
const ASKS: &str = "# mine\nversion = 1\n[plugins.fixture]\ndigest = \"any\"\n[plugins.fixture.ask]\nkv = true\n";

/// A server with this policy.
fn served(place: &Place, policy: &str) -> Running {
    place.file("p.toml", policy);
    let mut command = place.command(&["serve", "--data", "d", "--policy", "p.toml", "--plugin"]);
    command.arg(guest("fixture"));
    let mut server = Running::start(command);
    server.until("listening on");
    server
}

/// Looks until it is so.
fn until(mut is: impl FnMut() -> bool) {
    let mut looks = 0;
    while !is() {
        looks += 1;
        assert!(looks < 2000, "it does not come to that");
    }
}

/// Starts a task that is asked about its store, and waits for the question.
fn asked(place: &Place) -> String {
    let id = say(place, &["start", "fixture", "tell-and-keep"]).ends_with(0).stdout.trim_end().to_owned();
    until(|| say(place, &["approve", "--json"]).json()["approvals"] != json!([]));
    id
}

#[test]
fn t23_what_is_allowed_always_is_written_into_the_policy_and_not_asked_again() {
    let place = Place::new();
    let _server = served(&place, ASKS);
    let id = asked(&place);
    let listed = say(&place, &["approve"]).ends_with(0).says("[--once|--task|--always]");
    assert!(listed.stdout.contains("grant (kv): the plugin fixture is about to use its plugin's store"), "{listed:?}");
    assert!(say(&place, &["show", &id]).stdout.contains("grant (kv)"));
    let open = say(&place, &["approve", "--json"]).json();
    assert_eq!(open["approvals"][0]["ask"]["metadata"]["capability"], "kv", "{open}");
    say(&place, &["approve", &id, "--always", "--task"]).ends_with(2);
    say(&place, &["approve", &id, "--always"]).ends_with(0).says("for all tasks of the plugin");
    let done = say(&place, &["wait", &id]).ends_with(0);
    assert_eq!(done.json()[1], json!({"Ok": "kept"}));
    until(|| place.read("p.toml").matches("kv = true").count() == 2);
    let written = place.read("p.toml");
    assert!(
        written.starts_with("# mine\n") && written.contains(": a person was asked about kv, and allows it always"),
        "{written}"
    );
    let next = say(&place, &["start", "fixture", "tell-and-keep", "--wait"]).ends_with(0);
    assert_eq!(next.json()[1], json!({"Ok": "kept"}), "nobody was asked");
    until(|| say(&place, &["audit", "--all"]).stdout.contains("written into the policy's file"));

    // The file is what holds: without the answer the next one is asked again.
    place.file("p.toml", ASKS);
    say(&place, &["policy", "reload"]).ends_with(0).says("goes by its policy as the file is now");
    let id = asked(&place);
    say(&place, &["approve", &id, "--once"]).ends_with(0).says("for this once");
    say(&place, &["wait", &id]).ends_with(0);
    assert_eq!(place.read("p.toml"), ASKS);
}

#[test]
fn t09_the_audit_log_is_read_with_and_without_a_server() {
    let place = Place::new();
    say(&place, &["audit"]).ends_with(4).says("there is no audit log").says("--data DIR");
    let server = served(&place, ASKS);
    let mut follow = Following::start(with_data(&place, &["audit", "--follow", "--capability", "kv"]));
    let id = asked(&place);
    follow.until_both("ask", "plugins.fixture.ask.kv");
    say(&place, &["deny", &id, "--reason", "not today"]).ends_with(0);
    say(&place, &["wait", &id]).ends_with(0);
    follow.until_both("deny", "kv");
    follow.stop();
    server.signal("TERM");
    server.end().ends_with(0);
    let log = place.path().join("d/audit.jsonl");
    let table = say(&place, &["audit", "--task", &id[..6], "--denied"]).ends_with(0);
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert!(lines[0].starts_with("AT ") && lines.len() == 3, "{table:?}");
    assert!(lines[1].contains("no, by a person, not today") && lines[2].contains("deny"), "{table:?}");
    // A line that was cut off is counted and told.
    place.file("d/audit.jsonl", &format!("{}{{\"at\":1,\"wh\nno line\n", place.read(&log)));
    let all = say(&place, &["audit", "--json", "--plugin", "fixture"])
        .ends_with(0)
        .says("2 lines of the audit log cannot be read");
    let whats: Vec<Value> =
        all.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["what"].clone()).collect();
    assert!(whats.starts_with(&[json!("load")]) && whats.contains(&json!("answer")), "{whats:?}");
    let last = say(&place, &["audit", "--tail", "1"]).ends_with(0).says("the last 1 of");
    assert_eq!(last.stdout.lines().count(), 2);
    assert_eq!(say(&place, &["audit", "--since", "2h", "--capability", "http"]).ends_with(0).stdout, "");
    say(&place, &["audit", "--since", "soon"]).ends_with(2).says("18:30");
    say(&place, &["audit", "--task", "xyz"]).ends_with(2);

    let fixture = guest("fixture");
    let by_file = say(&place, &["inspect", text(&fixture), "--history"]).ends_with(0);
    assert!(by_file.stdout.contains(", this file: loaded once, 1 task in the log"), "{by_file:?}");
    assert!(by_file.stdout.contains("no, by a person"), "{by_file:?}");
    assert!(by_file.stdout.contains("there is no policy"), "{by_file:?}");
    let with_policy = ["inspect", text(&fixture), "--history", "--policy", "p.toml"];
    let may = say(&place, &with_policy).ends_with(0).stdout;
    let kv = may.lines().find(|line| line.trim_start().starts_with("kv ")).unwrap_or_else(|| panic!("{may}"));
    assert!(kv.contains("ask") && kv.contains("plugins.fixture.ask.kv"), "{may}");
    assert!(may.contains("the policy's rules are for these bytes"), "{may}");
    let may = say(&place, &[&with_policy[..], &["--json"]].concat()).ends_with(0).json();
    assert!(may["may_touch"]["asks_for"].as_array().unwrap().iter().any(|it| it["verdict"] == "ask"), "{may}");
    let by_name = say(&place, &["inspect", "fixture", "--history", "--json"]).ends_with(0).json();
    assert_eq!(by_name["may_touch"], json!(null), "what it asks for stands in its file");
    // A policy that cannot be read matters to whom it is needed for.
    place.file("broken.toml", "version =");
    say(&place, &["inspect", "fixture", "--history", "--policy", "broken.toml"]).ends_with(0);
    say(&place, &["inspect", text(&fixture), "--history", "--policy", "broken.toml"]).ends_with(2).says("broken.toml");
    let touched = &by_name["versions"][0]["touched"];
    let kv =
        touched.as_array().unwrap().iter().find(|it| it["capability"] == "kv").unwrap_or_else(|| panic!("{by_name}"));
    assert_eq!((&kv["allowed"], &kv["asked"], &kv["denied"]), (&json!(0), &json!(1), &json!(1)));
    say(&place, &["inspect", "nobody", "--history"]).ends_with(4).says("says nothing of a plugin \"nobody\"");
    say(&place, &["inspect", text(&fixture), "--data", "d"]).ends_with(2).says("--history");
}

#[test]
fn t24_a_policy_that_is_wrong_is_told_to_whoever_reloads_it() {
    let place = Place::new();
    let _server = served(&place, ASKS);
    place.file("p.toml", "version = 1\nplugin = 1\n");
    let refused = say(&place, &["policy", "reload"]).ends_with(4).says("the server's policy stays as it was");
    assert!(refused.stderr.contains("line 2, column 1") && !refused.stderr.contains("\\n"), "{refused:?}");
    asked(&place);
    place.file("p.toml", "version = 1\n");
    let change = say(&place, &["policy", "reload", "--json"]).ends_with(0).json();
    assert_eq!(change["lost"][0]["capability"], "kv", "{change}");
    let without = Place::new();
    let mut server = Running::start(without.command(&["serve", "--data", "d"]));
    server.until("listening on");
    say(&without, &["policy", "reload"]).ends_with(4).says("has no policy");
    say(&Place::new(), &["policy", "reload"]).ends_with(7);
}

#[test]
fn t16_a_person_at_the_terminal_answers_the_policys_question() {
    let place = Place::new();
    let file = place.file("p.toml", ASKS);
    let arguments = ["tell-and-keep", "--policy", text(&file)];
    let run = |word: &str| {
        let mut seated = Seated::run(&place, 200, &arguments);
        seated.until("about to use its plugin's store");
        seated.until("(plugins.fixture.ask.kv)");
        seated.until("[n]o: ");
        seated.types("perhaps\n");
        seated.until("none of o, t, a and n");
        seated.until("[n]o: ");
        seated.types(word);
        seated.until("succeeded");
        let (code, stdout) = seated.end();
        assert_eq!(code, Some(0));
        stdout
    };
    assert!(run("n not today\n").contains("denied"));
    assert_eq!(place.read(&file), ASKS);
    assert!(run("a\n").contains("\"kept\""));
    assert!(place.read(&file).contains("allows it always"), "{}", place.read(&file));
    let done = place.fixture(&arguments).ends_with(0);
    assert_eq!(done.json()[1], json!({"Ok": "kept"}), "nobody is asked any more");
}

#[test]
fn t16_without_a_terminal_the_policys_question_is_answered_with_no() {
    let place = Place::new();
    place.file("p.toml", ASKS);
    let run = |flags: &[&str]| place.fixture(&[&["tell-and-keep", "--policy", "p.toml"], flags].concat());
    let kept = |done: &Done| done.json()[1].clone();
    let no = run(&[]).ends_with(0).says("about to use its plugin's store").says("--approve grant says yes in advance");
    assert_eq!(kept(&no), json!({"Err": "denied"}));
    assert_eq!(kept(&run(&["--approve", "grant"]).ends_with(0)), json!({"Ok": "kept"}));
    assert_eq!(kept(&run(&["--approve", "grant=\"task\""]).ends_with(0)), json!({"Ok": "kept"}));
    assert_eq!(
        kept(&run(&["--permission", "approve"]).ends_with(0)),
        json!({"Err": "denied"}),
        "it is named or it is no"
    );
    run(&["--approve", "grant=true"]).ends_with(2).says("how long");
}

#[test]
fn t24_a_policy_is_suggested_for_what_was_denied_and_nothing_is_touched() {
    let place = Place::new();
    place.file("docs/a.txt", "inside");
    let fixture = guest("fixture");
    let arguments = ["policy", "suggest", text(&fixture), "--task", "read", "--dir", "docs::/data"];
    let more = ["--set", "path=/data/a.txt", "-o", "out.toml"];
    place
        .taskcell(&[&arguments[..], &more].concat())
        .ends_with(0)
        .says("denied everything")
        .says("policy check out.toml");
    let written = place.read("out.toml");
    assert!(
        written.contains("guest = \"/data\", access = \"read\"") && written.contains("digest = \"sha256:"),
        "{written}"
    );
    assert!(written.contains("# signal = true"), "what it asks for and was not seen is a comment: {written}");
    let read = ["read", "--set", "path=/data/a.txt", "--policy", "out.toml"];
    assert_eq!(place.fixture(&read).ends_with(0).json(), json!({"text": "inside"}));
    let write = ["write", "--set", "path=/data/b.txt", "--set", "text=x", "--policy", "out.toml"];
    assert!(place.fixture(&write).ends_with(0).json()["error"].is_object());
    place.taskcell(&[&arguments[..], &more].concat()).ends_with(2).says("is there already");
    place.taskcell(&["policy", "suggest", text(&fixture)]).ends_with(2).says("--task");

    let once = place.taskcell(&["policy", "suggest", text(&fixture), "--task", "tell-and-keep"]).ends_with(0);
    assert!(once.stdout.contains("\nkv = true\n"), "{once:?}");
    let follow = ["policy", "suggest", text(&fixture), "--task", "tell-and-keep", "--follow"];
    place.taskcell(&follow).ends_with(0).says("run 2, for real, with: kv");

    // A server on this machine, which nobody may reach.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let port = server.local_addr().unwrap().port();
    let url = format!("url=http://127.0.0.1:{port}/x");
    let done = place.taskcell(&["policy", "suggest", text(&guest("fetch")), "--set", &url]).ends_with(0);
    let entry = format!("host = \"127.0.0.1\", ports = [{port}], methods = [\"GET\"], private = true, plain = true");
    assert!(done.stdout.contains(&entry), "{done:?}");
    assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody has come");
}
