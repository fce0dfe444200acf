//! What an agent's loop is told: turns, detached tasks, notifications, questions.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, beside, key, request, script, settle, success, wait_for};
use super::starting::{deaf, go, polite, poll};
use crate::model::approval::{ApprovalAsk, ApprovalNumber, ApprovalVerdict};
use crate::model::delivery::{ContinuePolicy, DeliveryMode, LoopUpdate, UpdateBody};
use crate::model::details::Routing;
use crate::model::event::{EventBody, EventSeq};
use crate::model::ids::{TaskId, TaskKey};
use crate::model::outcome::Outcome;
use crate::model::request::{CancelRequest, KeyPolicy, StartRequest};
use crate::model::signal::Party;
use crate::ports::runner::{CellLink, GuestCall};
use crate::runtime::agent_loop::{AgentLoop, Turn, TurnStart, TurnStep};
use crate::runtime::detaching::DetachAnswer;
use crate::runtime::handle::{ApprovalAnswer, ControlAnswer, TaskHandle};
use crate::runtime::routing::{Started, run};
use crate::store::faulty::FaultyStore;
use crate::store::memory::MemoryStore;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const FOREGROUND: Routing = Routing::Foreground;
pub(super) const BACKGROUND: Routing = Routing::Background;

pub(super) fn agent(bench: &Bench) -> AgentLoop {
    bench.inner.agent_loop("s".to_owned())
}

pub(super) fn call(id: &str, routing: Routing) -> StartRequest {
    request().call(id).routing(routing)
}

pub(super) async fn start(turn: &Turn, request: StartRequest) -> TaskHandle {
    turn.start(request).await.unwrap().task().clone()
}

/// What an update says, in short: its call, and what happened.
pub(super) fn said(update: &LoopUpdate) -> String {
    let what = match &update.body {
        UpdateBody::Result { outcome: Outcome::Succeeded { .. }, answers_call: true } => "succeeded".to_owned(),
        UpdateBody::Result { outcome: Outcome::Succeeded { .. }, answers_call: false } => "then succeeded".to_owned(),
        UpdateBody::Result { outcome: Outcome::Failed(_), answers_call } => format!("failed ({answers_call})"),
        UpdateBody::Result { outcome: Outcome::Cancelled { .. }, answers_call } => {
            format!("cancelled ({answers_call})")
        }
        UpdateBody::Detached => "detached".to_owned(),
        UpdateBody::Question(open) => format!("asks {} ({})", open.ask.kind, open.number.0),
    };
    format!("{} {what}", update.call_id.as_deref().unwrap_or_default())
}

pub(super) async fn next(turn: &Turn) -> Option<String> {
    turn.next().await.as_ref().map(said)
}

pub(super) fn drained(agent: &AgentLoop) -> Vec<String> {
    agent.drain(99).updates.iter().map(said).collect()
}

async fn ask(link: &CellLink, kind: &str) -> String {
    let ask = ApprovalAsk::new(kind, "why", "what");
    format!("{:?}", link.request(|reply| GuestCall::RequestApproval { ask, reply }).await)
}

/// Guests that ask for approval and end with what they are told.
fn askers() -> Bench {
    Bench::new(script(|link| async move { success(json!(ask(&link, "deploy").await)) }))
}

#[tokio::test]
async fn r50_a_turn_tells_of_its_tasks_in_the_order_of_their_ends() {
    let bench = polite();
    let turn = agent(&bench).turn("t");
    assert_eq!(next(&turn).await, None, "nobody is waited for");
    let mut request = call("one", FOREGROUND);
    request.details.call_metadata = Some(json!({"tool": "build"}));
    let first = start(&turn, request).await;
    let second = start(&turn, call("two", FOREGROUND)).await;
    let waiting = beside({
        let turn = turn.clone();
        async move { turn.next().await }
    });
    settle().await;
    assert!(!waiting.is_finished());
    go(&second).await;
    go(&first).await;
    assert_eq!(said(&waiting.end().await.unwrap()), "two succeeded");
    let update = turn.next().await.unwrap();
    assert_eq!((update.id, &update.task), (first.id(), first.task_ref()));
    assert_eq!((update.turn.as_deref(), update.call_metadata.clone()), (Some("t"), Some(json!({"tool": "build"}))));
    assert!(update.answers_call() && update.outcome().is_some());
    assert_eq!(next(&turn).await, None);
}

#[tokio::test]
async fn r50_a_queued_update_wins_over_a_wish_to_stop() {
    let bench = polite();
    let turn = agent(&bench).turn("t");
    let (first, second) = (start(&turn, call("1", FOREGROUND)).await, start(&turn, call("2", FOREGROUND)).await);
    go(&first).await;
    let TurnStep::Update(update) = turn.next_until(std::future::ready(())).await else { panic!("it is there") };
    assert_eq!(said(&update), "1 succeeded");
    assert_eq!(turn.next_until(std::future::ready(())).await, TurnStep::Stopped);
    go(&second).await;
    assert!(matches!(turn.next_until(std::future::pending()).await, TurnStep::Update(_)), "stopping lost nothing");
    assert_eq!(turn.next_until(std::future::pending()).await, TurnStep::Over);
}

#[tokio::test]
async fn r50_whoever_stops_waiting_loses_no_update() {
    let bench = polite();
    let turn = agent(&bench).turn("t");
    let task = start(&turn, call("1", FOREGROUND)).await;
    let mut waiting = Box::pin(turn.next());
    assert!(poll(&mut waiting).is_pending());
    go(&task).await;
    drop(waiting);
    assert_eq!(next(&turn).await.as_deref(), Some("1 succeeded"));
}

#[tokio::test]
async fn r50_a_task_that_could_not_be_stored_is_told_of_too() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let bench = Bench::with(script(|_| std::future::pending()), 4, Arc::clone(&store) as _);
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let task = start(&turn, call("1", FOREGROUND)).await;
    store.fail(true);
    task.cancel(CancelRequest::force(Party::Person, "")).await;
    assert_eq!(next(&turn).await.as_deref(), Some("1 failed (true)"));
    assert!(agent.wait_idle().await);
}

#[tokio::test]
async fn r51_an_interrupted_turn_stops_what_it_waits_for_and_nothing_else() {
    let bench = deaf();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let first = start(&turn, call("1", FOREGROUND)).await;
    let second = start(&turn, call("2", FOREGROUND)).await;
    let third = start(&turn, call("3", FOREGROUND)).await;
    let background = start(&turn, call("4", BACKGROUND)).await;
    let other = start(&agent.turn("u"), call("5", FOREGROUND)).await;
    settle().await;
    let done = Outcome::Succeeded { message: "elsewhere".to_owned(), data: None };
    first.set_outcome(done, Party::Host).await;
    second.detach(Party::Person).await;
    let interrupting = beside({
        let turn = turn.clone();
        async move { turn.interrupt(CancelRequest::new(Party::Person, "Esc").grace(SECOND), 9 * SECOND).await }
    });
    settle().await;
    assert_eq!(next(&turn).await, None, "it is over at once");
    bench.advance(SECOND).await;
    let left = interrupting.end().await;
    let stopped: Vec<_> = left.stopped.tasks.iter().map(|task| (task.id, task.forced)).collect();
    assert_eq!(stopped, [(third.id(), true)]);
    assert!(matches!(&left.stopped.tasks[0].outcome, Some(Outcome::Cancelled { reason, .. }) if reason == "Esc"));
    assert_eq!(left.cleared.iter().map(said).collect::<Vec<_>>(), ["1 succeeded", "2 detached"]);
    for task in [&second, &background, &other] {
        assert_eq!(task.state().outcome, None);
    }
    assert_eq!((next(&turn).await, drained(&agent)), (None, vec![]), "who interrupted was told of its end");
}

#[tokio::test]
async fn r51_a_turn_stays_interrupted_when_nobody_waits_for_that() {
    let bench = deaf();
    let turn = agent(&bench).turn("t");
    let task = start(&turn, call("1", FOREGROUND)).await;
    let mut interrupting = Box::pin(turn.interrupt(CancelRequest::force(Party::Person, ""), SECOND));
    assert!(poll(&mut interrupting).is_pending());
    drop(interrupting);
    assert!(matches!(task.wait().await, Outcome::Cancelled { .. }));
    assert_eq!(next(&turn).await, None);
}

#[tokio::test]
async fn r52_each_wish_to_detach_is_answered() {
    let bench = polite();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let foreground = start(&turn, call("1", FOREGROUND)).await;
    let background = start(&turn, call("2", BACKGROUND)).await;
    let by = Party::Person;
    assert_eq!(agent.detach(TaskId::from_random(7), by).await, DetachAnswer::NotFound);
    let elsewhere = bench.inner.agent_loop("other".to_owned());
    assert_eq!(elsewhere.detach(foreground.id(), by).await, DetachAnswer::NotFound, "it is another session's");
    assert_eq!(agent.detach(background.id(), by).await, DetachAnswer::AlreadyBackground);
    assert!(!foreground.state().background);
    assert_eq!(agent.detach(foreground.id(), by).await, DetachAnswer::Done);
    assert!(foreground.state().background);
    assert_eq!(foreground.detach(by).await, DetachAnswer::AlreadyBackground);
    go(&foreground).await;
    assert!(matches!(agent.detach(foreground.id(), by).await, DetachAnswer::NotRunning(Outcome::Succeeded { .. })));
}

#[tokio::test]
async fn r52_two_detached_tasks_are_told_of_in_the_order_of_their_ends_and_each_once() {
    let bench = polite();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let first = start(&turn, call("1", FOREGROUND)).await;
    let second = start(&turn, call("2", FOREGROUND)).await;
    first.detach(Party::Person).await;
    second.detach(Party::Person).await;
    assert_eq!(next(&turn).await.as_deref(), Some("1 detached"));
    assert_eq!(next(&turn).await.as_deref(), Some("2 detached"));
    assert_eq!(next(&turn).await, None);
    assert_eq!(drained(&agent), [""; 0]);
    go(&second).await;
    go(&first).await;
    assert_eq!(drained(&agent), ["2 then succeeded", "1 then succeeded"]);
    assert_eq!((next(&turn).await, drained(&agent)), (None, vec![]));
}

#[tokio::test]
async fn r52_a_task_is_detached_when_its_time_is_over() {
    let bench = polite();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let task = start(&turn, call("1", Routing::DetachAfter { after: 10 * SECOND })).await;
    let early = start(&turn, call("2", Routing::DetachAfter { after: 10 * SECOND })).await;
    bench.advance(9 * SECOND).await;
    early.detach(Party::Person).await;
    assert!(!task.state().background);
    bench.advance(SECOND).await;
    assert_eq!(next(&turn).await.as_deref(), Some("2 detached"));
    assert_eq!(next(&turn).await.as_deref(), Some("1 detached"));
    assert_eq!(next(&turn).await, None);
    for (task, party) in [(&task, Party::Host), (&early, Party::Person)] {
        go(task).await;
        let events = super::bench::log(task).await;
        let by: Vec<_> = events.iter().filter_map(|event| detached_by(&event.body)).collect();
        assert_eq!(by, [party], "it is in its log once");
    }
}

fn detached_by(body: &EventBody) -> Option<Party> {
    if let EventBody::Detached { by } = body { Some(*by) } else { None }
}

#[tokio::test]
async fn r52_whoever_runs_a_task_answers_its_call_alone() {
    let bench = polite();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let running = |routing| {
        let inner = Arc::clone(&bench.inner);
        beside(async move { run(&inner, call("1", routing).session("s").turn("t")).await.unwrap() })
    };
    let live = || TaskHandle::new(Arc::clone(bench.inner.registry.live().last().unwrap()));
    let ready = running(FOREGROUND);
    settle().await;
    go(&live()).await;
    assert!(matches!(ready.end().await, Started::Ready { .. }));
    assert_eq!((next(&turn).await, drained(&agent)), (None, vec![]), "it has its answer");
    let pending = running(FOREGROUND);
    settle().await;
    live().detach(Party::Person).await;
    let Started::Pending(task) = pending.end().await else { panic!("it goes on") };
    assert_eq!(next(&turn).await, None, "it has its placeholder");
    go(&task).await;
    assert_eq!(drained(&agent), ["1 then succeeded"]);
}

#[tokio::test]
async fn r52_a_joined_task_stays_where_it_is_and_answers_its_own_call() {
    let bench = polite();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let named = |id, routing| call(id, routing).key(TaskKey::new("k").unwrap()).on_key_in_use(KeyPolicy::Join);
    let first = turn.start(named("1", FOREGROUND)).await.unwrap();
    assert!(matches!(first, TurnStart::Foreground(_)));
    let second = turn.start(named("2", FOREGROUND)).await.unwrap();
    assert!(matches!(&second, TurnStart::Joined(task) if task.id() == first.task().id()), "{second:?}");
    let again = turn.start(named("1", FOREGROUND)).await.unwrap();
    assert!(matches!(again, TurnStart::Foreground(_)), "whoever asks again for the same call: {again:?}");
    let inner = Arc::clone(&bench.inner);
    let ran = beside(async move { run(&inner, named("3", Routing::DetachAfter { after: SECOND })).await.unwrap() });
    bench.advance(SECOND).await;
    assert!(matches!(ran.end().await, Started::Pending(_)));
    assert!(!first.task().state().background, "who joined it has stopped to wait, and no more");
    go(first.task()).await;
    assert_eq!(next(&turn).await.as_deref(), Some("1 succeeded"));
    assert_eq!(next(&turn).await, None);
    // Whoever joins a task in the background to wait for it does wait.
    let beside_it = start(&turn, named("4", BACKGROUND)).await;
    let inner = Arc::clone(&bench.inner);
    let ran = beside(async move { run(&inner, named("5", FOREGROUND)).await.unwrap() });
    settle().await;
    assert!(!ran.is_finished());
    go(&beside_it).await;
    assert!(matches!(ran.end().await, Started::Ready { .. }));
    assert_eq!(drained(&agent), ["4 then succeeded"], "its own call is told all the same");
}

#[tokio::test]
async fn r53_what_is_delivered_by_hand_is_not_the_loops() {
    let bench = polite();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let asked = call("1", BACKGROUND).delivery(DeliveryMode::Manual).continue_policy(ContinuePolicy::RequestContinue);
    let task = start(&turn, asked).await;
    let EventBody::Created { details, .. } = task.events(EventSeq::default()).next().await.unwrap().unwrap().body
    else {
        panic!("it was not created")
    };
    assert_eq!((details.delivery, details.continue_policy), (DeliveryMode::Manual, ContinuePolicy::RequestContinue));
    go(&task).await;
    let mut ready = Box::pin(agent.wait_ready());
    assert!(poll(&mut ready).is_pending(), "nobody is woken");
    assert_eq!(drained(&agent), [""; 0]);
    let by_hand = agent.drain_ready(99);
    assert!(!by_hand.continue_requested);
    assert_eq!(by_hand.updates.iter().map(said).collect::<Vec<_>>(), ["1 then succeeded"]);
    assert_eq!(agent.drain_ready(99).updates, []);
    // The same when it is said of a task that runs already.
    let asked = call("2", BACKGROUND).continue_policy(ContinuePolicy::RequestContinue);
    let task = start(&turn, asked).await;
    assert_eq!(task.set_delivery(DeliveryMode::Manual, Party::Host).await, ControlAnswer::Done);
    go(&task).await;
    assert!(poll(&mut ready).is_pending(), "nobody is woken");
    assert_eq!(drained(&agent), [""; 0]);
    assert_eq!(agent.drain_ready(99).updates.iter().map(said).collect::<Vec<_>>(), ["2 then succeeded"]);
}

#[tokio::test]
async fn r53_the_loop_is_woken_without_losing_anything_and_asked_on_once() {
    let bench = polite();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let first = start(&turn, call("1", BACKGROUND)).await;
    let second = start(&turn, call("2", BACKGROUND)).await;
    let by = Party::Person;
    assert_eq!(first.set_continue_policy(ContinuePolicy::RequestContinue, by).await, ControlAnswer::Done);
    let waiting = beside({
        let agent = agent.clone();
        async move { agent.wait_ready().await }
    });
    settle().await;
    assert!(!waiting.is_finished());
    go(&first).await;
    let ready = waiting.end().await.unwrap();
    assert_eq!((ready.updates, ready.continue_requested, ready.message), (1, true, false));
    go(&second).await;
    let ready = agent.wait_ready().await.unwrap();
    assert_eq!((ready.updates, ready.continue_requested), (2, false), "it was told");
    let drained = agent.drain(1);
    assert!(drained.continue_requested && drained.updates.len() == 1);
    assert!(!agent.drain(9).continue_requested);
    assert!(matches!(first.set_delivery(DeliveryMode::Manual, by).await, ControlAnswer::AlreadyEnded(_)));
    assert!(matches!(first.set_continue_policy(ContinuePolicy::NotifyOnly, by).await, ControlAnswer::AlreadyEnded(_)));
}

#[tokio::test]
async fn r53_a_message_that_asks_the_agent_to_act_wakes_its_loop() {
    let bench = Bench::new(script(|link| async move {
        for trigger in [false, true] {
            wait_for(&link, "go", None).await;
            let message = |reply| GuestCall::MessageAgent { message: "m".to_owned(), trigger, once: None, reply };
            link.request(message).await.unwrap();
        }
        std::future::pending().await
    }));
    let agent = agent(&bench);
    let task = start(&agent.turn("t"), call("1", BACKGROUND)).await;
    let mut waiting = Box::pin(agent.wait_ready());
    task.notify(key("go"), None, Party::Host).await;
    settle().await;
    assert!(poll(&mut waiting).is_pending(), "this one can wait");
    task.notify(key("go"), None, Party::Host).await;
    let ready = waiting.await.unwrap();
    assert_eq!((ready.updates, ready.message), (0, true));
    let filter = crate::model::outbox::MessageFilter::session("s");
    assert_eq!(bench.inner.messages().claim(&filter, 9, SECOND).len(), 2, "it can be claimed when the loop is told");
    let mut waiting = Box::pin(agent.wait_ready());
    assert!(poll(&mut waiting).is_pending(), "told once");
}

#[tokio::test]
async fn r26_a_question_of_a_turns_task_is_told_to_the_turn_and_decided_in_any_order() {
    let bench = askers();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let first = start(&turn, call("1", FOREGROUND)).await;
    settle().await;
    let second = start(&turn, call("2", FOREGROUND)).await;
    let third = start(&turn, call("3", FOREGROUND).delivery(DeliveryMode::Manual)).await;
    settle().await;
    assert_eq!(next(&turn).await.as_deref(), Some("1 asks deploy (1)"));
    let update = turn.next().await.unwrap();
    assert!(!update.answers_call());
    let UpdateBody::Question(question) = update.body else { panic!("it asks") };
    // Patched, and before the one that asked first.
    let yes = ApprovalVerdict::Approve(Some(json!({"replicas": 2})));
    let decided = bench.inner.decide(question.id, question.number, yes, Party::Person).await;
    assert_eq!((question.id, decided), (second.id(), ApprovalAnswer::Decided));
    second.wait().await;
    // Detached before anybody took its question: that goes to where its updates are taken by hand.
    third.detach(Party::Person).await;
    first.deny(ApprovalNumber(1), "no", Party::Person).await;
    first.wait().await;
    let mut told = Vec::new();
    while let Some(update) = next(&turn).await {
        told.push(update);
    }
    assert_eq!(told, ["2 succeeded", "3 detached", "1 succeeded"]);
    let Outcome::Succeeded { data: Some(data), .. } = second.wait().await else { panic!("it succeeds") };
    assert!(data.as_str().unwrap().contains("replicas"), "{data}");
    let by_hand = agent.drain_ready(9).updates;
    assert_eq!(by_hand.iter().map(said).collect::<Vec<_>>(), ["3 asks deploy (1)"], "no mode drops a question");
}

#[tokio::test]
async fn r27_a_task_that_may_not_begin_asks_its_turn() {
    let bench = polite();
    let turn = agent(&bench).turn("t");
    let asked = StartRequest { approval: Some(ApprovalAsk::new("start", "", "")), ..call("1", FOREGROUND) };
    let task = start(&turn, asked).await;
    assert_eq!(next(&turn).await.as_deref(), Some("1 asks start (1)"));
    task.deny(ApprovalNumber(1), "no", Party::Person).await;
    assert_eq!(next(&turn).await.as_deref(), Some("1 failed (true)"));
    assert_eq!(next(&turn).await, None);
}
