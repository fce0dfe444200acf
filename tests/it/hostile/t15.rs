//! T15: tasks that wait for each other end at their deadlines, and a plugin cannot start tasks at all.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{FailureKind, Grants, LoadError, SimulatedClock, TaskKey};

use crate::support::alone::alone;
use crate::support::component::Handmade;
use crate::support::oracle::Watched;
use crate::support::task::{failed, outcome, parked, start_as};
use crate::support::{builder, request, uncached, within};

#[test]
fn t15_tasks_that_wait_for_each_other_end_at_their_deadlines() {
    alone(|| async {
        let clock = Arc::new(SimulatedClock::new());
        let watched = Watched::with(builder().clock(clock.clone())).await;
        watched
            .withstands(async |beside| {
                // Each waits for the other's signal, and would send its own only then.
                let waits = |own: &str, peer: &str| {
                    let request = request("two-way", json!({"peer": peer})).timeout(Duration::from_secs(5));
                    let may_signal = Grants::default().signal();
                    request.key(TaskKey::new(own).unwrap()).grants(may_signal)
                };
                let one = start_as(beside.host, waits("a", "b")).await;
                let other = start_as(beside.host, waits("b", "a")).await;
                parked(&one, 1).await;
                parked(&other, 1).await;
                beside.goes_on_while(&one).await;
                clock.advance(Duration::from_secs(5));
                failed(outcome(&one).await, FailureKind::Timeout);
                failed(outcome(&other).await, FailureKind::Timeout);
                vec![one, other]
            })
            .await;
    });
}

#[tokio::test]
async fn t15_a_plugin_that_wants_to_start_tasks_is_a_load_error() {
    // There are no child tasks in this contract, so no guest can be a fork bomb.
    for interface in ["taskcell:plugin/tasks@0.1.0", "taskcell:plugin/tasks@0.2.0"] {
        let plugin = Handmade::new("bomb").import(interface);
        let error = within(uncached().load_plugin_bytes("bomb", plugin.bytes())).await.unwrap_err();
        assert!(
            matches!(error, LoadError::NewerContract { .. } | LoadError::UnknownImports { .. }),
            "{interface}: {error:?}"
        );
        assert!(error.to_string().contains(interface), "{error}");
    }
}
