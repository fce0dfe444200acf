//! Cancelling: the wish, the grace, the force, and what stands afterwards.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{CancelAnswer, CancelRequest, EventBody, Outcome, Party, Phase, SimulatedClock};

use crate::support::task::{asked_to_stop, data, events, forced, key, outcome, parked, please_stop, reported, start};
use crate::support::{builder, fixture, with_fixture, within};

const GRACE: Duration = CancelRequest::DEFAULT_GRACE;

#[tokio::test]
async fn r33_a_busy_loop_is_stopped_when_the_grace_is_over_and_not_before() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let task = start(&host, "spin", json!(null)).await;
    reported(&task).await;
    assert_eq!(within(task.cancel(please_stop())).await, CancelAnswer::Requested);
    clock.advance(GRACE.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(task.state().phase, Phase::Running);
    clock.advance(Duration::from_millis(1));
    assert_eq!(outcome(&task).await, forced());
}

#[tokio::test]
async fn f07_a_cancel_without_grace_stops_a_busy_loop_at_once() {
    let (host, _) = fixture().await;
    let task = start(&host, "spin", json!(null)).await;
    reported(&task).await;
    within(task.cancel(please_stop().grace(Duration::ZERO))).await;
    // The answer came after the outcome was written.
    assert_eq!(task.state().outcome, Some(forced()));
}

#[tokio::test]
async fn r33_a_task_that_listens_ends_by_itself_within_the_grace() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock)).await;
    let task = start(&host, "polite", json!(null)).await;
    reported(&task).await;
    within(task.cancel(please_stop())).await;
    let Outcome::Cancelled { by, reason, forced, .. } = outcome(&task).await else { panic!("{:?}", task.state()) };
    assert_eq!((by, reason.as_str(), forced), (Party::Person, "no longer needed", false));
}

#[tokio::test]
async fn f08_a_success_inside_the_grace_is_a_success_and_the_state_says_so_too() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock)).await;
    let task = start(&host, "stubborn-success", json!(null)).await;
    reported(&task).await;
    within(task.cancel(please_stop())).await;
    let ended = outcome(&task).await;
    assert_eq!(task.state().outcome.as_ref(), Some(&ended));
    assert_eq!(data(ended), json!("finished all the same"));
}

#[tokio::test]
async fn r33_a_cancel_ends_the_wait_that_the_task_is_parked_in() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock)).await;
    let task = start(&host, "wait", json!({"key": "go"})).await;
    parked(&task, 1).await;
    within(task.cancel(please_stop())).await;
    assert_eq!(data(outcome(&task).await), json!({"result": "cancelled"}));
}

#[tokio::test]
async fn r33_after_a_cancel_every_further_wait_ends_at_once() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock)).await;
    let task = start(&host, "wait-twice", json!({"key": "go"})).await;
    parked(&task, 1).await;
    within(task.cancel(please_stop())).await;
    let over = json!({"result": "cancelled"});
    assert_eq!(data(outcome(&task).await), json!([over, over]));
}

#[tokio::test]
async fn r33_a_sleep_in_wasi_is_stopped_when_the_grace_is_over() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let task = start(&host, "sleep-quietly", json!({"ms": 86_400_000})).await;
    reported(&task).await;
    within(task.cancel(please_stop())).await;
    clock.advance(GRACE);
    assert_eq!(outcome(&task).await, forced());
    within(host.shutdown()).await;
}

#[tokio::test]
async fn f02_a_cancel_before_the_first_instruction_gives_an_outcome_and_runs_nothing() {
    let (host, _) = with_fixture(builder().running_max(1)).await;
    let first = start(&host, "wait", json!({"key": "go"})).await;
    parked(&first, 1).await;
    let second = start(&host, "spin", json!(null)).await;
    assert_eq!(second.state().phase, Phase::Queued);
    within(second.cancel(please_stop())).await;
    let ended = outcome(&second).await;
    assert!(matches!(ended, Outcome::Cancelled { forced: false, begun: false, .. }), "{ended:?}");
    assert!(ended.to_string().ends_with(": it had not begun"), "{ended}");
    let log = events(&second).await;
    assert!(!log.iter().any(|event| matches!(event.body, EventBody::Started { .. })), "it must not have run: {log:?}");
    // Its place in the queue is free again.
    let third = start(&host, "echo", json!(3)).await;
    within(first.notify(key("go"), None, Party::Person)).await;
    assert_eq!(data(outcome(&third).await), json!(3));
}

#[tokio::test]
async fn f23_a_second_cancel_shortens_the_grace_and_leaves_who_and_why() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let task = start(&host, "spin", json!(null)).await;
    reported(&task).await;
    within(task.cancel(please_stop().grace(Duration::from_hours(1)))).await;
    let second = CancelRequest::new(Party::Agent, "hurry").grace(Duration::from_secs(1));
    assert_eq!(within(task.cancel(second)).await, CancelAnswer::Requested);
    clock.advance(Duration::from_secs(1));
    assert_eq!(outcome(&task).await, forced());
}

#[tokio::test]
async fn r33_a_second_cancel_never_lengthens_the_grace() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let task = start(&host, "spin", json!(null)).await;
    reported(&task).await;
    within(task.cancel(please_stop().grace(Duration::from_secs(1)))).await;
    within(task.cancel(CancelRequest::new(Party::Agent, "wait").grace(Duration::from_hours(1)))).await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(outcome(&task).await, forced());
}

#[tokio::test]
async fn f28_a_cancel_after_the_end_answers_with_the_outcome_and_changes_nothing() {
    let (host, _) = fixture().await;
    let task = start(&host, "echo", json!("done")).await;
    let ended = outcome(&task).await;
    let log = events(&task).await;
    assert_eq!(within(task.cancel(please_stop())).await, CancelAnswer::AlreadyEnded(ended.clone()));
    assert_eq!(outcome(&task).await, ended);
    assert_eq!(events(&task).await, log);
}

#[tokio::test]
async fn f18_cancelling_a_cancelled_task_again_adds_no_event() {
    let (host, _) = fixture().await;
    let task = start(&host, "spin", json!(null)).await;
    within(task.cancel(please_stop().grace(Duration::ZERO))).await;
    let ended = outcome(&task).await;
    let log = events(&task).await;
    for _ in 0..3 {
        assert_eq!(within(task.cancel(please_stop())).await, CancelAnswer::AlreadyEnded(ended.clone()));
    }
    assert_eq!(events(&task).await, log);
}

#[tokio::test]
async fn r33_the_guest_learns_who_asks_and_why_and_the_state_shows_it() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock)).await;
    let task = start(&host, "spin", json!(null)).await;
    reported(&task).await;
    within(task.cancel(please_stop())).await;
    asked_to_stop(&task).await;
    assert_eq!(task.state().cancel, Some(please_stop()));
}

#[tokio::test]
async fn t45_a_cancel_against_a_success_gives_one_outcome() {
    let (host, _) = fixture().await;
    for _ in 0..50 {
        let task = start(&host, "echo", json!("x")).await;
        let answer = within(task.cancel(please_stop().grace(Duration::ZERO))).await;
        let ended = outcome(&task).await;
        match (&answer, &ended) {
            (CancelAnswer::AlreadyEnded(told), _) => assert_eq!(*told, ended),
            (CancelAnswer::Requested, Outcome::Cancelled { by: Party::Person, .. }) => {}
            other => panic!("the wish was taken, and then: {other:?}"),
        }
        let finished = events(&task).await;
        let finished = finished.iter().filter(|event| matches!(event.body, EventBody::Finished { .. }));
        assert_eq!(finished.count(), 1);
    }
}

#[tokio::test]
async fn t45_ten_who_cancel_at_once_get_one_end() {
    let (host, _) = fixture().await;
    let task = start(&host, "polite", json!(null)).await;
    reported(&task).await;
    let wishes: Vec<_> = (0..10)
        .map(|number| {
            let task = task.clone();
            async move { task.cancel(CancelRequest::new(Party::Agent, format!("wish {number}"))).await }
        })
        .collect();
    let mut all = tokio::task::JoinSet::new();
    for wish in wishes {
        all.spawn(wish);
    }
    within(all.join_all()).await;
    let Outcome::Cancelled { reason, .. } = outcome(&task).await else { panic!("{:?}", task.state()) };
    let log = events(&task).await;
    let first = log.iter().find_map(|event| match &event.body {
        EventBody::CancelRequested(request) => Some(request.reason.clone()),
        _ => None,
    });
    assert_eq!(first, Some(reason));
}
