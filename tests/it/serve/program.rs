//! The program `taskcell serve`.

use std::os::unix::fs::PermissionsExt as _;

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
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(&place.path().join("d"))), (0o600, 0o700));
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
async fn a_plugin_of_the_command_line_is_not_kept() {
    let place = Place::new();
    let fixture = guest("fixture");
    let server = start(&place, &["--plugin", fixture.to_str().unwrap(), "--running-max", "4"]);
    assert_eq!(get(&place, "/v1/plugins").await["plugins"][0]["name"], "fixture");
    assert!(files::names(place.path().join("d/plugins")).is_empty());
    server.signal("INT");
    server.end().ends_with(0);
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
