//! The event log: complete, in order, closed by `finished`, and what the state says.

use serde_json::json;
use taskcell::{Event, EventBody, EventSeq, Host, Outcome, Phase, StartRequest, TaskHandle};

use crate::support::task::{events, key, outcome, parked, please_stop, reported, start, start_as};
use crate::support::{fixture, request, within};

/// One task for each kind of end, ended.
async fn one_of_each(host: &Host) -> Vec<TaskHandle> {
    let requests: Vec<StartRequest> = vec![
        request("echo", json!(1)),
        request("fail", json!({"message": "m", "retryable": false, "details": null})),
        request("panic", json!({"message": "m"})),
        request("trap", json!(null)),
        request("exit", json!({"code": 1})),
        request("spin", json!(null)).fuel(10_000_000),
        request("spin", json!(null)).timeout(std::time::Duration::from_millis(5)),
        request("allocate", json!({"mib": 64})).memory_bytes(16 << 20),
        request("cancel-self", json!(null)),
        request("steps", json!({"n": 50})),
    ];
    let mut tasks = Vec::new();
    for request in requests {
        tasks.push(start_as(host, request).await);
    }
    let stopped = start(host, "spin", json!(null)).await;
    stopped.cancel(please_stop().grace(std::time::Duration::ZERO)).await;
    tasks.push(stopped);
    for task in &tasks {
        outcome(task).await;
    }
    tasks
}

fn is_finished(event: &Event) -> bool {
    matches!(event.body, EventBody::Finished { .. })
}

#[tokio::test]
async fn r31_every_end_has_exactly_one_finished_event_and_it_is_the_last() {
    let (host, _) = fixture().await;
    for task in one_of_each(&host).await {
        let events = events(&task).await;
        assert!(matches!(events[0].body, EventBody::Created { .. }), "{events:?}");
        let finished = events.iter().filter(|event| is_finished(event)).count();
        assert_eq!(finished, 1, "{events:?}");
        assert!(is_finished(events.last().unwrap()), "{events:?}");
    }
}

#[tokio::test]
async fn r42_events_are_numbered_from_1_without_gaps() {
    let (host, _) = fixture().await;
    for task in one_of_each(&host).await {
        let numbers: Vec<u64> = events(&task).await.iter().map(|event| event.seq.0).collect();
        let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(numbers, expected);
    }
}

#[tokio::test]
async fn r30_the_state_is_what_the_events_say() {
    let (host, _) = fixture().await;
    for task in one_of_each(&host).await {
        let state = task.state();
        let events = events(&task).await;
        let last = events.last().unwrap();
        let EventBody::Finished { outcome, usage, .. } = &last.body else { panic!("{last:?}") };
        assert_eq!(state.phase, Phase::Ended);
        assert_eq!(state.outcome.as_ref(), Some(&**outcome));
        assert_eq!(state.usage, *usage);
        assert_eq!(state.seq, last.seq);
        assert_eq!(state.ended_at, Some(last.at));
        assert_eq!(state.created_at, Some(events[0].at));
        assert_eq!(task.wait().await, **outcome);
    }
}

#[tokio::test]
async fn r40_the_state_of_a_live_task_shows_where_it_is() {
    let (host, _) = fixture().await;
    let task = start(&host, "wait", json!({"key": "go"})).await;
    parked(&task, 1).await;
    let state = task.state();
    assert_eq!(state.phase, Phase::Running);
    assert_eq!(state.outcome, None);
    let progress = state.progress.expect("it has reported");
    assert_eq!((&*progress.message, progress.percent, progress.eta), ("waiting for go", None, None));
    let waiting = state.waiting.expect("it waits");
    assert_eq!((waiting.wait, waiting.keys), (1, vec![key("go")]));
    assert!(state.usage.fuel > 0);
    assert!(state.created_at.is_some() && state.started_at.is_some() && state.ended_at.is_none());
}

#[tokio::test]
async fn f21_two_streams_each_see_every_event() {
    let (host, _) = fixture().await;
    let task = start(&host, "steps", json!({"n": 300})).await;
    let (one, two) = within(async { tokio::join!(events(&task), events(&task)) }).await;
    assert_eq!(one, two);
    // Reports that come fast are merged, and none is forgotten.
    let reports =
        one.iter().map(|event| if let EventBody::Progress { merged, .. } = event.body { 1 + merged } else { 0 });
    assert_eq!(reports.sum::<u64>(), 300);
}

#[tokio::test]
async fn r42_a_stream_goes_on_after_the_event_it_is_given() {
    let (host, _) = fixture().await;
    let task = start(&host, "steps", json!({"n": 5})).await;
    let all = events(&task).await;
    let mut rest = task.events(EventSeq(3));
    for expected in &all[3..] {
        assert_eq!(within(rest.next()).await.unwrap().as_ref(), Some(expected));
    }
    assert_eq!(within(rest.next()).await.unwrap(), None);
}

#[tokio::test]
async fn r42_a_stream_on_an_ended_task_ends_too() {
    let (host, _) = fixture().await;
    let task = start(&host, "echo", json!(1)).await;
    outcome(&task).await;
    let mut past_the_end = task.events(task.state().seq);
    assert_eq!(within(past_the_end.next()).await.unwrap(), None);
    assert_eq!(within(past_the_end.next()).await.unwrap(), None);
}

#[tokio::test]
async fn r16_created_comes_before_started_and_holds_the_request() {
    let (host, _) = fixture().await;
    let task = start_as(&host, request("echo", json!([1])).fuel(800_000_000)).await;
    let events = events(&task).await;
    let EventBody::Created { task: reference, input, limits, .. } = &events[0].body else { panic!("{events:?}") };
    assert_eq!(**reference, *task.task_ref());
    assert_eq!(**input, json!([1]));
    assert_eq!(limits.fuel, 800_000_000);
    assert!(matches!(events[1].body, EventBody::Started { attempt: 1, .. }), "{events:?}");
}

#[tokio::test]
async fn r3_progress_is_told_in_order_with_its_percent() {
    let (host, _) = fixture().await;
    let task = start(&host, "steps", json!({"n": 4})).await;
    let mut steps = 0;
    for event in events(&task).await {
        if let EventBody::Progress { message, percent, merged, .. } = event.body {
            steps += 1 + merged;
            assert_eq!((message, percent), (format!("step {steps} of 4"), u8::try_from(steps * 25).ok()));
        }
    }
    assert_eq!(steps, 4, "reports that come fast are merged, and the last of all is told");
}

#[tokio::test]
async fn r3_a_bad_percent_is_refused_and_the_task_goes_on() {
    let (host, _) = fixture().await;
    for percent in [101, 255] {
        let task = start(&host, "progress", json!({"percent": percent})).await;
        let Outcome::Succeeded { data, .. } = outcome(&task).await else { panic!("{:?}", task.state()) };
        assert_eq!(data, Some(json!("invalid-argument")));
        assert_eq!(task.state().progress, None);
    }
}

#[tokio::test]
async fn t10_a_flood_of_progress_slows_the_task_and_nobody_else() {
    let (host, _) = fixture().await;
    let flood = start(&host, "progress-flood", json!({"n": 20_000})).await;
    reported(&flood).await;
    let neighbour = start(&host, "echo", json!("beside")).await;
    assert!(matches!(outcome(&neighbour).await, Outcome::Succeeded { .. }));
    assert!(matches!(outcome(&flood).await, Outcome::Succeeded { .. }));
    let last = flood.state().progress.expect("it reported");
    assert_eq!(last.message, "report 20000");
}
