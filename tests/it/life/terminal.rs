//! What is called when a task has its outcome, with real guests.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use serde_json::json;
use taskcell::{
    CancelRequest, EventBody, FailureKind, Host, HostBuilder, NotifyAnswer, OnTerminalError, Outcome, Party, Phase,
    SimulatedClock, StartError, StopScope, TaskEnd, TaskKey,
};
use tokio::sync::mpsc;

use crate::support::task::{asked_to_stop, data, failed, key, outcome, parked, reported, start, start_as};
use crate::support::{builder, request, with_fixture, within};

/// A host that tells of every task's end whose request names the function.
fn telling(builder: HostBuilder) -> (HostBuilder, mpsc::UnboundedReceiver<TaskEnd>) {
    let (tell, told) = mpsc::unbounded_channel();
    let function = move |end| {
        let told = tell.send(end).map_err(OnTerminalError::from);
        async move { told }
    };
    (builder.on_terminal("tell", function), told)
}

fn named(task_type: &str, input: serde_json::Value) -> taskcell::StartRequest {
    let mut request = request(task_type, input);
    request.details.on_terminal = Some("tell".to_owned());
    request
}

async fn next(told: &mut mpsc::UnboundedReceiver<TaskEnd>) -> TaskEnd {
    let end = within(told.recv()).await.unwrap();
    assert_eq!(end.task.state().outcome.as_ref(), Some(&end.outcome));
    end
}

#[tokio::test]
async fn r31_every_end_of_a_real_guest_calls_the_function_once() {
    let (builder, mut told) = telling(builder());
    let (host, _) = with_fixture(builder).await;
    start_as(&host, named("echo", json!("done"))).await;
    assert_eq!(data(next(&mut told).await.outcome), json!("done"));
    let cases = [
        (named("fail", json!({"message": "no", "retryable": false})), FailureKind::Guest),
        (named("trap", json!(null)), FailureKind::Trap),
        (named("spin", json!(null)).fuel(50_000_000), FailureKind::OutOfFuel),
        (named("wait", json!({"key": "go"})).timeout(Duration::from_millis(50)), FailureKind::Timeout),
        (named("allocate", json!({"mib": 64})).memory_bytes(16 << 20), FailureKind::Memory),
    ];
    for (request, kind) in cases {
        start_as(&host, request).await;
        failed(next(&mut told).await.outcome, kind);
    }
    let busy = start_as(&host, named("spin", json!(null))).await;
    reported(&busy).await;
    within(busy.cancel(CancelRequest::force(Party::Person, "enough"))).await;
    assert!(matches!(next(&mut told).await.outcome, Outcome::Cancelled { forced: true, .. }));
    let waiting = start_as(&host, named("wait", json!({"key": "go"}))).await;
    parked(&waiting, 1).await;
    within(host.shutdown()).await;
    assert!(matches!(next(&mut told).await.outcome, Outcome::Cancelled { by: Party::Host, .. }));
    assert!(told.try_recv().is_err(), "and never twice");
}

#[tokio::test]
async fn r31_a_cancel_before_the_first_instruction_calls_it_and_so_does_a_dropped_host() {
    let (builder, mut told) = telling(builder().running_max(1));
    let (host, _) = with_fixture(builder).await;
    let first = start_as(&host, named("wait", json!({"key": "go"}))).await;
    parked(&first, 1).await;
    let second = start_as(&host, named("spin", json!(null))).await;
    assert_eq!(second.state().phase, Phase::Queued);
    within(second.cancel(CancelRequest::new(Party::Person, "enough"))).await;
    let end = next(&mut told).await;
    assert!(matches!(end.outcome, Outcome::Cancelled { begun: false, .. }) && end.task.id() == second.id());
    drop(host);
    assert_eq!(next(&mut told).await.task.id(), first.id());
}

#[tokio::test]
async fn f10_the_same_key_can_be_started_again_in_the_call() {
    let place: Arc<OnceLock<Weak<Host>>> = Arc::default();
    let (tell, mut told) = mpsc::unbounded_channel();
    let found = Arc::clone(&place);
    let again = move |end: TaskEnd| {
        let (host, tell) = (found.get().and_then(Weak::upgrade), tell.clone());
        async move {
            let request = request("echo", json!("again")).key(end.task.task_ref().key.clone());
            tell.send(host.ok_or("the host is gone")?.start(request).await?)?;
            Ok(())
        }
    };
    let (host, _) = with_fixture(builder().on_terminal("tell", again)).await;
    let host = Arc::new(host);
    place.set(Arc::downgrade(&host)).unwrap();
    let first = start_as(&host, named("echo", json!("first")).key(TaskKey::new("k").unwrap())).await;
    let second = within(told.recv()).await.unwrap();
    assert_eq!((first.task_ref(), data(outcome(&second).await)), (second.task_ref(), json!("again")));
    assert_ne!(first.id(), second.id());
}

#[tokio::test]
async fn r13_an_unknown_function_starts_nothing_and_a_refused_start_calls_nothing() {
    let (builder, mut told) = telling(builder());
    let (host, _) = with_fixture(builder).await;
    let mut unknown = named("echo", json!(1));
    unknown.details.on_terminal = Some("tall".to_owned());
    let error = Box::pin(within(host.start(unknown))).await.unwrap_err();
    assert_eq!(error.to_string(), "no function for the end of a task is called \"tall\"; registered: tell");
    let refused = Box::pin(within(host.start(named("no-such-type", json!(1))))).await;
    assert!(matches!(refused, Err(StartError::UnknownTaskType { .. })));
    within(host.shutdown()).await;
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn r30_a_signal_that_comes_too_late_is_noted_and_changes_nothing() {
    let (host, _) = with_fixture(builder()).await;
    let task = start(&host, "echo", json!("done")).await;
    let ended = outcome(&task).await;
    assert_eq!(within(task.notify(key("late"), None, Party::Agent)).await, NotifyAnswer::NoTask);
    let after = within(task.after_events()).await.unwrap();
    assert!(
        matches!(after.iter().map(|event| &event.body).collect::<Vec<_>>()[..],
            [EventBody::LateSignal { key: late, sender: Party::Agent, .. }] if *late == key("late")),
        "{after:?}"
    );
    assert_eq!(task.state().outcome, Some(ended));
}

#[tokio::test]
async fn r34_stop_all_ends_busy_loops_by_its_deadline_and_the_host_goes_on() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let (busy, polite) = (start(&host, "spin", json!(null)).await, start(&host, "polite", json!(null)).await);
    reported(&busy).await;
    reported(&polite).await;
    let request = CancelRequest::new(Party::Person, "enough").grace(Duration::from_hours(1));
    let deadline = Duration::from_secs(10);
    let stopping = async { within(host.stop_all(&StopScope::All, request, deadline)).await };
    let time = async {
        asked_to_stop(&busy).await;
        outcome(&polite).await;
        clock.advance(deadline);
    };
    let (report, ()) = tokio::join!(stopping, time);
    let ends: Vec<_> = report.tasks.iter().map(|task| (task.id, task.forced)).collect();
    assert_eq!(ends, [(busy.id(), true), (polite.id(), false)]);
    assert!(report.is_complete());
    assert_eq!(data(outcome(&start(&host, "echo", json!("after")).await).await), json!("after"));
}
