//! What a start, a call of the host and a wake cost in instructions, which a busy machine does not change: counted by valgrind's
//! callgrind in a process of its own, once with few and once with many, so that what is done once falls out.
//!
//! Guests are the frozen ones. Both sides have the engine of few dense cells, because callgrind has no room for the addresses of a
//! thousand fast ones, and compile in their own process.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::json;
use taskcell::{Compiler, Host, Limits, Profile, Unload};
use taskcell_bench::{Count, Counted};

use crate::{
    guests::{self, Call},
    ours::Ours,
    raw::{Bare, Guest, Way, engine_of, run_many},
};

/// Cells of both sides.
const CELLS: u32 = 2;
const WAY: Way = Way { slice: Some(1_000_000), hook: true };
/// What counts the instructions.
const VALGRIND: &str = "valgrind";

/// What is counted.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The counts that were recorded.
    #[arg(long, value_name = "FILE")]
    recorded: PathBuf,
    /// The compiler that this program was built with: counts of another one are not compared.
    #[arg(long, value_name = "VERSION")]
    compiler: String,
    /// Records the counts, and compares them with nothing.
    #[arg(long)]
    record: bool,
    /// Prints the counts as JSON and nothing else.
    #[arg(long)]
    json: bool,
}

/// What is done under callgrind.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Work {
    #[arg(long)]
    what: What,
    #[arg(long)]
    side: Side,
    #[arg(long)]
    count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Ours,
    Raw,
}

/// Rows 1, 4 and 6 of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Start,
    Wake,
    Heartbeat,
    Log20,
    Log1k,
    Log1m,
    Write20,
    Write1k,
    Write1m,
}

impl What {
    /// What is called, unless it is the start that counts, or the wake.
    fn call(self) -> Option<Call> {
        match self {
            Self::Start | Self::Wake => None,
            Self::Heartbeat => Some(Call::Heartbeat),
            Self::Log20 => Some(Call::Log(20)),
            Self::Log1k => Some(Call::Log(1 << 10)),
            Self::Log1m => Some(Call::Log(1 << 20)),
            Self::Write20 => Some(Call::Write(20)),
            Self::Write1k => Some(Call::Write(1 << 10)),
            Self::Write1m => Some(Call::Write(1 << 20)),
        }
    }

    /// Few, and many.
    fn counts(self) -> [u32; 2] {
        match self {
            Self::Start | Self::Wake => [20, 220],
            Self::Heartbeat | Self::Log20 | Self::Write20 => [1000, 5000],
            Self::Log1k | Self::Write1k => [200, 1000],
            Self::Log1m | Self::Write1m => [4, 12],
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start to outcome",
            Self::Wake => "notify to parked again",
            Self::Heartbeat => "call, heartbeat",
            Self::Log20 => "call, log of 20 B",
            Self::Log1k => "call, log of 1 KiB",
            Self::Log1m => "call, log of 1 MiB",
            Self::Write20 => "call, output of 20 B",
            Self::Write1k => "call, output of 1 KiB",
            Self::Write1m => "call, output of 1 MiB",
        })
    }
}

/// Counts everything. `false` when something costs more than it did when it was recorded.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let valgrind = version()?;
    let dir = tempfile::tempdir()?;
    let mut counted = Counted { compiler: arguments.compiler.clone(), valgrind, counts: Vec::new() };
    for what in What::value_variants() {
        let count = Count {
            name: what.to_string(),
            ours: each(*what, Side::Ours, dir.path())?,
            raw: each(*what, Side::Raw, dir.path())?,
        };
        eprintln!("bench: {count}");
        counted.counts.push(count);
    }
    if arguments.record {
        let text = serde_json::to_string_pretty(&counted)? + "\n";
        std::fs::write(&arguments.recorded, text).context("what was counted cannot be recorded")?;
        println!("recorded in {}", arguments.recorded.display());
        return Ok(true);
    }
    let recorded = std::fs::read_to_string(&arguments.recorded)
        .with_context(|| format!("{} cannot be read: `--record` writes it", arguments.recorded.display()))?;
    let recorded: Counted = serde_json::from_str(&recorded).context("what was recorded cannot be understood")?;
    let compared = counted.compared(&recorded);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&compared)?);
    } else {
        print!("{compared}");
    }
    Ok(compared.is_fine())
}

fn version() -> Result<String> {
    let output = Command::new(VALGRIND).arg("--version").output();
    let output = output.context("valgrind is needed, which counts the instructions: `apt-get install valgrind`")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Instructions of each.
fn each(what: What, side: Side, dir: &Path) -> Result<u64> {
    let [few, many] = what.counts();
    let [less, more] =
        [counted(Work { what, side, count: few }, dir)?, counted(Work { what, side, count: many }, dir)?];
    let each = more.checked_sub(less).context("many take fewer instructions than few")? / u64::from(many - few);
    Ok(each)
}

/// Instructions of a whole process that does this.
fn counted(work: Work, dir: &Path) -> Result<u64> {
    let file = dir.join("counted");
    let value =
        |value: Option<clap::builder::PossibleValue>| value.map(|it| it.get_name().to_owned()).unwrap_or_default();
    let mut command = Command::new(VALGRIND);
    command.args(["--tool=callgrind", "--quiet", &format!("--callgrind-out-file={}", file.display())]);
    command.arg(std::env::current_exe()?).args(["counted", "--what", &value(work.what.to_possible_value())]);
    command.args(["--side", &value(work.side.to_possible_value()), "--count", &work.count.to_string()]);
    let output = command.stdin(Stdio::null()).output().context("valgrind cannot be run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{work:?} under valgrind ended with {}: {said}", output.status);
    let text = std::fs::read_to_string(&file)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    totals.context("callgrind says no sum")?.trim().parse().context("callgrind's sum is no number")
}

/// Does it, in a process whose instructions are counted.
pub(crate) fn work(work: Work) -> Result<()> {
    let Work { what, side, count } = work;
    // A start is repeated; calls are made by one task, and one is woken.
    let (bytes, tasks) = match what.call() {
        None if what == What::Wake => (guests::waits()?, 1),
        None => (guests::nothing()?, count),
        Some(call) => (guests::calls(call, count)?, 1),
    };
    match side {
        Side::Ours => {
            let mut limits = Limits::default();
            limits.spill_bytes = 0;
            let builder = Host::builder().limits(limits).compiler(Compiler::InProcess).profile(Profile::Dense);
            let ours = Ours::with(CELLS, builder)?;
            let kind = ours.load(bytes, "go", json!({}))?;
            if what == What::Wake {
                let tasks = ours.park(&kind, tasks)?;
                tasks.iter().try_for_each(|task| ours.wake_often(task, count))?;
                ours.end(&tasks);
            } else {
                ours.run_many(&kind, tasks, 1)?;
            }
            ours.runtime.block_on(ours.host.unload_plugin(kind.plugin(), Unload::Force))?;
            Ok(())
        }
        Side::Raw => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let guest = Arc::new(Guest::<Bare>::new(&engine_of(CELLS, Profile::Dense)?, &bytes, "go")?);
            if what == What::Wake {
                let mut parked = guest.park(WAY)?;
                (0..count).try_for_each(|_| parked.wake())
            } else {
                run_many(runtime.handle(), &guest, WAY, tasks)
            }
        }
    }
}
