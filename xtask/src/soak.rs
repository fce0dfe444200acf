//! `cargo xtask soak`: builds the benchmark's program optimised, and lets it run tasks for long.

use anyhow::Result;

use crate::{bench, workspace::Workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What the program is told: `--tasks N`, `--in-flight N`, `--keep N`, `--minutes N`, `--data DIR`, `--memory`,
    /// `--plugins [N]`, `--hostile`, `--plot FILE`, or `--help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    let workspace = Workspace::read()?;
    let mut soak = bench::programs(&workspace)?.bench;
    let guests = workspace.target_dir.join("guests/wasm");
    soak.arg("soak").arg("--hello").arg(bench::hello(&workspace)?).arg("--guests").arg(guests).args(&arguments.words);
    bench::run(soak, "the long run")
}
