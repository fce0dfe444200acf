//! What so many tasks that wait cost in memory: in a process of its own, whose memory nobody has used before.

use std::{
    hint::black_box,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use taskcell::{Compiler, Host, Profile};

use crate::{
    guests,
    ours::Ours,
    process,
    raw::{Bare, Data, Guest, Way, WithWasi, engine_for},
};

/// Whose tasks wait, and how many.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    tasks: u32,
    /// The finished `approval` plugin, whose task waits for a person's yes. Else the guest waits that does nothing else.
    #[arg(long, value_name = "FILE")]
    approval: Option<PathBuf>,
    /// Raw wasmtime's.
    #[arg(long)]
    raw: bool,
    /// Of a dense host, compiled in this process, as valgrind's `dhat` can run it, which says whose the memory is.
    #[arg(long, conflicts_with = "raw")]
    dense: bool,
}

const WAY: Way = Way { slice: Some(1_000_000), hook: true };

/// Whose tasks wait.
struct Waiting {
    bytes: Vec<u8>,
    task_type: &'static str,
    input: Value,
}

impl Waiting {
    fn read(approval: Option<&Path>) -> Result<Self> {
        let Some(file) = approval else {
            return Ok(Self { bytes: guests::waits()?, task_type: "go", input: json!({}) });
        };
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self { bytes, task_type: "publish", input: json!({"text": "the report", "timeout_seconds": 3600}) })
    }

    /// How many bytes each of so many takes in a host.
    fn ours(self, count: u32, dense: bool) -> Result<f64> {
        let ours = if dense {
            Ours::with(count + 1, Host::builder().compiler(Compiler::InProcess).profile(Profile::Dense))?
        } else {
            Ours::with_cells(count + 1, Host::builder())?
        };
        let kind = ours.load(self.bytes, self.task_type, self.input)?;
        // The first of its kind pays for what all use.
        let first = ours.park(&kind, 1)?;
        let before = bytes_now()?;
        let parked = ours.park(&kind, count)?;
        let each = (bytes_now()? - before) / f64::from(count);
        ours.end(&parked);
        ours.end(&first);
        Ok(each)
    }

    /// The same of raw wasmtime.
    fn raw<D: Data>(self, count: u32) -> Result<f64> {
        let guest = Guest::<D>::new(&engine_for(count + 1)?, &self.bytes, self.task_type)?.given(&self.input);
        let guest = Arc::new(guest);
        let first = guest.park(WAY)?;
        let before = bytes_now()?;
        let parked = (0..count).map(|_| guest.park(WAY)).collect::<Result<Vec<_>>>()?;
        let each = (bytes_now()? - before) / f64::from(count);
        black_box((first, parked));
        Ok(each)
    }
}

/// Parks them, and prints how many bytes each of them takes.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (waiting, count) = (Waiting::read(arguments.approval.as_deref())?, arguments.tasks);
    let each = match (arguments.raw, &arguments.approval) {
        (false, _) => waiting.ours(count, arguments.dense)?,
        (true, None) => waiting.raw::<Bare>(count)?,
        (true, Some(_)) => waiting.raw::<WithWasi>(count)?,
    };
    println!("{each:.0}");
    Ok(())
}

/// The same in a process of its own. What it says when it cannot.
pub(crate) fn elsewhere(count: u32, approval: Option<&Path>, raw: bool) -> Result<Result<f64, String>> {
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["park", "--tasks", &count.to_string()]).args(raw.then_some("--raw"));
    if let Some(file) = approval {
        child.arg("--approval").arg(file);
    }
    let output = child.output().context("this program cannot be run again")?;
    if !output.status.success() {
        return Ok(Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let text = String::from_utf8(output.stdout)?;
    let bytes: f64 = text.trim().parse()?;
    ensure!(bytes > 0.0, "{count} tasks that wait took no memory");
    Ok(Ok(bytes))
}

/// Memory and page tables.
fn bytes_now() -> Result<f64> {
    let look = process::look()?;
    Ok((look.memory_mib + look.tables_mib) * f64::from(1 << 20))
}
