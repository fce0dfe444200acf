//! `cargo xtask test`: every check and every test, step by step.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{cargo, guests, workspace::Workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Runs only the tests whose names contain this, and none of the checks.
    filter: Option<String>,
    /// Lists the steps and runs none.
    #[arg(long)]
    list: bool,
}

/// One step.
#[derive(Debug, Clone, Copy)]
struct Step {
    name: &'static str,
    what: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Runs cargo, which needs a component that not everybody has installed.
    Component(&'static str, &'static [&'static str]),
    /// Runs cargo.
    Cargo(&'static [&'static str]),
    /// Builds everything, and lints it on the way.
    Build,
    /// Builds the guests.
    Guests,
    /// Runs the tests.
    Tests,
}

/// What the tests are built with, so that nothing is built twice.
const BUILD: [&str; 3] = ["build", "--workspace", "--all-targets"];

const STEPS: [Step; 6] = [
    Step { name: "format", what: "the code is formatted", kind: Kind::Component("fmt", &["fmt", "--all", "--check"]) },
    Step { name: "tidy", what: "the rules of the house hold", kind: Kind::Cargo(&["test", "-p", "xtask"]) },
    Step { name: "guests", what: "all guests are built", kind: Kind::Guests },
    Step {
        name: "bare",
        what: "the library builds alone, without any of its features",
        kind: Kind::Cargo(&["check", "-p", "taskcell", "--no-default-features"]),
    },
    Step { name: "build", what: "everything builds, and no lint has a complaint", kind: Kind::Build },
    Step { name: "test", what: "unit tests, integration tests, examples in the documentation", kind: Kind::Tests },
];

/// How a step ended, if it did not fail.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Skipped,
}

pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    let filter = arguments.filter.as_deref();
    let steps: Vec<_> = STEPS.into_iter().filter(|step| step.is_wanted(filter)).collect();
    if arguments.list {
        for step in steps {
            println!("{:8} {}", step.name, step.what);
        }
        return Ok(());
    }
    let workspace = Workspace::read()?;
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    let mut report = Report::default();
    for (number, step) in steps.iter().enumerate() {
        println!("\n== {}/{} {}: {}", number + 1, steps.len(), step.name, step.what);
        let started = Instant::now();
        let result = step.run(&workspace, filter, strict);
        report.add(step.name, started.elapsed(), &result);
        if let Err(error) = result {
            println!("\n{report}");
            bail!("the step `{}` failed: {error:#}", step.name);
        }
    }
    println!("\n{report}");
    println!("{}", report.verdict());
    Ok(())
}

impl Step {
    /// With a filter only tests are run, and what they need.
    fn is_wanted(&self, filter: Option<&str>) -> bool {
        match self.kind {
            Kind::Guests | Kind::Build | Kind::Tests => true,
            Kind::Component(..) | Kind::Cargo(_) => filter.is_none(),
        }
    }

    fn run(&self, workspace: &Workspace, filter: Option<&str>, strict: bool) -> Result<Outcome> {
        match self.kind {
            Kind::Guests => guests::build(workspace).map(drop)?,
            Kind::Cargo(words) => run_cargo(cargo::host(), workspace, words, None)?,
            Kind::Build => return build(workspace, filter.is_none(), strict),
            // `tidy` has had its turn.
            Kind::Tests => {
                let linting = cargo::linting(cargo::can_lint());
                run_cargo(linting, workspace, &["test", "--workspace", "--exclude", "xtask"], filter)?;
            }
            Kind::Component(component, words) => {
                if !has_component(component) {
                    return is_missing(component, strict);
                }
                run_cargo(cargo::host(), workspace, words, None)?;
            }
        }
        Ok(Outcome::Passed)
    }
}

/// Builds everything. When it is `whole` a complaint of a lint is a failure; who runs a few tests only reads it.
fn build(workspace: &Workspace, whole: bool, strict: bool) -> Result<Outcome> {
    let linted = cargo::can_lint();
    let outcome = if linted || !whole { Outcome::Passed } else { is_missing("clippy", strict)? };
    let mut command = cargo::linting(linted);
    command.current_dir(&workspace.root).args(BUILD);
    let complaints = cargo::complaints(command)?;
    if whole && complaints > 0 {
        bail!("the compiler and its lints have {complaints} complaints, which stand above");
    }
    Ok(outcome)
}

fn is_missing(component: &str, strict: bool) -> Result<Outcome> {
    let missing = format!("there is no `cargo {component}` here");
    if strict {
        bail!("{missing}, and CI=true does without nothing");
    }
    println!("!! SKIPPED: {missing}; with rustup, `rustup component add rustfmt clippy` gets it");
    Ok(Outcome::Skipped)
}

/// With our own stdout and stderr: what the test runner prints, people and programs read.
fn run_cargo(mut command: Command, workspace: &Workspace, words: &[&str], filter: Option<&str>) -> Result<()> {
    let status = command.current_dir(&workspace.root).args(words).args(filter).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("`cargo {}` ended with {status}", words.join(" "));
    }
    Ok(())
}

fn has_component(component: &str) -> bool {
    let mut command: Command = cargo::host();
    command.args([component, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// The table at the end.
#[derive(Debug, Default)]
struct Report {
    lines: Vec<(&'static str, Duration, &'static str)>,
}

impl Report {
    fn add(&mut self, name: &'static str, time: Duration, result: &Result<Outcome>) {
        let word = match result {
            Ok(Outcome::Passed) => "passed",
            Ok(Outcome::Skipped) => "SKIPPED",
            Err(_) => "FAILED",
        };
        self.lines.push((name, time, word));
    }

    fn verdict(&self) -> String {
        let skipped: Vec<_> = self.lines.iter().filter(|(_, _, word)| *word == "SKIPPED").map(|line| line.0).collect();
        if skipped.is_empty() {
            return "All steps passed.".to_owned();
        }
        format!("All steps passed but those that were skipped: {}.", skipped.join(", "))
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:8} {:>7}", "step", "minutes")?;
        for (name, time, word) in &self.lines {
            writeln!(f, "{name:8} {:>7.1}  {word}", time.as_secs_f32() / 60.0)?;
        }
        let total: Duration = self.lines.iter().map(|(_, time, _)| *time).sum();
        writeln!(f, "{:8} {:>7.1}", "together", total.as_secs_f32() / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_leaves_guests_and_tests() {
        let names =
            |filter| STEPS.iter().filter(|step| step.is_wanted(filter)).map(|step| step.name).collect::<Vec<_>>();
        assert_eq!(names(None), ["format", "tidy", "guests", "bare", "build", "test"]);
        assert_eq!(names(Some("cancel")), ["guests", "build", "test"]);
    }

    #[test]
    fn the_table_has_minutes_and_the_verdict_names_what_was_skipped() {
        let mut report = Report::default();
        report.add("format", Duration::from_secs(3), &Ok(Outcome::Skipped));
        report.add("test", Duration::from_secs(90), &Ok(Outcome::Passed));
        let text = report.to_string();
        assert!(text.contains("\ntest         1.5  passed\n"), "{text}");
        assert!(text.contains("\ntogether     1.6\n") || text.contains("\ntogether     1.5\n"), "{text}");
        assert_eq!(report.verdict(), "All steps passed but those that were skipped: format.");
    }

    #[test]
    fn a_failure_is_in_the_table() {
        let mut report = Report::default();
        report.add("tidy", Duration::ZERO, &Err(anyhow::anyhow!("no")));
        assert!(report.to_string().contains("tidy         0.0  FAILED"));
    }
}
