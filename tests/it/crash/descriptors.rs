//! A server that may open no more files.

use std::path::Path;

use reqwest::Client;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use super::server::Server;
use crate::support::files::names;
use crate::support::within;

/// Descriptors that it may have beside those of a server that has nothing to do.
const ROOM: u64 = 12;
/// Clients that come when there is room for so few.
const CROWD: usize = 40;

fn descriptors(server: &Server) -> u64 {
    names(format!("/proc/{}/fd", server.pid())).len() as u64
}

fn may_have(server: &Server, count: u64) {
    let pid = Pid::from_raw(server.pid().try_into().unwrap());
    let limit = Rlimit { current: Some(count), maximum: getrlimit(Resource::Nofile).maximum };
    prlimit(pid, Resource::Nofile, limit).unwrap();
}

/// A client that keeps its connection.
fn client(data: &Path) -> Client {
    Client::builder().unix_socket(data.join("control.sock")).pool_max_idle_per_host(1).build().unwrap()
}

/// Runs a task to its end and gives its outcome.
async fn runs(client: &Client, number: u64) -> Value {
    let body = json!({"plugin": "fixture", "task_type": "echo", "input": number});
    let started = within(client.post("http://taskcell/v1/tasks").json(&body).send()).await.unwrap();
    assert!(started.status().is_success(), "{}: {:?}", started.status(), started.text().await);
    let path = started.headers()["location"].to_str().unwrap().to_owned();
    drop(within(started.bytes()).await.unwrap());
    let asked = client.get(format!("http://taskcell{path}/outcome")).header("prefer", "wait=60");
    serde_json::from_slice(&within(within(asked.send()).await.unwrap().bytes()).await.unwrap()).unwrap()
}

#[tokio::test]
async fn t43_a_server_without_descriptors_serves_who_is_there_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data, None).unwrap();
    let first = client(&data);
    let outcome = runs(&first, 1).await;
    assert_eq!(outcome["data"], 1, "{outcome}");
    let most = descriptors(&server) + ROOM;
    may_have(&server, most);
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut socket = within(UnixStream::connect(data.join("control.sock"))).await.unwrap();
        socket.write_all(b"GET /v1/health HTTP/1.1\r\nhost: taskcell\r\n\r\n").await.unwrap();
        crowd.push(socket);
    }
    // Until there is no room left.
    while descriptors(&server) < most {
        tokio::task::yield_now().await;
    }
    for number in 2..6 {
        let outcome = runs(&first, number).await;
        // A guest whose libc looks for its folders needs a descriptor; then it is told truly why the task is over.
        let has_none = outcome["kind"] == "host" && outcome.to_string().contains("Too many open files");
        assert!(outcome["data"] == number || has_none, "{outcome}");
    }
    drop(crowd);
    // Those who come then are served, by the same limit.
    let outcome = runs(&client(&data), 6).await;
    assert_eq!(outcome["data"], 6, "{outcome}");
    server.end();
}
