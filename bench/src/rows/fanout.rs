//! Row 11: what it costs to tell many of an event, against tokio's broadcast of the same payload.
//!
//! What a host does for an event before anybody follows is taken away: the same work is done once with and once without
//! those who follow, one right after the other. The work is as little as there can be, or its noise would be all that is
//! seen: tasks that were done elsewhere are recorded, each with two events in one append. The broadcast has the same work
//! before each pair, which is taken away as well: who follows falls asleep meanwhile and has to be woken, on both sides.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use taskcell::{ExternalReport, Host, Outcome, Party, StartRequest, Subscription, TaskEvent, TaskFilter};
use taskcell_bench::{Figure, Owed};
use tokio::{sync::broadcast, task::JoinSet};

use super::Bench;
use crate::{measure::cpu_each, ours::Ours};

/// How many follow, and in how many rounds a block is done: what few cost is small beside the work, whose pace changes meanwhile.
const FOLLOWERS: [(u32, u32); 3] = [(1, 32), (100, 4), (1000, 2)];
/// Tasks in one round.
const TASKS: u32 = 512;
/// Tasks that a host keeps.
const KEPT: usize = 256;
/// The events of a task: created, finished.
const EVENTS: u32 = 2;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let figures = FOLLOWERS.into_iter().map(|(followers, rounds)| figure(bench, followers, rounds));
    figures.filter_map(Result::transpose).collect()
}

/// `None` where the machine is too busy to say anything.
fn figure(bench: &Bench, followers: u32, rounds: u32) -> Result<Option<Figure>> {
    let name = format!("append to {followers} who follow (ns CPU)");
    let (alone, told) = (Told::new(0)?, Told::new(followers)?);
    let event = told.one()?;
    let each = |work: &mut dyn FnMut() -> Result<()>| cpu_each(TASKS * EVENTS, work);
    let ours = || each(&mut || told.run());
    let raw = || {
        let mut broadcast = Some(alone.ours.runtime.block_on(Broadcast::new(followers, &event))?);
        each(&mut || {
            let broadcast = broadcast.take().context("it is done once")?;
            alone.ours.runtime.block_on(broadcast.run(&alone, &event))
        })
    };
    let block = || {
        let (mut work, mut with_ours, mut with_raw) = (0.0, 0.0, 0.0);
        for round in 0..rounds {
            work += each(&mut || alone.run())?;
            if round % 2 == 0 {
                with_ours += ours()?;
                with_raw += raw()?;
            } else {
                with_raw += raw()?;
                with_ours += ours()?;
            }
        }
        let beyond = |all: f64| (all - work) / f64::from(rounds);
        anyhow::Ok((beyond(with_ours), beyond(with_raw)))
    };
    // It warms up first.
    block()?;
    let count = bench.pick(9, 25);
    let mut blocks = (0..count).map(|_| block()).collect::<Result<Vec<_>>>()?;
    // Where the work itself went faster or slower meanwhile, by more than telling takes, nothing is known.
    blocks.retain(|(ours, raw)| *ours > 0.0 && *raw > 0.0);
    if blocks.len() <= count / 2 {
        eprintln!("bench: {name}: the machine is too busy for a difference that small");
        return Ok(None);
    }
    Ok(Some(Figure::of_blocks(11, name, &blocks, Owed::Ratio(3.0))))
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
        // Full from the beginning: each new task is as much work as the last.
        let ours = Ours::of(Host::builder().ended_max(KEPT))?;
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

    async fn run(mut self, of: &Told, event: &Arc<TaskEvent>) -> Result<()> {
        for _ in 0..TASKS {
            of.ours.host.report_external(of.report.clone(), Party::Host).await?;
            for _ in 0..EVENTS {
                self.sender.send(Arc::clone(event))?;
            }
        }
        drop(self.sender);
        while let Some(seen) = self.following.join_next().await {
            ensure!(seen? == TASKS * EVENTS + 1, "an event was lost");
        }
        Ok(())
    }
}
