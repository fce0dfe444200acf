//! `run --data`: a task that outlives the program, beside others; and tasks of a server that wait for their plugin.

use super::program::{Place, Running, text};
use super::verbs::serving::{say, serve};
use crate::support::{builder, files, guest};

/// Starts a task that begins again, and looks at it until it waits for its first signal.
fn begun(place: &Place, more: &[&str]) -> String {
    let start = [&["start", "fixture", "begin-again", "--allow", "kv"], more].concat();
    let id = say(place, &start).ends_with(0).stdout.trim_end().to_owned();
    until_parked(place, &id, 1);
    id
}

fn until_parked(place: &Place, id: &str, attempt: u64) {
    for _ in 0..2000 {
        let shown = say(place, &["show", id, "--json"]).ends_with(0).json();
        if shown["waiting"].is_object() && shown["attempt"] == attempt {
            return;
        }
    }
    panic!("it does not wait");
}

fn killed(server: Running) {
    server.signal("KILL");
    server.end();
}

#[test]
fn r4e_a_run_in_a_directory_touches_nothing_else_and_is_seen_by_the_next_server() {
    let place = Place::new();
    let server = serve(&place);
    let others = begun(&place, &["--key", "taken"]);
    place.fixture(&["echo", "--data", "d"]).ends_with(70).says("is in use by taskcell").says("`taskcell start`");
    killed(server);

    let done = place.fixture(&["echo", "--data", "d", "--set", "a=1"]).ends_with(0);
    assert_eq!(done.json()["a"], 1);
    let done = done.says("1 task stays there as before").says("taskcell serve --data d");
    let refused = place.fixture(&["begin-again", "--data", "d", "--key", "taken"]).ends_with(4);
    refused.says("this host leaves it alone");

    let server = serve(&place);
    let listed = say(&place, &["list", "--json"]).ends_with(0).json();
    let tasks = listed["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 2, "{listed}");
    assert!(tasks.iter().any(|task| task["end"]["outcome"] == "succeeded"), "{listed}");
    until_parked(&place, &others, 2);
    server.signal("TERM");
    let said = server.end().ends_with(0);
    said.says("tasks found: 1 ended before, 1 begin again");
    drop(done);
}

#[test]
fn r4e_a_run_that_is_killed_is_found_by_the_next_server() {
    let place = Place::new();
    let mut run = place.start("fixture", &["wait", "--data", "d", "--set", "key=go"]);
    run.until("waiting for go");
    run.signal("KILL");
    run.end();
    let mut run = place.start("fixture", &["wait", "--data", "d", "--set", "key=go"]);
    run.until("waiting for go");
    // It does as it is told, and has an end.
    run.signal("INT");
    run.end().ends_with(0);
    let server = serve(&place);
    server.signal("TERM");
    server.end().ends_with(0).says("tasks found: 1 ended before, 1 lost");
}

#[tokio::test]
async fn r32_a_run_in_a_directory_waits_for_the_hook_about_its_end() {
    let place = Place::new();
    place.run("hooks", &["echo", "--data", "d", "--set", "a=1"]).ends_with(0);
    let host = builder().data_dir(place.path().join("d")).build().unwrap();
    host.load_plugin(guest("hooks")).await.unwrap();
    let recovery = host.recover().await.unwrap();
    assert_eq!((recovery.ended, recovery.effects), (1, 0));
}

#[test]
fn r4e_a_task_of_a_killed_server_waits_for_its_plugin_and_goes_on_when_it_is_added() {
    let place = Place::new();
    let server = serve(&place);
    let id = begun(&place, &["--key", "mine"]);
    let other = begun(&place, &[]);
    killed(server);
    // As if it had never been kept.
    files::remove(place.path().join("d/plugins/fixture.wasm"));
    let mut serve = place.command(&["serve", "--data", "d"]);
    serve.env_remove("TASKCELL_DATA");
    let mut server = Running::start(serve);
    server.until("2 wait for their plugins");
    server.until("waits: fixture/begin-again");
    server.until("listening on");
    let listed = say(&place, &["list"]).ends_with(0);
    assert_eq!(listed.stdout.matches("waits for its plugin").count(), 2, "{listed:?}");
    let shown = say(&place, &["show", &id]).ends_with(0);
    assert!(shown.stdout.contains("waits for its plugin: fixture with the digest "), "{shown:?}");
    let refused = say(&place, &["start", "fixture", "begin-again", "--key", "mine"]).ends_with(4);
    refused.says("waits for its plugin fixture");
    say(&place, &["cancel", &other]).ends_with(0);
    say(&place, &["plugin", "add", text(&guest("fixture"))]).ends_with(0);
    until_parked(&place, &id, 2);
    let shown = say(&place, &["show", &other, "--json"]).ends_with(0).json();
    assert_eq!(shown["outcome"]["outcome"], "cancelled", "{shown}");
    server.signal("TERM");
    server.end().ends_with(0);
}
