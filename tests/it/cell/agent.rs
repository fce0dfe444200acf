//! Messages to the agent, and what becomes of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use taskcell::{AckAnswer, AgentMessage, Delivery, EventBody, FailureKind, LimitsRequest, MessageFilter};

use crate::support::task::{data, events, failed, outcome, result, run, start, start_as};
use crate::support::{builder, fixture, request, with_fixture, within};

#[tokio::test]
async fn r25_a_message_reaches_the_sink_with_who_sent_it() {
    let taken: Arc<Mutex<Vec<AgentMessage>>> = Arc::default();
    let sink = {
        let taken = Arc::clone(&taken);
        move |message: &AgentMessage| {
            taken.lock().unwrap().push(message.clone());
            Delivery::Accepted
        }
    };
    let (host, _) = with_fixture(builder().agent_sink(sink)).await;
    let task = start(&host, "agent", json!({"message": "look\u{1b}[2J", "trigger": true})).await;
    assert_eq!(data(outcome(&task).await), json!("accepted"));
    let taken = taken.lock().unwrap();
    let [AgentMessage { id, task: of, message, trigger: true, .. }] = &**taken else { panic!("{taken:?}") };
    assert_eq!((*id, of, &**message), (task.id(), task.task_ref(), "look\u{1b}[2J"));
}

#[tokio::test]
async fn r25_the_sinks_answer_is_what_the_task_is_told() {
    for (delivery, word) in [(Delivery::Queued, "queued"), (Delivery::Blocked, "blocked")] {
        let (host, _) = with_fixture(builder().agent_sink(move |_: &AgentMessage| delivery)).await;
        let told = result(&host, "agent", json!({"message": "m", "trigger": false})).await;
        assert_eq!(told, json!(word));
    }
}

#[tokio::test]
async fn r25_without_a_sink_a_message_is_queued_in_the_log() {
    let (host, _) = fixture().await;
    let task = start(&host, "agent", json!({"message": "anybody?", "trigger": false})).await;
    assert_eq!(data(outcome(&task).await), json!("queued"));
    let kept = events(&task).await.into_iter().any(
        |event| matches!(event.body, EventBody::AgentMessage { message, trigger: false, .. } if message == "anybody?"),
    );
    assert!(kept);
}

#[tokio::test]
async fn r25_a_message_waits_in_the_outbox_until_somebody_has_it() {
    let (host, _) = fixture().await;
    let messages = host.messages();
    let mine = MessageFilter::session("s1");
    let minute = Duration::from_mins(1);
    let mut asked = request("agent", json!({"message": "for s1", "trigger": true}));
    asked.details.session = Some("s1".to_owned());
    let (claimed, task) = within(async { tokio::join!(messages.next(&mine, 9, minute), start_as(&host, asked)) }).await;
    let message = &claimed[0].message;
    assert_eq!((message.id, message.number, &*message.message, message.trigger), (task.id(), 1, "for s1", true));
    assert_eq!(data(outcome(&task).await), json!("queued"));
    assert_eq!(messages.claim(&mine, 9, minute), []);
    assert_eq!(within(messages.ack(claimed[0].token)).await, AckAnswer::Acknowledged);
    assert_eq!((messages.open(&mine), within(messages.ack(claimed[0].token)).await), (0, AckAnswer::Stale));
}

#[tokio::test]
async fn r25_a_full_outbox_is_told_to_the_guest_and_it_goes_on() {
    let (host, _) = fixture().await;
    let limits = LimitsRequest::default().agent_messages(2);
    let keys = json!({"keys": ["a", "b", "c", "a"]});
    let task = start_as(&host, request("agent-once", keys).limits(limits)).await;
    assert_eq!(data(outcome(&task).await), json!(["queued", "queued", "too-large", "queued"]));
}

#[tokio::test]
async fn r25_a_message_that_is_too_large_is_refused_and_the_task_goes_on() {
    let (host, _) = fixture().await;
    let over = result(&host, "big-message", json!({"bytes": (64 << 10) + 1})).await;
    assert_eq!(over, json!({"agent": "too-large", "progress": "too-large"}));
    let under = result(&host, "big-message", json!({"bytes": 64 << 10})).await;
    assert_eq!(under, json!({"agent": "queued", "progress": "ok"}));
}

#[tokio::test]
async fn t11_a_sink_that_panics_fails_that_task_with_kind_host_and_nothing_else() {
    let sink = |message: &AgentMessage| {
        assert!(message.message != "bad", "the sink cannot take this");
        Delivery::Accepted
    };
    let (host, _) = with_fixture(builder().agent_sink(sink)).await;
    let bad = run(&host, "agent", json!({"message": "bad", "trigger": false})).await;
    failed(bad, FailureKind::Host);
    let good = result(&host, "agent", json!({"message": "good", "trigger": false})).await;
    assert_eq!(good, json!("accepted"));
}
