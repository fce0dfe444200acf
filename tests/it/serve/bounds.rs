//! What a server takes from its clients, and for how long: threats 30, 31 and 33.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use taskcell::SimulatedClock;
use taskcell::serve::Bounds;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::http::{Sent, Served, request};
use crate::support::{builder, with_fixture, within};

fn bounds(change: impl FnOnce(&mut Bounds)) -> Bounds {
    let mut bounds = Bounds::default();
    change(&mut bounds);
    bounds
}

#[tokio::test(flavor = "multi_thread")]
async fn t30_bodies_are_bounded_in_size_depth_and_values() {
    let served = Served::with(|server| server.bounds(bounds(|bounds| bounds.body_bytes = 1 << 20))).await;
    let start = |input: String| {
        let body = format!(r#"{{"plugin":"fixture","task_type":"echo","input":{input}}}"#);
        let served = &served;
        async move { served.call("POST", "/v1/tasks", &[], &body).await }
    };
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    start(deep).await.problem(400, "invalid-request");
    start(format!("[0{}]", ",0".repeat(150_000))).await.problem(400, "invalid-request");
    start("nul".to_owned()).await.problem(400, "invalid-request");
    // Said to be large, or of a length that nobody says.
    let huge = "POST /v1/tasks HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n";
    let problem = served.send(huge).await.problem(413, "too-large");
    assert_eq!(problem["max"], 1 << 20);
    let mut chunks = "POST /v1/tasks HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-type: application/json\r\n\
                      transfer-encoding: chunked\r\n\r\n"
        .to_owned();
    for _ in 0..17 {
        write!(chunks, "10000\r\n{}\r\n", " ".repeat(1 << 16)).unwrap();
    }
    assert_eq!(served.send(chunks).await.status, 413);
    served.send(request("POST", "/v1/tasks", &[], b"\"\xff\"")).await.problem(400, "invalid-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn t30_ids_lead_nowhere_else() {
    let served = Served::new().await;
    for id in ["..", "%2e%2e", "%2e%2e%2f%2e%2e", "%00", "x", "%ff", "0123456789abcdef0123456789ABCDEF"] {
        let answer = served.get(&format!("/v1/tasks/{id}/output")).await;
        assert!(matches!(answer.status, 400 | 404), "{id}: {answer:?}");
    }
    assert_eq!(served.send("GET /v1/tasks/\0 HTTP/1.0\r\n\r\n").await.status, 400);
}

fn headers(count: usize) -> String {
    (0..count).flat_map(|number| ["h".to_owned(), number.to_string(), ": x\r\n".to_owned()]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn t31_heads_are_bounded_in_size_number_and_time() {
    let served = Served::new().await;
    let many = headers(10_000);
    assert_eq!(served.send(format!("GET /v1 HTTP/1.0\r\n{many}\r\n")).await.status, 431);
    let few = headers(100);
    assert_eq!(served.send(format!("GET /v1 HTTP/1.0\r\n{few}\r\n")).await.status, 431);
    assert_eq!(served.send(format!("GET /v1 HTTP/1.0\r\nx: {}\r\n\r\n", "x".repeat(32 << 10))).await.status, 431);
    let quick = bounds(|bounds| bounds.head_time = Duration::from_millis(100));
    let served = Served::with(|server| server.bounds(quick)).await;
    // One that never comes to its end.
    assert_eq!(served.send("GET /v1 HTTP/1.1\r\nhost: ").await.status, 408);
    // One that says nothing at all is closed without a word.
    let mut silent = UnixStream::connect(served.socket()).await.unwrap();
    assert_eq!(within(silent.read_to_end(&mut Vec::new())).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn t31_a_body_comes_in_time_or_not_at_all() {
    let clock = std::sync::Arc::new(SimulatedClock::new());
    let served = Served::with(|server| server.clock(clock.clone())).await;
    let mut socket = UnixStream::connect(served.socket()).await.unwrap();
    socket
        .write_all(b"POST /v1/stop HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{")
        .await
        .unwrap();
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_mins(1));
    let mut answer = String::new();
    within(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 408") && answer.contains("request-timeout"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn t31_those_who_follow_are_bounded_and_who_does_not_read_is_dropped() {
    let clock = std::sync::Arc::new(SimulatedClock::new());
    let few = bounds(|bounds| bounds.followers = 1);
    let served = Served::with(|server| server.bounds(few).clock(clock.clone())).await;
    // It asks, and reads nothing of what it is told.
    let mut deaf = UnixStream::connect(served.socket()).await.unwrap();
    deaf.write_all(&request("GET", "/v1/events", &[], b"")).await.unwrap();
    // What is sent to it says that the only place is its own.
    within(deaf.readable()).await.unwrap();
    let refused = served.get("/v1/events").await;
    assert_eq!(refused.problem(503, "busy")["max"], 1);
    assert_eq!(refused.header("retry-after"), Some("1"));
    // Others are served meanwhile, and what happens fills its pipe, until it is given up and its place is free again.
    loop {
        served.run("echo", json!({"fill": "x".repeat(100_000)})).await;
        clock.advance(Duration::from_secs(30));
        if served.follow("/v1/events", None).await.next().await.is_some() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t31_a_reader_that_is_too_slow_is_told_how_much_it_missed_and_goes_on() {
    let (host, _) = with_fixture(builder().event_backlog(16, 1 << 20)).await;
    // Its time stands still, so that nobody is given up.
    let served = Served::of(host, |server| server.clock(std::sync::Arc::new(SimulatedClock::new())));
    let mut slow = served.follow("/v1/events", None).await;
    slow.until("here").await;
    // More than goes into the pipe between them, and into what is kept for all.
    for _ in 0..60 {
        served.run("echo", json!({"fill": "x".repeat(100_000)})).await;
    }
    let lagged = slow.until("lagged").await;
    assert!(lagged.data["missed"].as_u64() > Some(0), "{}", lagged.data);
    let last = served.run("echo", json!({})).await;
    let is_last = |sent: &Sent| last.ends_with(sent.data["id"].as_str().unwrap());
    while !is_last(&slow.until("event").await) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn t33_pages_are_capped_and_cursors_checked() {
    let served = Served::new().await;
    served.run("echo", json!({})).await;
    let page = served.get("/v1/tasks?limit=1000000000").await.json(200);
    assert_eq!(page["tasks"].as_array().unwrap().len(), 1);
    for query in
        ["limit=-1", "limit=99999999999999999999999", "cursor=x", "cursor=tFF", "cursor=t%00", "limit=1&limit=2"]
    {
        served.get(&format!("/v1/tasks?{query}")).await.problem(400, "invalid-request");
    }
}
