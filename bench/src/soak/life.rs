//! The run itself.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::json;
use taskcell::{Host, Unload};

use super::watch::Watch;
use crate::ours::Ours;

/// How often is looked.
const LOOKS: u64 = 20;

/// What a long run is.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The finished `hello` plugin.
    #[arg(long, value_name = "FILE")]
    hello: PathBuf,
    /// How many tasks.
    #[arg(long, default_value_t = 1_000_000)]
    tasks: u64,
    /// How many of them at once: 1 for one after the other.
    #[arg(long, default_value_t = 64)]
    in_flight: u32,
    /// How many ended tasks are kept.
    #[arg(long, default_value_t = 1000)]
    keep: usize,
    /// It ends after so many minutes, however many tasks there were.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// The directory that the host lives in; it is made, or has been used for this before. Default: a temporary one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The host lives in memory, and has no directory.
    #[arg(long, conflicts_with = "data")]
    memory: bool,
    /// Loads the plugin, runs a task of it and unloads it, so many times.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "10000", conflicts_with = "tasks")]
    plugins: Option<u64>,
}

/// Runs, and says whether everything stayed flat.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let temporary = tempfile::tempdir()?;
    let dir = arguments.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    let (dir, builder) =
        if arguments.memory { (None, Host::builder()) } else { (Some(dir.as_path()), Host::builder().data_dir(&dir)) };
    // What is loaded again and again is compiled once.
    let cache = temporary.path().join("cache");
    let ours = Ours::of(builder.ended_max(arguments.keep).cache_dir(cache))?;
    let hello = std::fs::read(&arguments.hello)?;
    let until = Instant::now() + Duration::from_secs(arguments.minutes * 60);
    let mut watch = Watch::new(dir);
    if let Some(times) = arguments.plugins {
        repeat(times, until, &mut watch, |times| (0..times).try_for_each(|_| come_and_go(&ours, &hello)))?;
    } else {
        let kind = ours.load(hello, "hello", json!({}))?;
        repeat(arguments.tasks, until, &mut watch, |tasks| {
            ours.run_many(&kind, u32::try_from(tasks)?, arguments.in_flight)
        })?;
    }
    let is_flat = watch.verdict();
    ours.runtime.block_on(ours.host.shutdown());
    Ok(is_flat)
}

/// Does something so many times in all, a twentieth at a time, and looks after each.
fn repeat(times: u64, until: Instant, watch: &mut Watch<'_>, mut work: impl FnMut(u64) -> Result<()>) -> Result<()> {
    let share = (times / LOOKS).max(1);
    let mut done = 0;
    while done < times && Instant::now() < until {
        let next = share.min(times - done);
        work(next)?;
        done += next;
        watch.look(done)?;
    }
    if done < times {
        println!("the time is over");
    }
    Ok(())
}

/// Loads a plugin, runs a task of it, and unloads it.
fn come_and_go(ours: &Ours, bytes: &[u8]) -> Result<()> {
    let kind = ours.load(bytes.to_vec(), "hello", json!({}))?;
    ours.run_many(&kind, 1, 1)?;
    let unload = ours.host.unload_plugin(kind.plugin(), Unload::Force);
    ours.runtime.block_on(unload)?;
    ensure!(ours.host.plugins().is_empty(), "a plugin is left");
    Ok(())
}
