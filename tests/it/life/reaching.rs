//! Waiting for several signals, reaching several tasks, ending other tasks' waits.

use serde_json::{Value, json};
use taskcell::{EventBody, Grants, Host, Party, Scope, StartRequest, TaskHandle};

use crate::support::task::{data, events, key, outcome, parked, result, start, start_as};
use crate::support::{builder, fixture, request, with_fixture, within};

fn taken(key: &str, payload: &Value, sender: &str) -> Value {
    json!({"key": key, "result": "signal", "payload": payload, "absent": false, "sender": sender})
}

fn over(why: &str) -> Value {
    json!({"key": null, "result": why})
}

/// In a session, and with the capability to reach others or without.
fn in_session(mut request: StartRequest, session: &str, may_signal: bool) -> StartRequest {
    request.details.session = Some(session.to_owned());
    request.grants(grants(may_signal))
}

async fn waiter(host: &Host, session: &str, signal: &str) -> TaskHandle {
    let task =
        start_as(host, in_session(request("wait-any", json!({"keys": ["other", signal]})), session, false)).await;
    parked(&task, 1).await;
    task
}

#[tokio::test]
async fn r21_a_wait_for_several_keys_takes_the_oldest_of_them() {
    let (host, _) = fixture().await;
    let mut early = request("wait-any", json!({"keys": ["a", "b", "c"], "times": 4}));
    for (number, name) in ["b", "x", "c", "b"].into_iter().enumerate() {
        early = early.signal(key(name), Some(json!(number)), Party::Host);
    }
    let task = start_as(&host, early).await;
    parked(&task, 1).await;
    assert_eq!(task.state().waiting.map(|point| point.keys), Some(vec![key("a"), key("b"), key("c")]));
    within(task.notify(key("a"), Some(json!(4)), Party::Person)).await;
    let expected = [("b", 0, "host"), ("c", 2, "host"), ("b", 3, "host"), ("a", 4, "person")];
    let expected = expected.map(|(key, number, sender)| taken(key, &json!(number), sender));
    assert_eq!(data(outcome(&task).await), json!(expected));
}

#[tokio::test]
async fn r21_a_wait_for_several_keys_has_bounds_and_only_known_senders() {
    let (host, _) = fixture().await;
    let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    for refused in [
        json!({"keys": []}),
        json!({"keys": many}),
        json!({"keys": ["a", ""]}),
        json!({"keys": ["a"], "senders": ["god"]}),
    ] {
        assert_eq!(result(&host, "wait-any", refused.clone()).await, json!([over("invalid-argument")]), "{refused}");
    }
    let most = json!({"keys": many[1..], "timeout_ms": 0});
    assert_eq!(result(&host, "wait-any", most).await, json!([over("timed-out")]));
}

#[tokio::test]
async fn t16_r22_a_guest_cannot_stand_in_for_the_person_that_a_task_waits_for() {
    let (host, _) = fixture().await;
    let task = start(&host, "wait-any", json!({"keys": ["yes", "no"], "senders": ["person"], "times": 1})).await;
    parked(&task, 1).await;
    let target = task.task_ref();
    let yes = json!({
        "plugin": target.plugin, "task_type": target.task_type, "key": target.key.as_str(),
        "signal": "yes", "payload": true, "with_payload": true,
    });
    let forger = start_as(&host, request("notify", yes).grants(Grants::default().signal())).await;
    assert_eq!(data(outcome(&forger).await), json!("buffered"));
    within(task.notify(key("yes"), Some(json!(true)), Party::Agent)).await;
    assert!(task.state().waiting.is_some(), "it waits on");
    within(task.notify(key("no"), Some(json!(true)), Party::Person)).await;
    assert_eq!(data(outcome(&task).await), json!([taken("no", &json!(true), "person")]));
}

#[tokio::test]
async fn r23_a_signal_to_a_session_reaches_whoever_has_waited_longest() {
    let (host, _) = fixture().await;
    let (first, second) = (waiter(&host, "s", "go").await, waiter(&host, "s", "go").await);
    let stranger = waiter(&host, "another", "go").await;
    for (number, reached) in [(1, &first), (2, &second)] {
        let told =
            in_session(request("notify-scope", json!({"session": true, "signal": "go", "payload": number})), "s", true);
        let sender = start_as(&host, told).await;
        assert_eq!(data(outcome(&sender).await), json!(1));
        assert_eq!(data(outcome(reached).await), json!([taken("go", &json!(number), "task")]));
    }
    assert!(stranger.state().waiting.is_some());
}

#[tokio::test]
async fn r23_a_signal_to_all_of_a_session_reaches_each_and_not_its_sender() {
    let (host, _) = fixture().await;
    let (first, second) = (waiter(&host, "s", "go").await, waiter(&host, "s", "go").await);
    let later = waiter(&host, "s", "something else").await;
    let told = json!({"session": true, "signal": "go", "payload": 1, "all": true});
    let sender = start_as(&host, in_session(request("notify-scope", told), "s", true)).await;
    assert_eq!(data(outcome(&sender).await), json!(3));
    for task in [&first, &second] {
        assert_eq!(data(outcome(task).await), json!([taken("go", &json!(1), "task")]));
    }
    let kept = |event: &EventBody| matches!(event, EventBody::SignalReceived { .. });
    assert!(later.state().waiting.is_some());
    within(later.notify(key("something else"), None, Party::Host)).await;
    outcome(&later).await;
    assert_eq!(events(&later).await.iter().filter(|event| kept(&event.body)).count(), 2, "it keeps the other");
    assert!(!events(&sender).await.iter().any(|event| kept(&event.body)));
}

#[tokio::test]
async fn r23_the_host_reaches_a_session_too() {
    let (host, _) = fixture().await;
    let (first, second) = (waiter(&host, "s", "go").await, waiter(&host, "s", "go").await);
    let session = Scope::Session("s".to_owned());
    let reached = within(host.notify(&session, key("go"), Some(json!(1)), Party::Person, false)).await;
    assert_eq!(reached, 1);
    assert_eq!(data(outcome(&first).await), json!([taken("go", &json!(1), "person")]));
    assert_eq!(within(host.notify(&session, key("go"), Some(json!(2)), Party::Person, true)).await, 1);
    assert_eq!(data(outcome(&second).await), json!([taken("go", &json!(2), "person")]));
    assert_eq!(within(host.notify(&session, key("go"), None, Party::Person, true)).await, 0);
}

#[tokio::test]
async fn r23_a_session_is_reached_with_the_capability_and_a_tree_without() {
    let (host, _) = fixture().await;
    let waiting = waiter(&host, "s", "go").await;
    let session = json!({"session": true, "signal": "go"});
    let denied = start_as(&host, in_session(request("notify-scope", session.clone()), "s", false)).await;
    assert_eq!(data(outcome(&denied).await), json!("denied"));
    // Whoever is in no session reaches none, and whoever has no relatives reaches nobody.
    let alone = request("notify-scope", session).grants(Grants::default().signal());
    assert_eq!(data(outcome(&start_as(&host, alone).await).await), json!(0));
    assert_eq!(result(&host, "notify-scope", json!({"signal": "go", "all": true})).await, json!(0));
    assert!(waiting.state().waiting.is_some());
}

fn end_wait(target: &TaskHandle, signal: Option<&str>, may_signal: bool) -> StartRequest {
    let target = target.task_ref();
    let input = json!({
        "plugin": target.plugin, "task_type": target.task_type, "key": target.key.as_str(), "signal": signal,
    });
    request("end-wait", input).grants(grants(may_signal))
}

#[tokio::test]
async fn r24_f06_another_task_ends_a_wait_and_the_task_goes_on() {
    let (host, _) = fixture().await;
    let task = start(&host, "wait-any", json!({"keys": ["a", "b"], "times": 3})).await;
    parked(&task, 1).await;
    let by =
        async |signal, may_signal| data(outcome(&start_as(&host, end_wait(&task, signal, may_signal)).await).await);
    assert_eq!(by(Some("a"), false).await, json!("denied"), "it is no relative");
    assert_eq!(by(None, false).await, json!("denied"));
    assert_eq!(by(Some("c"), true).await, json!(false));
    assert_eq!(by(Some("b"), true).await, json!(true));
    parked(&task, 2).await;
    assert_eq!(by(None, true).await, json!(1));
    parked(&task, 3).await;
    within(task.notify(key("a"), Some(json!(1)), Party::Host)).await;
    let expected = json!([over("wait-cancelled"), over("wait-cancelled"), taken("a", &json!(1), "host")]);
    assert_eq!(data(outcome(&task).await), expected);
    assert_eq!(by(None, true).await, json!(0), "it has ended");
}

#[tokio::test]
async fn r24_the_host_ends_all_waits_of_a_task() {
    let (host, _) = with_fixture(builder()).await;
    let task = start(&host, "wait-any", json!({"keys": ["a"], "times": 2})).await;
    parked(&task, 1).await;
    assert_eq!(within(task.cancel_all_waits()).await, 1);
    parked(&task, 2).await;
    assert!(within(task.cancel_wait(key("a"))).await);
    assert_eq!(data(outcome(&task).await), json!([over("wait-cancelled"), over("wait-cancelled")]));
    assert_eq!(within(task.cancel_all_waits()).await, 0);
}

fn grants(may_signal: bool) -> Grants {
    if may_signal { Grants::default().signal() } else { Grants::default() }
}
