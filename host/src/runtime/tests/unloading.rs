//! Plugins that come and go while their tasks run.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::bench::{Bench, key, log, request, script, settle, success, version_of, wait_for};
use crate::model::approval::{ApprovalAsk, ApprovalNumber};
use crate::model::children::ChildOptions;
use crate::model::ids::{PluginDigest, TaskKey};
use crate::model::manifest::TaskKind;
use crate::model::outcome::{CellEnd, GuestOutcome, Outcome};
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::retry::RetryPolicy;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::runner::GuestCall;
use crate::runtime::handle::TaskHandle;
use crate::runtime::host::Inner;
use crate::runtime::start_error::StartError;
use crate::runtime::stopping::StopReport;
use crate::runtime::unloading::{PluginError, Replaced, Unload};
use crate::sandbox::load::LoadError;
use crate::store::memory::MemoryStore;

const MINUTE: Duration = Duration::from_mins(1);
pub(super) const DRAIN: Unload = Unload::Drain { deadline: MINUTE };
pub(super) const CANCEL: Unload = Unload::Cancel { grace: Duration::from_secs(5) };

/// Waits for `go`, and then succeeds; when it is asked to stop, it tidies up.
pub(super) fn waiting() -> Bench {
    Bench::new(script(|link| async move {
        match wait_for(&link, "go", None).await.as_str() {
            "Cancelled" => CellEnd::Returned(GuestOutcome::Cancelled { message: "tidied up".to_owned(), data: None }),
            _ => success(json!("went")),
        }
    }))
}

fn digest(version: &str) -> PluginDigest {
    PluginDigest::of(format!("made {version}").as_bytes())
}

/// Code that is held as long as somebody holds it.
pub(super) async fn load(bench: &Bench, version: &str) -> Weak<()> {
    let code = Arc::new(());
    let held = Arc::downgrade(&code);
    bench.inner.load(version_of("made", version, &[("script", TaskKind::Task)]), code).await.unwrap();
    held
}

pub(super) fn made() -> StartRequest {
    StartRequest::new("made", "script")
}

pub(super) async fn start(bench: &Bench) -> TaskHandle {
    bench.inner.start(made()).await.unwrap()
}

pub(super) fn in_background<F>(bench: &Bench, what: impl FnOnce(Arc<Inner>) -> F) -> JoinSet<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut running = JoinSet::new();
    running.spawn(what(Arc::clone(&bench.inner)));
    running
}

pub(super) async fn done<T: 'static>(running: JoinSet<T>) -> T {
    running.join_all().await.remove(0)
}

pub(super) fn unload(bench: &Bench, how: Unload) -> JoinSet<Result<StopReport, PluginError>> {
    in_background(bench, move |inner| async move { inner.unload("made", how).await })
}

pub(super) fn replace(bench: &Bench, version: &'static str, how: Unload) -> JoinSet<Replaced> {
    in_background(bench, move |inner| async move {
        let plugin = version_of("made", version, &[("script", TaskKind::Task)]);
        inner.replace(plugin, Arc::new(()), how).await.unwrap()
    })
}

#[tokio::test]
async fn r36_draining_refuses_starts_and_lets_tasks_end_by_themselves() {
    let bench = waiting();
    let code = load(&bench, "1").await;
    let task = start(&bench).await;
    settle().await;
    let mut unloading = unload(&bench, DRAIN);
    settle().await;
    let refused = bench.inner.start(made()).await;
    assert!(matches!(refused, Err(StartError::PluginUnloading { name }) if name == "made"));
    assert_eq!((task.state().phase, task.state().cancel), (Phase::Running, None));
    assert!(code.upgrade().is_some() && unloading.try_join_next().is_none());
    task.notify(key("go"), None, Party::Host).await;
    let report = done(unloading).await.unwrap();
    assert_eq!(report.tasks.len(), 1);
    assert!(matches!(report.tasks[0].outcome, Some(Outcome::Succeeded { .. })) && !report.tasks[0].forced);
    assert!(code.upgrade().is_none(), "the code is given back, though somebody holds a handle");
    let refused = bench.inner.start(made()).await;
    assert!(matches!(refused, Err(StartError::UnknownPlugin { .. })));
    log(&task).await;
}

#[tokio::test]
async fn r36_what_still_lives_at_the_end_of_a_drain_is_stopped_where_it_is() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let code = load(&bench, "1").await;
    let task = start(&bench).await;
    settle().await;
    let mut unloading = unload(&bench, DRAIN);
    bench.advance(MINUTE.checked_sub(Duration::from_millis(1)).unwrap()).await;
    assert!(unloading.try_join_next().is_none());
    bench.advance(Duration::from_millis(1)).await;
    let report = done(unloading).await.unwrap();
    assert_eq!((report.tasks.len(), report.forced()), (1, 1));
    let Outcome::Cancelled { by: Party::Host, reason, .. } = task.wait().await else { panic!() };
    assert_eq!(reason, "its plugin made was unloaded");
    assert!(code.upgrade().is_none());
}

#[tokio::test]
async fn r36_force_stops_at_once_and_cancel_gives_a_grace() {
    for (how, forced, said) in [(Unload::Force, 1, ""), (CANCEL, 0, "tidied up")] {
        let bench = waiting();
        load(&bench, "1").await;
        let task = start(&bench).await;
        let other = bench.start().await;
        settle().await;
        let before = bench.clock.steady();
        let report = done(unload(&bench, how)).await.unwrap();
        assert_eq!((report.tasks.len(), report.forced()), (1, forced), "{how:?}");
        assert_eq!(bench.clock.steady(), before);
        let Outcome::Cancelled { message, .. } = task.wait().await else { panic!() };
        assert_eq!(message, said);
        assert!(other.state().outcome.is_none() && other.state().cancel.is_none(), "another plugin's task goes on");
    }
}

/// A held one, a delayed one, one between two attempts, and one in the queue.
async fn all_that_wait(bench: &Bench) -> [TaskHandle; 4] {
    let mut held = made();
    held.approval = Some(ApprovalAsk::new("start", "may it?", "it may not"));
    let held = bench.inner.start(held).await.unwrap();
    let mut delayed = made();
    delayed.details.run_at = Some(Timestamp(bench.clock.date().0 + 30_000));
    let delayed = bench.inner.start(delayed).await.unwrap();
    let mut retried = made();
    retried.details.retry = RetryPolicy::attempts(2).backoff(MINUTE / 2, MINUTE / 2);
    let retried = bench.inner.start(retried.input(json!({"fail": true}))).await.unwrap();
    settle().await;
    retried.notify(key("go"), None, Party::Host).await;
    settle().await;
    assert_eq!(retried.state().phase, Phase::Delayed);
    // The only place is taken.
    let running = bench.start().await;
    settle().await;
    assert_eq!(running.state().phase, Phase::Running);
    let queued = start(bench).await;
    settle().await;
    let phases = [&held, &delayed, &retried, &queued].map(|task| task.state().phase);
    assert_eq!(phases, [Phase::Held, Phase::Delayed, Phase::Delayed, Phase::Queued]);
    [held, delayed, retried, queued]
}

fn crowded() -> Bench {
    let failed = std::sync::atomic::AtomicBool::new(false);
    let failed = Arc::new(failed);
    let scripts = script(move |link| {
        let failed = Arc::clone(&failed);
        async move {
            let heard = wait_for(&link, "go", None).await;
            if !failed.swap(true, std::sync::atomic::Ordering::Relaxed) {
                let message = "busy".to_owned();
                return CellEnd::Returned(GuestOutcome::Failed { message, error: None, retryable: true });
            }
            success(json!(heard))
        }
    });
    Bench::with(scripts, 1, Arc::new(MemoryStore::new()))
}

#[tokio::test]
async fn r36_cancelling_ends_all_that_waits_for_its_turn_a_moment_a_yes_or_another_attempt() {
    let bench = crowded();
    let code = load(&bench, "1").await;
    let tasks = all_that_wait(&bench).await;
    let report = done(unload(&bench, CANCEL)).await.unwrap();
    assert_eq!(report.tasks.len(), 4);
    for (task, stopped) in tasks.iter().zip(&report.tasks) {
        assert_eq!(task.id(), stopped.id, "oldest first");
        assert!(matches!(stopped.outcome, Some(Outcome::Cancelled { by: Party::Host, forced: false, .. })));
        log(task).await;
    }
    assert!(code.upgrade().is_none());
}

#[tokio::test]
async fn r36_draining_waits_for_all_that_waits_and_runs_it_with_its_own_code() {
    let bench = crowded();
    load(&bench, "1").await;
    let [held, delayed, retried, queued] = all_that_wait(&bench).await;
    let mut replacing = replace(&bench, "2", DRAIN);
    settle().await;
    held.approve(ApprovalNumber(1), None, Party::Person).await;
    bench.codes.lock().unwrap().clear();
    // The place is free for one after the other.
    bench
        .inner
        .stop_all(
            &crate::runtime::stopping::StopScope::Plugin("scripted".to_owned()),
            CancelRequest::force(Party::Host, ""),
            MINUTE,
        )
        .await;
    for _ in 0..60 {
        bench.advance(Duration::from_millis(900)).await;
        for task in [&held, &delayed, &retried, &queued] {
            if task.state().waiting.is_some() {
                task.notify(key("go"), None, Party::Host).await;
            }
        }
    }
    let replaced = replacing.try_join_next().expect("all have ended in time").unwrap();
    assert!(
        replaced.report.tasks.iter().all(|task| matches!(task.outcome, Some(Outcome::Succeeded { .. }))),
        "{replaced:?}"
    );
    assert_eq!(*bench.codes.lock().unwrap(), [digest("1"); 4]);
}

#[tokio::test]
async fn r36_after_a_replacement_starts_are_new_and_old_tasks_and_their_children_stay_as_they_were() {
    // Starts a child when it is told to, and then waits for the end.
    let bench = Bench::new(script(|link| async move {
        wait_for(&link, "go", None).await;
        let options = Box::new(ChildOptions {
            limits: crate::model::limits::LimitsRequest::default().fuel(1),
            ..ChildOptions::default()
        });
        let child = link
            .request(|reply| GuestCall::StartChild { task_type: "script".to_owned(), input: json!({}), options, reply })
            .await;
        wait_for(&link, "end", None).await;
        success(child.ok().map(|(_, task)| json!(task.key.as_str())))
    }));
    load(&bench, "1").await;
    let old = start(&bench).await;
    settle().await;
    let replacing = replace(&bench, "2", DRAIN);
    settle().await;
    let new = start(&bench).await;
    settle().await;
    assert_eq!(*bench.codes.lock().unwrap(), [digest("1"), digest("2")]);
    old.notify(key("go"), None, Party::Host).await;
    settle().await;
    assert_eq!(bench.codes.lock().unwrap().last(), Some(&digest("1")), "a child of the old is of the old code");
    old.notify(key("end"), None, Party::Host).await;
    let replaced = done(replacing).await;
    assert_eq!(replaced.plugin.manifest().version, "2");
    assert_eq!(replaced.report.tasks.len(), 2, "the child is one of them");
    assert_eq!(new.state().phase, Phase::Running);
}

#[tokio::test]
async fn r36_the_same_code_again_changes_nothing_and_what_is_not_there_cannot_be_replaced() {
    let bench = waiting();
    load(&bench, "1").await;
    let task = start(&bench).await;
    settle().await;
    let replaced = done(replace(&bench, "1", Unload::Force)).await;
    assert_eq!(replaced.report, StopReport::default());
    assert_eq!(task.state().phase, Phase::Running);
    let missing = bench.inner.replace(version_of("gone", "1", &[]), Arc::new(()), DRAIN).await.unwrap_err();
    assert_eq!(missing.to_string(), r#"no plugin is called "gone"; loaded: made, other, scripted"#);
    assert_eq!(bench.inner.unload("gone", DRAIN).await.unwrap_err().to_string(), missing.to_string());
    let taken = bench.inner.load(version_of("made", "2", &[]), Arc::new(())).await.unwrap_err();
    assert!(matches!(taken, LoadError::NameTaken { version, .. } if version == "1"));
}

#[tokio::test]
async fn r36_a_name_is_free_at_once_while_the_old_version_drains() {
    let bench = waiting();
    load(&bench, "1").await;
    let old = start(&bench).await;
    settle().await;
    let mut unloading = unload(&bench, DRAIN);
    settle().await;
    load(&bench, "2").await;
    let new = start(&bench).await;
    settle().await;
    assert_eq!(*bench.codes.lock().unwrap(), [digest("1"), digest("2")]);
    assert!(unloading.try_join_next().is_none());
    for task in [&old, &new] {
        task.notify(key("go"), None, Party::Host).await;
    }
    assert_eq!(done(unloading).await.unwrap().tasks.len(), 1, "the new one is none of its tasks");
}

#[tokio::test]
async fn r36_a_disabled_plugin_starts_nothing_and_what_runs_goes_on_with_its_children() {
    let bench = Bench::new(script(|link| async move {
        wait_for(&link, "go", None).await;
        let options = Box::new(ChildOptions {
            limits: crate::model::limits::LimitsRequest::default().fuel(1),
            ..ChildOptions::default()
        });
        let child = link
            .request(|reply| GuestCall::StartChild { task_type: "script".to_owned(), input: json!({}), options, reply })
            .await;
        success(json!(child.is_ok().to_string()))
    }));
    load(&bench, "1").await;
    let task = start(&bench).await;
    settle().await;
    assert_eq!(bench.inner.set_enabled("made", false).await, Ok(true));
    assert_eq!(bench.inner.set_enabled("made", false).await, Ok(false), "it is so already");
    assert!(matches!(bench.inner.start(made()).await, Err(StartError::PluginDisabled { .. })));
    task.notify(key("go"), None, Party::Host).await;
    assert!(matches!(task.wait().await, Outcome::Succeeded { data: Some(told), .. } if told == "true"));
    // A new version of it is disabled too.
    done(replace(&bench, "2", Unload::Force)).await;
    assert!(matches!(bench.inner.start(made()).await, Err(StartError::PluginDisabled { .. })));
    assert_eq!(bench.inner.set_enabled("made", true).await, Ok(true));
    start(&bench).await;
    assert!(bench.inner.set_enabled("gone", true).await.is_err());
}

#[tokio::test]
async fn r36_an_unload_that_nobody_waits_for_takes_its_course() {
    let bench = waiting();
    let code = load(&bench, "1").await;
    let task = start(&bench).await;
    settle().await;
    let mut unloading = unload(&bench, DRAIN);
    settle().await;
    unloading.abort_all();
    settle().await;
    task.notify(key("go"), None, Party::Host).await;
    task.gone().await;
    settle().await;
    assert!(code.upgrade().is_none());
    assert!(matches!(bench.inner.start(made()).await, Err(StartError::UnknownPlugin { .. })));
}

#[tokio::test]
async fn r13_a_refused_start_keeps_no_plugin_from_being_unloaded() {
    let bench = waiting();
    let code = load(&bench, "1").await;
    let refused =
        [made().input(json!("no object")), StartRequest::new("made", "none"), made().key(TaskKey::new("k").unwrap())];
    let first = bench.inner.start(made().key(TaskKey::new("k").unwrap())).await.unwrap();
    for request in refused {
        assert!(bench.inner.start(request).await.is_err());
    }
    let report = done(unload(&bench, Unload::Force)).await.unwrap();
    assert_eq!(report.tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [first.id()]);
    assert!(code.upgrade().is_none());
}

#[tokio::test]
async fn r36_a_shutdown_ends_a_drain() {
    let bench = waiting();
    load(&bench, "1").await;
    start(&bench).await;
    let other = bench.inner.start(request()).await.unwrap();
    settle().await;
    let unloading = unload(&bench, DRAIN);
    settle().await;
    bench.inner.shut_down().await;
    assert_eq!(done(unloading).await.unwrap().tasks.len(), 1);
    assert!(matches!(other.wait().await, Outcome::Cancelled { by: Party::Host, .. }));
    let late = bench.inner.load(version_of("late", "1", &[]), Arc::new(())).await;
    assert!(matches!(late, Err(LoadError::ShuttingDown)));
}
