//! Row 11: what it costs to tell many of an event, against tokio's broadcast of the same payload.
//!
//! What a host does for an event before anybody follows is taken away: the same work is done once with and once without
//! those who follow, one right after the other. The work is as little as there can be, or its noise would be all that is
//! seen: tasks that were done elsewhere are recorded, each with two events in one append. The broadcast has them in pairs too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use taskcell::{ExternalReport, Outcome, Party, StartRequest, Subscription, TaskEvent, TaskFilter};
use taskcell_bench::{Figure, Owed};
use tokio::{sync::broadcast, task::JoinSet};

use super::Bench;
use crate::{
    measure::{blocks, cpu_each},
    ours::Ours,
};

/// How many follow.
const FOLLOWERS: [u32; 3] = [1, 100, 1000];
/// Tasks in one block.
const TASKS: u32 = 1024;
/// The events of a task: created, finished.
const EVENTS: u32 = 2;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    FOLLOWERS.into_iter().map(|followers| figure(bench, followers)).collect()
}

fn figure(bench: &Bench, followers: u32) -> Result<Figure> {
    let alone = Told::new(0)?;
    let told = Told::new(followers)?;
    let event = told.one()?;
    let all = TASKS * EVENTS;
    let blocks = blocks(
        bench.pick(9, 25),
        || {
            let without = cpu_each(all, || alone.run())?;
            let with = cpu_each(all, || told.run())?;
            Ok((with - without).max(0.0))
        },
        || {
            let broadcast = told.ours.runtime.block_on(Broadcast::new(followers, &event))?;
            cpu_each(all, || told.ours.runtime.block_on(broadcast.run(&event, TASKS)))
        },
    )?;
    Ok(Figure::of_blocks(11, format!("append to {followers} who follow (ns CPU)"), &blocks, Owed::Ratio(3.0)))
}

/// A host, and how many events those who follow it have seen together.
struct Told {
    ours: Ours,
    report: ExternalReport,
    followers: u64,
    /// What they have seen when all is told.
    owed: AtomicU64,
    seen: Arc<AtomicU64>,
    _following: JoinSet<()>,
}

impl Told {
    fn new(followers: u32) -> Result<Self> {
        let ours = Ours::new()?;
        let done = Outcome::Succeeded { message: String::new(), data: None };
        let report = ExternalReport::new(StartRequest::new("bench", "go"), done, Duration::ZERO);
        let (seen, mut following) = (Arc::<AtomicU64>::default(), JoinSet::new());
        for _ in 0..followers {
            let (events, seen) = (ours.host.subscribe(TaskFilter::default()), Arc::clone(&seen));
            following.spawn_on(follow(events, seen), ours.runtime.handle());
        }
        Ok(Self { ours, report, followers: followers.into(), owed: AtomicU64::new(0), seen, _following: following })
    }

    /// An event as it is told.
    fn one(&self) -> Result<Arc<TaskEvent>> {
        let mut events = self.ours.host.subscribe(TaskFilter::default());
        self.tasks(1)?;
        self.ours.runtime.block_on(events.next())?.context("a host that is gone")
    }

    fn run(&self) -> Result<()> {
        self.tasks(TASKS)
    }

    /// Runs them, and waits until all who follow have seen all of it.
    fn tasks(&self, count: u32) -> Result<()> {
        let more = u64::from(count * EVENTS) * self.followers;
        let owed = self.owed.fetch_add(more, Ordering::Relaxed) + more;
        self.ours.runtime.block_on(async {
            for _ in 0..count {
                self.ours.host.report_external(self.report.clone(), Party::Host).await?;
            }
            while self.seen.load(Ordering::Relaxed) < owed {
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
            anyhow::Ok(())
        })?;
        ensure!(self.seen.load(Ordering::Relaxed) == owed, "more events were seen than there were");
        Ok(())
    }
}

async fn follow(mut events: Subscription, seen: Arc<AtomicU64>) {
    // One that is lost is missed in the sum, for which the benchmark then waits.
    while let Ok(Some(event)) = events.next().await {
        std::hint::black_box(event);
        seen.fetch_add(1, Ordering::Relaxed);
    }
}

/// The same with nothing between.
struct Broadcast {
    sender: broadcast::Sender<Arc<TaskEvent>>,
    following: JoinSet<u32>,
}

impl Broadcast {
    async fn new(followers: u32, event: &Arc<TaskEvent>) -> Result<Self> {
        let (sender, _) = broadcast::channel(1 << 14);
        let mut following = JoinSet::new();
        for _ in 0..followers {
            let mut receiver = sender.subscribe();
            following.spawn(async move {
                let mut seen = 0;
                while let Ok(event) = receiver.recv().await {
                    std::hint::black_box(event);
                    seen += 1;
                }
                seen
            });
        }
        // All of them wait by now.
        sender.send(Arc::clone(event))?;
        tokio::task::yield_now().await;
        Ok(Self { sender, following })
    }

    async fn run(mut self, event: &Arc<TaskEvent>, tasks: u32) -> Result<()> {
        for _ in 0..tasks {
            for _ in 0..EVENTS {
                self.sender.send(Arc::clone(event))?;
            }
            // Those who follow come to it while the next is made, there too.
            tokio::task::yield_now().await;
        }
        drop(self.sender);
        while let Some(seen) = self.following.join_next().await {
            ensure!(seen? == tasks * EVENTS + 1, "an event was lost");
        }
        Ok(())
    }
}
