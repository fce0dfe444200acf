//! Keys that are in use, requests that are sent twice, and callers that wait: with a real guest.

use std::time::Duration;

use serde_json::json;
use taskcell::{
    EventBody, EventSeq, FailureKind, KeyPolicy, Outcome, Party, Routing, StartError, StartRequest, Started, TaskKey,
};

use crate::support::task::{data, events, failed, outcome, parked, reported, start_as};
use crate::support::{fixture, request, within};

const SECOND: Duration = Duration::from_secs(1);

fn keyed(task_type: &str) -> StartRequest {
    request(task_type, json!({})).key(TaskKey::new("one").unwrap())
}

#[tokio::test]
async fn r12_a_busy_loop_is_replaced_in_the_middle_of_its_code() {
    let (host, _) = fixture().await;
    let old = start_as(&host, keyed("spin")).await;
    reported(&old).await;
    let at_once = KeyPolicy::replace(Party::Person).grace(Duration::ZERO);
    let new = start_as(&host, keyed("spin").on_key_in_use(at_once)).await;
    reported(&new).await;
    let EventBody::Finished { outcome: old_end, .. } = events(&old).await.pop().unwrap().body else {
        panic!("it has no end")
    };
    let Outcome::Cancelled { by, reason, forced, .. } = &*old_end else { panic!("{old_end:?}") };
    assert_eq!((*by, reason.as_str(), *forced), (Party::Person, "replaced by a new start", true));
    assert_eq!((new.task_ref(), new.state().outcome), (old.task_ref(), None));
    let joined = start_as(&host, keyed("spin").on_key_in_use(KeyPolicy::Join)).await;
    assert_eq!(joined.id(), new.id());
    assert!(matches!(within(host.start(keyed("spin"))).await, Err(StartError::KeyInUse { .. })));
    within(host.shutdown()).await;
}

#[tokio::test]
async fn r15_a_foreground_task_is_ready_and_one_that_is_parked_is_pending() {
    let (host, _) = fixture().await;
    let short = request("echo", json!("a word")).routing(Routing::Foreground);
    let Started::Ready { task, outcome: end, .. } = within(host.run(short)).await.unwrap() else {
        panic!("it has ended")
    };
    assert_eq!(data(end.clone()), json!("a word"));
    assert_eq!(outcome(&task).await, end);

    let long = || request("wait", json!({"key": "go"}));
    let detaching = long().routing(Routing::DetachAfter { after: SECOND / 1000 });
    for request in [long(), detaching] {
        let Started::Pending(task) = within(host.run(request)).await.unwrap() else {
            panic!("nobody sent it anything")
        };
        parked(&task, 1).await;
        let created = within(task.events(EventSeq::default()).next()).await.unwrap().unwrap();
        let EventBody::Created { details, .. } = created.body else { panic!("it was not created") };
        assert!(details.routing.is_some(), "what was decided is written down");
    }
    within(host.shutdown()).await;
}

#[tokio::test]
async fn r14_a_plugin_hints_where_its_caller_waits() {
    let (host, plugin) = fixture().await;
    assert_eq!(plugin.manifest().task_type("brief").unwrap().routing, Some(Routing::Foreground));
    let started = within(host.run(request("brief", json!(7)))).await.unwrap();
    assert!(matches!(started, Started::Ready { outcome: Outcome::Succeeded { .. }, .. }), "{started:?}");
}

#[tokio::test]
async fn t45_a_request_that_is_sent_twice_runs_once() {
    let (host, _) = fixture().await;
    let sent = || host.start(request("echo", json!(1)).once("order 17"));
    let (one, two) = within(async { tokio::join!(sent(), sent()) }).await;
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.id(), two.id());
    outcome(&one).await;
    assert_eq!(within(sent()).await.unwrap().id(), one.id());
}

#[tokio::test]
async fn r10_an_embedders_child_of_a_busy_task_takes_its_fuel_and_stops_with_it() {
    let (host, _) = fixture().await;
    let parent = start_as(&host, request("spin", json!({})).fuel(1_000_000_000_000)).await;
    reported(&parent).await;
    let child = start_as(&host, request("spin", json!({})).parent(parent.id()).fuel(500_000_000_000)).await;
    reported(&child).await;
    let refused = within(host.start(request("spin", json!({})).parent(parent.id()).fuel(500_000_000_000))).await;
    assert!(matches!(&refused, Err(StartError::ParentRefuses { .. })), "{refused:?}");
    assert!(parent.state().usage.fuel > 500_000_000_000, "what is lent counts");
    parent.cancel(taskcell::CancelRequest::force(Party::Person, "enough")).await;
    assert!(matches!(outcome(&child).await, Outcome::Cancelled { .. }));
}

#[tokio::test]
async fn r10_a_real_result_is_held_against_the_requests_schema() {
    let (host, _) = fixture().await;
    let wants_a_number = request("echo", json!("a word")).output_schema(json!({"type": "integer"}));
    let failure = failed(outcome(&start_as(&host, wants_a_number).await).await, FailureKind::Guest);
    assert!(failure.message.starts_with("its result does not match the request's schema"), "{failure:?}");
}
