//! Messages that ask an agent to act: each calls its loop once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::bench::{Bench, request, script, settle, success, wait_for};
use super::starting::poll;
use crate::model::limits::LimitsRequest;
use crate::model::outbox::{AgentMessage, MessageFilter};
use crate::ports::runner::{CellLink, GuestCall};
use crate::runtime::agent_loop::AgentLoop;

const SECOND: Duration = Duration::from_secs(1);

fn agent(bench: &Bench) -> AgentLoop {
    bench.inner.agent_loop("s".to_owned())
}

/// Sends a message that asks the agent to act.
async fn call(link: &CellLink, once: Option<&str>) {
    let once = once.map(super::bench::key);
    let message = |reply| GuestCall::MessageAgent { message: "m".to_owned(), trigger: true, once, reply };
    drop(link.request(message).await);
}

#[tokio::test]
async fn r53_a_message_that_is_sent_again_calls_nobody_and_costs_its_turn() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let bench = Bench::new(script(move |link| {
        let counted = Arc::clone(&counted);
        async move {
            loop {
                call(&link, Some("greeting")).await;
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    let agent = agent(&bench);
    let limits = LimitsRequest { events_per_second: Some(10), ..LimitsRequest::default() };
    let task = bench.inner.start(request().session("s").limits(limits)).await.unwrap();
    settle().await;
    assert!(agent.wait_ready().await.unwrap().message);
    settle().await;
    assert!(poll(&mut Box::pin(agent.wait_ready())).is_pending(), "it is the same message");
    let before = sent.load(Ordering::Relaxed);
    settle().await;
    assert_eq!(sent.load(Ordering::Relaxed), before, "it waits for its turn");
    bench.advance(SECOND).await;
    settle().await;
    assert!((before + 1..=before + 11).contains(&sent.load(Ordering::Relaxed)));
    drop(task);
}

#[tokio::test]
async fn r53_a_message_that_its_sink_did_not_settle_calls_the_loop_whatever_happened() {
    let mut bench = Bench::new(script(|link| async move {
        call(&link, None).await;
        std::future::pending().await
    }));
    bench.inner_mut().sink = Some(Arc::new(|_: &AgentMessage| panic!("the sink")));
    let agent = agent(&bench);
    let task = bench.inner.start(request().session("s")).await.unwrap();
    task.wait().await;
    assert!(agent.wait_ready().await.unwrap().message);
    assert_eq!(bench.inner.messages().claim(&MessageFilter::session("s"), 9, SECOND).len(), 1);
}

#[tokio::test]
async fn r53_a_message_that_came_before_the_loop_calls_it_too() {
    let bench = Bench::new(script(|link| async move {
        call(&link, None).await;
        wait_for(&link, "go", None).await;
        success(None)
    }));
    let task = bench.inner.start(request().session("s")).await.unwrap();
    super::starting::go(&task).await;
    let first = agent(&bench);
    assert_eq!(first.drain(9).updates.len(), 1);
    drop(first);
    assert_eq!(bench.inner.loops.count(), 0, "its session has no book");
    let agent = agent(&bench);
    assert!(agent.wait_ready().await.unwrap().message);
    assert!(poll(&mut Box::pin(agent.wait_ready())).is_pending(), "told once");
    let other = bench.inner.agent_loop("other".to_owned());
    assert!(poll(&mut Box::pin(other.wait_ready())).is_pending());
}
