//! `output` and `events`: what comes as it comes.

use serde_json::Value;

use super::serving::{Serving, say, serve, with_data};
use crate::cli::program::{Following, Place, Running};

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

/// What somebody who follows everything has printed, by task: the numbers of its events in each of its logs.
fn told(text: &str) -> std::collections::BTreeMap<(String, String), Vec<u64>> {
    let mut told = std::collections::BTreeMap::<_, Vec<u64>>::new();
    for line in lines(text) {
        let of = (line["id"].as_str().unwrap().to_owned(), line["lane"].as_str().unwrap().to_owned());
        told.entry(of).or_default().push(line["event"]["seq"].as_u64().unwrap());
    }
    told
}

#[test]
fn r42_following_goes_on_without_a_gap_when_the_server_was_killed_and_started_again() {
    let place = Place::new();
    let mut server = serve(&place);
    let say = |arguments: &[&str]| say(&place, arguments);
    let start = |task: &[&str]| say(&[&["start", "fixture"], task].concat()).ends_with(0).stdout.trim_end().to_owned();
    let again = start(&["begin-again", "--allow", "kv"]);
    let before = start(&["echo"]);
    say(&["wait", &before]).ends_with(0);
    let mut all = Following::start(with_data(&place, &["events", "--json"]));
    let mut one = Following::start(with_data(&place, &["events", &again, "--follow", "--json"]));
    let mut waits = Running::start(with_data(&place, &["wait", &again]));
    // Each is there before the server goes.
    one.until(r#""event":"started""#);
    let is_there = (0..1000).any(|_| {
        let echo = start(&["echo"]);
        say(&["wait", &echo]).ends_with(0);
        all.has_said(&echo)
    });
    assert!(is_there, "it says nothing");
    let first = start(&["echo"]);
    all.until(&first);
    let mut started = vec![first];
    for life in 0..4 {
        // What happens in the moment in which the server is killed is told by the next one.
        let waiting = start(&["wait", "--set", "key=go"]);
        let late = start(&["echo", "--set", "a=1"]);
        if life % 2 == 0 {
            say(&["wait", &late]).ends_with(0);
        }
        started.extend([waiting, late]);
        server.signal("KILL");
        server.end();
        waits.until("going on as soon as it is there again");
        server = serve(&place);
        waits.until("the server is there again");
        // So is what happens while it catches up.
        let meanwhile = start(&["echo"]);
        say(&["wait", &meanwhile]).ends_with(0);
        started.push(meanwhile);
    }
    for (what, key) in [("notify", "one=1"), ("notify", "two=2")] {
        say(&[what, &again, key]).ends_with(0);
    }
    one.until("approval-requested");
    say(&["approve", &again]).ends_with(0);
    waits.end().ends_with(0).says("succeeded");
    let one = lines(&one.end().ends_with(0).stdout);
    let read = |id: &str| lines(&say(&["events", id, "--json"]).ends_with(0).stdout);
    assert_eq!(one, read(&again));
    let last = start(&["echo"]);
    say(&["wait", &last]).ends_with(0);
    all.until_both(&last, r#""event":"finished""#);
    let text = all.stop();
    let told = told(&text);
    assert!(!told.keys().any(|(id, _)| *id == before), "it had ended before");
    started.push(last);
    for id in &started {
        let log: Vec<u64> = (1..=read(id).len() as u64).collect();
        assert_eq!(told[&(id.clone(), "task".to_owned())], log, "{id}: once each, in order");
    }
    let rest = &told[&(again.clone(), "task".to_owned())];
    let log = read(&again);
    assert!(rest.windows(2).all(|pair| pair[0] + 1 == pair[1]) && rest.last() == Some(&(log.len() as u64)), "{rest:?}");
    // Where a task was in its life is told of what is read later too.
    let phases = lines(&text).into_iter().filter(|line| line["event"]["body"]["event"] == "finished");
    assert!(phases.into_iter().all(|line| line["phase"] == "ended"), "{text}");
}
