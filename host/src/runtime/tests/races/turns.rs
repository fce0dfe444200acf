//! Everything that happens to a task of a turn, at the same time: its call is answered once, and its end told once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::steps::{Step, keyed, narrow, nothing_is_left, orders, race, settle};
use crate::model::delivery::LoopUpdate;
use crate::model::details::Routing;
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::runtime::agent_loop::Turn;
use crate::runtime::handle::TaskHandle;
use crate::runtime::routing::{Started, run};
use crate::runtime::tests::bench::{Bench, key, script, success, wait_for};

const SECOND: Duration = Duration::from_secs(1);

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// It has what it waits for.
    Completes,
    IsForced,
    IsDetached,
    /// The time is over after which it is detached.
    TimeIsOver,
    /// Its turn is interrupted.
    IsInterrupted,
    /// The loop waits for the turn.
    IsAwaited,
    Shutdown,
}

const ACTS: [Act; 7] = [
    Act::Completes,
    Act::IsForced,
    Act::IsDetached,
    Act::TimeIsOver,
    Act::IsInterrupted,
    Act::IsAwaited,
    Act::Shutdown,
];

/// How often the call was answered, and the end told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Told {
    answers: usize,
    results: usize,
}

impl Told {
    fn of(updates: &[LoopUpdate]) -> Self {
        Self {
            answers: updates.iter().filter(|update| update.answers_call()).count(),
            results: updates.iter().filter(|update| update.outcome().is_some()).count(),
        }
    }

    fn and(self, other: Self) -> Self {
        Self { answers: self.answers + other.answers, results: self.results + other.results }
    }
}

fn bench() -> Bench {
    narrow(script(|link| async move { success(json!(wait_for(&link, "go", None).await)) }))
}

async fn happen(act: Act, bench: &Bench, turn: &Turn, task: &TaskHandle) -> Told {
    let force = || CancelRequest::force(Party::Person, "enough");
    match act {
        Act::Completes => drop(task.notify(key("go"), None, Party::Person).await),
        Act::IsForced => drop(task.cancel(force()).await),
        Act::IsDetached => drop(task.detach(Party::Person).await),
        Act::TimeIsOver => bench.clock.advance(SECOND),
        Act::IsInterrupted => {
            let left = turn.interrupt(force(), SECOND).await;
            let stopped = left.stopped.tasks.len();
            return Told::of(&left.cleared).and(Told { answers: stopped, results: stopped });
        }
        Act::IsAwaited => return turn.next().await.map_or_else(Told::default, |update| Told::of(&[update])),
        Act::Shutdown => bench.inner.shut_down().await,
    }
    Told::default()
}

/// Everything that was not told yet.
async fn rest(bench: &Bench, turn: &Turn, task: &TaskHandle) -> Told {
    settle().await;
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    task.gone().await;
    let agent = bench.inner.agent_loop("s".to_owned());
    agent.wait_idle().await;
    let mut updates = agent.drain(9).updates;
    while let Some(update) = turn.next().await {
        updates.push(update);
    }
    Told::of(&updates)
}

const ONCE: Told = Told { answers: 1, results: 1 };

#[tokio::test]
async fn t45_a_call_is_answered_once_and_its_end_told_once_in_every_order() {
    for (place, one) in ACTS.into_iter().enumerate() {
        for other in ACTS.into_iter().skip(place + 1) {
            for order in orders(4) {
                let case: (Act, Act, &[Step]) = (one, other, &order);
                let bench = bench();
                let turn = bench.inner.agent_loop("s".to_owned()).turn("t");
                let routing = Routing::DetachAfter { after: SECOND };
                let task = turn.start(keyed().routing(routing)).await.unwrap().task().clone();
                let first = happen(one, &bench, &turn, &task);
                let (first, second) = race(&order, first, happen(other, &bench, &turn, &task)).await;
                let rest = rest(&bench, &turn, &task).await;
                assert_eq!(first.and(second).and(rest), ONCE, "{case:?}");
                drop(turn);
                assert_eq!(bench.inner.loops.count(), 0, "a session: {case:?}");
                nothing_is_left(&bench, &case).await;
            }
        }
    }
}

#[tokio::test]
async fn t45_whoever_runs_a_task_of_a_turn_is_the_only_one_who_answers_in_every_order() {
    for act in ACTS {
        for order in orders(4) {
            let case: (Act, &[Step]) = (act, &order);
            let bench = bench();
            let turn = bench.inner.agent_loop("s".to_owned()).turn("t");
            let routing = Routing::DetachAfter { after: SECOND };
            let mut running = Box::pin({
                let inner = Arc::clone(&bench.inner);
                async move { run(&inner, keyed().session("s").turn("t").routing(routing)).await }
            });
            let born = std::future::poll_fn(|cx| {
                assert!(running.as_mut().poll(cx).is_pending());
                bench.inner.registry.live().pop().map_or(std::task::Poll::Pending, std::task::Poll::Ready)
            });
            let task = TaskHandle::new(born.await);
            // Somebody has to end it while the loop waits.
            let also = if act == Act::IsAwaited { Act::Completes } else { act };
            let happening = async {
                let told = happen(act, &bench, &turn, &task);
                if act == also { told.await } else { tokio::join!(told, happen(also, &bench, &turn, &task)).0 }
            };
            let (ran, told) = race(&order, running, happening).await;
            let answered = match ran.unwrap() {
                Started::Ready { .. } => ONCE,
                Started::Pending(_) => Told { answers: 1, results: 0 },
            };
            let rest = rest(&bench, &turn, &task).await;
            assert_eq!(answered.and(told).and(rest), ONCE, "{case:?}");
            drop(turn);
            nothing_is_left(&bench, &case).await;
        }
    }
}
