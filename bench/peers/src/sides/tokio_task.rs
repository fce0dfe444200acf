//! A tokio task: no cell at all. It ends where it awaits, and one that never awaits never ends.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    runtime::Runtime,
    sync::{Notify, mpsc, oneshot},
    task::{JoinHandle, yield_now},
};

use crate::{
    fact::{Fact, Finding},
    measure::{ALLOWED, Amount, CROWD, LOOK, SETTLED, each, micros, rested},
    work::{spin, work},
};

pub(crate) fn measure(amount: Amount) -> Result<Vec<Finding>> {
    let first = || one(&Runtime::new()?);
    let mut findings = vec![Finding::of(Fact::FirstResult, each(amount.pick(3, 10), first)?)];
    let runtime = Runtime::new()?;
    findings.push(Finding::of(Fact::Start, rested(amount.pick(200, 1000), || one(&runtime))?));
    findings.push(Finding::of(Fact::Call, calls(&runtime, amount)?));
    let (polite, reason) = yielding(&runtime, amount.pick(50, 200))?;
    findings.push(Finding::of(Fact::CancelParked, parked(&runtime, amount.pick(50, 200))?));
    // From here on loops are left behind that nothing ends but this process.
    findings.push(late()?);
    let beside = format!("; one that yields: {polite:.0} µs");
    findings.push(Finding::text(Fact::CancelWaiting, format!("never ({} s){beside}", LOOK.as_secs())));
    findings.push(Finding::of(Fact::DiedWaiting, vec![among_waiting(runtime)?]));
    findings.push(Finding::text(Fact::CancelBusy, format!("never ({} s)", LOOK.as_secs())));
    let begun = among_busy()?;
    findings.push(Finding::text(Fact::DiedBusy, format!("none; but {begun} of the 1 000 ever began to run")));
    findings.push(Finding::text(Fact::Reason, format!("nothing, it goes on; of one that yields: `{reason}`")));
    findings.push(Finding::text(Fact::RunawaySteps, "nobody counts"));
    findings.push(Finding::text(Fact::Account, "none"));
    Ok(findings)
}

fn one(runtime: &Runtime) -> Result<()> {
    let found = runtime.block_on(runtime.spawn(async { work() }))?;
    ensure!(found == work(), "the work came to {found:?}");
    Ok(())
}

fn calls(runtime: &Runtime, amount: Amount) -> Result<Vec<f64>> {
    let (send, mut received) = mpsc::channel::<oneshot::Sender<String>>(1);
    let live = runtime.spawn(async move {
        while let Some(answer) = received.recv().await {
            // Whoever asked may have gone.
            let _ = answer.send(work());
        }
    });
    let samples = rested(amount.pick(200, 1000), || {
        runtime.block_on(async {
            let (answer, answered) = oneshot::channel();
            send.send(answer).await?;
            ensure!(answered.await? == work(), "the answer was another");
            Ok(())
        })
    })?;
    drop(send);
    runtime.block_on(live)?;
    Ok(samples)
}

/// The median time until a loop that yields is gone, and what is said of it.
fn yielding(runtime: &Runtime, cancels: usize) -> Result<(f64, String)> {
    let (mut samples, mut reason) = (Vec::new(), String::new());
    for _ in 0..cancels {
        let task: JoinHandle<()> = runtime.spawn(async {
            loop {
                work();
                yield_now().await;
            }
        });
        thread::sleep(Duration::from_millis(1));
        let before = Instant::now();
        task.abort();
        reason = runtime.block_on(task).err().context("a loop without an end has ended")?.to_string();
        samples.push(micros(before.elapsed()));
    }
    Ok((crate::stats::median(&samples), reason))
}

/// Aborts those that wait, one after the other.
fn parked(runtime: &Runtime, cancels: usize) -> Result<Vec<f64>> {
    let gate = Arc::new(Notify::new());
    let mut waiting: Vec<JoinHandle<()>> = (0..CROWD).map(|_| waits(runtime, &gate)).collect();
    thread::sleep(SETTLED);
    let mut samples = Vec::new();
    for task in waiting.drain(..cancels) {
        thread::sleep(Duration::from_millis(1));
        let before = Instant::now();
        task.abort();
        ensure!(runtime.block_on(task).is_err(), "one that waits has ended");
        samples.push(micros(before.elapsed()));
    }
    gate.notify_waiters();
    for task in waiting {
        runtime.block_on(task)?;
    }
    Ok(samples)
}

/// Waits for a message, and does a piece of work.
fn waits(runtime: &Runtime, gate: &Arc<Notify>) -> JoinHandle<()> {
    let gate = Arc::clone(gate);
    runtime.spawn(async move {
        gate.notified().await;
        work();
    })
}

/// Aborts the one that spins, and lets those that wait go on: how many of them do not.
#[expect(clippy::cast_precision_loss, reason = "a thousand at most")]
fn among_waiting(runtime: Runtime) -> Result<f64> {
    let gate = Arc::new(Notify::new());
    let waiting: Vec<JoinHandle<()>> = (1..CROWD).map(|_| waits(&runtime, &gate)).collect();
    thread::sleep(SETTLED);
    let spinning: JoinHandle<()> = runtime.spawn(async { spin() });
    thread::sleep(Duration::from_millis(100));
    spinning.abort();
    thread::sleep(LOOK);
    ensure!(!spinning.is_finished(), "a loop that never awaits has ended");
    gate.notify_waiters();
    thread::sleep(Duration::from_millis(500));
    let dead = waiting.iter().filter(|task| !task.is_finished()).count();
    runtime.shutdown_background();
    Ok(dead as f64)
}

/// A thousand that spin: how many ever run.
fn among_busy() -> Result<usize> {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let runtime = Runtime::new()?;
    let begun = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<JoinHandle<()>> = (0..CROWD)
        .map(|_| {
            let begun = Arc::clone(&begun);
            runtime.spawn(async move {
                begun.fetch_add(1, Ordering::Relaxed);
                spin();
            })
        })
        .collect();
    thread::sleep(LOOK);
    tasks.first().context("no task")?.abort();
    thread::sleep(LOOK);
    runtime.shutdown_background();
    Ok(begun.load(Ordering::Relaxed))
}

/// A time-out around one that never awaits.
fn late() -> Result<Finding> {
    let runtime = Runtime::new()?;
    let before = Instant::now();
    let task = runtime.spawn(async { spin() });
    let abort = task.abort_handle();
    let waited = runtime.block_on(async { tokio::time::timeout(ALLOWED, task).await });
    let said = waited.err().context("a loop that never awaits has ended")?.to_string();
    let time = micros(before.elapsed());
    abort.abort();
    thread::sleep(LOOK);
    ensure!(!abort.is_finished(), "a loop that never awaits has ended");
    runtime.shutdown_background();
    Ok(Finding::both(Fact::RunawayTime, time, format!("`{said}`, and it goes on")))
}
