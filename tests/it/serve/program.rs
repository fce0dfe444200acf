//! The program `taskcell serve`.

use serde_json::{Value, json};

use super::http::{request, send};
use crate::cli::program::{Place, Running};
use crate::support::{files, guest};

fn start(place: &Place, more: &[&str]) -> Running {
    let mut command = place.command(&["serve", "--data", "d"]);
    command.args(more);
    let mut running = Running::start(command);
    running.until("listening on");
    running
}

async fn get(place: &Place, path: &str) -> Value {
    send(&place.path().join("d/control.sock"), &request("GET", path, &[], b"")).await.json(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_several_and_has_its_plugins_again_the_next_time() {
    let place = Place::new();
    let server = start(&place, &[]);
    let socket = place.path().join("d/control.sock");
    assert_eq!((files::mode(&socket), files::mode(place.path().join("d"))), (0o600, 0o700));
    let wasm = files::read(guest("fixture"));
    let upload = request("POST", "/v1/plugins", &[("content-type", "application/wasm")], &wasm);
    send(&socket, &upload).await.json(201);
    send(&socket, &request("POST", "/v1/plugins/fixture/disable", &[], b"")).await.json(200);
    let (one, other) = tokio::join!(get(&place, "/v1"), get(&place, "/v1/plugins"));
    assert_eq!((&one["api"], &other["plugins"][0]["name"]), (&json!(1), &json!("fixture")));
    server.signal("KILL");
    server.end();
    // What it left: a socket that nobody listens on, and its plugins; one of them is none any more.
    assert!(socket.exists());
    files::write(place.path().join("d/plugins/broken.wasm"), "no plugin");
    let server = start(&place, &[]);
    let plugins = get(&place, "/v1/plugins").await;
    assert_eq!((plugins["plugins"].as_array().unwrap().len(), &plugins["plugins"][0]["enabled"]), (1, &json!(false)));
    server.signal("TERM");
    server.end().ends_with(0).says("going on without the plugin broken").says("SIGTERM: ending");
}

#[tokio::test(flavor = "multi_thread")]
async fn r4e_a_plugin_of_the_command_line_is_kept_in_the_place_of_the_one_before() {
    let place = Place::new();
    let [fixture, hello, other] = ["fixture", "hello", "hello-wasip1"].map(|name| guest(name).display().to_string());
    let server = start(&place, &["--plugin", &fixture, "--plugin", &hello, "--running-max", "4"]);
    assert_eq!(files::names(place.path().join("d/plugins")), ["fixture.wasm", "hello.wasm"]);
    server.signal("INT");
    server.end().ends_with(0).says("plugin fixture ").says("kept, so that the next server has it too");
    let server = start(&place, &["--plugin", &other, "--plugin", &fixture]);
    let plugins = get(&place, "/v1/plugins").await;
    assert_eq!((&plugins["plugins"][0]["name"], &plugins["plugins"][1]["name"]), (&json!("fixture"), &json!("hello")));
    assert_eq!(files::read(place.path().join("d/plugins/hello.wasm")), files::read(guest("hello-wasip1")));
    server.signal("INT");
    server.end().ends_with(0).says("in the place of the one that was kept before").says("kept already");
    place.taskcell(&["serve", "--data", "d", "--plugin", "nowhere.wasm"]).ends_with(3);
}

#[test]
fn a_path_that_no_socket_can_have_is_told() {
    let place = Place::new();
    let long = "x".repeat(100);
    place.taskcell(&["serve", "--data", &long]).ends_with(70).says("that of a socket has at most 107");
    place.file("d/control.sock", "mine");
    place.taskcell(&["serve", "--data", "d"]).ends_with(70).says("is no socket");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_server_goes_on_with_what_the_last_one_left() {
    let place = Place::new();
    let socket = place.path().join("d/control.sock");
    let server = start(&place, &[]);
    place.taskcell(&["serve", "--data", "d"]).ends_with(70).says("is in use by taskcell");
    let wasm = files::read(guest("fixture"));
    send(&socket, &request("POST", "/v1/plugins", &[("content-type", "application/wasm")], &wasm)).await.json(201);
    let run = |body: Value| {
        let headers = [("idempotency-key", "k"), ("prefer", "wait=60")];
        let (socket, body) = (socket.clone(), body.to_string());
        async move { send(&socket, &request("POST", "/v1/tasks", &headers, body.as_bytes())).await }
    };
    let body = json!({"plugin": "fixture", "task_type": "echo", "input": {"a": 1}});
    let done = run(body.clone()).await;
    let later = json!({"plugin": "fixture", "task_type": "echo", "run_after_ms": 3_600_000});
    let asked = request("POST", "/v1/tasks", &[], later.to_string().as_bytes());
    let waiting = send(&socket, &asked).await.header("location").unwrap().to_owned();
    let followed = send(&socket, &request("GET", &format!("{waiting}/events"), &[], b"")).await.json(200);
    server.signal("TERM");
    server.end().ends_with(0);
    let server = start(&place, &[]);
    // The same key is the same task, which has its outcome, and the other one waits on: nobody asked it to end.
    let again = run(body).await;
    assert_eq!(again.header("location"), done.header("location"));
    assert_eq!(again.json(200)["outcome"], done.json(200)["outcome"]);
    assert_eq!(get(&place, &waiting).await["phase"], "delayed");
    let events = get(&place, &format!("{waiting}/events")).await;
    let before = followed["events"].as_array().unwrap();
    assert_eq!(&events["events"].as_array().unwrap()[..before.len()], before);
    server.signal("TERM");
    server.end().ends_with(0).says("tasks found: 1 ended before, 1 go on");
}
