//! Looking at tasks from outside: notes, lists, events of all of them, records of what was done elsewhere.

use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{
    CancelAnswer, CancelRequest, EventBody, ExternalReport, Outcome, Party, RemoveError, StartRequest, TaskFilter,
    TaskPatch, UpdateError, Waited,
};

use crate::support::task::{data, events, key, outcome, reported, start, start_as};
use crate::support::{builder, fixture, request, with_fixture, within};

#[tokio::test]
async fn r4a_a_guest_and_people_change_one_note_and_nobody_undoes_what_they_have_not_seen() {
    let (host, _) = fixture().await;
    let task = start(&host, "note", json!({"note": "waits \u{1b}[31mfor Ada"})).await;
    reported(&task).await;
    // A control character is no note, and the task goes on.
    assert_eq!((task.state().note, task.state().revision), (None, 0));
    within(task.notify(key("go"), Some(Value::Null), Party::Person)).await;
    assert_eq!(data(outcome(&task).await), "invalid-argument");

    let task = start(&host, "note", json!({"note": "waits for Ada"})).await;
    reported(&task).await;
    let state = task.state();
    assert_eq!((state.note.as_deref(), state.revision), (Some("waits for Ada"), 1));
    let patch = TaskPatch::default().note("Ada is on her way").label("stage", "review");
    assert_eq!(
        within(task.update(patch.clone(), Some(0), Party::Person)).await,
        Err(UpdateError::Stale { current: 1 })
    );
    assert_eq!(within(task.update(patch, Some(1), Party::Person)).await, Ok(2));
    within(task.notify(key("go"), Some(Value::Null), Party::Person)).await;
    assert_eq!(data(outcome(&task).await), "ok");
    let by: Vec<Party> = events(&task)
        .await
        .into_iter()
        .filter_map(|event| match event.body {
            EventBody::Updated { by, .. } => Some(by),
            _ => None,
        })
        .collect();
    assert_eq!(by, [Party::Itself, Party::Person]);
}

#[tokio::test]
async fn r41_a_session_s_tasks_are_listed_waited_for_and_removed() {
    let (host, _) = fixture().await;
    let of_session = |task_type: &str, input| request(task_type, input).session("s1");
    let waits = start_as(&host, of_session("note", json!({"note": "here"}))).await;
    let ends = start_as(&host, of_session("echo", json!({"value": 7}))).await;
    drop(start(&host, "note", json!({"note": null})).await);
    outcome(&ends).await;
    let page = host.list(&TaskFilter::session("s1"), None, 10);
    let listed: Vec<_> = page.tasks.iter().map(|task| (task.id, task.end.is_some())).collect();
    assert_eq!((listed, page.next), (vec![(ends.id(), true), (waits.id(), false)], None));
    assert_eq!(host.list_full(&TaskFilter::session("s1").live(), None, 10).tasks[0].id, waits.id());
    assert_eq!(host.running().len(), 2);
    assert!(host.is_running(waits.task_ref()) && !host.is_running(ends.task_ref()));
    assert!(matches!(within(waits.wait_for(Duration::ZERO)).await, Waited::Running(state) if state.id == waits.id()));
    assert!(matches!(within(ends.wait_for(Duration::ZERO)).await, Waited::Ended(Outcome::Succeeded { .. })));
    let stop = CancelRequest::new(Party::Person, "not needed");
    assert_eq!(within(host.cancel(ends.task_ref(), stop)).await, CancelAnswer::NotFound);
    assert_eq!(within(host.remove(waits.id())).await, Err(RemoveError::Running(waits.id())));
    assert_eq!(within(host.remove(ends.id())).await, Ok(()));
    assert!(host.task(ends.id()).is_none() && host.live_task(waits.task_ref()).is_some());
}

#[tokio::test]
async fn r42_the_events_of_a_session_are_followed_with_real_guests() {
    let (host, _) = fixture().await;
    let mut all = host.subscribe(TaskFilter::session("s1"));
    let tasks = [
        start_as(&host, request("echo", json!({"value": 1})).session("s1")).await,
        start_as(&host, request("echo", json!({"value": 2})).session("s1")).await,
    ];
    drop(start(&host, "echo", json!({"value": 3})).await);
    let mut seen = Vec::new();
    while seen.iter().filter(|body| matches!(body, (_, EventBody::Finished { .. }))).count() < 2 {
        let happened = within(all.next()).await.unwrap().unwrap();
        seen.push((happened.of.id, happened.event.body.clone()));
    }
    for task in &tasks {
        let own: Vec<EventBody> =
            seen.iter().filter(|(id, _)| *id == task.id()).map(|(_, body)| body.clone()).collect();
        assert_eq!(own, events(task).await.into_iter().map(|event| event.body).collect::<Vec<_>>());
    }
    assert_eq!(seen.len(), seen.iter().filter(|(id, _)| tasks.iter().any(|task| task.id() == *id)).count());
}

#[tokio::test]
async fn r49_what_was_done_elsewhere_stands_beside_what_was_done_here() {
    let (host, _) = fixture().await;
    let outcome = Outcome::Succeeded { message: "read 12 pages".into(), data: Some(json!(12)) };
    let what = StartRequest::new("browser", "research").session("s1");
    let report = ExternalReport::new(what, outcome.clone(), Duration::from_secs(95)).tool("search", 1_250, 3);
    let task = within(host.report_external(report, Party::Agent)).await.unwrap();
    assert_eq!((task.wait().await, task.state().usage.tokens), (outcome, 1_250));
    assert_eq!(host.list(&TaskFilter::session("s1").ended(), None, 10).tasks[0].id, task.id());
}

#[tokio::test]
async fn r18_a_parent_s_children_are_listed_and_followed_by_their_parent() {
    let (host, _) = fixture().await;
    let mut all = host.subscribe(TaskFilter::default());
    let children = json!([{"task_type": "echo", "input": {"value": 1}}, {"task_type": "echo", "input": {"value": 2}}]);
    let parent = start_as(&host, request("family", json!({"children": children}))).await;
    let mut of_children = host.subscribe_after(TaskFilter::children_of(parent.id()), all.position()).unwrap();
    outcome(&parent).await;
    let page = host.list(&TaskFilter::children_of(parent.id()), None, 10);
    let newest_first: Vec<_> = parent.state().children.iter().rev().map(|child| child.id).collect();
    assert_eq!(page.tasks.iter().map(|task| task.id).collect::<Vec<_>>(), newest_first);
    let mut ends = 0;
    while ends < 2 {
        let happened = within(of_children.next()).await.unwrap().unwrap();
        assert_eq!(happened.of.parent, Some(parent.id()));
        ends += usize::from(matches!(happened.event.body, EventBody::Finished { .. }));
    }
    assert!(within(all.next()).await.unwrap().is_some());
}

/// Somebody who follows and never reads: the task goes its way, and what is kept for that one is bounded.
#[tokio::test]
async fn r42_a_reader_that_never_reads_holds_up_no_task() {
    let (host, _) = with_fixture(builder().event_backlog(16, 64 << 10)).await;
    let mut idle = host.subscribe(TaskFilter::default());
    for _ in 0..20 {
        let task = start(&host, "echo", json!({"value": 1})).await;
        outcome(&task).await;
        within(task.gone()).await;
    }
    let lagged = within(idle.next()).await.unwrap_err();
    assert!(lagged.missed > 0, "{lagged}");
    let mut seen = 0;
    while let Ok(Some(_)) = idle.try_next() {
        seen += 1;
    }
    assert!(seen <= 16, "{seen}");
}
