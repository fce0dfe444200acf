//! What tasks there are, what is recorded of others, and what is taken away again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use crate::model::event::{Event, EventBody};
use crate::model::external::ExternalReport;
use crate::model::filter::TaskFilter;
use crate::model::ids::{TaskId, TaskKey};
use crate::model::listing::{OutcomeKind, PAGE_MAX, TaskCursor};
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::patch::TaskPatch;
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::ports::store::StreamId;
use crate::runtime::external::{RemoveError, ReportError};
use crate::runtime::handle::{CancelAnswer, TaskHandle};
use crate::runtime::host::Inner;
use crate::runtime::patience::Waited;
use crate::runtime::start_error::StartError;
use crate::runtime::updating::UpdateError;
use crate::store::memory::MemoryStore;

/// A host whose tasks wait until they may go.
fn waiting() -> Bench {
    let waits = script(|link| async move {
        wait_for(&link, "go", None).await;
        success(None)
    });
    Bench::with(waits, 64, Arc::new(MemoryStore::new()))
}

async fn go(task: &TaskHandle) {
    task.notify(key("go"), None, Party::Host).await;
    task.wait().await;
    task.gone().await;
    settle().await;
}

fn ids(host: &Inner, filter: &TaskFilter) -> Vec<TaskId> {
    let page = host.list(filter, None, PAGE_MAX);
    assert!(page.next.is_none());
    page.tasks.into_iter().map(|task| task.id).collect()
}

#[tokio::test]
async fn r41_tasks_are_found_by_what_they_have_in_common_newest_first() {
    let bench = waiting();
    let host = Arc::clone(&bench.inner);
    let mut tasks = Vec::new();
    for number in 0..6 {
        let plugin = if number < 4 { "scripted" } else { "other" };
        let session = format!("s{}", number % 2);
        let mut request = StartRequest::new(plugin, "script").session(session).label("number", number.to_string());
        request.details.turn = Some("1".into());
        tasks.push(bench.inner.start(request).await.unwrap());
    }
    let all: Vec<TaskId> = tasks.iter().rev().map(TaskHandle::id).collect();
    let only = |wanted: &[usize]| wanted.iter().map(|place| tasks[*place].id()).collect::<Vec<_>>();
    assert_eq!(ids(&host, &TaskFilter::default()), all);
    assert_eq!(ids(&host, &TaskFilter::plugin("other")), only(&[5, 4]));
    assert_eq!(ids(&host, &TaskFilter::session("s1")), only(&[5, 3, 1]));
    assert_eq!(ids(&host, &TaskFilter::session("s1").of_type("scripted", "script").turn("1")), only(&[3, 1]));
    assert_eq!(ids(&host, &TaskFilter::default().label("number", "2")), only(&[2]));
    assert_eq!(ids(&host, &TaskFilter::task(tasks[3].id())), only(&[3]));
    assert_eq!(ids(&host, &TaskFilter::session("nobody's")), []);
    assert_eq!(host.running().iter().map(TaskHandle::id).collect::<Vec<_>>(), all);

    go(&tasks[1]).await;
    tasks[4].cancel(CancelRequest::force(Party::Person, "enough")).await;
    assert_eq!(ids(&host, &TaskFilter::default().live()), only(&[5, 3, 2, 0]));
    assert_eq!(ids(&host, &TaskFilter::session("s1").ended()), only(&[1]));
    assert_eq!(ids(&host, &TaskFilter::default().ended()), only(&[4, 1]));
    assert!(host.live_task(tasks[1].task_ref()).is_none());
    assert_eq!(host.live_task(tasks[0].task_ref()).map(|task| task.id()), Some(tasks[0].id()));
    assert_eq!(host.running().len(), 4);

    let page = host.list(&TaskFilter::default().ended(), None, 10);
    assert_eq!(page.tasks[0].end, Some(OutcomeKind::Cancelled { forced: true }));
    assert_eq!((page.tasks[1].end.clone(), page.tasks[1].phase), (Some(OutcomeKind::Succeeded), Phase::Ended));
    let full = host.list_full(&TaskFilter::task(tasks[1].id()), None, 10);
    assert_eq!(full.tasks, [tasks[1].state()]);
}

#[tokio::test]
async fn r41_pages_have_every_task_once_while_others_come_and_go() {
    let bench = waiting();
    let host = Arc::clone(&bench.inner);
    let mut tasks = Vec::new();
    for _ in 0..25 {
        tasks.push(bench.start().await);
    }
    let known: HashSet<TaskId> = tasks.iter().map(TaskHandle::id).collect();
    let (mut seen, mut after, mut pages) = (HashSet::new(), None, 0);
    loop {
        let page = host.list(&TaskFilter::default(), after, 10);
        assert!(page.tasks.len() <= 10);
        pages += 1;
        for task in &page.tasks {
            assert!(seen.insert(task.id), "none is on two pages");
        }
        // One that is started meanwhile is on no later page; one that ends stays where it is.
        drop(bench.start().await);
        go(&tasks[pages]).await;
        // A cursor is text in between.
        after = page.next.map(|next| next.to_string().parse::<TaskCursor>().unwrap());
        if after.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (known, 3));
    let exact = host.list(&TaskFilter::default(), Some(TaskCursor(tasks[10].shared().number)), 10);
    assert_eq!((exact.tasks.len(), exact.next), (10, None), "a page that is full and the last says so");
}

#[tokio::test]
async fn t33_a_page_has_one_to_a_thousand_tasks_whatever_is_asked_for() {
    let bench = waiting();
    let host = Arc::clone(&bench.inner);
    drop((bench.start().await, bench.start().await));
    assert_eq!(host.list(&TaskFilter::default(), None, 0).tasks.len(), 1);
    assert_eq!(host.list(&TaskFilter::default(), None, usize::MAX).tasks.len(), 2);
    assert_eq!(host.list(&TaskFilter::default(), Some(TaskCursor(0)), 10).tasks, []);
    assert_eq!(host.list(&TaskFilter::default(), Some(TaskCursor(u64::MAX)), 10).tasks.len(), 2);
}

#[tokio::test]
async fn f14_nothing_is_listed_of_tasks_that_are_forgotten() {
    let bench = Bench::new(script(|_| async { success(None) }));
    for number in 0..600_u32 {
        let task = bench.inner.start(request().session(format!("s{}", number % 7))).await.unwrap();
        task.wait().await;
        task.gone().await;
    }
    settle().await;
    let host = Arc::clone(&bench.inner);
    let known: HashSet<TaskId> = ids(&host, &TaskFilter::default()).into_iter().collect();
    assert_eq!(known, bench.inner.registry.known_ids().into_iter().collect());
    assert_eq!(known.len(), 256, "as many as are kept");
    for id in known {
        host.remove(id).await.unwrap();
    }
    assert!(bench.inner.registry.is_index_empty());
}

#[tokio::test]
async fn r43_waiting_with_a_time_only_looks_and_ends_nothing() {
    let bench = waiting();
    let task = bench.start().await;
    let Waited::Running(state) = task.wait_for(Duration::ZERO).await else { panic!("it runs") };
    assert_eq!(state.id, task.id());
    let waited = {
        let task = task.clone();
        super::bench::beside(async move { task.wait_for(Duration::from_secs(5)).await })
    };
    bench.advance(Duration::from_secs(4)).await;
    assert!(!waited.is_finished());
    bench.advance(Duration::from_secs(1)).await;
    assert!(waited.end().await.outcome().is_none());
    assert!(task.state().outcome.is_none() && task.state().cancel.is_none(), "a time-out is not the task's");
    go(&task).await;
    let ended = task.wait_for(Duration::ZERO).await;
    assert!(matches!(ended.outcome(), Some(Outcome::Succeeded { .. })), "one that has ended needs no time");
    assert!(task.wait_for(Duration::MAX).await.outcome().is_some());
}

#[tokio::test]
async fn r4a_a_stale_revision_is_refused_and_changes_nothing() {
    let bench = waiting();
    let task = bench.inner.start(request().label("a", "1")).await.unwrap();
    assert_eq!(task.state().revision, 0);
    let note = |text: &str| TaskPatch::default().note(text);
    assert_eq!(task.update(note("first").title("T").label("b", "2"), Some(0), Party::Person).await, Ok(1));
    let refused = task.update(note("second").without_label("a"), Some(0), Party::Agent).await;
    assert_eq!(refused, Err(UpdateError::Stale { current: 1 }));
    let state = task.state();
    assert_eq!((state.note.as_deref(), state.revision), (Some("first"), 1));
    assert_eq!((state.details.title.as_deref(), state.details.labels.len()), (Some("T"), 2));
    // What is not said stays; null takes it away; without an expectation the last one wins.
    assert_eq!(task.update(TaskPatch::default().without_note().without_label("a"), None, Party::Agent).await, Ok(2));
    let state = task.state();
    assert_eq!((state.note, state.details.title.as_deref()), (None, Some("T")));
    assert_eq!(state.details.labels.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(task.update(TaskPatch::default(), Some(2), Party::Agent).await, Ok(2), "nothing to change is no change");
    let bad = task.update(note(&"x".repeat(256)), None, Party::Agent).await;
    assert!(matches!(bad, Err(UpdateError::Refused(_))), "{bad:?}");
    // Lists and filters see the labels of now.
    let host = Arc::clone(&bench.inner);
    assert_eq!(ids(&host, &TaskFilter::default().label("b", "2")), [task.id()]);
    assert_eq!(ids(&host, &TaskFilter::default().label("a", "1")), []);
    go(&task).await;
    let updates = log(&task).await.into_iter().filter(|event| matches!(event.body, EventBody::Updated { .. })).count();
    assert_eq!(updates, 2);
}

#[tokio::test]
async fn r4a_a_task_is_changed_after_its_end_too_and_its_outcome_stays() {
    let bench = waiting();
    let task = bench.start().await;
    assert_eq!(task.update(TaskPatch::default().note("live"), None, Party::Person).await, Ok(1));
    go(&task).await;
    let before = task.state();
    assert_eq!(
        task.update(TaskPatch::default().note("over").label("seen", "yes"), Some(1), Party::Person).await,
        Ok(2)
    );
    let refused = task.update(TaskPatch::default().note("no"), Some(1), Party::Person).await;
    assert_eq!(refused, Err(UpdateError::Stale { current: 2 }));
    let after = task.state();
    assert_eq!((after.note.as_deref(), after.revision), (Some("over"), 2));
    assert_eq!((&after.outcome, after.usage, after.seq), (&before.outcome, before.usage, before.seq));
    let late: Vec<Event> = task.after_events().await.unwrap();
    assert!(matches!(&late[..], [Event { body: EventBody::Updated { revision: 2, .. }, .. }]), "{late:?}");
    // Many at once: each revision is given once.
    let updates = (0..20).map(|_| task.update(TaskPatch::default().note("again"), None, Party::Person));
    let mut revisions: Vec<u64> = futures_join(updates).await.into_iter().map(Result::unwrap).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (3..23).collect::<Vec<_>>());
    log(&task).await;
}

async fn futures_join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut done = Vec::new();
    for one in all {
        done.push(one.await);
    }
    done
}

fn report() -> ExternalReport {
    let outcome = Outcome::Succeeded { message: "read 12 pages".into(), data: Some(json!({ "pages": 12 })) };
    let request = StartRequest::new("browser", "research").session("s").input(json!({ "topic": "fuel" }));
    ExternalReport::new(request, outcome, Duration::from_secs(95)).tool("search", 1_000, 2).tool("read", 500, 12)
}

#[tokio::test]
async fn r49_what_was_done_elsewhere_is_recorded_as_ended() {
    let bench = waiting();
    let host = Arc::clone(&bench.inner);
    let mut events = host.subscribe(TaskFilter::session("s"));
    let task = host.report_external(report(), Party::Agent).await.unwrap();
    let state = task.state();
    assert_eq!((state.phase, state.usage.tokens, state.usage.actions), (Phase::Ended, 1_500, 14));
    assert_eq!(state.usage.wall, Duration::from_secs(95));
    assert_eq!(task.wait().await, report().outcome);
    task.gone().await;
    let log = log(&task).await;
    assert_eq!(log.len(), 4);
    assert!(matches!(&log[3].body, EventBody::Finished { set_by: Some(Party::Agent), .. }));
    assert_eq!(ids(&host, &TaskFilter::session("s").ended()), [task.id()]);
    assert!(host.live_task(task.task_ref()).is_none());
    for event in &log {
        assert_eq!(events.next().await.unwrap().unwrap().event, *event);
    }
    // Nothing can be sent to it, and it can be changed and removed like any other.
    let cancelled = task.cancel(CancelRequest::new(Party::Person, "")).await;
    assert!(matches!(cancelled, CancelAnswer::AlreadyEnded(_)));
    assert_eq!(task.update(TaskPatch::default().note("from the browser"), Some(0), Party::Person).await, Ok(1));
    host.remove(task.id()).await.unwrap();
    assert!(host.registry.by_id(task.id()).is_none());
}

#[tokio::test]
async fn r49_a_report_is_recorded_once_or_refused_as_a_whole() {
    let bench = waiting();
    let host = Arc::clone(&bench.inner);
    let once = || {
        let mut report = report();
        report.request = report.request.once("call-7");
        report
    };
    let first = host.report_external(once(), Party::Agent).await.unwrap();
    assert_eq!(host.report_external(once(), Party::Agent).await.unwrap().id(), first.id());
    // Another outcome is another report, and a start with that key is no report.
    let mut other = once();
    other.outcome = Outcome::Succeeded { message: "another".into(), data: None };
    let used = |error| matches!(error, ReportError::Request(StartError::IdempotencyKeyUsed { .. }));
    assert!(used(host.report_external(other, Party::Agent).await.unwrap_err()));
    let mut bad = report();
    bad.request.plugin = "two\nlines".into();
    assert!(matches!(host.report_external(bad, Party::Agent).await, Err(ReportError::Names)));
    let mut bad = report();
    bad.outcome =
        Outcome::Failed(Failure { backtrace: vec!["x".repeat(1 << 20); 5], ..Failure::new(FailureKind::Host, "") });
    assert!(matches!(host.report_external(bad, Party::Agent).await, Err(ReportError::OutcomeTooLarge { .. })));
    let mut bad = report();
    bad.request.details.title = Some("two\nlines".into());
    assert!(matches!(host.report_external(bad, Party::Agent).await, Err(ReportError::Request(StartError::Details(_)))));
    let bad = report().tool("", 1, 1);
    assert!(matches!(host.report_external(bad, Party::Agent).await, Err(ReportError::Tools(_))));
    let mut bad = report();
    bad.outcome = Outcome::Succeeded { message: "x".repeat(5 << 20), data: None };
    assert!(matches!(host.report_external(bad, Party::Agent).await, Err(ReportError::OutcomeTooLarge { .. })));
    let mut bad = report();
    bad.request.details.parent = Some(first.id());
    assert!(matches!(host.report_external(bad, Party::Agent).await, Err(ReportError::Parent)));
    assert_eq!(bench.inner.registry.known(), 1);
}

#[tokio::test]
async fn r4d_an_ended_task_is_removed_and_a_live_one_is_not() {
    let bench = waiting();
    let host = Arc::clone(&bench.inner);
    let named = request().key(TaskKey::new("k").unwrap());
    let task = bench.inner.start(named.clone()).await.unwrap();
    let id = task.id();
    assert_eq!(host.remove(id).await, Err(RemoveError::Running(id)));
    go(&task).await;
    assert_eq!(host.remove(id).await, Ok(()));
    assert_eq!(host.remove(id).await, Err(RemoveError::Unknown(id)));
    let store = &bench.inner.around.store;
    assert_eq!(store.head(StreamId::Task(id)).await, Ok(None));
    // What comes later about it is not written down any more.
    task.notify(key("late"), None, Party::Host).await;
    task.update(TaskPatch::default().note("late"), None, Party::Host).await.unwrap_err();
    assert_eq!(store.head(StreamId::After(id)).await, Ok(None));
    assert!(task.state().outcome.is_some(), "who holds a handle still knows how it ended");
    assert_eq!(ids(&host, &TaskFilter::default()), []);
    // Its key is another one's to have.
    drop(bench.inner.start(named).await.unwrap());
}

#[tokio::test]
async fn r41_a_failed_task_says_its_kind_in_the_list() {
    let bench = Bench::new(script(|_| async { panic!("no") }));
    let task = bench.start().await;
    task.wait().await;
    let page = Arc::clone(&bench.inner).list(&TaskFilter::default(), None, 1);
    assert_eq!(page.tasks[0].end, Some(OutcomeKind::Failed { kind: FailureKind::Host }));
    assert!(Arc::strong_count(task.shared()) < 10);
}
