//! What becomes of a guest that does not understand that its requests are denied, and of what is taken away from it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::{Value, json};
use taskcell::{
    AuditRing, AuditWhat, Capability, EventBody, FailureKind, Host, HttpGrant, NameTable, Outcome, Party, Revocation,
    RevokeFrom, TaskHandle,
};

use crate::support::builder;
use crate::support::task::{events, failed, outcome, start_as};
use crate::support::within;

use super::server::Server;
use super::{answers, granted, host, local, policy, wishes, with_web};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// One more ends a task that is denied this many things in a row.
const ONE_LESS: usize = 19;

async fn denials(task: &TaskHandle) -> usize {
    events(task).await.iter().filter(|event| matches!(event.body, EventBody::Denied { .. })).count()
}

/// Sends the wishes with the secret `api` granted for this server.
async fn with_secret(server: &Server) -> Host {
    let allow = format!(
        "http = [{{ host = \"127.0.0.1\", ports = [{}], plain = true, private = true }}]\nsecrets = [\"api\"]",
        server.port
    );
    with_web(builder().policy(policy("web", &allow, "\"127.0.0.1\"")).secret("api", "correct-horse-battery")).await
}

#[tokio::test]
async fn t13_twenty_prohibited_addresses_in_a_row_end_the_task() {
    let server = Server::new().await;
    let host = with_web(builder().resolver(NameTable::default().name("here.test", [HERE]))).await;
    let everywhere = || granted(HttpGrant::new("*".parse().unwrap()).ports([server.port]).plain());
    let prohibited = json!({"authority": server.authority(), "path": "/ok"});
    let task = start_as(&host, wishes("send", vec![prohibited.clone(); 25]).grants(everywhere())).await;
    let failure = failed(outcome(&task).await, FailureKind::Denied);
    assert!(failure.message.contains("20 things in a row"), "{failure:?}");
    assert_eq!(denials(&task).await, ONE_LESS + 1);

    // A request that is in order begins the count anew: under one grant they go to this machine, under the other they do not.
    let mut all = vec![prohibited; ONE_LESS];
    all.push(json!({"authority": format!("here.test:{}", server.port), "path": "/ok"}));
    all.extend(all[..ONE_LESS].to_vec());
    let task = start_as(&host, wishes("send", all).grants(everywhere().http(local("here.test", &server)))).await;
    let answers = answers(outcome(&task).await);
    assert_eq!(answers[ONE_LESS]["body"], "hello", "{}", answers[ONE_LESS]);
    assert_eq!(denials(&task).await, 2 * ONE_LESS);
}

#[tokio::test]
async fn t14_twenty_misplaced_secrets_in_a_row_end_the_task_wherever_they_stand() {
    let server = Server::new().await;
    let host = with_secret(&server).await;
    let text = "${TASKCELL_SECRET_API}";
    let wish = |more: Value| {
        let mut wish = json!({"authority": server.authority(), "path": "/ok"});
        wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        wish
    };
    for misplaced in [
        wish(json!({"headers": [["X-Other", text]]})),
        wish(json!({"method": "POST", "body": text})),
        wish(json!({"method": "POST", "body": "x", "trailers": [["X-Sum", text]]})),
    ] {
        let task = start_as(&host, wishes("send", vec![misplaced.clone(); 25])).await;
        let failure = failed(outcome(&task).await, FailureKind::Denied);
        assert!(failure.message.contains("20 things in a row"), "{misplaced}: {failure:?}");
        assert_eq!(denials(&task).await, ONE_LESS + 1, "{misplaced}");
    }
    assert!(!server.seen().iter().any(|seen| seen.contains("taskcell-secret")), "{:?}", server.seen());
}

#[tokio::test]
async fn t14_a_placeholder_in_trailers_is_denied() {
    let server = Server::new().await;
    let host = with_secret(&server).await;
    let text = "${TASKCELL_SECRET_API}";
    for trailer in [json!(["X-Sum", format!("a {text}")]), json!([text, "value"])] {
        let wish = json!({
            "authority": server.authority(), "path": "/ok", "method": "POST", "body": "a body", "trailers": [trailer],
        });
        let task = start_as(&host, wishes("send", vec![wish])).await;
        let answer = answers(outcome(&task).await).remove(0);
        assert_eq!(answer["error"], "ErrorCode::HttpRequestDenied", "{trailer}: {answer}");
        assert_eq!(denials(&task).await, 1, "{trailer}");
    }
    assert!(server.seen().is_empty(), "none was whole: {:?}", server.seen());
}

#[tokio::test]
async fn t45_a_request_is_revoked_while_another_is_under_way() {
    let server = Server::new().await;
    let allow = format!("http = [{{ host = \"127.0.0.1\", ports = [{}], plain = true, private = true }}]", server.port);
    let audit = Arc::new(AuditRing::new(100));
    let host = with_web(builder().policy(policy("web", &allow, "\"none.test\"")).audit(Arc::clone(&audit))).await;
    let wish = |path: &str| json!({"authority": server.authority(), "path": path});
    let task = start_as(&host, wishes("send", vec![wish("/ok"), wish("/silent"), wish("/ok")])).await;
    server.has_seen(2).await;
    let revoke = Revocation::new(RevokeFrom::Plugin("web".to_owned()), Capability::Http, Party::Person);
    let report = within(host.revoke(revoke)).await;
    assert!(report.tasks.len() == 1 && report.tasks[0].held && !report.tasks[0].stopped, "{report:?}");
    // The request that is under way goes on to its end, which is the server's.
    drop(server);
    let answers = answers(outcome(&task).await);
    assert_eq!(answers[0]["body"], "hello");
    let ended = answers[1]["error"].as_str().unwrap();
    assert_ne!(ended, "ErrorCode::HttpRequestDenied", "{answers:?}");
    assert_eq!(answers[2]["error"], "ErrorCode::HttpRequestDenied");
    let told: Vec<_> =
        audit.lines().into_iter().filter(|line| line.task == Some(task.id())).map(|line| line.what).collect();
    assert_eq!(told, [AuditWhat::Allow, AuditWhat::Allow, AuditWhat::Revoke, AuditWhat::Deny]);
}

#[tokio::test]
async fn t45_a_task_that_loses_a_capability_now_ends_with_its_request() {
    let server = Server::new().await;
    let host = host().await;
    let wish = json!({"authority": server.authority(), "path": "/silent"});
    let task = start_as(&host, wishes("send", vec![wish]).grants(granted(local("127.0.0.1", &server)))).await;
    server.has_seen(1).await;
    let revoke = Revocation::new(RevokeFrom::Task(task.id()), Capability::Http, Party::Person).now();
    let report = within(host.revoke(revoke)).await;
    assert!(report.tasks[0].held && report.tasks[0].stopped, "{report:?}");
    let ended = outcome(&task).await;
    let Outcome::Cancelled { reason, forced: true, .. } = &ended else { panic!("{ended:?}") };
    assert_eq!(reason, "http was taken away from it");
    server.has_closed(1).await;
}
