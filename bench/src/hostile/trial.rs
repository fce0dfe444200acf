//! One hostile guest beside the canary.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use taskcell::{Host, Outcome, TaskHandle};
use taskcell_bench::{HostileRow, quantile};

use super::{Case, canary::Canary};
use crate::{ours::Ours, process};

/// How long it may take until everything is given back.
const SETTLES: Duration = Duration::from_secs(5);

/// Everything that is made at its first use is made here.
pub(super) fn warm_up(ours: &Ours) -> Result<()> {
    quiet(ours, Duration::from_secs(1)).map(drop)
}

/// The canary alone.
fn quiet(ours: &Ours, time: Duration) -> Result<Vec<f64>> {
    ours.runtime.block_on(async {
        let canary = Canary::start(&ours.host);
        tokio::time::sleep(time).await;
        canary.end().await
    })
}

/// Lets it do what it does for so many seconds at most, and looks at everything.
pub(super) fn of(ours: &Ours, case: &Case, seconds: u64) -> Result<HostileRow> {
    let time = Duration::from_secs(seconds);
    let alone = quiet(ours, time)?;
    let before = process::look()?;
    let (beside, ended) = ours.runtime.block_on(async {
        let canary = Canary::start(&ours.host);
        let began = Instant::now();
        let request = case.request.clone().timeout(time);
        let task = ours.host.start(request).await?;
        let outcome = task.wait().await;
        let ended = began.elapsed();
        // The canary has the same time beside those that end sooner: nothing is to be left of them.
        tokio::time::sleep(time.saturating_sub(ended)).await;
        tree_ends(&ours.host, &task).await;
        anyhow::Ok((canary.end().await?, (word(&outcome), ended)))
    })?;
    let after = settled(&before)?;
    let (ended_as, ended_after) = ended;
    let [p50_alone, p50_beside] = [&alone, &beside].map(|samples| quantile(samples, 0.5));
    let [p99_alone, p99_beside] = [&alone, &beside].map(|samples| quantile(samples, 0.99));
    Ok(HostileRow {
        name: case.name.to_owned(),
        p50_alone,
        p50_beside,
        p99_alone,
        p99_beside,
        canaries: beside.len(),
        ended_as,
        ended_ms: ended_after.as_secs_f64() * 1e3,
        memory_mib: [before.memory_mib, after.memory_mib],
        descriptors: [before.descriptors, after.descriptors],
        threads: [before.threads, after.threads],
    })
}

/// Waits for all that it started.
async fn tree_ends(host: &Arc<Host>, task: &TaskHandle) {
    let mut open: Vec<_> = task.state().children.iter().map(|child| child.id).collect();
    while let Some(id) = open.pop() {
        if let Some(child) = host.task(id) {
            child.wait().await;
            open.extend(child.state().children.iter().map(|child| child.id));
        }
    }
}

fn word(outcome: &Outcome) -> String {
    if let Outcome::Failed(failure) = outcome {
        failure.kind.word().to_owned()
    } else if let Outcome::Succeeded { .. } = outcome {
        "succeeded".to_owned()
    } else {
        "cancelled".to_owned()
    }
}

/// What the process has when it has given back what it gives back, or does not any more.
fn settled(before: &process::Look) -> Result<process::Look> {
    let until = Instant::now() + SETTLES;
    loop {
        let now = process::look()?;
        if (now.descriptors <= before.descriptors && now.threads <= before.threads) || Instant::now() > until {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
