//! Who tells a call what came of its task when [`Host::run`](crate::Host::run) waits for it, or when it is asked for again.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{Bench, beside, request, settle};
use super::starting::{go, polite, poll};
use crate::model::details::Routing;
use crate::model::ids::TaskKey;
use crate::model::outcome::Outcome;
use crate::model::request::{CancelRequest, KeyPolicy, StartRequest};
use crate::model::signal::Party;
use crate::runtime::agent_loop::{AgentLoop, TurnStart};
use crate::runtime::handle::TaskHandle;
use crate::runtime::routing::{Started, run};

const SECOND: Duration = Duration::from_secs(1);

fn agent(bench: &Bench) -> AgentLoop {
    bench.inner.agent_loop("s".to_owned())
}

fn call(id: &str, routing: Routing) -> StartRequest {
    request().session("s").call(id).routing(routing)
}

fn live(bench: &Bench) -> TaskHandle {
    TaskHandle::new(Arc::clone(bench.inner.registry.live().last().unwrap()))
}

#[tokio::test]
async fn r52_a_loop_that_waits_is_not_told_what_whoever_runs_the_task_is_told() {
    let bench = polite();
    let agent = agent(&bench);
    let inner = Arc::clone(&bench.inner);
    let ran = beside(async move { run(&inner, call("1", Routing::Foreground)).await.unwrap() });
    settle().await;
    let mut waiting = Box::pin(agent.wait_ready());
    assert!(poll(&mut waiting).is_pending());
    go(&live(&bench)).await;
    assert!(matches!(ran.end().await, Started::Ready { .. }));
    assert!(poll(&mut waiting).is_pending(), "it was told already");
    assert_eq!(agent.drain(9).updates, []);
}

#[tokio::test]
async fn r52_what_nobody_waits_for_any_more_is_its_turns_or_its_loops() {
    for turn in [None, Some("t")] {
        for before_its_end in [false, true] {
            let bench = polite();
            let agent = agent(&bench);
            let asked = call("1", Routing::Foreground);
            let asked = if let Some(turn) = turn { asked.turn(turn) } else { asked };
            let mut running = Box::pin(run(&bench.inner, asked));
            assert!(poll(&mut running).is_pending());
            settle().await;
            let task = live(&bench);
            if before_its_end {
                drop(running);
                go(&task).await;
            } else {
                go(&task).await;
                assert_eq!(agent.drain(9).updates, []);
                drop(running);
            }
            let update = match turn {
                Some(turn) => agent.turn(turn).next().await.unwrap(),
                None => agent.drain(9).updates.pop().unwrap(),
            };
            assert_eq!((update.id, update.answers_call()), (task.id(), turn.is_some()));
            assert_eq!((agent.turn("t").next().await, agent.drain(9).updates), (None, vec![]));
        }
    }
}

#[tokio::test]
async fn r51_whoever_runs_a_task_is_told_of_its_interruption_alone() {
    let bench = polite();
    let turn = agent(&bench).turn("t");
    let inner = Arc::clone(&bench.inner);
    let ran = beside(async move { run(&inner, call("1", Routing::Foreground).turn("t")).await.unwrap() });
    settle().await;
    let left = turn.interrupt(CancelRequest::force(Party::Person, "Esc"), SECOND).await;
    assert_eq!((left.stopped.tasks, left.cleared), (vec![], vec![]));
    let Started::Ready { outcome: Outcome::Cancelled { reason, .. }, .. } = ran.end().await else {
        panic!("it was stopped")
    };
    assert_eq!(reason, "Esc");
    assert_eq!(turn.next().await, None);
}

fn named(id: &str, routing: Routing) -> StartRequest {
    call(id, routing).key(TaskKey::new("k").unwrap()).on_key_in_use(KeyPolicy::Join)
}

#[tokio::test]
async fn r52_whoever_asks_again_is_told_who_answers_now() {
    let bench = polite();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let asked = || named("1", Routing::Foreground).once("once");
    let first = turn.start(asked()).await.unwrap();
    let again = turn.start(asked()).await.unwrap();
    assert!(matches!(again, TurnStart::Foreground(_)), "its turn waits for it: {again:?}");
    first.task().detach(Party::Person).await;
    let again = turn.start(asked()).await.unwrap();
    assert!(matches!(again, TurnStart::Foreground(_)), "its placeholder lies ready: {again:?}");
    assert!(turn.next().await.unwrap().answers_call());
    let again = turn.start(asked()).await.unwrap();
    assert!(matches!(again, TurnStart::Background(_)), "its result comes as a notification: {again:?}");
    go(first.task()).await;
    assert_eq!(agent.drain(9).updates.len(), 1);
    let again = turn.start(asked()).await.unwrap();
    assert!(matches!(again, TurnStart::Joined(_)), "all of it was told: {again:?}");
    assert_eq!(turn.next().await, None);
}

#[tokio::test]
async fn r52_whoever_runs_its_own_call_again_takes_the_answer_over() {
    for ended in [false, true] {
        let bench = polite();
        let turn = agent(&bench).turn("t");
        let asked = || named("1", Routing::Foreground).turn("t").once("once");
        let task = turn.start(asked()).await.unwrap().task().clone();
        if ended {
            go(&task).await;
        }
        let inner = Arc::clone(&bench.inner);
        let ran = beside(async move { run(&inner, asked()).await.unwrap() });
        settle().await;
        if !ended {
            let again = turn.start(asked()).await.unwrap();
            assert!(matches!(again, TurnStart::Joined(_)), "somebody else answers: {again:?}");
            go(&task).await;
        }
        assert!(matches!(ran.end().await, Started::Ready { .. }));
        assert_eq!(turn.next().await, None, "it is answered");
    }
}

#[tokio::test]
async fn r53_a_result_that_is_forgotten_while_it_is_taken_is_counted() {
    for interrupted in [false, true] {
        let bench = polite();
        let agent = agent(&bench);
        let turn = agent.turn("t");
        let task = turn.start(call("1", Routing::Foreground)).await.unwrap().task().clone();
        go(&task).await;
        bench.inner.remove(task.id()).await.unwrap();
        if interrupted {
            let left = turn.interrupt(CancelRequest::force(Party::Person, "Esc"), SECOND).await;
            assert_eq!(left.cleared, []);
        } else {
            assert_eq!(turn.next().await, None);
        }
        assert_eq!((agent.drain(9).lost, agent.drain(9).lost), (1, 0));
    }
}
