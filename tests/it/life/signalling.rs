//! Signals: who sent them, who may send, how many are kept.

use serde_json::{Value, json};
use taskcell::{EventBody, Grants, Host, NotifyAnswer, Outcome, Party, StartRequest, TaskHandle, TaskKey, TaskRef};

use crate::support::task::{data, events, key, outcome, parked, reported, result, start, start_as};
use crate::support::{builder, fixture, guest, request, with_fixture, within};

/// A task of the fixture that sends a signal, with or without the capability to send to others.
fn may(signal: bool) -> Grants {
    if signal { Grants::default().signal() } else { Grants::default() }
}

fn notifying(target: &TaskRef, signal: &str, may_signal: bool) -> StartRequest {
    let input = json!({
        "plugin": target.plugin, "task_type": target.task_type, "key": target.key.as_str(),
        "signal": signal, "payload": {"approved": true}, "with_payload": true,
    });
    request("notify", input).grants(may(may_signal))
}

async fn waiting(host: &Host) -> TaskHandle {
    let task = start(host, "wait", json!({"key": "approval"})).await;
    parked(&task, 1).await;
    task
}

#[tokio::test]
async fn r22_a_signal_carries_who_sent_it() {
    let (host, _) = fixture().await;
    for (sender, word) in [(Party::Person, "person"), (Party::Agent, "agent"), (Party::Host, "host")] {
        let task = waiting(&host).await;
        within(task.notify(key("approval"), None, sender)).await;
        assert_eq!(data(outcome(&task).await), json!({"result": "signal", "absent": true, "sender": word}));
    }
}

#[tokio::test]
async fn t16_a_guests_signal_says_that_a_task_sent_it() {
    let (host, _) = fixture().await;
    let receiver = waiting(&host).await;
    let sender = start_as(&host, notifying(receiver.task_ref(), "approval", true)).await;
    assert_eq!(data(outcome(&sender).await), json!("delivered"));
    assert_eq!(
        data(outcome(&receiver).await),
        json!({"result": "signal", "payload": {"approved": true}, "absent": false, "sender": "task"})
    );
    let from = events(&receiver).await.into_iter().find_map(|event| match event.body {
        EventBody::SignalReceived { signal, .. } => Some(signal.sender),
        _ => None,
    });
    assert_eq!(from, Some(Party::Task(sender.id())));
}

#[tokio::test]
async fn t16_without_the_capability_a_guest_reaches_no_other_task() {
    let (host, _) = fixture().await;
    let receiver = waiting(&host).await;
    let sender = start_as(&host, notifying(receiver.task_ref(), "approval", false)).await;
    assert_eq!(data(outcome(&sender).await), json!("denied"));
    assert!(receiver.state().waiting.is_some(), "the receiver waits on");
    // Whether the task is there or not must not be told either.
    let nobody = TaskRef { key: TaskKey::new("nobody").unwrap(), ..receiver.task_ref().clone() };
    let sender = start_as(&host, notifying(&nobody, "approval", false)).await;
    assert_eq!(data(outcome(&sender).await), json!("denied"));
}

#[tokio::test]
async fn r22_a_task_may_always_tell_itself_and_is_the_sender() {
    let (host, _) = fixture().await;
    let itself =
        TaskRef { plugin: "fixture".to_owned(), task_type: "notify".to_owned(), key: TaskKey::new("me").unwrap() };
    let task = start_as(&host, notifying(&itself, "note", false).key(TaskKey::new("me").unwrap())).await;
    assert_eq!(data(outcome(&task).await), json!("buffered"));
    let sender = events(&task).await.into_iter().find_map(|event| match event.body {
        EventBody::SignalReceived { signal, .. } => Some(signal.sender),
        _ => None,
    });
    assert_eq!(sender, Some(Party::Itself));
}

#[tokio::test]
async fn r22_a_signal_to_nobody_and_to_an_ended_task_answers_no_task() {
    let (host, _) = fixture().await;
    let ended = start(&host, "echo", json!(1)).await;
    outcome(&ended).await;
    let sender = start_as(&host, notifying(ended.task_ref(), "go", true)).await;
    assert_eq!(data(outcome(&sender).await), json!("no-task"));
    assert_eq!(within(ended.notify(key("go"), None, Party::Person)).await, NotifyAnswer::NoTask);
}

#[tokio::test]
async fn r22_a_signal_to_a_task_that_does_not_wait_yet_is_buffered_for_a_guest_too() {
    let (host, _) = fixture().await;
    let receiver = waiting(&host).await;
    let sender = start_as(&host, notifying(receiver.task_ref(), "later", true)).await;
    assert_eq!(data(outcome(&sender).await), json!("buffered"));
}

#[tokio::test]
async fn t16_two_tasks_that_tell_each_other_at_once_both_get_an_answer() {
    let (host, _) = fixture().await;
    let named = |name: &str| TaskRef {
        plugin: "fixture".to_owned(),
        task_type: "notify".to_owned(),
        key: TaskKey::new(name).unwrap(),
    };
    for _ in 0..20 {
        let to_b = notifying(&named("b"), "x", true).key(TaskKey::new("a").unwrap());
        let to_a = notifying(&named("a"), "x", true).key(TaskKey::new("b").unwrap());
        let (a, b) = (start_as(&host, to_b).await, start_as(&host, to_a).await);
        for task in [&a, &b] {
            let answer = data(outcome(task).await);
            assert!(answer == json!("buffered") || answer == json!("no-task"), "{answer}");
        }
    }
}

#[tokio::test]
async fn r22_a_mailbox_takes_64_signals_of_a_key_and_then_says_full() {
    let (host, _) = fixture().await;
    let task = waiting(&host).await;
    for number in 0..64 {
        let answer = within(task.notify(key("later"), Some(json!(number)), Party::Host)).await;
        assert_eq!(answer, NotifyAnswer::Buffered, "{number}");
    }
    let one_more = within(task.notify(key("later"), None, Party::Host)).await;
    assert_eq!(one_more, NotifyAnswer::Full);
    // What the task waits for still gets through.
    let waited_for = within(task.notify(key("approval"), None, Party::Host)).await;
    assert_eq!(waited_for, NotifyAnswer::Delivered);
}

#[tokio::test]
async fn f14_a_mailbox_is_bounded_over_all_keys_in_count_and_in_bytes() {
    let limits = taskcell::Limits::default().signals_in_all(10);
    let (host, _) = with_fixture(builder().limits(limits)).await;
    let task = waiting(&host).await;
    for number in 0..10 {
        let other = key(&format!("key {number}"));
        assert_eq!(within(task.notify(other, None, Party::Host)).await, NotifyAnswer::Buffered);
    }
    assert_eq!(within(task.notify(key("key 11"), None, Party::Host)).await, NotifyAnswer::Full);

    let heavy = waiting(&host).await;
    let payload = Value::String("x".repeat(600 << 10));
    let first = within(heavy.notify(key("a"), Some(payload.clone()), Party::Host)).await;
    let second = within(heavy.notify(key("b"), Some(payload), Party::Host)).await;
    assert_eq!((first, second), (NotifyAnswer::Buffered, NotifyAnswer::Full));
}

#[tokio::test]
async fn r22_a_payload_that_is_no_json_never_leaves_the_guest() {
    let (host, _) = fixture().await;
    let bad = json!({
        "plugin": "fixture", "task_type": "wait", "key": "k", "signal": "bad\nkey", "payload": 1, "with_payload": true,
    });
    assert_eq!(result(&host, "notify", bad).await, json!("invalid-argument"));
    let no_key = json!({
        "plugin": "fixture", "task_type": "wait", "key": "", "signal": "go", "payload": 1, "with_payload": false,
    });
    assert_eq!(result(&host, "notify", no_key).await, json!("invalid-argument"));
}

#[tokio::test]
async fn r26_a_review_by_one_task_decides_what_another_waits_for() {
    let host = builder().build().unwrap();
    host.load_plugin(guest("approval")).await.unwrap();
    let publish = StartRequest::new("approval", "publish")
        .input(json!({"text": "News", "reviewers": ["Ada"], "timeout_seconds": 600}))
        .key(TaskKey::new("news-7").unwrap());
    let publish = start_as(&host, publish).await;
    reported(&publish).await;
    parked(&publish, 1).await;
    let review = |may_signal| {
        StartRequest::new("approval", "review")
            .input(json!({"task": "news-7", "approve": true, "comment": "fine"}))
            .grants(may(may_signal))
    };
    let denied = start_as(&host, review(false)).await;
    assert!(matches!(outcome(&denied).await, Outcome::Failed(_)));
    let granted = start_as(&host, review(true)).await;
    assert!(matches!(outcome(&granted).await, Outcome::Succeeded { .. }));
    assert_eq!(data(outcome(&publish).await), json!({"approved": true, "comment": "fine", "decided_by": "task"}));
}
