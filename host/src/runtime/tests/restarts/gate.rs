//! What waits until a host has taken over what was left, and what cannot be taken over.

use std::sync::Arc;

use super::super::bench::{Bench, Script, key, settle, version_of};
use super::super::schedules::hourly;
use super::{HOUR, SECOND, World, again, once, task, waiting};
use crate::model::ids::TaskKey;
use crate::model::manifest::TaskKind;
use crate::model::request::StartRequest;
use crate::model::schedule::ScheduleRequest;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::ports::store::StreamId;
use crate::runtime::daemons::DaemonPhase;
use crate::runtime::recovery::{RecoverError, Standby};
use crate::runtime::schedules::ScheduleError;
use crate::runtime::start_error::StartError;
use crate::store::faulty::FaultyStore;

/// A host with a data directory, as far as this matters.
pub(super) fn standing_by(world: &World, script: &Script) -> Bench {
    let mut bench = world.host(script);
    bench.inner_mut().standby = Standby::new(true).into();
    bench
}

pub(super) async fn load_daemon(bench: &Bench) {
    let types = [("again-watch", TaskKind::Daemon)];
    bench.inner.load(version_of("watcher", "1", &types), Arc::new(())).await.unwrap();
    settle().await;
}

#[tokio::test]
async fn r4e_nothing_begins_before_what_was_left_is_taken_over() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    first.inner.schedules.handle(&first.inner).add(hourly()).await.unwrap();
    world.stop(first, 5 * HOUR).await;

    let bench = standing_by(&world, &script);
    load_daemon(&bench).await;
    let schedules = bench.inner.schedules.handle(&bench.inner);
    let id = schedules.list().await.unwrap()[0].id;
    bench.advance(HOUR).await;
    assert!(matches!(bench.inner.start(once()).await, Err(StartError::NotRecovered)));
    let by = Party::Person;
    assert!(matches!(schedules.fire_now(id, by).await, Err(ScheduleError::Start(StartError::NotRecovered))));
    let another = ScheduleRequest::after("another", HOUR, StartRequest::new("steady", "once"));
    assert!(matches!(schedules.add(another).await, Err(ScheduleError::Start(StartError::NotRecovered))));
    assert!(bench.inner.registry.live().is_empty());

    assert!(bench.inner.recover().await.unwrap().is_empty());
    settle().await;
    let fired = schedules.get(id).await.unwrap();
    assert_eq!((fired.fired, fired.last.is_some_and(|last| last.failure.is_none())), (1, true), "once");
    assert_eq!(bench.inner.registry.live().len(), 2, "with the daemon");
    bench.inner.start(once()).await.unwrap();
}

#[tokio::test]
async fn r19_a_firing_that_was_written_down_is_no_second_task_after_a_restart() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let schedules = first.inner.schedules.handle(&first.inner);
    let request = ScheduleRequest::every("hourly", "0 * * * *", "UTC", StartRequest::new("steady", "again"));
    let id = schedules.add(request).await.unwrap();
    first.advance(HOUR).await;
    let firing = schedules.get(id).await.unwrap().last.unwrap().firing;
    world.stop(first, SECOND).await;
    let (second, recovery) = world.next(&script).await;
    assert_eq!(recovery.restarted, [firing.task]);
    let schedules = second.inner.schedules.handle(&second.inner);
    assert_eq!(schedules.get(id).await.unwrap().fired, 1);
    settle().await;
    assert_eq!(second.inner.registry.known_ids(), [firing.task]);
}

#[tokio::test]
async fn r6_a_daemon_goes_on_with_its_keeper() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    load_daemon(&first).await;
    let id = first.inner.registry.live()[0].id;
    world.stop(first, HOUR).await;
    let second = standing_by(&world, &script);
    load_daemon(&second).await;
    assert_eq!(second.inner.recover().await.unwrap().restarted, [id]);
    settle().await;
    assert_eq!(second.inner.daemon_statuses()[0].phase, DaemonPhase::Running { task: id });
    assert_eq!(second.inner.registry.live().len(), 1);
    task(&second, id).notify(key("go"), None, Party::Person).await;
    second.advance(SECOND).await;
    let live = second.inner.registry.live();
    assert_eq!((live.len(), live[0].id == id), (1, false), "kept alive");
}

#[tokio::test]
async fn r4e_a_task_that_cannot_be_read_is_set_aside_and_nothing_else_suffers() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let key = || TaskKey::new("k").unwrap();
    let bad = first.inner.start(again().key(key())).await.unwrap().id();
    let good = first.inner.start(again()).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;
    let log = world.log(bad).await;
    let second = world.host_that_cannot_read(&script, StreamId::Task(bad));
    let recovery = second.inner.recover().await.unwrap();
    assert_eq!((recovery.quarantined[0].id, recovery.quarantined.len()), (bad, 1));
    assert_eq!((recovery.restarted, recovery.unnamed), (vec![good], vec![3]));
    assert!(second.inner.registry.by_id(bad).is_none());
    second.inner.start(once().key(key())).await.expect("its key is free");
    assert_eq!(world.log(bad).await, log, "it is left alone");
}

#[tokio::test]
async fn r4e_a_store_that_fails_is_taken_over_when_it_works_again() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let id = first.inner.start(again()).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store) as _));
    let mut second = world.host_on(&script, Arc::clone(&store) as _);
    second.inner_mut().standby = Standby::new(true).into();
    store.fail(true);
    assert!(matches!(second.inner.recover().await, Err(RecoverError::Read(_))));
    assert!(matches!(second.inner.start(once()).await, Err(StartError::NotRecovered)));
    store.fail(false);
    assert_eq!(second.inner.recover().await.unwrap().restarted, [id]);
    settle().await;
    assert_eq!(task(&second, id).state().phase, Phase::Running);
    assert_eq!(second.inner.recover().await, Err(RecoverError::Done));
}

#[tokio::test]
async fn f22_a_host_that_is_suspended_leaves_its_tasks_to_the_next() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let id = first.inner.start(again()).await.unwrap().id();
    settle().await;
    first.inner.suspend().await;
    assert!(matches!(first.inner.start(once()).await, Err(StartError::ShuttingDown)));
    assert!(
        world.log(id).await.iter().all(|event| !matches!(event.body, crate::model::event::EventBody::Finished { .. }))
    );
    let (second, recovery) = world.next(&script).await;
    assert_eq!(recovery.restarted, [id]);
    // A shutdown is something else: it ends them.
    second.inner.shut_down().await;
    let (_, recovery) = world.next(&script).await;
    assert_eq!(recovery.ended, 1);
}
