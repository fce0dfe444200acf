//! Schedules that start real guests, over a restart of their host.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{
    EventBody, EventSeq, Firing, Host, MemoryStore, Party, ScheduleEvent, ScheduleId, ScheduleRequest, SimulatedClock,
};

use crate::support::task::{data, outcome};
use crate::support::{builder, request, with_fixture, within};

const HOUR: Duration = Duration::from_hours(1);

/// A host with the fixture guest, on a store and a clock that outlive it.
async fn host(store: &Arc<MemoryStore>, clock: &Arc<SimulatedClock>) -> Host {
    with_fixture(builder().store(store.clone()).clock(clock.clone())).await.0
}

/// Follows the schedule's events from this one on until a task is started; returns its firing, and the last event seen.
async fn next_start(host: &Host, id: ScheduleId, after: EventSeq) -> (Firing, EventSeq) {
    let mut events = host.schedules().events(id, after);
    let mut begun = None;
    loop {
        let event = within(events.next()).await.unwrap().unwrap();
        match event.body {
            EventBody::Schedule { change: ScheduleEvent::Firing { firing, .. }, .. } => begun = Some(firing),
            EventBody::Schedule { change: ScheduleEvent::Started { number, .. }, .. } => {
                let firing = begun.unwrap();
                assert_eq!(firing.number, number);
                return (firing, event.seq);
            }
            EventBody::Schedule { change: ScheduleEvent::Created { .. }, .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn r19_a_schedule_runs_a_guest_at_its_moments_and_goes_on_in_the_next_host() {
    let (store, clock) = (Arc::default(), Arc::new(SimulatedClock::new()));
    let one = host(&store, &clock).await;
    let hourly = ScheduleRequest::every("hourly", "0 * * * *", "UTC", request("echo", json!({"n": 1})));
    let id = within(one.schedules().add(hourly.clone())).await.unwrap();
    clock.advance(HOUR);
    let (firing, seen) = next_start(&one, id, EventSeq::default()).await;
    let task = one.task(firing.task).unwrap();
    assert_eq!(data(outcome(&task).await), json!({"n": 1}));
    let by = task.state().details.schedule.unwrap();
    assert_eq!((by.id, by.name.as_str(), by.firing, by.moment), (id, "hourly", 1, firing.moment));
    within(one.shutdown()).await;

    clock.advance(HOUR * 5);
    let two = host(&store, &clock).await;
    let (late, seen) = next_start(&two, id, seen).await;
    assert_eq!(
        (late.number, late.moment.map(|moment| moment.0)),
        (2, Some(2 * 3_600_000)),
        "the first that was missed"
    );
    outcome(&two.task(late.task).unwrap()).await;
    assert_eq!(within(two.schedules().add(hourly.keep_same())).await.unwrap(), id);
    clock.advance(HOUR);
    let (next, _) = next_start(&two, id, seen).await;
    assert_eq!((next.number, next.moment.map(|moment| moment.0)), (3, Some(7 * 3_600_000)), "the others are over");
    outcome(&two.task(next.task).unwrap()).await;

    let by_hand = within(two.schedules().fire_now(id, Party::Person)).await.unwrap();
    assert_eq!(data(outcome(&by_hand).await), json!({"n": 1}));
    within(two.schedules().remove(id, Party::Person)).await.unwrap();
    assert!(within(two.schedules().list()).await.unwrap().is_empty());
}
