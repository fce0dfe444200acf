//! Taskcell, as an embedder uses it: with what the builder gives by itself, and nothing set.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use taskcell::{CancelRequest, Host, NotifyAnswer, Outcome, OutputCursor, Party, SignalKey, StartRequest, TaskHandle};
use tokio::runtime::Runtime;

use crate::{
    fact::{Fact, Finding},
    guests::{self, Job},
    measure::{ALLOWED, ALLOWED_STEPS, Amount, CROWD, each, micros, rested, victims},
    work::work,
};

/// What guests wait for.
const KEY: &str = "peers";

pub(crate) fn measure(amount: Amount) -> Result<Vec<Finding>> {
    let bytes = guests::taskcell()?;
    let mut findings = vec![Finding::of(Fact::FirstResult, each(amount.pick(3, 10), || first(&bytes))?)];
    let runtime = Runtime::new()?;
    let host = Arc::new(runtime.block_on(async { Host::builder().build() })?);
    runtime.block_on(host.load_plugin_bytes("peers", bytes))?;
    let samples = rested(amount.pick(200, 1000), || runtime.block_on(one(&host)))?;
    findings.push(Finding::of(Fact::Start, samples));
    findings.push(Finding::of(Fact::Call, calls(&runtime, &host, amount)?));
    for (job, cancel, died) in
        [(Job::Spin, Fact::CancelBusy, Fact::DiedBusy), (Job::Answer, Fact::CancelWaiting, Fact::DiedWaiting)]
    {
        // On a thread of the runtime's, where an embedder's own code is too.
        let crowd = runtime.spawn(crowd(Arc::clone(&host), job, amount.pick(50, 200)));
        let found = runtime.block_on(crowd)??;
        findings.push(Finding::of(cancel, found.samples));
        findings.push(Finding::of(died, found.deaths));
        findings.push(Finding::of(Fact::CancelParked, found.parked));
        if cancel == Fact::CancelBusy {
            findings.push(Finding::text(Fact::Reason, format!("`{}`", found.reason)));
        }
    }
    findings.extend(runtime.block_on(limits(&host))?);
    findings.push(runtime.block_on(account(&host))?);
    Ok(findings)
}

/// From nothing to a result.
fn first(bytes: &[u8]) -> Result<()> {
    let runtime = Runtime::new()?;
    let host = runtime.block_on(async { Host::builder().build() })?;
    runtime.block_on(async {
        host.load_plugin_bytes("peers", bytes.to_vec()).await?;
        one(&host).await
    })
}

fn request(job: Job) -> StartRequest {
    StartRequest::new("peers", job.name())
}

/// One piece of work, until its cell is gone.
async fn one(host: &Host) -> Result<()> {
    let task = host.start(request(Job::Work)).await?;
    match task.wait().await {
        Outcome::Succeeded { data: Some(Value::String(found)), .. } if format!("\"{found}\"") == work() => {}
        other => bail!("the work came to {other:?}"),
    }
    task.gone().await;
    Ok(())
}

fn calls(runtime: &Runtime, host: &Host, amount: Amount) -> Result<Vec<f64>> {
    let task = runtime.block_on(host.start(request(Job::Answer)))?;
    runtime.block_on(waits(&task))?;
    let expected = work();
    let mut cursor = OutputCursor::default();
    let samples = rested(amount.pick(200, 1000), || {
        runtime.block_on(async {
            tell(&task).await?;
            let page = task.output_after(cursor).await;
            cursor = page.next;
            let text: String = page.chunks.iter().map(|chunk| chunk.text.as_str()).collect();
            ensure!(text == expected, "the answer was {text:?}");
            Ok(())
        })
    })?;
    runtime.block_on(ended(&task));
    Ok(samples)
}

async fn tell(task: &TaskHandle) -> Result<()> {
    let answer = task.notify(SignalKey::new(KEY)?, None, Party::Host).await;
    ensure!(matches!(answer, NotifyAnswer::Delivered | NotifyAnswer::Buffered), "a message came to {answer:?}");
    Ok(())
}

fn force() -> CancelRequest {
    CancelRequest::force(Party::Person, "no longer needed")
}

/// Cancels it, and says how long it took until it was gone.
async fn ended(task: &TaskHandle) -> f64 {
    let before = Instant::now();
    task.cancel(force()).await;
    task.gone().await;
    micros(before.elapsed())
}

/// Waits until the guest has burnt some fuel.
async fn runs(task: &TaskHandle) -> Result<()> {
    until(task, |task| task.state().usage.fuel > 0).await
}

/// Waits until the guest waits.
async fn waits(task: &TaskHandle) -> Result<()> {
    until(task, |task| task.state().waiting.is_some()).await
}

async fn until(task: &TaskHandle, is_so: impl Fn(&TaskHandle) -> bool) -> Result<()> {
    while !is_so(task) {
        ensure!(task.state().outcome.is_none(), "a task that goes on has ended: {:?}", task.state().outcome);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// What cancels in a crowd came to.
#[derive(Default)]
struct Found {
    samples: Vec<f64>,
    /// For each cancel, how many others ended with it.
    deaths: Vec<f64>,
    /// Those of such that wait.
    parked: Vec<f64>,
    reason: String,
}

/// So many tasks, of which the first spins and the others do this.
async fn crowd(host: Arc<Host>, others: Job, cancels: usize) -> Result<Found> {
    let mut tasks = vec![host.start(request(Job::Spin)).await?];
    for _ in 1..CROWD {
        tasks.push(host.start(request(others)).await?);
    }
    for (number, task) in tasks.iter().enumerate() {
        if number > 0 && others == Job::Answer { waits(task).await? } else { runs(task).await? }
    }
    let mut found = Found::default();
    for (number, pause) in victims(cancels) {
        tokio::time::sleep(pause).await;
        let victim = if others == Job::Spin { number } else { 0 };
        let task = tasks.get_mut(victim).context("no such task")?;
        found.samples.push(ended(task).await);
        found.reason = task.wait().await.to_string();
        *task = host.start(request(Job::Spin)).await?;
        runs(task).await?;
        found.deaths.push(dead(&tasks));
    }
    if others == Job::Answer {
        // They still do what they are told.
        for task in tasks.iter().skip(1) {
            tell(task).await?;
            task.output_after(OutputCursor::default()).await;
        }
        found.deaths.push(dead(&tasks));
        for task in tasks.iter().skip(1).take(cancels) {
            waits(task).await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
            found.parked.push(ended(task).await);
        }
    }
    for task in &tasks {
        task.cancel(force()).await;
    }
    for task in &tasks {
        task.gone().await;
    }
    Ok(found)
}

#[expect(clippy::cast_precision_loss, reason = "a thousand at most")]
fn dead(tasks: &[TaskHandle]) -> f64 {
    tasks.iter().filter(|task| task.state().outcome.is_some()).count() as f64
}

async fn limits(host: &Host) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (fact, request) in [
        (Fact::RunawayTime, request(Job::Spin).timeout(ALLOWED)),
        (Fact::RunawaySteps, request(Job::Spin).fuel(ALLOWED_STEPS)),
    ] {
        let before = Instant::now();
        let task = host.start(request).await?;
        let outcome = task.wait().await;
        findings.push(Finding::both(fact, micros(before.elapsed()), format!("`{outcome}`")));
    }
    Ok(findings)
}

async fn account(host: &Host) -> Result<Finding> {
    let task = host.start(request(Job::Parent)).await?;
    let outcome = task.wait().await;
    ensure!(matches!(outcome, Outcome::Succeeded { .. }), "the parent came to {outcome:?}");
    let usage = task.state().usage;
    let text = format!("{} units of fuel, of which its child's are {}", usage.fuel, usage.children_fuel);
    Ok(Finding::text(Fact::Account, text))
}
