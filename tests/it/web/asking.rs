//! Requests that somebody is asked about, beside others that are under way.

use serde_json::{Value, json};
use taskcell::{
    ApprovalAnswer, ApprovalNumber, Capability, EventBody, Host, Party, Policy, Revocation, RevokeFrom, TaskHandle,
};

use crate::support::builder;
use crate::support::task::{outcome, seen, start_as};
use crate::support::within;

use super::server::Server;
use super::{answers, wishes, with_web};

/// A host whose guest may read from this server, and has to ask before it changes anything there.
async fn asking(server: &Server) -> Host {
    let to = |methods: &str| {
        format!(
            "{{ host = \"127.0.0.1\", ports = [{}], methods = [{methods}], plain = true, private = true }}",
            server.port
        )
    };
    let text = format!(
        "version = 1\n[plugins.web]\ndigest = \"any\"\n[plugins.web.allow]\nhttp = [{}]\n[plugins.web.ask]\nhttp = [{}]\n",
        to("\"GET\""),
        to("\"POST\", \"PUT\"")
    );
    with_web(builder().policy(Policy::parse(&text).unwrap())).await
}

fn wish(server: &Server, method: &str) -> Value {
    json!({"authority": server.authority(), "path": "/ok", "method": method})
}

/// Waits for the question of this number; what it says.
async fn asked(task: &TaskHandle, number: u64) -> String {
    let event =
        seen(task, |body| matches!(body, EventBody::ApprovalRequested { number: it, .. } if it.0 == number)).await;
    let EventBody::ApprovalRequested { ask, .. } = event.body else { panic!("{event:?}") };
    ask.summary
}

#[tokio::test]
async fn t13_a_request_that_is_asked_about_holds_up_no_other() {
    let server = Server::new().await;
    let host = asking(&server).await;
    let all = vec![wish(&server, "POST"), wish(&server, "GET"), wish(&server, "PUT")];
    let task = start_as(&host, wishes("send-at-once", all)).await;
    // One of them asks; the one that need not is answered meanwhile.
    let first = asked(&task, 1).await;
    server.has_seen(1).await;
    assert!(server.seen()[0].starts_with("GET "), "{:?}", server.seen());
    assert_eq!(task.state().approvals.len(), 1, "one question at a time");
    assert_eq!(within(task.approve(ApprovalNumber(1), None, Party::Person)).await, ApprovalAnswer::Decided);
    // Then the next one asks, and is told no.
    let second = asked(&task, 2).await;
    assert_ne!(first, second);
    assert_eq!(within(task.deny(ApprovalNumber(2), "not that", Party::Person)).await, ApprovalAnswer::Decided);
    let answers = answers(outcome(&task).await);
    let method_of = |summary: &str| if summary.contains("POST") { 0 } else { 2 };
    assert_eq!(answers[1]["body"], "hello", "{answers:?}");
    assert_eq!(answers[method_of(&first)]["body"], "hello", "{answers:?}");
    assert_eq!(answers[method_of(&second)]["error"], "ErrorCode::HttpRequestDenied", "{answers:?}");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn t45_a_question_about_a_request_is_a_no_when_it_is_taken_away() {
    let server = Server::new().await;
    let host = asking(&server).await;
    let task = start_as(&host, wishes("send", vec![wish(&server, "POST"), wish(&server, "GET")])).await;
    asked(&task, 1).await;
    let revoke = Revocation::new(RevokeFrom::Task(task.id()), Capability::Http, Party::Person);
    assert!(within(host.revoke(revoke)).await.tasks[0].held);
    assert_ne!(within(task.approve(ApprovalNumber(1), None, Party::Person)).await, ApprovalAnswer::Decided);
    let answers = answers(outcome(&task).await);
    assert!(answers.iter().all(|answer| answer["error"] == "ErrorCode::HttpRequestDenied"), "{answers:?}");
    assert!(server.seen().is_empty());
}
