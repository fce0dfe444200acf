//! `cargo xtask fuzz`: searches for bytes that the host does not withstand.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{cargo, workspace::Workspace};

/// The targets, as `host/src/fuzzing.rs` lists them.
const TARGETS: [&str; 6] = ["ids", "load", "manifest", "policy", "signature", "values"];
/// Where the programs are built, and what searches find.
const BUILD_DIR: &str = "target/fuzz";
/// Words that the targets look for.
const WORDS: &str = "tests/fuzz/words.dict";
/// Megabytes that a try may take in all.
const MEMORY_MB: u32 = 2048;
/// Seconds that one try may take.
const TRY_SECONDS: u32 = 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which target; without it, each of them in turn.
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// How long to search in all: `90s`, `10m`, `2h`.
    #[arg(long, default_value = "60s", value_parser = time)]
    time: Duration,
    /// Does without cargo-fuzz, also where it is there.
    #[arg(long)]
    stable: bool,
}

pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    let workspace = Workspace::read()?;
    if arguments.stable || !has_cargo_fuzz() {
        println!("without cargo-fuzz and a nightly compiler: inputs are made by changing others, blindly");
        let mut search = cargo::host();
        search.current_dir(&workspace.root).args(["test", "--workspace", "--lib"]);
        search.args(["fuzzing::tests::what_was_asked_for_is_searched", "--", "--exact", "--nocapture"]);
        search.env("TASKCELL_FUZZ_SECONDS", arguments.time.as_secs().to_string());
        search.env("TASKCELL_FUZZ_TARGET", arguments.target.as_deref().unwrap_or_default());
        return run(search);
    }
    println!("with cargo-fuzz: inputs are made by what the last ones reached");
    let targets: Vec<&str> =
        TARGETS.into_iter().filter(|name| arguments.target.as_deref().is_none_or(|only| only == *name)).collect();
    for name in &targets {
        let seconds = arguments.time.as_secs() / targets.len() as u64;
        // What is found goes beside the build; what is worth keeping is put into the corpus by whoever looked at it.
        let found = format!("{BUILD_DIR}/found/{name}");
        let corpus = format!("tests/fuzz/corpus/{name}");
        for folder in [&found, &corpus] {
            std::fs::create_dir_all(workspace.root.join(folder)).context("cannot make a folder for what is found")?;
        }
        let mut search = nightly();
        search.current_dir(&workspace.root).args(["fuzz", "run", "--fuzz-dir", "tests/fuzz"]);
        // No sanitizer: the host's own code has nothing unsafe.
        search.args(["--sanitizer", "none", "--target-dir", BUILD_DIR, name, &found, &corpus, "--"]);
        search.args([format!("-max_total_time={}", seconds.max(1)), format!("-rss_limit_mb={MEMORY_MB}")]);
        search.args([format!("-timeout={TRY_SECONDS}"), format!("-dict={WORDS}"), "-print_final_stats=1".to_owned()]);
        run(search)?;
    }
    Ok(())
}

/// The cargo that knows toolchains; the one that runs this program belongs to one of them.
fn nightly() -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    command
}

fn has_cargo_fuzz() -> bool {
    nightly().args(["fuzz", "--version"]).output().is_ok_and(|output| output.status.success())
}

fn run(mut command: Command) -> Result<()> {
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "the search ended with {status}: what it found lies in tests/fuzz/artifacts");
    Ok(())
}

fn time(text: &str) -> Result<Duration> {
    let Some((number, unit)) = text.split_at_checked(text.len().saturating_sub(1)) else { bail!("no time") };
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => bail!("a time is written as 90s, 10m or 2h"),
    };
    Ok(Duration::from_secs(number.parse::<u64>()?.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_with_its_unit() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("2h", 7200)] {
            assert_eq!(time(text).unwrap().as_secs(), seconds);
        }
        for text in ["", "s", "10", "1d", "-1s", "ö"] {
            assert!(time(text).is_err(), "{text:?}");
        }
    }
}
