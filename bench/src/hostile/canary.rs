//! The well-behaved guest: short tasks, one after the other, each timed as its caller sees it.

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::json;
use taskcell::{Host, StartRequest};
use tokio::task::JoinHandle;

use crate::ours::follow;

/// One that runs until it is told to stop.
pub(super) struct Canary {
    stop: Arc<AtomicBool>,
    job: JoinHandle<Result<Vec<f64>>>,
}

impl Canary {
    /// Within the runtime.
    pub(super) fn start(host: &Arc<Host>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (host, stopped) = (Arc::clone(host), Arc::clone(&stop));
        let job = tokio::spawn(async move {
            let mut samples = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                samples.push(once(&host).await?.as_secs_f64() * 1e6);
            }
            Ok(samples)
        });
        Self { stop, job }
    }

    /// What each of its tasks took, in microseconds.
    pub(super) async fn end(self) -> Result<Vec<f64>> {
        self.stop.store(true, Ordering::Relaxed);
        self.job.await?
    }
}

/// From the wish to the last event.
async fn once(host: &Host) -> Result<Duration> {
    let began = Instant::now();
    let task = host.start(StartRequest::new("hello", "hello").input(json!({}))).await?;
    follow(&task).await?;
    Ok(began.elapsed())
}
