//! Runs the sides in turn, each in a process of its own: one side's threads and memory are no other's business.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    fact::Finding,
    measure::Amount,
    report::Column,
    sides::{capsule::Capsule, list::Side},
    versions,
};

/// What whoever reads the table has to know.
const NOTES: [&str; 5] = [
    "times are by the wall; all guests do the same 1 000 rounds of the same mix, and each result is compared",
    "a call of Extism's takes the thread that makes it, so 1 000 that run are 1 000 threads, which spin on the processors that there are",
    "Taskcell's 1 000 share as many threads as there are processors, at a lower priority than the program's own",
    "Capsule runs the same rounds in Python, in an interpreter that is itself a guest; 1 000 at once were not tried",
    "what a loop that nothing ends is looked at for stands in brackets",
];
/// Runs of each side.
const ROUNDS: usize = 3;

/// Measures all of them, and says on stderr how far it is.
pub(crate) fn columns(sides: &[Side], amount: Amount, dir: &Path) -> Result<Vec<Column>> {
    eprintln!("peers: {}", versions::machine());
    let capsule = sides.contains(&Side::Capsule).then(|| Capsule::installed(dir));
    let capsule = match capsule {
        Some(Ok(capsule)) => Some(capsule),
        Some(Err(error)) => {
            eprintln!("peers: Capsule is left out, because it cannot be had here: {error:#}");
            None
        }
        None => None,
    };
    let sides: Vec<Side> = sides.iter().copied().filter(|side| *side != Side::Capsule || capsule.is_some()).collect();
    let mut columns: Vec<Column> =
        sides.iter().map(|side| Column { name: name(*side), findings: Vec::new() }).collect();
    let rounds = amount.pick(1, ROUNDS);
    // What compiled code is kept in is nobody's but this run's.
    let cache = tempfile::tempdir().context("no directory for a cache can be made")?;
    for round in 1..=rounds {
        for (side, column) in sides.iter().zip(&mut columns) {
            eprintln!("peers: round {round} of {rounds}, {} (load {})", column.name, versions::load());
            let found = match &capsule {
                Some(capsule) if *side == Side::Capsule => capsule.measure(amount),
                Some(_) | None => elsewhere(*side, amount, cache.path()),
            };
            match found {
                Ok(found) => column.findings.extend(found),
                // Without ourselves there is nothing to compare.
                Err(error) if *side == Side::Taskcell => return Err(error.context(column.name.clone())),
                Err(error) => eprintln!("peers: nothing of {} in this round: {error:#}", column.name),
            }
        }
    }
    for note in NOTES {
        eprintln!("peers: {note}");
    }
    Ok(columns)
}

fn name(side: Side) -> String {
    let extism = || format!("Extism {} (wasmtime {})", versions::one("extism", ""), versions::one("wasmtime", "43"));
    match side {
        Side::Taskcell => {
            format!("Taskcell {} (wasmtime {})", versions::one("taskcell", ""), versions::one("wasmtime", "48"))
        }
        Side::ExtismEach => format!("{}, an engine for each plugin", extism()),
        Side::ExtismShared => format!("{}, one `CompiledPlugin` for all", extism()),
        Side::Capsule => format!("Capsule {} (Python)", crate::sides::capsule::VERSION),
        Side::Process => "a process per task (`posix_spawn` of a native program)".to_owned(),
        Side::Tokio => format!("a tokio {} task, no sandbox", versions::one("tokio", "")),
    }
}

/// Measures a side in a process of its own.
fn elsewhere(side: Side, amount: Amount, cache: &Path) -> Result<Vec<Finding>> {
    let name = clap::ValueEnum::to_possible_value(&side).context("a side without a name")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["side", name.get_name()]).args(amount.quick.then_some("--quick"));
    // wasmtime's cache, which Extism uses by itself.
    command.env("XDG_CACHE_HOME", cache).env("XDG_CONFIG_HOME", cache);
    let output = command.stderr(Stdio::inherit()).output().context("this program cannot be run again")?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("it said something else than what it found")
}
