//! Row 9: how long a look at a task and the start of one take while a thousand guests spin, against an idle host; and
//! while they ask their actors something without end. In wall time, as whoever asks sees it.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use taskcell::TaskHandle;
use taskcell_bench::{Figure, Owed, quantile};

use super::Bench;
use crate::{
    guests::{self, Loop},
    ours::{Kind, Ours, force, start},
};

/// How many spin.
const LOOPS: u32 = 1000;
/// How far those count that ask, between two questions.
const COUNTS: [(u32, &str); 2] = [(1, "ask"), (100_000, "ask and count")];
/// What is owed of the slowest of a hundred, in microseconds.
const WAIT_MAX: f64 = 2000.0;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = beside(bench, &guests::busy(Loop::Spin)?, "spin", Owed::Ours(WAIT_MAX))?;
    for (count, name) in COUNTS {
        figures.extend(beside(bench, &guests::chats(count)?, name, Owed::Nothing)?);
    }
    Ok(figures)
}

/// While a thousand of these run.
fn beside(bench: &Bench, busy: &[u8], what: &str, owed: Owed) -> Result<Vec<Figure>> {
    let ours = Ours::new()?;
    let spin = ours.load(busy.to_vec(), "go", json!({}))?;
    let short = ours.load(guests::nothing()?, "go", json!({}))?;
    let (mut looked, mut began, mut lived) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.pick(3, 6) {
        let idle = samples(&ours, &short, None, bench.pick(200, 500))?;
        let spinning = ours.runtime.block_on(async {
            let mut loops = Vec::new();
            for _ in 0..LOOPS {
                loops.push(start(&ours.host, &spin).await?);
            }
            anyhow::Ok(loops)
        })?;
        let busy = samples(&ours, &short, Some(&spinning), bench.pick(200, 500))?;
        ours.end(&spinning);
        looked.push((quantile(&busy.looks, 0.99), quantile(&idle.looks, 0.99)));
        began.push((quantile(&busy.starts, 0.99), quantile(&idle.starts, 0.99)));
        lived.push((quantile(&busy.lives, 0.99), quantile(&idle.lives, 0.99)));
    }
    let figure = |name: &str, blocks: &[(f64, f64)], owed: Owed| {
        Figure::of_blocks(9, format!("{name} while {LOOPS} {what}, p99 (us wall)"), blocks, owed)
    };
    Ok(vec![
        figure("state", &looked, owed),
        figure("start", &began, owed),
        figure("start to gone", &lived, Owed::Nothing),
    ])
}

/// How long each took, in microseconds.
#[derive(Default)]
struct Samples {
    looks: Vec<f64>,
    starts: Vec<f64>,
    /// From the start until nothing of it was left; it was told to stop.
    lives: Vec<f64>,
}

/// Starts short tasks, and looks at one that runs, if one does.
fn samples(ours: &Ours, short: &Kind, loops: Option<&Vec<TaskHandle>>, count: usize) -> Result<Samples> {
    let (host, short, loops) =
        (ours.host.clone(), short.clone(), loops.map(|loops| loops.iter().map(TaskHandle::id).collect::<Vec<_>>()));
    // On a thread of the runtime's, where an embedder's own code is too.
    ours.runtime.block_on(ours.runtime.spawn(async move {
        let mut samples = Samples::default();
        for number in 0..count {
            let began = Instant::now();
            let task = start(&host, &short).await?;
            samples.starts.push(began.elapsed().as_secs_f64() * 1e6);
            let watched = loops.as_ref().and_then(|loops| host.task(*loops.get(number % loops.len())?));
            let watched = watched.unwrap_or_else(|| task.clone());
            let before = Instant::now();
            let state = watched.state();
            samples.looks.push(before.elapsed().as_secs_f64() * 1e6);
            drop(state);
            task.cancel(force()).await;
            task.gone().await;
            samples.lives.push(began.elapsed().as_secs_f64() * 1e6);
        }
        anyhow::Ok(samples)
    }))?
}
