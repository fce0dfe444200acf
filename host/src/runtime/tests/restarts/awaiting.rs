//! Tasks whose plugin is not there when a host takes over, and hosts that leave tasks alone.

use std::sync::Arc;

use serde_json::json;

use super::super::bench::{Bench, Script, key, script, settle, success, version_with, wait_for};
use super::gate::load_daemon;
use super::{HOUR, SECOND, World, again, once, task, waiting};
use crate::model::approval::{ApprovalAsk, ApprovalNumber};
use crate::model::children::ChildOutcome;
use crate::model::event::EventBody;
use crate::model::hook::Hooks;
use crate::model::ids::{TaskId, TaskKey};
use crate::model::manifest::TaskKind;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::request::{CancelRequest, KeyPolicy, StartRequest};
use crate::model::signal::{NotifyAnswer, Party};
use crate::model::snapshot::Phase;
use crate::model::time::Timestamp;
use crate::ports::secrets::Secrets;
use crate::runtime::handle::ApprovalAnswer;
use crate::runtime::recovery::Recovery;
use crate::runtime::start_error::StartError;

const TYPES: [(&str, TaskKind); 2] = [("again", TaskKind::Task), ("once", TaskKind::Task)];

fn named(request: StartRequest, name: &str) -> StartRequest {
    request.key(TaskKey::new(name).unwrap())
}

pub(super) fn later(mut request: StartRequest) -> StartRequest {
    request.details.run_at = Some(Timestamp(9_000_000_000));
    request
}

/// The plugin is as if it had never been loaded.
fn without_plugin(bench: Bench) -> Bench {
    unload(&bench);
    bench
}

fn unload(bench: &Bench) {
    let left = bench.inner.registry.remove_version("steady").unwrap();
    bench.inner.registry.forget_version(left.number);
}

impl World {
    /// The next host, which has not loaded the plugin.
    async fn next_without(&self, script: &Script) -> (Bench, Recovery) {
        let bench = without_plugin(self.host(script));
        let recovery = bench.inner.recover().await.unwrap();
        settle().await;
        (bench, recovery)
    }
}

async fn load(bench: &Bench, version: &str) {
    let plugin = version_with("steady", version, &TYPES, Hooks::default());
    bench.inner.load(plugin, Arc::new(())).await.unwrap();
    settle().await;
}

pub(super) fn ids(recovery: &Recovery) -> Vec<TaskId> {
    recovery.waiting.iter().map(|waiting| waiting.id).collect()
}

fn lost(bench: &Bench, id: TaskId) -> String {
    match task(bench, id).state().outcome {
        Some(Outcome::Failed(failure)) if failure.kind == FailureKind::Lost => failure.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn r4e_tasks_whose_plugin_is_not_there_wait_for_it_and_then_go_on() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let runs = first.inner.start(named(again().once("first"), "k")).await.unwrap().id();
    let ran_once = first.inner.start(once()).await.unwrap().id();
    let delayed = first.inner.start(later(again())).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;
    let all = [runs, ran_once, delayed];
    let logs = async || (world.log(runs).await, world.log(ran_once).await, world.log(delayed).await);
    let before = logs().await;

    // Two hosts without it, one after the other: both leave everything as it is, whatever way they end.
    let digest = version_with("steady", "1", &TYPES, Hooks::default()).digest();
    for ends in [true, false] {
        let (bench, recovery) = world.next_without(&script).await;
        assert_eq!((ids(&recovery), recovery.lost.len()), (all.to_vec(), 0));
        assert!(recovery.waiting.iter().all(|waiting| waiting.plugin == Some(digest)));
        for (id, phase) in all.into_iter().zip([Phase::Running, Phase::Running, Phase::Delayed]) {
            let state = task(&bench, id).state();
            assert_eq!((state.phase, state.awaits_plugin), (phase, Some(digest)));
            assert!(state.summary().contains("waits for its plugin steady"), "{}", state.summary());
        }
        assert_eq!(bench.inner.registry.live().len(), 3);
        // Its keys are its own.
        let refused = bench.inner.start(named(again(), "k")).await.unwrap_err();
        assert!(matches!(&refused, StartError::KeyAwaitsPlugin { plugin, .. } if *plugin == digest), "{refused:?}");
        let joins = named(again(), "k").on_key_in_use(KeyPolicy::Join);
        assert_eq!(bench.inner.start(joins).await.unwrap().id(), runs);
        assert_eq!(bench.inner.start(named(again().once("first"), "k")).await.unwrap().id(), runs);
        assert!(matches!(bench.inner.start(once()).await, Err(StartError::UnknownPlugin { .. })));
        bench.advance(1000 * HOUR).await;
        assert_eq!(bench.inner.gc().await.tasks, 0);
        assert!(bench.codes.lock().unwrap().is_empty());
        if ends {
            let waits = task(&bench, runs);
            bench.inner.shut_down().await;
            let Outcome::Failed(failure) = waits.wait().await else { panic!("it has none here") };
            assert!(failure.message.contains("the next host"), "{failure:?}");
            waits.gone().await;
        } else {
            world.stop(bench, HOUR).await;
        }
        assert_eq!(logs().await, before);
    }

    let (last, _) = world.next_without(&script).await;
    load(&last, "1").await;
    assert_eq!(task(&last, runs).state().phase, Phase::Running);
    assert_eq!((task(&last, runs).state().attempt, task(&last, delayed).state().phase), (2, Phase::Delayed));
    assert!(all.iter().all(|id| task(&last, *id).state().awaits_plugin.is_none()));
    assert!(lost(&last, ran_once).contains("not restartable"));
    assert_eq!((world.told(ran_once).len(), world.told(runs).len()), (1, 0));
    assert!(matches!(last.inner.start(named(again(), "k")).await, Err(StartError::KeyInUse { .. })));
    task(&last, runs).notify(key("go"), None, Party::Person).await;
    assert!(matches!(task(&last, runs).wait().await, Outcome::Succeeded { .. }));
    settle().await;
    assert_eq!(world.told(runs).len(), 1);
    last.inner.start(named(again(), "k")).await.expect("its key is free");
}

#[tokio::test]
async fn t44_a_task_that_waited_is_lost_when_its_plugin_comes_with_other_code() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let id = first.inner.start(again()).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;
    let (second, _) = world.next_without(&script).await;
    load(&second, "2").await;
    let digests = ["1", "2"].map(|version| version_with("steady", version, &TYPES, Hooks::default()).digest());
    let why = lost(&second, id);
    assert!(digests.iter().all(|digest| why.contains(&digest.to_string())), "{why}");
    assert_eq!(world.told(id).len(), 1);
    assert!(second.codes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn r4e_a_task_that_waits_for_its_plugin_can_be_cancelled_and_is_over_at_once() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let id = first.inner.start(named(again(), "k")).await.unwrap().id();
    let delayed = first.inner.start(later(once())).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;
    let (second, _) = world.next_without(&script).await;
    for (id, begun) in [(id, true), (delayed, false)] {
        task(&second, id).cancel(CancelRequest::new(Party::Person, "enough")).await;
        let outcome = task(&second, id).wait().await;
        assert!(matches!(&outcome, Outcome::Cancelled { by: Party::Person, begun: was, .. } if *was == begun));
        task(&second, id).gone().await;
        settle().await;
        assert_eq!(world.told(id).len(), 1);
        let ends = world.bodies(id).await.iter().filter(|body| matches!(body, EventBody::Finished { .. })).count();
        assert_eq!(ends, 1);
    }
    assert!(second.inner.registry.live().is_empty());
    load(&second, "1").await;
    second.inner.start(named(again(), "k")).await.expect("its key is free");
    settle().await;
    world.stop(second, SECOND).await;
    let (_, recovery) = world.next(&script).await;
    assert_eq!((recovery.ended, recovery.restarted.len(), recovery.effects), (2, 1, 0));
}

#[tokio::test]
async fn r4e_what_is_said_to_a_task_that_waits_for_its_plugin_is_there_when_it_begins() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let hears = first.inner.start(again()).await.unwrap().id();
    let mut asks = again();
    asks.approval = Some(ApprovalAsk::new("start", "because", "it"));
    let asks = first.inner.start(asks).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;

    let (second, _) = world.next_without(&script).await;
    let answer = task(&second, hears).notify(key("go"), Some(json!(7)), Party::Person).await;
    assert_eq!(answer, NotifyAnswer::Delivered);
    let held = task(&second, asks);
    let other = held.approve(ApprovalNumber(1), Some(json!({"x": 1})), Party::Person).await;
    assert!(matches!(other, ApprovalAnswer::NotAllowed(_)), "nobody can look at it: {other:?}");
    assert_eq!(held.approve(ApprovalNumber(1), None, Party::Person).await, ApprovalAnswer::Decided);
    assert_eq!(held.state().phase, Phase::Queued);
    let child = StartRequest::new("other", "script").parent(hears);
    assert!(matches!(second.inner.start(child).await, Err(StartError::ParentRefuses { .. })));
    load(&second, "1").await;
    let Outcome::Succeeded { data: Some(data), .. } = task(&second, hears).wait().await else { panic!("it heard") };
    assert_eq!(data, json!("Some(Number(7)) from person"));
    assert_eq!(task(&second, asks).state().phase, Phase::Running);
}

#[tokio::test]
async fn t14_a_secret_is_hidden_in_what_is_said_to_a_task_that_waits_for_its_plugin() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let id = first.inner.start(again()).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;

    let mut second = without_plugin(world.host(&script));
    let secrets = Secrets::new([("token".to_owned(), "s3cr3t-value".to_owned())]).unwrap();
    second.around_mut().secrets = Arc::new(secrets);
    second.inner.recover().await.unwrap();
    settle().await;
    let said = Some(json!("take s3cr3t-value"));
    assert_eq!(task(&second, id).notify(key("go"), said, Party::Person).await, NotifyAnswer::Delivered);
    task(&second, id).cancel(CancelRequest::new(Party::Person, "s3cr3t-value is known")).await;
    let log = serde_json::to_string(&world.log(id).await).unwrap();
    assert!(!log.contains("s3cr3t-value"), "{log}");
    for hidden in ["take ************", "************ is known"] {
        assert!(log.contains(hidden), "{log}");
    }
    let outcome = task(&second, id).state().outcome;
    assert!(!format!("{outcome:?}").contains("s3cr3t-value"), "{outcome:?}");
}

#[tokio::test]
async fn t11_a_store_that_panics_ends_a_task_that_waits_for_its_plugin_and_nobody_else() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    // What follows an end is not to count.
    let quiet = StartRequest::new("steady", "again");
    let (gone, orphan) = family(&first, StartRequest::new("other", "script"), quiet).await;
    let [ran, delayed] = [once(), later(again())].map(|request| first.inner.start(request));
    let [ran, delayed] = [ran.await.unwrap().id(), delayed.await.unwrap().id()];
    settle().await;
    world.stop(first, SECOND).await;

    let panicked = |bench: &Bench, id| match task(bench, id).state().outcome {
        Some(Outcome::Failed(failure)) => failure.kind == FailureKind::Host && failure.message.contains("panicked"),
        _ => false,
    };
    // While it begins to wait: its parent is lost, which is written first.
    let second = without_plugin(world.host_whose_store_panics(&script, 1));
    let recovery = second.inner.recover().await.unwrap();
    settle().await;
    assert_eq!((recovery.lost[0].id, ids(&recovery)), (gone, vec![orphan, ran, delayed]));
    assert!(panicked(&second, orphan), "{:?}", task(&second, orphan).state().outcome);
    assert_eq!(task(&second, delayed).state().phase, Phase::Delayed);
    world.stop(second, SECOND).await;
    // And while it goes on: the one that had no parent any more ends first.
    let third = without_plugin(world.host_whose_store_panics(&script, 2));
    third.inner.recover().await.unwrap();
    settle().await;
    assert!(matches!(task(&third, orphan).wait().await, Outcome::Cancelled { by: Party::Host, .. }));
    load(&third, "1").await;
    assert!(panicked(&third, ran), "{:?}", task(&third, ran).state().outcome);
    task(&third, ran).gone().await;
    assert_eq!(task(&third, delayed).state().phase, Phase::Delayed);
    world.stop(third, SECOND).await;
    let (fourth, _) = world.next(&script).await;
    assert!(lost(&fourth, ran).contains("not restartable"));
}

/// A task of a plugin, and a child of it of another one.
async fn family(first: &Bench, parent: StartRequest, child: StartRequest) -> (TaskId, TaskId) {
    let parent = first.inner.start(parent).await.unwrap().id();
    settle().await;
    let child = first.inner.start(child.parent(parent)).await.unwrap().id();
    settle().await;
    (parent, child)
}

#[tokio::test]
async fn r18_a_parent_that_waited_for_its_plugin_hears_of_its_children() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let (parent, child) = family(&first, again(), later(StartRequest::new("other", "script"))).await;
    let ran = first.inner.start(StartRequest::new("other", "script").parent(parent)).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;
    let (second, recovery) = world.next_without(&script).await;
    assert_eq!((ids(&recovery), recovery.went_on, recovery.lost[0].id), (vec![parent], vec![child], ran));
    task(&second, child).cancel(CancelRequest::new(Party::Person, "enough")).await;
    settle().await;
    second.advance(100 * HOUR).await;
    second.inner.gc().await;
    load(&second, "1").await;
    let told = task(&second, parent).state().children;
    let outcome = |id| told.iter().find(|known| known.id == id).unwrap().outcome;
    assert_eq!((outcome(child), outcome(ran)), (Some(ChildOutcome::Cancelled), Some(ChildOutcome::Failed)));
    assert_eq!(task(&second, parent).state().phase, Phase::Running);
}

#[tokio::test]
async fn r18_a_child_that_waits_for_its_plugin_is_stopped_with_its_parent() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let (parent, child) = family(&first, later(StartRequest::new("other", "script")), again()).await;
    // This one is lost, and so its child has no parent.
    let (gone, orphan) = family(&first, StartRequest::new("other", "script"), again()).await;
    world.stop(first, SECOND).await;
    let (second, recovery) = world.next_without(&script).await;
    assert_eq!((ids(&recovery), recovery.lost[0].id), (vec![child, orphan], gone));
    assert!(matches!(task(&second, orphan).wait().await, Outcome::Cancelled { by: Party::Host, .. }));
    task(&second, parent).cancel(CancelRequest::new(Party::Person, "enough")).await;
    let outcome = task(&second, child).wait().await;
    assert!(matches!(outcome, Outcome::Cancelled { .. }), "{outcome:?}");
    settle().await;
    // And the other way round: a parent that waits takes its children along.
    let third = World::new();
    let first = third.host(&script);
    let (parent, child) = family(&first, again(), later(StartRequest::new("other", "script"))).await;
    third.stop(first, SECOND).await;
    let (second, _) = third.next_without(&script).await;
    task(&second, parent).cancel(CancelRequest::new(Party::Person, "enough")).await;
    assert!(matches!(task(&second, child).wait().await, Outcome::Cancelled { .. }));
}

#[tokio::test]
async fn r18_a_task_that_ends_while_it_waits_for_its_plugin_lets_go_of_its_children() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let (parent, child) = family(&first, again(), StartRequest::new("other", "script")).await;
    task(&first, child).cancel(CancelRequest::new(Party::Person, "enough")).await;
    settle().await;
    world.stop(first, SECOND).await;
    for cancelled in [false, true] {
        let (bench, recovery) = world.next_without(&script).await;
        assert_eq!(ids(&recovery), [parent]);
        if cancelled {
            task(&bench, parent).cancel(CancelRequest::new(Party::Person, "enough")).await;
            settle().await;
        }
        let held = bench.inner.standby.children_of(parent);
        assert_eq!(held.len(), usize::from(!cancelled), "only while there is somebody to ask for it");
        world.stop(bench, SECOND).await;
    }
}

#[tokio::test]
async fn r6_a_daemon_that_waited_for_its_plugin_is_kept_alive_again() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    load_daemon(&first).await;
    let id = first.inner.registry.live()[0].id;
    world.stop(first, SECOND).await;
    let (second, recovery) = world.next(&script).await;
    assert_eq!(ids(&recovery), [id]);
    load_daemon(&second).await;
    let live = second.inner.registry.live();
    assert_eq!((live.len(), live[0].id, task(&second, id).state().attempt), (1, id, 2));
    task(&second, id).notify(key("go"), None, Party::Person).await;
    second.advance(SECOND).await;
    let live = second.inner.registry.live();
    assert_eq!((live.len(), live[0].id == id), (1, false), "kept alive");
}

#[tokio::test]
async fn f22_a_host_that_dies_while_those_that_waited_go_on_leaves_them_to_the_next() {
    for torn in [false, true] {
        for commits in 0..4 {
            let (world, script) = (World::new(), waiting());
            let first = world.host(&script);
            let goes_on = first.inner.start(again()).await.unwrap().id();
            let is_lost = first.inner.start(once()).await.unwrap().id();
            settle().await;
            world.stop(first, SECOND).await;
            let second = without_plugin(world.mortal(&script, commits, torn));
            assert_eq!(second.inner.recover().await.unwrap().waiting.len(), 2);
            tokio::select! {
                () = load(&second, "1") => {}
                () = settle() => {}
            }
            settle().await;
            world.stop(second, SECOND).await;
            let (third, _) = world.next(&script).await;
            assert_eq!(task(&third, goes_on).state().phase, Phase::Running, "{torn} {commits}");
            assert!(lost(&third, is_lost).contains("not restartable"));
            settle().await;
            let bodies = world.bodies(is_lost).await;
            assert_eq!(bodies.iter().filter(|body| matches!(body, EventBody::Finished { .. })).count(), 1);
            assert!(!world.told(is_lost).is_empty(), "{torn} {commits}");
        }
    }
}

#[tokio::test]
async fn r4e_a_host_that_leaves_tasks_alone_runs_its_own_beside_them() {
    // One that does not do as it is told.
    let script = script(|link| async move {
        let came = wait_for(&link, "go", None).await;
        if came == "Cancelled" {
            std::future::pending::<()>().await;
        }
        success(json!(came))
    });
    let world = World::new();
    let first = world.host(&script);
    let runs = first.inner.start(named(again().once("first"), "k")).await.unwrap().id();
    let ran_once = first.inner.start(once()).await.unwrap().id();
    let stops = first.inner.start(again()).await.unwrap();
    settle().await;
    stops.cancel(CancelRequest::new(Party::Person, "enough").grace(HOUR)).await;
    let stops = stops.id();
    settle().await;
    world.stop(first, SECOND).await;
    let logs = async || (world.log(runs).await, world.log(ran_once).await, world.log(stops).await);
    let before = logs().await;

    let second = world.host(&script);
    let recovery = second.inner.leave_tasks().await.unwrap();
    settle().await;
    assert_eq!((ids(&recovery), recovery.lost.len()), (vec![runs, ran_once, stops], 0));
    let joins = || named(again(), "k").on_key_in_use(KeyPolicy::Join);
    for request in [named(again(), "k"), joins(), named(again().once("first"), "k")] {
        let refused = second.inner.start(request).await.unwrap_err();
        assert!(matches!(refused, StartError::KeyAwaitsHost { .. }), "{refused:?}");
    }
    // Also when it is loaded once more.
    unload(&second);
    load(&second, "1").await;
    let own = second.inner.start(again()).await.unwrap();
    settle().await;
    own.notify(key("go"), None, Party::Person).await;
    assert!(matches!(own.wait().await, Outcome::Succeeded { .. }));
    second.advance(1000 * HOUR).await;
    assert_eq!(logs().await, before);
    assert_eq!(second.codes.lock().unwrap().len(), 1);
    let own = own.id();
    world.stop(second, SECOND).await;
    assert_eq!(logs().await, before);

    let (third, recovery) = world.next(&script).await;
    assert_eq!((recovery.restarted, recovery.ended, recovery.cancelled), (vec![runs], 1, vec![stops]));
    assert!(task(&third, own).state().outcome.is_some());
    lost(&third, ran_once);
}

#[tokio::test]
async fn r4e_a_host_that_leaves_tasks_alone_calls_nobody_about_ends_and_forgets_none() {
    let script = script(|_| async { success(json!("result")) });
    let world = World::new();
    let first = world.mortal(&script, 3, true);
    let id = first.inner.start(once()).await.unwrap().id();
    settle().await;
    world.stop(first, 1000 * HOUR).await;
    let told = world.told(id).len();
    let second = world.host(&script);
    let recovery = second.inner.leave_tasks().await.unwrap();
    assert_eq!((recovery.ended, recovery.effects), (1, 0));
    second.advance(1000 * HOUR).await;
    second.inner.gc().await;
    assert!(second.inner.registry.by_id(id).is_some());
    assert_eq!(world.told(id).len(), told);
}
