//! How long a server may take, and what becomes of its connection when the task ends.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{Host, Limits, Outcome, SimulatedClock, TaskHandle};

use crate::support::task::{data, outcome, please_stop, start_as};
use crate::support::{builder, within};

use super::server::Server;
use super::{granted, host, local, wishes, with_web};

/// More than any test lets pass.
const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 100);

async fn on_clock() -> (Host, Arc<SimulatedClock>) {
    let clock = Arc::new(SimulatedClock::new());
    let limits = Limits::default().timeout(FOR_EVER).idle(FOR_EVER);
    (with_web(builder().limits(limits).clock(Arc::clone(&clock) as _)).await, clock)
}

async fn begun(host: &Host, server: &Server, wish: Value) -> TaskHandle {
    let mut wish = wish;
    wish["authority"] = server.authority().into();
    let request = wishes("send", vec![wish]).grants(granted(local("127.0.0.1", server)));
    let task = start_as(host, request).await;
    server.has_seen(1).await;
    task
}

/// Lets time pass until the task has its end.
async fn in_time(task: &TaskHandle, clock: &SimulatedClock) -> Value {
    let end = async {
        let mut end = std::pin::pin!(task.wait());
        loop {
            tokio::select! {
                biased;
                end = &mut end => return end,
                () = tokio::task::yield_now() => clock.advance(Duration::from_secs(1)),
            }
        }
    };
    data(within(end).await)[0].clone()
}

#[tokio::test]
async fn t13_a_server_that_says_nothing_is_given_up() {
    let (host, clock) = on_clock().await;
    let server = Server::new().await;
    let task = begun(&host, &server, json!({"path": "/silent"})).await;
    assert_eq!(in_time(&task, &clock).await["error"], "ErrorCode::ConnectionReadTimeout");
    server.has_closed(1).await;
}

#[tokio::test]
async fn t13_a_guest_may_be_less_patient_than_its_host() {
    let (host, clock) = on_clock().await;
    let server = Server::new().await;
    let task = begun(&host, &server, json!({"path": "/silent", "first_byte_ms": 500})).await;
    // Less than the host's own patience in all, because it stands still otherwise.
    clock.advance(Duration::from_millis(500));
    assert_eq!(data(outcome(&task).await)[0]["error"], "ErrorCode::ConnectionReadTimeout");
}

#[tokio::test]
async fn t13_an_answer_that_stops_in_the_middle_is_given_up() {
    let (host, clock) = on_clock().await;
    let server = Server::new().await;
    let task = begun(&host, &server, json!({"path": "/stops", "between_bytes_ms": u64::MAX / 1_000_000})).await;
    let answer = in_time(&task, &clock).await;
    // Time may have run out before the guest had the answer's head.
    match answer["error"].as_str() {
        Some(error) => assert_eq!(error, "ErrorCode::ConnectionReadTimeout"),
        None => assert!(answer["body_error"].as_str().unwrap().contains("read timeout"), "{answer}"),
    }
    server.has_closed(1).await;
}

#[tokio::test]
async fn t13_a_request_ends_when_its_task_shall_stop() {
    for path in ["/silent", "/stops"] {
        let (host, server) = (host().await, Server::new().await);
        let task = begun(&host, &server, json!({"path": path})).await;
        within(task.cancel(please_stop().grace(Duration::from_mins(10)))).await;
        // The guest does not look, and goes on with what it was answered.
        let answer = data(outcome(&task).await)[0].clone();
        let said = answer["error"].as_str().or(answer["body_error"].as_str()).unwrap();
        assert!(said.contains("asked to stop"), "{path}: {answer}");
        server.has_closed(1).await;
    }
}

#[tokio::test]
async fn t13_a_connection_does_not_outlive_its_cell() {
    let (host, server) = (host().await, Server::new().await);
    let task = begun(&host, &server, json!({"path": "/silent"})).await;
    within(task.cancel(please_stop().grace(Duration::ZERO))).await;
    assert!(matches!(outcome(&task).await, Outcome::Cancelled { forced: true, .. }));
    server.has_closed(1).await;
}
