//! Row 5: reports of progress as fast as a guest can make them, whoever follows, against a call that is ready at once.

use anyhow::Result;
use serde_json::json;
use taskcell::{Subscription, TaskFilter};
use taskcell_bench::{Figure, Owed};
use tokio::task::JoinSet;

use super::Bench;
use crate::{
    guests::{self, Call},
    measure::{blocks, cpu_each},
    ours::Ours,
    raw::{Bare, Guest, Way, engine, run_many},
};

/// Reports of one task.
const REPORTS: u32 = 100_000;
/// How many follow.
const FOLLOWERS: [u32; 3] = [0, 1, 100];
const WAY: Way = Way { slice: Some(1_000_000), hook: true };

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let ours = Ours::new()?;
    let bytes = guests::calls(Call::Progress, REPORTS)?;
    let raw = Guest::<Bare>::new(&engine()?, &bytes, "go")?;
    let kind = ours.load(bytes, "go", json!({}))?;
    let measure = |followers: u32| {
        let mut following = JoinSet::new();
        for _ in 0..followers {
            following.spawn_on(follow(ours.host.subscribe(TaskFilter::default())), ours.runtime.handle());
        }
        let blocks = blocks(
            bench.pick(11, 41),
            || cpu_each(REPORTS, || ours.run_many(&kind, 1, 1)),
            || cpu_each(REPORTS, || run_many(ours.runtime.handle(), &raw, WAY, 1)),
        )?;
        let name = format!("report-progress, {followers} follow (ns CPU)");
        Ok(Figure::of_blocks(5, name, &blocks, Owed::Ratio(2.0)))
    };
    FOLLOWERS.into_iter().map(measure).collect()
}

async fn follow(mut events: Subscription) {
    // It is behind when it learns so, and goes on.
    while !matches!(events.next().await, Ok(None)) {}
}
