//! Capsule, by its Python package, in an environment of its own. What it runs, and what is measured, is in `capsule/`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{fact::Finding, measure::Amount};

/// The version that is compared.
pub(crate) const VERSION: &str = "0.8.10";
/// What measures it, and what it runs.
const FILES: [(&str, &str); 3] = [
    ("peer.py", include_str!("../../capsule/peer.py")),
    ("job.py", include_str!("../../capsule/job.py")),
    ("steps.py", include_str!("../../capsule/steps.py")),
];

/// Where it is installed.
pub(crate) struct Capsule {
    dir: PathBuf,
}

impl Capsule {
    /// Installs it, unless it is there.
    pub(crate) fn installed(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let capsule = Self { dir: dir.canonicalize()? };
        if !capsule.program("capsule").exists() {
            eprintln!("peers: Capsule {VERSION} is installed into {}", dir.display());
            let environment = capsule.dir.join("python");
            run(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
            let package = format!("capsule-run=={VERSION}");
            run(Command::new(capsule.program("python")).args(["-m", "pip", "install", "--quiet", &package]))?;
        }
        for (name, text) in FILES {
            std::fs::write(capsule.dir.join(name), text)?;
        }
        Ok(capsule)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.dir.join("python").join("bin").join(name)
    }

    pub(crate) fn measure(&self, amount: Amount) -> Result<Vec<Finding>> {
        let mut command = Command::new(self.program("python"));
        command.arg(self.dir.join("peer.py")).args(amount.quick.then_some("--quick")).current_dir(&self.dir);
        let output = command.stderr(Stdio::inherit()).output().context("python cannot be run")?;
        ensure!(output.status.success(), "it ended with {}", output.status);
        serde_json::from_slice(&output.stdout).context("it said something else than what it found")
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{} cannot be run", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{} ended with {}: {}",
        command.get_program().display(),
        output.status,
        said.trim()
    );
    Ok(())
}
