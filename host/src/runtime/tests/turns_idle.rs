//! When a session is idle, and what is left of it.

use std::sync::Arc;

use super::bench::{Bench, beside, request, script, settle, success};
use super::starting::{deaf, go, polite};
use super::turns::{BACKGROUND, FOREGROUND, SECOND, agent, call, drained, next, start};
use crate::model::event::{Event, EventSeq};
use crate::model::request::StartRequest;
use crate::ports::clock::BoxFuture;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};
use crate::runtime::start_error::StartError;
use crate::store::memory::MemoryStore;

#[tokio::test]
async fn r54_a_session_is_idle_when_its_last_result_can_be_taken() {
    let bench = polite();
    let agent = agent(&bench);
    assert!(agent.wait_idle().await);
    let turn = agent.turn("t");
    let first = start(&turn, call("1", BACKGROUND)).await;
    let second = start(&turn, call("2", BACKGROUND)).await;
    let idle = beside({
        let agent = agent.clone();
        async move {
            assert!(agent.wait_idle().await);
            drained(&agent)
        }
    });
    go(&first).await;
    settle().await;
    assert!(!idle.is_finished());
    go(&second).await;
    assert_eq!(idle.end().await, ["1 then succeeded", "2 then succeeded"]);
}

#[tokio::test]
async fn r54_a_task_that_panics_or_is_torn_off_leaves_nobody_waiting() {
    for torn_off in [false, true] {
        let bench = Bench::new(script(|_| async { panic!("the runner is broken") }));
        let agent = agent(&bench);
        let turn = agent.turn("t");
        let places = bench.places.clone().acquire_many_owned(16).await.unwrap();
        let task = start(&turn, call("1", FOREGROUND)).await;
        let waiting = beside({
            let turn = turn.clone();
            async move { next(&turn).await }
        });
        settle().await;
        assert!(!waiting.is_finished());
        if torn_off {
            // Its actor is dropped where it is, as a runtime does that goes.
            bench.inner.actors.lock().unwrap().abort_all();
        }
        drop(places);
        assert_eq!(waiting.end().await.as_deref(), Some("1 failed (true)"));
        assert!(agent.wait_idle().await);
        assert_eq!(next(&turn).await, None);
        assert_eq!(task.state().outcome.is_none(), torn_off);
    }
}

#[tokio::test]
async fn r54_a_host_that_shuts_down_lets_everybody_go() {
    let bench = deaf();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    start(&turn, call("1", FOREGROUND)).await;
    start(&turn, call("2", BACKGROUND)).await;
    let waiting = beside({
        let (agent, turn) = (agent.clone(), turn.clone());
        async move {
            let first = next(&turn).await;
            let over = next(&turn).await;
            assert!(agent.wait_idle().await);
            let ready = agent.wait_ready().await.map(|ready| ready.updates);
            (first, over, ready, drained(&agent), agent.wait_ready().await)
        }
    });
    settle().await;
    bench.inner.shut_down().await;
    let (first, over, ready, drained, last) = waiting.end().await;
    assert_eq!((first.as_deref(), over), (Some("1 cancelled (true)"), None));
    assert_eq!((ready, drained, last), (Some(1), vec!["2 cancelled (false)".to_owned()], None));
    assert!(matches!(turn.start(call("3", FOREGROUND)).await, Err(StartError::ShuttingDown)));
    drop(bench);
    assert!(matches!(turn.start(call("3", FOREGROUND)).await, Err(StartError::ShuttingDown)));
    assert_eq!(agent.wait_ready().await, None);
}

/// A store that does not answer any more, once a task is there.
#[derive(Debug, Default)]
struct Mute(MemoryStore);

impl TaskStore for Mute {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> BoxFuture<'_, Result<(), CommitError>> {
        match fence {
            Fence::Absent => self.0.commit(stream, fence, records),
            Fence::After(_) => Box::pin(std::future::pending()),
        }
    }

    fn head(&self, stream: StreamId) -> BoxFuture<'_, Result<Option<EventSeq>, StoreError>> {
        self.0.head(stream)
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        self.0.read(stream, after, limit)
    }

    fn remove(&self, stream: StreamId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.remove(stream)
    }

    fn tasks(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<StoredTask>, StoreError>> {
        self.0.tasks(after, limit)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.flush()
    }
}

#[tokio::test]
async fn r54_a_store_that_does_not_answer_holds_nobody_up_when_the_host_goes() {
    let bench = Bench::with(script(|_| std::future::pending()), 4, Arc::new(Mute::default()));
    let agent = agent(&bench);
    let turn = agent.turn("t");
    start(&turn, call("1", FOREGROUND)).await;
    let waiting = beside({
        let (agent, turn) = (agent.clone(), turn.clone());
        async move { tokio::join!(turn.next(), agent.wait_ready(), agent.wait_idle()) }
    });
    bench.advance(9 * SECOND).await;
    assert!(!waiting.is_finished(), "the host lives, and the task may end");
    bench.inner.stop_everything();
    bench.advance(SECOND).await;
    assert_eq!(waiting.end().await, (None, None, false));
}

#[tokio::test]
async fn r54_a_session_that_is_over_and_drained_leaves_nothing_behind() {
    let bench = polite();
    let count = || bench.inner.loops.count();
    go(&bench.start().await).await;
    assert_eq!(count(), 0, "a task without a session has no place");
    let task = bench.inner.start(request().session("s")).await.unwrap();
    assert_eq!(count(), 1);
    go(&task).await;
    assert_eq!(count(), 1, "its result can be taken");
    let agent = agent(&bench);
    assert_eq!(drained(&agent), [" then succeeded"]);
    drop(agent);
    assert_eq!(count(), 0, "the task is still remembered, and its session is not");
    let refused = bench.inner.start(StartRequest::new("nobody", "script").session("s")).await;
    assert!(refused.is_err() && count() == 0);
}

#[tokio::test]
async fn r53_results_that_nobody_takes_go_with_their_tasks_and_are_counted() {
    let bench = Bench::new(script(|_| async { success(None) }));
    let agent = agent(&bench);
    for number in 0..300 {
        let task = bench.inner.start(call(&number.to_string(), BACKGROUND).session("s")).await.unwrap();
        task.gone().await;
    }
    settle().await;
    let ready = agent.wait_ready().await.unwrap();
    let drained = agent.drain(usize::MAX);
    assert_eq!(ready.updates, drained.updates.len(), "the queue holds what can be taken, and no more");
    assert!(drained.lost >= 40, "the host remembers 256 tasks: {}", drained.lost);
    assert_eq!(drained.updates.len() as u64 + drained.lost, 300);
    assert_eq!(agent.drain(9).lost, 0);
}

#[tokio::test]
async fn r18_a_child_tells_its_parent_and_not_the_loop() {
    let bench = polite();
    let agent = agent(&bench);
    let turn = agent.turn("t");
    let parent = start(&turn, call("1", FOREGROUND)).await;
    settle().await;
    let child = bench.inner.start(request().fuel(1000).parent(parent.id())).await.unwrap();
    let details = child.state().details;
    assert_eq!((details.session.as_deref(), details.turn.as_deref()), (Some("s"), Some("t")));
    go(&child).await;
    assert_eq!(drained(&agent), [""; 0]);
    // One that is started for a call of its own has its answer.
    let own = start(&turn, call("2", FOREGROUND).fuel(1000).parent(parent.id())).await;
    go(&own).await;
    assert_eq!(next(&turn).await.as_deref(), Some("2 succeeded"));
}
