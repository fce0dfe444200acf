//! Secrets: a placeholder in the guest, the value in the request, and `*` wherever the value would come back.

use serde_json::{Value, json};
use taskcell::{BuildError, Host, Outcome, Policy};

use crate::support::builder;
use crate::support::task::{data, events, outcome, output, start_as};

use super::server::Server;
use super::{answers, policy, told, wishes, with_web};

const SECRET: &str = "correct-horse-battery";
/// As many as the secret has bytes.
const STARS: &str = "*********************";
/// What it is after a while.
const NEXT: &str = "battery-staple-lamp-post";
const BEARER: &str = "Bearer ${TASKCELL_SECRET_API}";

fn allowing(server: &Server, secrets: &str) -> String {
    format!(
        "http = [{{ host = \"127.0.0.1\", ports = [{}], plain = true, private = true }}]\nsecrets = [{secrets}]",
        server.port
    )
}

fn rules(server: &Server) -> Policy {
    policy("web", &allowing(server, "\"api\""), "\"127.0.0.1\"")
}

async fn host(policy: Policy) -> Host {
    with_web(builder().policy(policy).secret("api", SECRET)).await
}

async fn send(host: &Host, wish: Value) -> (Value, Vec<String>) {
    let task = start_as(host, wishes("send", vec![wish])).await;
    (answers(outcome(&task).await).remove(0), told(&task).await)
}

fn to(server: &Server, path: &str) -> Value {
    json!({"authority": server.authority(), "path": path, "headers": [["Authorization", BEARER]]})
}

#[tokio::test]
async fn t14_a_server_gets_the_secret_and_the_guest_never_does() {
    let server = Server::new().await;
    let host = host(rules(&server)).await;
    let wish = |path| {
        let mut wish = to(&server, path);
        wish["headers"].as_array_mut().unwrap().push(json!(["Accept-Encoding", "gzip"]));
        wish
    };
    let (echoed, _) = send(&host, wish("/echo")).await;
    let seen = server.seen().remove(0);
    assert!(seen.contains(&format!("authorization: Bearer {SECRET}\r\n")), "{seen}");
    assert!(seen.contains("accept-encoding: identity\r\n"), "{seen}");
    assert_eq!(echoed["body"].as_str().unwrap(), seen.replace(SECRET, STARS));
    assert!(echoed["headers"].to_string().contains(&format!("Bearer {STARS}")), "{echoed}");
    let (pieces, _) = send(&host, wish("/echo-in-pieces")).await;
    assert_eq!(pieces["body"], format!("Bearer {STARS}"));
    let (coded, _) = send(&host, wish("/coded")).await;
    assert!(coded["error"].as_str().unwrap().contains("HttpResponseContentCoding"), "{coded}");
}

#[tokio::test]
async fn t14_a_placeholder_goes_nowhere_else() {
    let server = Server::new().await;
    let host = host(rules(&server)).await;
    let text = "${TASKCELL_SECRET_API}";
    let bare = || json!({"authority": server.authority(), "path": "/ok"});
    let with = |key: &str, value: Value| {
        let mut wish = bare();
        wish[key] = value;
        wish
    };
    let mut body = with("body", json!(format!("{}{text}", "x".repeat(4096 - 20))));
    body["method"] = "POST".into();
    for wish in [
        with("path", json!(format!("/ok?{text}"))),
        with("headers", json!([["X-Other", text]])),
        with("headers", json!([["Authorization", text], ["Cookie", text]])),
        body,
    ] {
        let (answer, told) = send(&host, wish.clone()).await;
        assert_eq!(answer["error"], "ErrorCode::HttpRequestDenied", "{wish}: {answer}");
        assert!(told.len() == 1 && told[0].contains("the secret api may stand in the"), "{told:?}");
    }
    assert!(!server.seen().iter().any(|seen| seen.contains("taskcell-secret")), "{:?}", server.seen());
}

#[tokio::test]
async fn t14_a_secret_goes_to_its_hosts_only() {
    let server = Server::new().await;
    for (policy, why) in [
        (policy("web", &allowing(&server, "\"api\""), "\"api.example.com\""), "may not go to 127.0.0.1"),
        (policy("web", &allowing(&server, "\"api\""), "\"*.0.0.1.example\""), "may not go to 127.0.0.1"),
    ] {
        let host = host(policy).await;
        let (answer, told) = send(&host, to(&server, "/ok")).await;
        assert_eq!(answer["error"], "ErrorCode::HttpRequestDenied");
        assert!(told[0].contains(why), "{told:?}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn t14_only_who_is_granted_a_secret_has_a_placeholder_and_each_attempt_its_own() {
    let server = Server::new().await;
    let granted = host(rules(&server)).await;
    let variables = async |host: &Host| {
        let task = start_as(host, taskcell::StartRequest::new("web", "variables")).await;
        data(outcome(&task).await)
    };
    let (one, two) = (variables(&granted).await, variables(&granted).await);
    let placeholder = one["TASKCELL_SECRET_API"].as_str().unwrap();
    assert!(placeholder.starts_with("taskcell-secret-") && placeholder.len() == 48, "{placeholder}");
    assert_ne!(one, two);
    assert!(!one.to_string().contains(SECRET));
    let without = host(policy("web", &allowing(&server, ""), "\"127.0.0.1\"")).await;
    assert_eq!(variables(&without).await, json!({}));
}

#[tokio::test]
async fn t14_what_a_guest_found_out_is_hidden_in_all_it_says() {
    let server = Server::new().await;
    let host = host(rules(&server)).await;
    let request = taskcell::StartRequest::new("web", "blurt").input(to(&server, "/echo-backwards"));
    let task = start_as(&host, request).await;
    let end = outcome(&task).await;
    assert!(server.seen()[0].contains(SECRET));
    let Outcome::Succeeded { message, data: Some(result), .. } = &end else { panic!("{end:?}") };
    // It was there: its length is right, and so is everything around it.
    assert_eq!(*message, format!("summary Bearer {STARS}"));
    assert_eq!(*result, json!({"length": 28, "text": format!("Bearer {STARS}")}));
    let (chunks, _) = output(&task).await;
    let printed: String = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
    assert!(printed.contains(&format!("said Bearer {STARS}\n")), "{printed}");
    assert!(printed.contains(&format!("logged Bearer {STARS}")), "{printed}");
    let log = format!("{:?}{:?}", events(&task).await, task.state());
    assert!(log.contains(&format!("progress Bearer {STARS}")), "{log}");
    assert!(!printed.contains(SECRET) && !log.contains(SECRET), "{printed}{log}");
}

#[tokio::test]
async fn t14_a_secret_itself_is_sent_nowhere() {
    let server = Server::new().await;
    let host = host(rules(&server)).await;
    let with = |key: &str, value: Value| {
        let mut wish = json!({"authority": server.authority(), "path": "/ok"});
        wish[key] = value;
        wish
    };
    let mut body = with("body", json!(format!("{}{SECRET}", "x".repeat(4096 - 10))));
    body["method"] = "POST".into();
    for wish in [
        with("path", json!(format!("/ok?{SECRET}"))),
        with("headers", json!([["X-Other", SECRET]])),
        with("headers", json!([["Authorization", format!("Bearer {SECRET}")]])),
        with("authority", json!(format!("{SECRET}.test"))),
        body,
    ] {
        let (answer, told) = send(&host, wish.clone()).await;
        assert_eq!(answer["error"], "ErrorCode::HttpRequestDenied", "{wish}: {answer}");
        assert!(told.len() == 1 && told[0].contains("a secret itself stands in the request"), "{told:?}");
    }
    let seen = server.seen();
    assert!(!seen.iter().any(|seen| seen.contains(SECRET)), "{seen:?}");
}

#[tokio::test]
async fn t14_another_policy_brings_its_secrets_along() {
    let server = Server::new().await;
    let host = with_web(builder().policy(policy("web", &allowing(&server, ""), "\"127.0.0.1\""))).await;
    let (denied, _) = send(&host, to(&server, "/echo")).await;
    // There is nothing to fill in, and so nothing is.
    assert!(denied["body"].as_str().unwrap().contains("Bearer ${TASKCELL_SECRET_API}"), "{denied}");

    host.set_policy_with_secrets(rules(&server), [("api", SECRET)]).unwrap();
    let (echoed, _) = send(&host, to(&server, "/echo")).await;
    assert!(server.seen()[1].contains(&format!("authorization: Bearer {SECRET}\r\n")), "{:?}", server.seen());
    assert!(echoed["body"].as_str().unwrap().contains(&format!("Bearer {STARS}")), "{echoed}");

    // One that cannot be a secret changes nothing.
    let refused = host.set_policy_with_secrets(policy("web", "", "\"127.0.0.1\""), [("api", "short")]).unwrap_err();
    assert_eq!(refused.to_string(), "the secret api cannot be used: it has 5 bytes, and a secret has 8 to 8192");
    host.set_policy_with_secrets(rules(&server), [("api", NEXT)]).unwrap();
    let (echoed, _) = send(&host, to(&server, "/echo")).await;
    assert!(server.seen()[2].contains(&format!("authorization: Bearer {NEXT}\r\n")), "{:?}", server.seen());
    assert!(!echoed.to_string().contains(NEXT), "{echoed}");
    // The old one stays hidden: a server may still know it.
    let wish = json!({"authority": server.authority(), "path": "/ok", "headers": [["X-Said", SECRET]]});
    let (answer, _) = send(&host, wish).await;
    assert_eq!(answer["error"], "ErrorCode::HttpRequestDenied");
    let task = start_as(&host, taskcell::StartRequest::new("web", "blurt").input(to(&server, "/echo-backwards"))).await;
    let end = outcome(&task).await;
    assert!(format!("{end:?}").contains(&"*".repeat(NEXT.len())), "{end:?}");

    // Without a value there is no placeholder, whatever the policy says.
    host.set_policy_with_secrets(rules(&server), [("other", NEXT)]).unwrap();
    let task = start_as(&host, taskcell::StartRequest::new("web", "variables")).await;
    assert_eq!(data(outcome(&task).await), json!({}));
}

#[tokio::test]
async fn t14_a_secret_that_cannot_be_kept_is_none() {
    for value in ["short", "two\nlines, which is one too many"] {
        let built = builder().secret("api", value).build();
        assert!(matches!(built, Err(BuildError::Secret { name, .. }) if name == "api"));
    }
}
