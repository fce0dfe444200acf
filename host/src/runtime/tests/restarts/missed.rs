//! Plugins that come late, and what they are told of the ends of their tasks.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::super::bench::{Bench, script, settle, success, version_with};
use super::awaiting::{ids, later};
use super::{SECOND, World, task};
use crate::model::event::EventBody;
use crate::model::hook::Hooks;
use crate::model::manifest::TaskKind;
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::runtime::plugin::Plugin;
use crate::runtime::unloading::Unload;
use crate::runtime::version::{Standing, Version};

/// A plugin with hooks about its tasks.
fn hooked(version: &str) -> Plugin {
    version_with("hooked", version, &[("once", TaskKind::Task)], Hooks { plugin: false, task: true })
}

/// A host has it, and its hooks do not end.
fn keep_hooked(bench: &Bench) {
    *bench.hooks.lock().unwrap() = Arc::new(|_| Box::pin(std::future::pending()));
    let version = Version::new(hooked("1"), Arc::new(()), bench.inner.registry.next_number(), Standing::Enabled);
    bench.inner.registry.add_version(Arc::new(version)).unwrap();
}

/// Counts the hooks that a host calls, which end at once.
fn count_hooks(bench: &Bench, called: &Arc<Mutex<u32>>) {
    let called = Arc::clone(called);
    *bench.hooks.lock().unwrap() = Arc::new(move |_| {
        *called.lock().unwrap() += 1;
        Box::pin(std::future::ready(Ok(())))
    });
}

#[tokio::test]
async fn r32_a_plugin_that_comes_late_is_told_of_the_ends_that_it_missed() {
    let script = script(|_| async { success(json!("result")) });
    let world = World::new();
    let called = Arc::default();
    let first = world.host(&script);
    keep_hooked(&first);
    let ended = first.inner.start(StartRequest::new("hooked", "once")).await.unwrap().id();
    let waits = first.inner.start(later(StartRequest::new("hooked", "once"))).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;

    let (second, recovery) = world.next(&script).await;
    assert_eq!((recovery.ended, recovery.effects, ids(&recovery)), (1, 0, vec![waits]));
    count_hooks(&second, &called);
    task(&second, waits).cancel(CancelRequest::new(Party::Person, "enough")).await;
    settle().await;
    assert_eq!(*called.lock().unwrap(), 0);
    second.inner.load(hooked("1"), Arc::new(())).await.unwrap();
    settle().await;
    assert_eq!(*called.lock().unwrap(), 2);
    for id in [ended, waits] {
        let after = task(&second, id).after_events().await.unwrap();
        assert_eq!(after.iter().filter(|event| matches!(event.body, EventBody::HookDone { .. })).count(), 1);
    }
    // Once.
    world.stop(second, SECOND).await;
    let (third, recovery) = world.next(&script).await;
    third.inner.load(hooked("1"), Arc::new(())).await.unwrap();
    settle().await;
    assert_eq!((recovery.effects, *called.lock().unwrap()), (0, 2));
}

#[tokio::test]
async fn r32_a_version_that_is_put_back_is_told_of_the_ends_that_it_missed() {
    let (world, script) = (World::new(), script(|_| async { success(json!("result")) }));
    let called = Arc::default();
    let first = world.host(&script);
    keep_hooked(&first);
    let ended = first.inner.start(StartRequest::new("hooked", "once")).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;

    let (second, recovery) = world.next(&script).await;
    assert_eq!((recovery.ended, recovery.effects), (1, 0));
    count_hooks(&second, &called);
    second.inner.load(hooked("2"), Arc::new(())).await.unwrap();
    settle().await;
    assert_eq!(*called.lock().unwrap(), 0, "it was another one's task");
    second.inner.replace(hooked("1"), Arc::new(()), Unload::Force).await.unwrap();
    settle().await;
    assert_eq!(*called.lock().unwrap(), 1);
    let after = task(&second, ended).after_events().await.unwrap();
    assert!(after.iter().any(|event| matches!(event.body, EventBody::HookDone { .. })), "{after:?}");
}
