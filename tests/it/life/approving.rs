//! All open questions in one list, fuel among them, and permission that was given in advance: with a real guest.

use serde_json::{Value, json};
use taskcell::{
    ApprovalAnswer, ApprovalAsk, ApprovalFilter, ApprovalKinds, ApprovalVerdict, EventBody, FailureKind, Host, Party,
    Permission, Phase, StartRequest, TaskHandle,
};

use crate::support::task::{data, events, failed, outcome, start, start_as};
use crate::support::{builder, fixture, request, with_fixture, within};

fn deploy() -> Value {
    json!({"kind": "deploy", "summary": "version 7", "reason": "tests pass"})
}

async fn unattended(permission: Permission) -> Host {
    with_fixture(builder().approve_in_advance(permission.approve)).await.0
}

fn permitted(task_type: &str, input: Value, permission: Permission) -> StartRequest {
    let mut asked = request(task_type, input);
    asked.details.permission = permission;
    asked
}

#[tokio::test]
async fn r26_whoever_follows_decides_the_questions_of_all_tasks_and_their_fuel() {
    let (host, _) = fixture().await;
    let mut questions = host.follow_approvals(ApprovalFilter::default());
    let asks = start(&host, "approve", deploy()).await;
    let first = within(questions.next()).await.unwrap();
    assert_eq!((first.id, &*first.ask.kind, &*first.ask.summary), (asks.id(), "deploy", "version 7"));
    let hungry = start(&host, "request-fuel", json!({"units": 5_000, "reason": "one more page"})).await;
    let second = within(questions.next()).await.unwrap();
    assert_eq!((second.id, &*second.ask.kind, &*second.ask.reason), (hungry.id(), "fuel", "one more page"));
    assert_eq!(host.approvals(&ApprovalFilter::default()), [first.clone(), second.clone()]);
    // Not in the order in which they came.
    let less = ApprovalVerdict::Approve(Some(json!({"units": 7})));
    assert_eq!(within(host.decide(second.id, second.number, less, Party::Host)).await, ApprovalAnswer::Decided);
    let no = ApprovalVerdict::Deny("not now".to_owned());
    assert_eq!(within(host.decide(first.id, first.number, no, Party::Person)).await, ApprovalAnswer::Decided);
    assert_eq!(data(outcome(&hungry).await)["granted"], 7);
    assert_eq!(data(outcome(&asks).await), json!([{"denied": "person", "reason": "not now"}]));
    assert_eq!(host.approvals(&ApprovalFilter::default()), []);
}

#[tokio::test]
async fn r26_a_guest_that_nobody_attends_is_answered_at_once() {
    let permission = Permission::approve(ApprovalKinds::only(["deploy", "fuel"])).deny_others();
    let host = unattended(permission.clone()).await;
    let run = |task_type, input| {
        let asked = permitted(task_type, input, permission.clone());
        let host = &host;
        async move { data(outcome(&start_as(host, asked).await).await) }
    };
    assert_eq!(run("approve", deploy()).await, json!([{"approved": "host"}]));
    let pay = run("approve", json!({"kind": "pay", "summary": "7 euros"})).await;
    assert_eq!(pay[0]["denied"], "host");
    assert!(pay[0]["reason"].as_str().unwrap().starts_with("nobody is asked"), "{pay}");
    assert_eq!(run("request-fuel", json!({"units": 5_000, "reason": "more"})).await["granted"], 5_000);
}

#[tokio::test]
async fn r27_a_start_that_nobody_attends_is_settled() {
    let host = unattended(Permission::approve(ApprovalKinds::All)).await;
    let asking = |permission| {
        let mut asked = permitted("echo", json!(1), permission);
        asked.approval = Some(ApprovalAsk::new(ApprovalAsk::START, "", "echoes"));
        asked
    };
    failed(outcome(&start_as(&host, asking(Permission::deny_all())).await).await, FailureKind::Denied);
    let begun = start_as(&host, asking(Permission::approve(ApprovalKinds::All))).await;
    assert_eq!(data(outcome(&begun).await), json!(1));
}

#[tokio::test]
async fn r26_a_child_is_as_unattended_as_its_parent() {
    let (host, _) = fixture().await;
    let family = json!({"children": [{"task_type": "approve", "input": deploy()}]});
    let parent: TaskHandle = start_as(&host, permitted("family", family, Permission::deny_all())).await;
    outcome(&parent).await;
    let child = events(&parent).await.into_iter().find_map(|event| match event.body {
        EventBody::ChildStarted { child, .. } => host.task(child),
        _ => None,
    });
    assert_eq!(data(outcome(&child.unwrap()).await)[0]["denied"], "host");
}

#[tokio::test]
async fn r27_a_held_task_runs_nothing_before_a_person_says_yes_and_keeps_its_id() {
    let (host, _) = fixture().await;
    let mut questions = host.follow_approvals(ApprovalFilter::default());
    let mut held = request("echo", json!({"to": "all"}));
    held.approval = Some(ApprovalAsk::new("mail", "it costs", "writes to everybody"));
    let task = start_as(&host, held.clone()).await;
    let asked = within(questions.next()).await.unwrap();
    assert_eq!((asked.id, &*asked.ask.summary), (task.id(), "writes to everybody"));
    assert_eq!((task.state().phase, task.state().attempt), (Phase::Held, 0));
    let less = ApprovalVerdict::Approve(Some(json!({"to": "Ada"})));
    let model = within(host.decide(asked.id, asked.number, less.clone(), Party::Agent)).await;
    assert!(matches!(model, ApprovalAnswer::NotAllowed(_)), "not the model that asked: {model:?}");
    assert_eq!(task.state().phase, Phase::Held);
    assert_eq!(within(host.decide(asked.id, asked.number, less, Party::Person)).await, ApprovalAnswer::Decided);
    assert_eq!(data(outcome(&task).await), json!({"to": "Ada"}), "with what was approved of");
    let events = events(&task).await;
    let place = |what: fn(&EventBody) -> bool| events.iter().position(|event| what(&event.body));
    let (decided, started) = (
        place(|body| matches!(body, EventBody::ApprovalDecided { .. })),
        place(|body| matches!(body, EventBody::Started { .. })),
    );
    assert!(decided.is_some() && decided < started, "{events:?}");
    let denied = start_as(&host, held).await;
    let asked = within(questions.next()).await.unwrap();
    let no = ApprovalVerdict::Deny("too many".to_owned());
    within(host.decide(asked.id, asked.number, no, Party::Person)).await;
    failed(outcome(&denied).await, FailureKind::Denied);
    assert_eq!(denied.state().attempt, 0);
}
