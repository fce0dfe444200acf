//! Starting tasks, following their events, and taking their outcomes apart.

use serde_json::Value;
use taskcell::{
    CancelRequest, Event, EventBody, EventSeq, Failure, FailureKind, Host, Outcome, OutputChunk, OutputCursor,
    OutputSource, Party, SignalKey, StartRequest, TaskHandle,
};

use super::{request, within};

/// Starts a task of the fixture guest.
pub(crate) async fn start(host: &Host, task_type: &str, input: Value) -> TaskHandle {
    start_as(host, request(task_type, input)).await
}

/// Starts what the request says.
pub(crate) async fn start_as(host: &Host, request: StartRequest) -> TaskHandle {
    // Large, and awaited in many tests.
    Box::pin(within(host.start(request))).await.unwrap()
}

/// Starts a task of the fixture guest and waits for its end.
pub(crate) async fn run(host: &Host, task_type: &str, input: Value) -> Outcome {
    outcome(&start(host, task_type, input).await).await
}

/// Waits for a task's end, under the watchdog.
pub(crate) async fn outcome(task: &TaskHandle) -> Outcome {
    within(task.wait()).await
}

/// Waits for an event like this one, from the beginning of the task's log on.
pub(crate) async fn seen(task: &TaskHandle, what: impl Fn(&EventBody) -> bool) -> Event {
    let mut events = task.events(EventSeq::default());
    loop {
        match within(events.next()).await.unwrap() {
            Some(event) if what(&event.body) => return event,
            Some(_) => {}
            None => panic!("the task ended without the event: {:?}", task.state()),
        }
    }
}

/// Waits until the guest's code runs and says so: until its first progress report.
pub(crate) async fn reported(task: &TaskHandle) {
    seen(task, |body| matches!(body, EventBody::Progress { .. })).await;
}

/// Waits until the task's cell runs.
pub(crate) async fn started(task: &TaskHandle) {
    seen(task, |body| matches!(body, EventBody::Started { .. })).await;
}

/// Waits until the task is parked for this many-th time.
pub(crate) async fn parked(task: &TaskHandle, number: u64) {
    seen(task, |body| matches!(body, EventBody::WaitStarted { wait, .. } if *wait == number)).await;
}

/// Waits until somebody's wish that the task stop is written down.
pub(crate) async fn asked_to_stop(task: &TaskHandle) {
    seen(task, |body| matches!(body, EventBody::CancelRequested(_))).await;
}

/// All events of a task, to its end.
pub(crate) async fn events(task: &TaskHandle) -> Vec<Event> {
    let mut stream = task.events(EventSeq::default());
    let mut events = Vec::new();
    while let Some(event) = within(stream.next()).await.unwrap() {
        events.push(event);
    }
    events
}

/// The result of a success.
pub(crate) fn data(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Succeeded { data: Some(data), .. } => data,
        other => panic!("not a success with data: {other:?}"),
    }
}

/// What a failure says.
pub(crate) fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

/// A failure of this kind, or the test ends here.
pub(crate) fn failed(outcome: Outcome, kind: FailureKind) -> Failure {
    let failure = failure(outcome);
    assert_eq!(failure.kind, kind, "{failure:?}");
    failure
}

/// Runs a task of the fixture guest that succeeds, and returns its result.
pub(crate) async fn result(host: &Host, task_type: &str, input: Value) -> Value {
    data(run(host, task_type, input).await)
}

pub(crate) fn key(text: &str) -> SignalKey {
    SignalKey::new(text).unwrap()
}

/// A wish of a person that has a reason.
pub(crate) fn please_stop() -> CancelRequest {
    CancelRequest::new(Party::Person, "no longer needed")
}

/// How a task ends that did not heed [`please_stop`].
pub(crate) fn forced() -> Outcome {
    cancelled(true, "")
}

/// How a task ends that was asked by [`please_stop`].
pub(crate) fn cancelled(forced: bool, message: &str) -> Outcome {
    Outcome::Cancelled {
        by: Party::Person,
        reason: "no longer needed".to_owned(),
        forced,
        begun: true,
        message: message.to_owned(),
        data: None,
    }
}

/// All output of a task that is kept, and how many pieces are not.
pub(crate) async fn output(task: &TaskHandle) -> (Vec<OutputChunk>, u64) {
    let (mut chunks, mut lost, mut cursor) = (Vec::new(), 0, OutputCursor::default());
    loop {
        let page = within(task.output(cursor)).await;
        if page.is_empty() {
            return (chunks, lost);
        }
        chunks.extend(page.chunks);
        lost += page.lost;
        cursor = page.next;
    }
}

/// What a task has written to one of its streams or its log.
pub(crate) async fn written(task: &TaskHandle, to: impl Fn(&OutputSource) -> bool) -> String {
    let (chunks, _) = output(task).await;
    let chunks = chunks.into_iter().filter(|chunk| to(&chunk.source));
    chunks.map(|chunk| chunk.text).collect()
}

pub(crate) async fn stdout(task: &TaskHandle) -> String {
    written(task, |source| *source == OutputSource::Stdout).await
}

pub(crate) async fn stderr(task: &TaskHandle) -> String {
    written(task, |source| *source == OutputSource::Stderr).await
}
