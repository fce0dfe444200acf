//! What panics in the host while it works for a task is that task's matter, and nobody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::bench::{Bench, log, request, script, settle, success};
use crate::model::event::EventBody;
use crate::model::outbox::{AgentMessage, Delivery};
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::retry::RetryPolicy;
use crate::ports::runner::GuestCall;

/// A guest that sends its agent a message, and a sink that panics at the first.
fn bench(always: bool) -> Bench {
    let mut bench = Bench::new(script(|link| async move {
        let message = |reply| GuestCall::MessageAgent { message: "m".to_owned(), trigger: true, once: None, reply };
        if link.request(message).await.is_err() {
            std::future::pending::<()>().await;
        }
        success(None)
    }));
    let first = AtomicBool::new(true);
    bench.inner_mut().sink = Some(Arc::new(move |_: &AgentMessage| {
        assert!(!first.swap(always, Ordering::SeqCst), "the sink is broken");
        Delivery::Accepted
    }));
    bench
}

fn attempts(events: &[crate::model::event::Event]) -> usize {
    events.iter().filter(|event| matches!(event.body, EventBody::Started { .. })).count()
}

#[tokio::test]
async fn t11_a_sink_that_panics_fails_its_task_and_the_end_is_stored() {
    let bench = bench(true);
    let task = bench.start().await;
    let Outcome::Failed(failure) = task.wait().await else { panic!("it fails") };
    assert_eq!(failure.kind, FailureKind::Host);
    assert!(failure.message.contains("the sink is broken"), "{}", failure.message);
    task.gone().await;
    assert!(bench.inner.registry.live().is_empty());
    // A reader finds the end in the store, and not only in memory.
    assert!(task.shared().unstored().is_none());
    assert_eq!(attempts(&log(&task).await), 1);
}

#[tokio::test]
async fn r38_a_panic_of_the_host_is_tried_again_if_crashes_are() {
    for (always, tries) in [(false, 2), (true, 3)] {
        let bench = bench(always);
        let mut request = request();
        request.details.retry =
            RetryPolicy::attempts(3).backoff(Duration::from_secs(1), Duration::from_secs(1)).with_crashes();
        let task = bench.inner.start(request).await.unwrap();
        for _ in 0..3 {
            settle().await;
            bench.advance(Duration::from_secs(1)).await;
        }
        let outcome = task.wait().await;
        assert_eq!(matches!(outcome, Outcome::Succeeded { .. }), !always, "{outcome}");
        assert!(task.shared().unstored().is_none(), "{outcome}");
        assert_eq!(attempts(&log(&task).await), tries);
        task.gone().await;
    }
}
