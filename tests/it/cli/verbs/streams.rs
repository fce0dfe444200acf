//! `output` and `events`: what comes as it comes.

use serde_json::Value;

use super::serving::{Serving, serve, with_data};
use crate::cli::program::{Place, Running};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn r44_output_is_shown_with_its_origin_and_escaped() {
    let serving = Serving::new();
    let id = serving.start("log", &["--set", "level=warn", "--set", "message=a\u{1b}[2Jb"]);
    serving.say(&["wait", &id]).ends_with(0);
    let shown = serving.say(&["output", &id]).ends_with(0);
    assert!(shown.stdout.contains("  warn | ") && shown.stdout.contains(r"a\u{1b}[2Jb"), "{shown:?}");
    let all = serving.say(&["output", &id, "--follow", "--json"]).ends_with(0);
    assert_eq!(lines(&all.stdout).last().unwrap()["source"]["log"]["level"], "warn");
    assert_eq!(serving.say(&["output", &id, "--stdout"]).ends_with(0).stdout, "");
    serving.say(&["output", "ffff0000"]).ends_with(4);
    serving.say(&["output", &id, "--tail", "x"]).ends_with(2);
}

#[test]
fn r42_events_are_read_and_followed() {
    let serving = Serving::new();
    let id = serving.start("wait", &["--set", "key=go"]);
    let mut follow = serving.command(&["events", &id, "--follow", "--json"]);
    follow.stdout(std::process::Stdio::piped());
    let following = Running::start(follow);
    serving.say(&["notify", &id, "go"]).ends_with(0);
    let followed = lines(&following.end().ends_with(0).stdout);
    let read = lines(&serving.say(&["events", &id, "--json"]).ends_with(0).stdout);
    assert_eq!(followed, read);
    assert_eq!(read.last().unwrap()["body"]["event"], "finished");
    let after = (read.len() - 1).to_string();
    let last = serving.say(&["events", &id, "--after", &after]).ends_with(0);
    assert!(last.stdout.lines().count() == 1 && last.stdout.contains("it succeeded"), "{last:?}");
    serving.say(&["events", "ffff0000"]).ends_with(4);
    serving.say(&["events", &id, "--session", "s"]).ends_with(2).says("for the events of all tasks");
}

#[test]
fn r42_following_ends_quietly_when_its_reader_goes_away() {
    let serving = Serving::new();
    let mut all = Running::start(serving.command(&["events", "--json"]));
    all.close_stdout();
    // It notices with the next thing that it has to say.
    let mut looks = 0;
    while !all.is_over() {
        looks += 1;
        assert!(looks < 2000, "it goes on for nobody");
        let echo = serving.start("echo", &[]);
        serving.say(&["wait", &echo]).ends_with(0);
    }
    all.end().ends_with(0);
}

#[test]
fn r43_waiting_goes_on_when_the_server_is_gone_for_a_while() {
    let place = Place::new();
    let server = serve(&place);
    let start = with_data(&place, &["start", "fixture", "wait", "--set", "key=go", "--follow"]);
    let mut following = Running::start(start);
    following.until("waiting for go");
    server.signal("KILL");
    server.end();
    following.until("going on as soon as it is there again");
    let _server = serve(&place);
    // It is told how it ended there, and once.
    let done = following.end().ends_with(1).says("the server is there again").says("failed (lost)");
    assert_eq!(done.stderr.matches("waiting for go").count(), 2, "once as it came, once as its last word: {done:?}");
}
