//! T11: the host's own code panics while it works for a task: that task fails with kind `host`, and nothing else does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use taskcell::{AgentMessage, Clock, Delivery, FailureKind, SystemClock, Timestamp};

use crate::support::alone::alone;
use crate::support::oracle::Watched;
use crate::support::task::{data, failed, outcome, reported, start, start_as};
use crate::support::{builder, request, within};

/// A sink of the embedder's that panics at one message.
fn sink(message: &AgentMessage) -> Delivery {
    assert_ne!(message.message, "panic!", "the sink was told to");
    Delivery::Accepted
}

#[test]
fn t11_a_sink_that_panics_costs_its_task_and_nothing_else() {
    alone(|| async {
        let watched = Watched::with(builder().agent_sink(sink)).await;
        watched
            .withstands(async |beside| {
                let mut tasks = Vec::new();
                for _ in 0..3 {
                    let task = start(beside.host, "agent", json!({"message": "panic!", "trigger": false})).await;
                    let told = failed(outcome(&task).await, FailureKind::Host);
                    assert!(told.message.contains("panic"), "{}", told.message);
                    tasks.push(task);
                    let other = start(beside.host, "agent", json!({"message": "fine", "trigger": false})).await;
                    assert_eq!(data(outcome(&other).await), json!("accepted"));
                    tasks.push(other);
                }
                tasks
            })
            .await;
    });
}

/// A clock that panics for whoever reads it from one of the guests' threads, once it is told to.
#[derive(Debug, Default)]
struct Broken {
    clock: SystemClock,
    broken: AtomicBool,
}

impl Broken {
    /// The embedder's runtime has names of its own; whatever else reads the clock works for a guest.
    fn is_for_guest() -> bool {
        std::thread::current().name().is_some_and(|name| name.starts_with("taskcell"))
    }
}

impl Clock for Broken {
    fn date(&self) -> Timestamp {
        self.clock.date()
    }

    fn steady(&self) -> Duration {
        assert!(!(Self::is_for_guest() && self.broken.swap(false, Ordering::SeqCst)), "the clock was told to");
        self.clock.steady()
    }

    fn sleep_until(&self, until: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        self.clock.sleep_until(until)
    }
}

#[test]
fn t11_a_host_function_that_panics_costs_its_task_and_nothing_else() {
    alone(|| async {
        let clock = Arc::new(Broken::default());
        let watched = Watched::with(builder().clock(clock.clone())).await;
        watched
            .withstands(async |beside| {
                // It looks whether it shall stop, and how long it has for that the host reads from the clock. Its
                // neighbours are not asked to stop, so they do not read it.
                let task = start_as(beside.host, request("stubborn-success", json!(null))).await;
                reported(&task).await;
                clock.broken.store(true, Ordering::SeqCst);
                within(task.cancel(taskcell::CancelRequest::new(taskcell::Party::Person, "now"))).await;
                let told = failed(outcome(&task).await, FailureKind::Host);
                assert!(told.message.contains("told to"), "{}", told.message);
                beside.goes_on().await;
                vec![task]
            })
            .await;
    });
}
