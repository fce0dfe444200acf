//! The run itself.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::json;
use taskcell::{Host, Unload};

use super::watch::Watch;
use crate::{hostile, ours::Ours, raw::FAST_MAX};

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
    /// How many cells the host has.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=i64::from(FAST_MAX)))]
    cells: u32,
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
    /// Each hostile guest runs once between two looks, for a second at most, beside the other tasks.
    #[arg(long, requires = "guests", conflicts_with = "plugins")]
    hostile: bool,
    /// Only those hostile guests whose names have this in them; may be given more than once.
    #[arg(long, value_name = "TEXT", requires = "hostile")]
    only: Vec<String>,
    /// The folder with the finished guests.
    #[arg(long, value_name = "DIR")]
    guests: Option<PathBuf>,
    /// Writes the curves into this file, whose name ends in .svg or .csv.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// How long a hostile guest may go on.
const HOSTILE: Duration = Duration::from_secs(1);

/// Runs, and says whether everything stayed flat.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let temporary = tempfile::tempdir()?;
    let dir = arguments.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    let (dir, builder) =
        if arguments.memory { (None, Host::builder()) } else { (Some(dir.as_path()), Host::builder().data_dir(&dir)) };
    // What is loaded again and again is compiled once.
    let cache = temporary.path().join("cache");
    let builder = builder.ended_max(arguments.keep).cache_dir(cache);
    let ours = match (&arguments.guests, arguments.hostile) {
        (Some(guests), true) => hostile::host(arguments.cells, builder, guests)?,
        (Some(_) | None, _) => Ours::with_cells(arguments.cells, builder)?,
    };
    let granted = tempfile::tempdir()?;
    let cases = if arguments.hostile { hostile::cases(granted.path(), &arguments.only)? } else { Vec::new() };
    let hello = std::fs::read(&arguments.hello)?;
    let until = Instant::now() + Duration::from_secs(arguments.minutes * 60);
    let mut watch = Watch::new(dir);
    if let Some(times) = arguments.plugins {
        come_and_go(&ours, &hello)?;
        watch.look_at_rest()?;
        repeat(times, until, &mut watch, |times| (0..times).try_for_each(|_| come_and_go(&ours, &hello)))?;
    } else {
        let kind = ours.load(hello, "hello", json!({}))?;
        ours.run_many(&kind, arguments.in_flight, arguments.in_flight)?;
        watch.look_at_rest()?;
        repeat(arguments.tasks, until, &mut watch, |tasks| {
            let hostile = ours.runtime.spawn(all_of(Arc::clone(&ours.host), cases.clone()));
            ours.run_many(&kind, u32::try_from(tasks)?, arguments.in_flight)?;
            ours.runtime.block_on(hostile)?
        })?;
    }
    watch.look_at_rest()?;
    let is_flat = watch.verdict();
    if let Some(plot) = &arguments.plot {
        watch.plot(plot)?;
        println!("curves: {}", plot.display());
    }
    ours.runtime.block_on(ours.host.shutdown());
    Ok(is_flat)
}

/// Lets each hostile guest run to its end, one after the other.
async fn all_of(host: Arc<Host>, cases: Vec<hostile::Case>) -> Result<()> {
    for case in cases {
        // However it ends: what it leaves behind is looked at.
        host.start(case.request.timeout(HOSTILE)).await?.wait().await;
    }
    Ok(())
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
