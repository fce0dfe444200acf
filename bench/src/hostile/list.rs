//! The host with the hostile guests, and the lines that are printed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;
use taskcell::{Host, HostBuilder};
use taskcell_bench::hostile_table;

use super::{cases, trial};
use crate::{ours::Ours, raw::CELLS};

/// What is tried.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Each for a second instead of three.
    #[arg(long)]
    quick: bool,
    /// Prints the rows as a JSON array and nothing else.
    #[arg(long)]
    json: bool,
    /// Tries the guests only whose names have this in them; may be given more than once.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// The folder with the finished guests.
    #[arg(long, value_name = "DIR")]
    guests: PathBuf,
}

/// A host with the hostile guests.
pub(crate) fn host(cells: u32, builder: HostBuilder, guests: &Path) -> Result<Ours> {
    let ours = Ours::with_cells(cells, builder)?;
    for name in ["fixture", "web"] {
        ours.runtime.block_on(ours.host.load_plugin_bytes(name, read(guests, name)?))?;
    }
    Ok(ours)
}

fn read(guests: &Path, name: &str) -> Result<Vec<u8>> {
    let file = guests.join(format!("{name}.wasm"));
    std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// Tries each, and prints a line for each.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let place = tempfile::tempdir()?;
    let ours = host(CELLS, Host::builder().work_dir(place.path()), &arguments.guests)?;
    ours.load(read(&arguments.guests, "hello")?, "hello", json!({}))?;
    let folder = tempfile::tempdir()?;
    let mut rows = Vec::new();
    trial::warm_up(&ours)?;
    for case in &cases(folder.path(), &arguments.only)? {
        eprintln!("{}", case.name);
        rows.push(trial::of(&ours, case, if arguments.quick { 1 } else { 3 })?);
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&rows).context("a row is no JSON")?);
    } else {
        print!("{}", hostile_table(&rows));
    }
    ours.runtime.block_on(ours.host.shutdown());
    Ok(())
}
