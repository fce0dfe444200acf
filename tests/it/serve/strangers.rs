//! Requests that a browser was made to send: threat 32.

use serde_json::json;

use super::http::{Served, send};

#[tokio::test(flavor = "multi_thread")]
async fn t32_what_a_web_page_sends_does_nothing() {
    let served = Served::new().await;
    let body = json!({"plugin": "fixture", "task_type": "echo", "input": 1}).to_string();
    // As a page of somebody else's, without asking: a form, or a request that needs no permission.
    for kind in ["text/plain", "application/json"] {
        let headers = [("origin", "https://evil.example"), ("content-type", kind)];
        served.call("POST", "/v1/tasks", &headers, &body).await.problem(403, "not-allowed");
    }
    served.call("GET", "/v1/tasks", &[("origin", "null")], "").await.problem(403, "not-allowed");
    // As a page whose own name leads here.
    let rebound = |line: &str| format!("{line}\r\nhost: evil.example:8080\r\nconnection: close\r\n\r\n");
    for line in ["GET /v1/tasks HTTP/1.1", "POST /v1/stop HTTP/1.1", "GET /v1/nothing HTTP/1.1"] {
        send(&served.socket(), rebound(line).as_bytes()).await.problem(403, "not-allowed");
    }
    let absolute = "GET http://evil.example/v1/tasks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    send(&served.socket(), absolute.as_bytes()).await.problem(403, "not-allowed");
    assert_eq!(served.get("/v1/tasks").await.json(200)["tasks"], json!([]));
    // A program that was told to go through a forwarded port.
    let forwarded = "GET /v1/tasks HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nconnection: close\r\n\r\n";
    send(&served.socket(), forwarded.as_bytes()).await.json(200);
}
