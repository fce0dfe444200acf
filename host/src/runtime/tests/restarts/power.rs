//! The power goes while a host works, and again while the next one recovers or works on: what must hold then. The host's store
//! is a file on a disk that forgets what was not synced.

use std::sync::Arc;

use super::super::bench::{Bench, settle};
use super::everywhere::{Acks, busy, drive, holds};
use super::{SECOND, World, task};
use crate::model::event::{Event, EventBody, EventSeq};
use crate::ports::store::{Fence, Record, StreamId, TaskStore as _};
use crate::store::sqlite::tests::lives::Place;
use crate::store::sqlite::{SqliteStore, StoreHealth};

/// Worlds, each with other chances.
const WORLDS: u64 = 60;
/// Losses of power in each.
const LOSSES: usize = 3;
/// Operations of the disk within which the power goes: about what all of the work takes.
const OPERATIONS: u64 = 250;

/// Lives on until everything is done, or the power is gone.
async fn live(bench: &Bench, store: &SqliteStore, acks: &Acks, first: bool) {
    let mut health = store.health();
    let works = async {
        // Without power it fails, and nobody was told anything.
        if bench.inner.recover().await.is_ok() {
            drive(bench, acks, first).await;
        }
    };
    let goes_dark = health.wait_for(|health| matches!(health, StoreHealth::Failed { .. }));
    tokio::select! {
        biased;
        () = works => {}
        dark = goes_dark => drop(dark),
    }
}

#[tokio::test]
async fn t40_a_host_that_loses_power_at_any_moment_is_followed_by_one_that_knows_everything() {
    let script = busy();
    for seed in 0..WORLDS {
        let (world, acks, place) = (World::new(), Acks::default(), Place::new(seed));
        for loss in 0..LOSSES {
            place.world.darkens_after(place.world.dice(OPERATIONS));
            // It may go while the file is opened.
            if let Ok(store) = place.open() {
                let store = Arc::new(store);
                let bench = world.host_on(&script, Arc::clone(&store) as _);
                live(&bench, &store, &acks, loss == 0).await;
                world.stop(bench, SECOND).await;
                drop(Arc::into_inner(store).expect("a host that has stopped leaves its store"));
            }
            place.world.lose_power();
        }
        let store = Arc::new(place.open().unwrap());
        let bench = world.host_on(&script, Arc::clone(&store) as _);
        bench.inner.recover().await.unwrap();
        drive(&bench, &acks, false).await;
        told(&bench).await;
        copy(&store, &world, &bench).await;
        holds(&world, &bench, &acks, &format!("world {seed}")).await;
    }
}

/// Waits until the end of each task was told, and that this is written down.
async fn told(bench: &Bench) {
    let is_told = |event: &Event| matches!(event.body, EventBody::OnTerminalDone { .. });
    for id in bench.inner.registry.known_ids() {
        let task = task(bench, id);
        if task.state().details.on_terminal.is_none() {
            continue;
        }
        while !task.after_events().await.unwrap().iter().any(is_told) {
            settle().await;
        }
    }
}

/// What is in the file, to where it is looked at.
async fn copy(store: &SqliteStore, world: &World, bench: &Bench) {
    for id in bench.inner.registry.known_ids() {
        let stream = StreamId::Task(id);
        let log = store.read(stream, EventSeq::default(), 10_000).await.unwrap();
        let records = log.into_iter().map(Record::Event).collect();
        world.store.commit(stream, Fence::Absent, records).await.unwrap();
    }
}
