//! What servers send back, and how much of anything may flow.

use serde_json::{Value, json};
use taskcell::LimitsRequest;

use crate::support::task::{outcome, start_as};

use super::server::Server;
use super::{answers, get, granted, host, local, send, wishes};

const MIB: u64 = 1 << 20;

fn body_error(answer: &Value) -> &str {
    answer["body_error"].as_str().unwrap_or_else(|| panic!("all of it was read: {answer}"))
}

#[tokio::test]
async fn t13_an_endless_answer_ends_at_the_limit() {
    let (host, server) = (host().await, Server::new().await);
    let wish = json!({"authority": server.authority(), "path": "/endless"});
    let mut one = wishes("send", vec![wish.clone()]).grants(granted(local("127.0.0.1", &server)));
    one.limits = LimitsRequest::default().http_body_bytes(MIB);
    let answer = answers(outcome(&start_as(&host, one).await).await).remove(0);
    assert!(body_error(&answer).contains("HTTP response body size"), "{answer}");
    assert!(answer["bytes"].as_u64().unwrap() <= MIB, "{answer}");
    server.has_closed(1).await;

    // Several answers share what the task may receive in all.
    let mut all = wishes("send", vec![wish; 3]).grants(granted(local("127.0.0.1", &server)));
    all.limits = LimitsRequest::default().http_body_bytes(2 * MIB).http_bytes(3 * MIB);
    let answers = answers(outcome(&start_as(&host, all).await).await);
    let bytes: u64 = answers.iter().map(|answer| answer["bytes"].as_u64().unwrap()).sum();
    assert!((2 * MIB..=3 * MIB).contains(&bytes), "{bytes}");
    server.has_closed(4).await;
}

#[tokio::test]
async fn t13_what_a_guest_sends_ends_at_the_limit() {
    let (host, server) = (host().await, Server::new().await);
    let wish = json!({
        "authority": server.authority(), "path": "/ok", "method": "POST", "body": "x".repeat(4096), "repeat": 1000,
    });
    let mut request = wishes("send", vec![wish]).grants(granted(local("127.0.0.1", &server)));
    request.limits = LimitsRequest::default().http_body_bytes(MIB);
    let answer = answers(outcome(&start_as(&host, request).await).await).remove(0);
    assert!(answer["error"].as_str().unwrap().contains("HttpRequestBodySize"), "{answer}");
    server.has_closed(1).await;
    assert!(server.seen().is_empty(), "it was a whole request");
}

#[tokio::test]
async fn t13_answers_that_are_none_are_errors() {
    let (host, server) = (host().await, Server::new().await);
    for (path, code) in [
        ("/many-headers", "HttpProtocolError|HttpResponseHeaderSectionSize"),
        ("/big-header", "HttpResponseHeaderSectionSize"),
        ("/both-lengths", "HttpProtocolError"),
        ("/two-lengths", "HttpProtocolError"),
        ("/nonsense", "HttpProtocolError"),
        ("/upgrade", "HttpUpgradeFailed"),
        ("/closed", "HttpResponseIncomplete|ConnectionTerminated"),
        ("/large", "HttpResponseBodySize"),
    ] {
        let answer = get(&host, &server, path).await;
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{path} was answered: {answer}"));
        assert!(code.split('|').any(|code| error.contains(code)), "{path}: {error}");
    }
    for path in ["/short", "/short-in-pieces"] {
        let short = get(&host, &server, path).await;
        assert!(body_error(&short).contains("incomplete HTTP response"), "{short}");
        assert_eq!(short["body"], "x");
    }
    server.has_closed(10).await;
}

#[tokio::test]
async fn t13_the_host_unpacks_nothing_and_follows_nothing() {
    let (host, server) = (host().await, Server::new().await);
    let coded = get(&host, &server, "/coded").await;
    assert_eq!((coded["body"].as_str(), coded["bytes"].as_u64()), (Some("\u{1f}zip"), Some(4)), "{coded}");
    let redirect = get(&host, &server, "/redirect").await;
    assert_eq!(redirect["status"], 302);
    assert_eq!(server.seen().len(), 2);
    let hops = get(&host, &server, "/hop-by-hop").await;
    let names: Vec<_> = hops["headers"].as_array().unwrap().iter().map(|header| &header[0]).collect();
    assert!(names.len() == 2 && names.contains(&&json!("x-a")), "{hops}");
}

#[tokio::test]
async fn t13_requests_beyond_those_that_may_be_open_are_refused() {
    let (host, server) = (host().await, Server::new().await);
    let wish = json!({"authority": server.authority(), "path": "/ok"});
    let mut request = wishes("send-at-once", vec![wish.clone(); 5]).grants(granted(local("127.0.0.1", &server)));
    request.limits = LimitsRequest::default().http_connections(0);
    let none = answers(outcome(&start_as(&host, request.clone()).await).await);
    assert!(none.iter().all(|answer| answer["error"] == "ErrorCode::ConnectionLimitReached"), "{none:?}");
    request.limits = LimitsRequest::default().http_connections(5);
    let all = answers(outcome(&start_as(&host, request).await).await);
    assert!(all.iter().all(|answer| answer["body"] == "hello"), "{all:?}");
    // One after the other there may be more.
    let many = send(&host, granted(local("127.0.0.1", &server)), vec![wish; 40]).await;
    assert!(many.iter().all(|answer| answer["body"] == "hello"), "{many:?}");
}
