//! What an agent's loop sees of real tasks: its turns, what comes back from the background, and when a session is idle.

use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{
    AgentLoop, ApprovalVerdict, CancelRequest, ContinuePolicy, DeliveryMode, EventBody, Host, LoopUpdate,
    MessageFilter, Outcome, Party, Routing, StartRequest, TaskHandle, Turn, TurnStart, TurnStep, UpdateBody,
};

use crate::support::task::{data, key, parked, reported, seen};
use crate::support::{fixture, request, within};

const SECOND: Duration = Duration::from_secs(1);

async fn looping() -> (Host, AgentLoop, Turn) {
    let (host, _) = fixture().await;
    let agent = host.agent_loop("s1");
    let turn = agent.turn("t1");
    (host, agent, turn)
}

fn call(id: &str, task_type: &str, input: Value) -> StartRequest {
    request(task_type, input).call(id).routing(Routing::Foreground)
}

async fn begin(turn: &Turn, request: StartRequest) -> TaskHandle {
    within(turn.start(request)).await.unwrap().task().clone()
}

fn calls(updates: &[LoopUpdate]) -> Vec<&str> {
    updates.iter().filter_map(|update| update.call_id.as_deref()).collect()
}

#[tokio::test]
async fn r50_real_tasks_answer_their_calls_in_the_order_of_their_ends() {
    let (host, agent, turn) = looping().await;
    let late = begin(&turn, call("late", "wait", json!({"key": "go"}))).await;
    parked(&late, 1).await;
    let broken = begin(&turn, call("broken", "panic", json!({"message": "oh no"}))).await;
    let first = within(turn.next()).await.unwrap();
    assert_eq!((first.id, first.answers_call()), (broken.id(), true));
    assert!(matches!(first.outcome(), Some(Outcome::Failed(_))), "{first:?}");
    late.notify(key("go"), None, Party::Person).await;
    let second = within(turn.next()).await.unwrap();
    assert_eq!(second.call_id.as_deref(), Some("late"));
    assert_eq!(within(turn.next()).await, None);
    assert!(within(agent.wait_idle()).await);
    within(host.shutdown()).await;
}

#[tokio::test]
async fn r14_a_turn_waits_where_the_plugin_hints_it() {
    let (_host, _, turn) = looping().await;
    let started = within(turn.start(request("brief", json!(7)).call("hinted"))).await.unwrap();
    assert!(matches!(started, TurnStart::Foreground(_)), "{started:?}");
    let unhinted = within(turn.start(request("echo", json!(7)).call("not"))).await.unwrap();
    assert!(matches!(unhinted, TurnStart::Background(_)), "{unhinted:?}");
    let update = within(turn.next()).await.unwrap();
    assert_eq!((update.call_id.as_deref(), update.outcome().cloned().map(data)), (Some("hinted"), Some(json!(7))));
}

#[tokio::test]
async fn r51_an_interrupted_turn_stops_a_busy_loop_and_leaves_the_background_alone() {
    let (host, agent, turn) = looping().await;
    let busy = begin(&turn, call("busy", "spin", json!({}))).await;
    let beside = begin(&turn, call("beside", "wait", json!({"key": "go"})).routing(Routing::Background)).await;
    let sent_away = begin(&turn, call("away", "wait", json!({"key": "go"}))).await;
    reported(&busy).await;
    assert_eq!(within(sent_away.detach(Party::Person)).await, taskcell::DetachAnswer::Done);
    let TurnStep::Update(placeholder) = within(turn.next_until(async {})).await else { panic!("it lies ready") };
    assert_eq!(placeholder.body, UpdateBody::Detached);
    assert_eq!(within(turn.next_until(async {})).await, TurnStep::Stopped);
    let left = within(turn.interrupt(CancelRequest::force(Party::Person, "Esc"), SECOND)).await;
    assert_eq!((left.stopped.tasks.len(), left.stopped.forced(), left.cleared.len()), (1, 1, 0));
    assert_eq!(left.stopped.tasks[0].id, busy.id());
    assert_eq!(within(turn.next()).await, None);
    for task in [&beside, &sent_away] {
        parked(task, 1).await;
        task.notify(key("go"), None, Party::Person).await;
        within(task.wait()).await;
    }
    assert!(within(agent.wait_idle()).await);
    assert_eq!(calls(&agent.drain(9).updates), ["beside", "away"]);
    within(host.shutdown()).await;
}

#[tokio::test]
async fn r52_a_slow_task_is_detached_by_the_clock_and_comes_back_once() {
    let (host, agent, turn) = looping().await;
    let soon = Routing::DetachAfter { after: SECOND / 1000 };
    let slow = call("slow", "wait", json!({"key": "go"})).routing(soon);
    let slow = begin(&turn, slow.continue_policy(ContinuePolicy::RequestContinue)).await;
    let update = within(turn.next()).await.unwrap();
    assert_eq!((update.id, update.body), (slow.id(), UpdateBody::Detached));
    assert_eq!(within(turn.next()).await, None);
    let detached = seen(&slow, |body| matches!(body, EventBody::Detached { .. })).await;
    assert!(matches!(detached.body, EventBody::Detached { by: Party::Host, .. }), "{detached:?}");
    parked(&slow, 1).await;
    slow.notify(key("go"), Some(json!("now")), Party::Person).await;
    let ready = within(agent.wait_ready()).await.unwrap();
    assert_eq!((ready.updates, ready.continue_requested), (1, true));
    let drained = agent.drain(9);
    assert!(drained.continue_requested && !drained.updates[0].answers_call());
    assert_eq!(calls(&drained.updates), ["slow"]);
    assert!(within(agent.wait_idle()).await);
    assert_eq!(agent.drain(9).updates, []);
    within(host.shutdown()).await;
}

#[tokio::test]
async fn r26_a_question_comes_up_in_its_turn_and_is_decided_with_a_change() {
    let (host, agent, turn) = looping().await;
    let asks = |id: &str| call(id, "approve", json!({"kind": "deploy", "summary": "version 7"}));
    let (first, second) = (begin(&turn, asks("one")).await, begin(&turn, asks("two")).await);
    let mut questions = Vec::new();
    for _ in 0..2 {
        let update = within(turn.next()).await.unwrap();
        let UpdateBody::Question(question) = update.body else { panic!("{update:?}") };
        assert_eq!(question.ask.summary, "version 7");
        questions.push((question.id, question.number));
    }
    // The one that asked last is decided first.
    let (last, number) = questions.pop().unwrap();
    let yes = ApprovalVerdict::Approve(Some(json!({"version": 8})));
    within(host.decide(last, number, yes, Party::Person)).await;
    let update = within(turn.next()).await.unwrap();
    assert_eq!(update.id, last);
    assert_eq!(data(update.outcome().unwrap().clone())[0]["input"], json!({"version": 8}));
    let (other, number) = questions.pop().unwrap();
    assert!([first.id(), second.id()].contains(&other) && other != last);
    within(host.decide(other, number, ApprovalVerdict::Deny("no".to_owned()), Party::Person)).await;
    assert_eq!(within(turn.next()).await.map(|update| update.id), Some(other));
    assert_eq!(within(turn.next()).await, None);
    assert!(within(agent.wait_idle()).await);
}

#[tokio::test]
async fn r53_a_task_writes_to_its_agent_and_its_result_is_taken_by_hand() {
    let (host, agent, turn) = looping().await;
    let tells = request("agent", json!({"message": "look", "trigger": true})).call("tells");
    begin(&turn, tells.delivery(DeliveryMode::Manual)).await;
    let ready = within(agent.wait_ready()).await.unwrap();
    assert_eq!((ready.updates, ready.message), (0, true));
    let claimed = host.messages().claim(&MessageFilter::session("s1"), 9, SECOND);
    assert_eq!(claimed.len(), 1);
    assert!(within(agent.wait_idle()).await);
    assert_eq!(agent.drain(9).updates, []);
    assert_eq!(calls(&agent.drain_ready(9).updates), ["tells"]);
}

#[tokio::test]
async fn r54_a_host_that_goes_lets_its_loops_go() {
    let (host, agent, turn) = looping().await;
    let busy = begin(&turn, call("busy", "spin", json!({}))).await;
    reported(&busy).await;
    drop(host);
    let update = within(turn.next()).await.unwrap();
    assert!(matches!(update.outcome(), Some(Outcome::Cancelled { by: Party::Host, .. })), "{update:?}");
    assert_eq!((within(turn.next()).await, within(agent.wait_ready()).await), (None, None));
    assert!(within(agent.wait_idle()).await);
}
