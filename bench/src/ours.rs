//! Taskcell, as an embedder uses it: start, read the events to the last, see the outcome.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use taskcell::{
    CancelRequest, EventBody, EventSeq, EventStream, Host, HostBuilder, NotifyAnswer, Outcome, Party, RecoverError,
    SignalKey, StartRequest, TaskHandle,
};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::raw::{CELLS, profile_for};

/// A host, and the runtime that it lives in.
pub(crate) struct Ours {
    pub(crate) runtime: Runtime,
    pub(crate) host: Arc<Host>,
}

/// A task type that is loaded, and its input.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    request: StartRequest,
}

impl Kind {
    pub(crate) fn plugin(&self) -> &str {
        &self.request.plugin
    }
}

impl Ours {
    /// In memory.
    pub(crate) fn new() -> Result<Self> {
        Self::of(Host::builder())
    }

    /// With everything in this directory.
    pub(crate) fn durable(dir: &Path) -> Result<Self> {
        Self::of(Host::builder().data_dir(dir))
    }

    pub(crate) fn of(builder: HostBuilder) -> Result<Self> {
        Self::with_cells(CELLS, builder)
    }

    /// For so many tasks at once.
    pub(crate) fn with_cells(cells: u32, builder: HostBuilder) -> Result<Self> {
        Self::with(cells, builder.profile(profile_for(cells)))
    }

    /// With the builder's own profile.
    pub(crate) fn with(cells: u32, builder: HostBuilder) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let host = runtime.block_on(async { builder.running_max(cells).build() })?;
        Ok(Self { runtime, host: Arc::new(host) })
    }

    pub(crate) fn load(&self, bytes: Vec<u8>, task_type: &str, input: Value) -> Result<Kind> {
        let plugin = self.runtime.block_on(self.host.load_plugin_bytes("bench", bytes))?;
        // Once there is what its directory may have tasks of.
        match self.runtime.block_on(self.host.recover()) {
            Ok(_) | Err(RecoverError::Done) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Kind { request: StartRequest::new(plugin.name(), task_type).input(input) })
    }

    /// Runs so many tasks, of which `at_once` are in flight.
    pub(crate) fn run_many(&self, kind: &Kind, count: u32, at_once: u32) -> Result<()> {
        let left = Arc::new(AtomicU32::new(count));
        self.runtime.block_on(async {
            let mut drivers = JoinSet::new();
            for _ in 0..at_once {
                let (host, kind, left) = (Arc::clone(&self.host), kind.clone(), Arc::clone(&left));
                drivers.spawn(async move {
                    let take =
                        || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
                    while take() {
                        let task = start(&host, &kind).await?;
                        follow(&task).await?;
                    }
                    anyhow::Ok(())
                });
            }
            while let Some(driver) = drivers.join_next().await {
                driver??;
            }
            Ok(())
        })
    }
}

impl Ours {
    /// So many tasks that have begun to wait.
    pub(crate) fn park(&self, kind: &Kind, count: u32) -> Result<Vec<TaskHandle>> {
        let tasks = self.start(kind, count)?;
        self.runtime.block_on(all_wait(&tasks))?;
        Ok(tasks)
    }

    /// Starts so many, one after the other.
    pub(crate) fn start(&self, kind: &Kind, count: u32) -> Result<Vec<TaskHandle>> {
        self.runtime.block_on(async {
            let mut tasks = Vec::new();
            for _ in 0..count {
                tasks.push(start(&self.host, kind).await?);
            }
            Ok(tasks)
        })
    }

    /// Tells each of them what it waits for, as many at once as `at_once`, and waits until all wait again.
    pub(crate) fn wake(&self, tasks: &Arc<Vec<TaskHandle>>, at_once: usize) -> Result<()> {
        self.runtime.block_on(async {
            let key = SignalKey::new("bench")?;
            let mut senders = JoinSet::new();
            for first in 0..at_once {
                let (tasks, key) = (Arc::clone(tasks), key.clone());
                senders.spawn(async move {
                    for task in tasks.iter().skip(first).step_by(at_once) {
                        let answer = task.notify(key.clone(), None, Party::Host).await;
                        ensure!(answer == NotifyAnswer::Delivered, "a task that waits was not reached: {answer:?}");
                    }
                    anyhow::Ok(())
                });
            }
            while let Some(sender) = senders.join_next().await {
                sender??;
            }
            all_wait(tasks).await
        })
    }

    /// Tells one task so many times what it waits for, and reads its events until it waits again.
    pub(crate) fn wake_often(&self, task: &TaskHandle, count: u32) -> Result<()> {
        self.runtime.block_on(async {
            let key = SignalKey::new("bench")?;
            all_wait(std::slice::from_ref(task)).await?;
            let mut events = task.events(task.state().seq);
            for _ in 0..count {
                let answer = task.notify(key.clone(), None, Party::Host).await;
                ensure!(answer == NotifyAnswer::Delivered, "a task that waits was not reached: {answer:?}");
                waits(&mut events).await?;
            }
            Ok(())
        })
    }

    /// Ends them all.
    pub(crate) fn end(&self, tasks: &[TaskHandle]) {
        self.runtime.block_on(async {
            for task in tasks {
                task.cancel(force()).await;
            }
            for task in tasks {
                task.gone().await;
            }
        });
    }
}

/// Reads until the task waits.
async fn waits(events: &mut EventStream) -> Result<()> {
    while let Some(event) = events.next().await? {
        if let EventBody::WaitStarted { .. } = event.body {
            return Ok(());
        }
    }
    bail!("a task that was to wait has ended")
}

/// Waits until all of them wait.
async fn all_wait(tasks: &[TaskHandle]) -> Result<()> {
    for task in tasks {
        loop {
            let state = task.state();
            ensure!(state.outcome.is_none(), "a task that was to wait has ended: {:?}", state.outcome);
            if state.waiting.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    Ok(())
}

/// The end at once.
pub(crate) fn force() -> CancelRequest {
    CancelRequest::force(Party::Person, "measured")
}

pub(crate) async fn start(host: &Host, kind: &Kind) -> Result<TaskHandle> {
    Ok(host.start(kind.request.clone()).await?)
}

/// Reads a task's events to the last, which holds its outcome.
pub(crate) async fn follow(task: &TaskHandle) -> Result<()> {
    let mut events = task.events(EventSeq::default());
    let mut last = None;
    while let Some(event) = events.next().await? {
        last = Some(event.body);
    }
    let last = last.context("a task without events")?;
    ensure!(
        matches!(&last, EventBody::Finished { outcome, .. } if matches!(**outcome, Outcome::Succeeded { .. })),
        "the last event is no success: {last:?}"
    );
    Ok(())
}
