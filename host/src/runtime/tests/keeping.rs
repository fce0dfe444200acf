//! What the host keeps and for how long: the queue, ended tasks, and whose limits count.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, key, request, script, settle, success, wait_for};
use crate::model::event::{EventBody, EventSeq};
use crate::model::ids::TaskRef;
use crate::model::limits::LimitsRequest;
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::ports::output::{OutputChunk, OutputCursor};
use crate::ports::runner::{CellLink, GuestCall};
use crate::ports::store::CommitError;
use crate::runtime::start::start_scheduled;
use crate::runtime::start_error::StartError;
use crate::store::memory::MemoryStore;

#[tokio::test]
async fn r17_a_full_queue_is_an_error_and_a_free_place_is_taken() {
    let bench = Bench::with(script(|_| std::future::pending()), 2, Arc::new(MemoryStore::new()));
    let mut tasks = Vec::new();
    // Two run and four wait, however soon their actors come to it.
    for _ in 0..6 {
        tasks.push(bench.start().await);
    }
    assert!(matches!(bench.inner.start(request()).await, Err(StartError::QueueFull { max: 4 })));
    settle().await;
    let phases: Vec<_> = tasks.iter().map(|task| task.state().phase).collect();
    assert_eq!(phases.iter().filter(|phase| **phase == Phase::Running).count(), 2);
    // One of those that wait goes, then one of those that run.
    for ended in [5, 0] {
        tasks[ended].cancel(CancelRequest::force(Party::Host, "")).await;
        tasks[ended].gone().await;
        settle().await;
        tasks.push(bench.start().await);
        assert!(matches!(bench.inner.start(request()).await, Err(StartError::QueueFull { .. })));
    }
    let known = bench.inner.registry.known();
    assert_eq!(known, 8, "a refused start leaves nothing behind");
}

#[tokio::test]
async fn f14_ended_tasks_are_forgotten_after_their_time() {
    let bench = Bench::new(script(|_| async { success(None) }));
    let first = bench.start().await;
    first.gone().await;
    let old = first.id();
    drop(first);
    bench.advance(Duration::from_mins(59)).await;
    let held = bench.start().await;
    held.gone().await;
    settle().await;
    assert!(bench.inner.registry.by_id(old).is_some());
    bench.advance(Duration::from_mins(2)).await;
    bench.start().await.gone().await;
    settle().await;
    assert!(bench.inner.registry.by_id(old).is_none(), "after an hour");
    bench.advance(Duration::from_hours(5)).await;
    bench.start().await.gone().await;
    settle().await;
    assert!(bench.inner.registry.by_id(held.id()).is_some(), "somebody holds it");
    let id = held.id();
    drop(held);
    bench.start().await.gone().await;
    settle().await;
    assert!(bench.inner.registry.by_id(id).is_none());
}

#[tokio::test]
async fn limits_are_the_hosts_then_the_plugins_then_the_requests_and_only_become_lower() {
    let mut bench = Bench::new(script(|link| async move { success(json!(wait_for(&link, "go", None).await)) }));
    bench.inner_mut().limits.fuel = 1000;
    let of_plugin = LimitsRequest { fuel: Some(500), artifacts: Some(u32::MAX), ..LimitsRequest::default() };
    bench.inner_mut().plugin_limits.insert("scripted".to_owned(), of_plugin);
    let other = LimitsRequest { fuel: Some(1), ..LimitsRequest::default() };
    bench.inner_mut().plugin_limits.insert("another".to_owned(), other);
    for (wish, had) in [(None, 500), (Some(700), 500), (Some(20), 20)] {
        let task = bench.inner.start(request().limits(LimitsRequest { fuel: wish, ..LimitsRequest::default() }));
        let task = task.await.unwrap();
        let created = task.events(EventSeq::default()).next().await.unwrap().unwrap().body;
        let EventBody::Created { limits, .. } = created else { panic!("{created:?}") };
        assert_eq!((limits.fuel, limits.artifacts), (had, 1024));
        assert_eq!(task.state().fuel_budget, had);
        task.notify(key("go"), None, Party::Host).await;
    }
    let merged = request().fuel(7).limits(LimitsRequest { artifacts: Some(3), ..LimitsRequest::default() });
    assert_eq!((merged.limits.fuel, merged.limits.artifacts), (Some(7), Some(3)));
}

#[tokio::test]
async fn r2_the_input_is_held_against_the_operators_limit() {
    let mut bench = Bench::new(script(|_| async { success(None) }));
    bench.inner_mut().limits.input_bytes = 9;
    let refused = bench.inner.start(request().input(json!({"a": 1234}))).await;
    assert!(matches!(refused, Err(StartError::InputTooLarge { size: 10, max: 9 })), "{refused:?}");
    bench.inner.start(request().input(json!({"a": 123}))).await.unwrap();
}

#[tokio::test]
async fn f14_ended_tasks_are_forgotten_when_they_weigh_too_much() {
    let bench = Bench::new(script(|link| async move {
        for line in 0..600 {
            link.output.stdout(format!("{line:0>4000}").as_bytes());
        }
        success(json!("x".repeat(1 << 20)))
    }));
    for _ in 0..40 {
        bench.start().await.gone().await;
    }
    settle().await;
    // Each keeps 1 MiB of output and 1 MiB of a result, and 64 MiB are kept in all.
    let known = bench.inner.registry.known();
    assert!((30..=32).contains(&known), "{known}");
}

#[tokio::test]
async fn r46_an_ended_tasks_artifacts_count_as_what_is_kept_of_it() {
    let bench = Bench::new(script(|link| async move {
        for name in ["a", "b"] {
            let source = cap_std::fs::File::from_std(tempfile::tempfile().unwrap());
            source.set_len(300_000).unwrap();
            let (name, media_type) = (name.to_owned(), "text/plain".to_owned());
            link.request(|reply| GuestCall::Attach { name, media_type, source, reply }).await.unwrap();
        }
        success(None)
    }));
    let task = bench.start().await;
    task.gone().await;
    let (kept, held) = (task.shared().kept_bytes(), task.shared().held_bytes());
    assert!((600_000..700_000).contains(&kept), "{kept}");
    assert_eq!(kept - held, 600_000, "a parent that holds a child for its result does not hold its files");
}

#[tokio::test]
async fn r46_a_file_that_is_refused_leaves_no_copy() {
    let bench = Bench::new(script(|link| async move {
        let mut answers = Vec::new();
        for _ in 0..3 {
            let source = cap_std::fs::File::from_std(tempfile::tempfile().unwrap());
            let (name, media_type) = ("a".to_owned(), "text/plain".to_owned());
            let attached = link.request(|reply| GuestCall::Attach { name, media_type, source, reply }).await;
            answers.push(attached.map_or_else(|refusal| refusal.kind.word(), |_| "attached"));
        }
        success(json!(answers.join(", ")))
    }));
    let limits = LimitsRequest { log_events: Some(1), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    let outcome = task.wait().await;
    // The second's number is free again for the third.
    let data = Some(json!("attached, too-large, too-large"));
    assert_eq!(outcome, crate::model::outcome::Outcome::Succeeded { message: "done".to_owned(), data });
    task.gone().await;
    let dirs = &bench.inner.around.dirs;
    assert!(dirs.read(task.id(), 1).is_ok() && dirs.read(task.id(), 2).is_err());
}

#[tokio::test]
async fn r10_what_a_start_says_counts_as_what_is_kept_of_it() {
    let bench = Bench::new(script(|_| async { success(None) }));
    let mut asked = request();
    asked.details.call_metadata = Some(json!("x".repeat(60_000)));
    asked.details.output_schema = Some(json!({ "description": "x".repeat(60_000) }));
    let (plain, heavy) = (bench.start().await, bench.inner.start(asked).await.unwrap());
    let more = heavy.shared().kept_bytes() - plain.shared().kept_bytes();
    assert!((120_000..125_000).contains(&more), "once, for the log and the state: {more}");
}

/// Prints more than memory holds, and waits for the disk as a guest does.
async fn prints(link: &CellLink) {
    for line in 0..1000 {
        if link.output.stdout(format!("{line:0>4000}").as_bytes()) {
            let turn = link.output.turn().await.unwrap();
            link.output.make_room(turn);
        }
    }
}

#[tokio::test]
async fn f14_older_output_stays_on_disk_until_its_task_is_forgotten() {
    let bench = Bench::new(script(|link| async move {
        prints(&link).await;
        success(None)
    }));
    let task = bench.start().await;
    let (id, dirs) = (task.id(), Arc::clone(&bench.inner.around.dirs));
    task.gone().await;
    settle().await;
    let page = task.output(OutputCursor::default()).await;
    assert!(page.lost == 0 && page.chunks.first().is_some_and(|chunk| chunk.text.starts_with("000")));
    assert!(dirs.read_output(id).is_ok());
    drop(task);
    bench.advance(Duration::from_mins(61)).await;
    bench.start().await.gone().await;
    while bench.inner.registry.by_id(id).is_some() || dirs.read_output(id).is_ok() {
        settle().await;
    }
}

#[tokio::test]
async fn r44_a_quiet_task_has_no_file_for_its_output() {
    let bench = Bench::new(script(|link| async move {
        link.output.stdout("a word");
        success(None)
    }));
    let task = bench.start().await;
    task.gone().await;
    assert!(bench.inner.around.dirs.read_output(task.id()).is_err());
    assert_eq!(task.output(OutputCursor::default()).await.chunks.len(), 1);
}

#[tokio::test]
async fn f26_a_file_that_is_there_already_is_not_written_to() {
    let bench = Bench::new(script(|link| async move {
        wait_for(&link, "go", None).await;
        prints(&link).await;
        success(None)
    }));
    let task = bench.start().await;
    drop(bench.inner.around.dirs.write_output(task.id(), true).unwrap());
    task.notify(key("go"), None, Party::Host).await;
    task.gone().await;
    let page = task.output(OutputCursor::default()).await;
    let told = |chunk: &OutputChunk| chunk.text.contains("cannot be kept on disk");
    assert!(page.lost > 0 && page.chunks.iter().filter(|chunk| told(chunk)).count() == 1);
    assert_eq!(bench.inner.around.dirs.read_output(task.id()).unwrap().metadata().unwrap().len(), 0);
}

#[test]
fn f20_a_key_is_given_back_by_the_task_that_has_it_and_by_nobody_else() {
    use crate::model::ids::{TaskId, TaskKey, TaskRef};
    use crate::runtime::registry::{Keep, Registry};

    let registry = Registry::new(Keep { tasks: 1, time: Duration::from_secs(1), bytes: 1 });
    let key = TaskKey::new("k").unwrap();
    let task = Arc::new(TaskRef { plugin: "p".into(), task_type: "t".into(), key });
    let (old, new) = (TaskId::from_random(1), TaskId::from_random(2));
    assert!(registry.claim(&task, new, false).is_ok());
    registry.release(&task, old);
    assert!(registry.claim(&task, old, false).is_err(), "the new run has it still");
    registry.release(&task, new);
    assert!(registry.claim(&task, old, false).is_ok());
}

#[tokio::test]
async fn f20_a_task_without_a_key_is_found_under_its_own_name_only() {
    let bench = Bench::new(script(|link| async move {
        wait_for(&link, "go", None).await;
        success(None)
    }));
    let registry = Arc::clone(&bench.inner.registry);
    let task = bench.start().await;
    let own = task.task_ref().clone();
    assert!(registry.has_key(&own, task.id()));
    assert!(registry.by_ref(&own).is_some_and(|found| found.id == task.id()));
    let other = TaskRef { plugin: "other".to_owned(), ..own.clone() };
    assert!(registry.by_ref(&other).is_none(), "no other plugin has a task of that id");
    // The store refuses a second one of its id, which then takes nothing of the first one's along.
    let again = start_scheduled(&bench.inner, request(), task.id()).await.unwrap_err();
    assert!(matches!(again, StartError::Store(CommitError::Fenced)), "{again:?}");
    assert_eq!((registry.live().len(), registry.claims()), (1, (1, 0)));
    assert!(registry.by_ref(&own).is_some());
    task.notify(key("go"), None, Party::Host).await;
    task.gone().await;
    assert!(registry.by_ref(&own).is_none(), "it has ended");
    assert_eq!((registry.live().len(), registry.claims()), (0, (0, 0)));
}
