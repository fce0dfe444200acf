//! The demo: a report made in a sandbox with somebody's consent, and a busy loop that is stopped.

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    cancel::{self, Patience},
    cargo,
    child::Child,
    guests,
    signals::Watch,
    workspace::Workspace,
};

/// So many lines of the report are shown.
const SHOWN_LINES: usize = 24;

/// Longer than the five seconds of grace that `taskcell run` gives a task.
const PATIENCE: Patience = Patience {
    // It is compiled first, on whatever machine, whatever else that does.
    start: Duration::from_mins(2),
    run: Duration::from_secs(1),
    grace: Duration::from_secs(8),
    force: Duration::from_secs(10),
};

pub(crate) fn command() -> Result<()> {
    let workspace = Workspace::read()?;
    // Only then does `taskcell run` ask a person.
    let attended = io::stdin().is_terminal() && io::stderr().is_terminal();
    eprintln!("This demo builds the plugins and the program `taskcell`, runs the plugin `digest` on this repository's");
    eprintln!("own documents, and then stops a plugin that would calculate for ever.");

    heading("1. Building the plugins, for WebAssembly");
    let wasm = guests::build(&workspace)?;
    heading("2. Building the program `taskcell`; with nothing built before this takes some minutes");
    let program = build_program(&workspace)?;

    let watch = Watch::start(attended)?;
    let artifacts = workspace.target_dir.join("demo");
    digest(&Demo { workspace: &workspace, program: &program, wasm: &wasm, watch: &watch }, &artifacts, attended)?;
    crunch(&Demo { workspace: &workspace, program: &program, wasm: &wasm, watch: &watch })?;
    eprintln!("\nThat was the demo. Next: README.md, or `{} --help`.", program.display());
    Ok(())
}

/// What both parts need.
#[derive(Debug)]
struct Demo<'a> {
    workspace: &'a Workspace,
    program: &'a Path,
    wasm: &'a Path,
    watch: &'a Watch,
}

fn build_program(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = cargo::host();
    command.current_dir(&workspace.root).args(["build", "--workspace", "--bin", "taskcell"]);
    let artifacts = cargo::build(command)?;
    let program = artifacts.into_iter().rev().find(|artifact| {
        artifact.manifest.starts_with(&workspace.root)
            && artifact.file.file_stem().is_some_and(|name| name == "taskcell")
    });
    Ok(program.context("cargo has built no program `taskcell`")?.file)
}

fn digest(demo: &Demo<'_>, artifacts: &Path, attended: bool) -> Result<()> {
    heading("3. Running `digest` in its sandbox");
    eprintln!("It may read this repository, which it sees as /docs, and nothing else: no network, no other file.");
    eprintln!("It publishes its report only after a yes.");
    if !attended {
        eprintln!("There is no terminal to ask on, so the demo says yes in advance: --signal approval=true");
    }
    // What an earlier demo published would look like this one's.
    if let Err(error) = fs::remove_dir_all(artifacts)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot empty {}", artifacts.display()));
    }
    let child = Child::start(announced(digest_command(demo, artifacts, attended)))?;
    let status = finish(demo, child)?;
    ensure!(status.success(), "`taskcell run` failed ({status})");

    let report = find_report(artifacts);
    let Some(report) = report else {
        // A person may say no, and then there is none.
        ensure!(attended, "no report in {}", artifacts.display());
        eprintln!("\nNothing was published, because nobody said yes.");
        return Ok(());
    };
    let text = fs::read_to_string(&report).with_context(|| format!("cannot read {}", report.display()))?;
    eprintln!("\nThe report, {} lines in {}, begins like this:\n", text.lines().count(), report.display());
    for line in text.lines().take(SHOWN_LINES) {
        println!("  {line}");
    }
    Ok(())
}

fn digest_command(demo: &Demo<'_>, artifacts: &Path, attended: bool) -> Command {
    let mut folder = demo.workspace.root.clone().into_os_string();
    folder.push("::/docs");
    let mut command = Command::new(demo.program);
    command.arg("run").arg(demo.wasm.join("digest.wasm")).arg("digest").arg("--dir").arg(folder);
    command.args(["--input", r#"{"folder":"/docs","extensions":["md","wit"]}"#, "--artifacts"]).arg(artifacts);
    if !attended {
        command.args(["--signal", "approval=true"]);
    }
    command
}

/// The one Markdown file among the artifacts.
fn find_report(artifacts: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(artifacts).ok()?;
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "md"))
}

fn crunch(demo: &Demo<'_>) -> Result<()> {
    heading("4. Stopping a busy loop");
    eprintln!(
        "`crunch` calculates without end and never looks whether it shall stop. The demo presses Ctrl-C: the task"
    );
    eprintln!("gets a few seconds to end by itself, which it does not use, and then it is stopped where it is.");
    let mut command = Command::new(demo.program);
    command.arg("run").arg(demo.wasm.join("crunch.wasm")).arg("spin");
    let child = Child::start_and_listen(announced(command))?;
    demo.watch.guard(child.id());
    let mut pressed = None;
    let ended = cancel::cancel(child, " · spin · ", PATIENCE, &mut |doing| {
        pressed.get_or_insert_with(Instant::now);
        eprintln!("  -- {doing}");
    });
    demo.watch.release()?;
    let ended = ended.context("the busy loop")?;
    let Some(code) = ended.status.code().filter(|code| *code != 0) else {
        bail!("`taskcell run` should have ended with the exit code of a cancelled task, not with: {}", ended.status);
    };
    let seconds = pressed.map_or(0.0, |at| at.elapsed().as_secs_f32());
    let forced = if ended.presses == 1 { "when its grace was over" } else { "by the second Ctrl-C" };
    eprintln!("\nThe loop is gone, stopped {forced}, {seconds:.1} s after the first Ctrl-C. Exit code: {code}.");
    Ok(())
}

/// Waits for a child that shares our terminal.
fn finish(demo: &Demo<'_>, mut child: Child) -> Result<std::process::ExitStatus> {
    demo.watch.guard(child.id());
    let status = child.wait();
    demo.watch.release()?;
    status
}

fn heading(text: &str) {
    eprintln!("\n== {text}");
}

/// Shows the command line, so that a person can run it alone.
fn announced(command: Command) -> Command {
    eprintln!("\n$ {}", command_line(&command));
    command
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    // Only NUL cannot be quoted, and no command line holds it.
    shlex::try_join(words.iter().map(AsRef::as_ref)).unwrap_or_else(|_| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted() {
        let mut command = Command::new("taskcell");
        command.args(["run", "--input", r#"{"a":"it's"}"#, "x y", ""]);
        let shown = command_line(&command);
        assert_eq!(shlex::split(&shown).unwrap(), ["taskcell", "run", "--input", r#"{"a":"it's"}"#, "x y", ""]);
    }

    #[test]
    fn the_report_is_the_markdown_file() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(find_report(&dir.path().join("missing")), None);
        fs::write(dir.path().join("log.txt"), "").unwrap();
        assert_eq!(find_report(dir.path()), None);
        fs::write(dir.path().join("report.md"), "").unwrap();
        assert_eq!(find_report(dir.path()), Some(dir.path().join("report.md")));
    }
}
