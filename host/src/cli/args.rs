//! The command line: commands, flags, and the help that belongs to them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{CancelRequest, TaskKey};

use super::details::DetailArguments;
use super::groups::{GrantArguments, InputArguments, LimitArguments};
use super::help::{BUILD_HELP, EXAMPLES, NEW_HELP, POLICY_HELP, RUN_HELP, SERVE_HELP, SIGN_HELP};
use super::policy::PolicyVerb;
use super::signing::{KeygenArguments, SignArguments};
use super::values::{self, EarlySignal, EarlyVerdict};
use super::verbs::Verb;

/// Runs other people's long tasks safely, each in a WebAssembly cell of its own
#[derive(Debug, Parser)]
#[command(name = "taskcell", version, after_help = EXAMPLES, max_term_width = 110, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs one task of a plugin, here and now
    #[command(after_help = RUN_HELP)]
    Run(Box<RunArguments>),
    /// Keeps one host running, for other programs and for the commands that ask it
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArguments),
    /// Checks and explains what plugins may touch: the policy
    #[command(subcommand, after_help = POLICY_HELP)]
    Policy(PolicyVerb),
    /// Says what a plugin is, what it can do, and what it would like to be granted
    Inspect(InspectArguments),
    /// Makes a new plugin that builds and runs
    #[command(after_help = NEW_HELP)]
    New(NewArguments),
    /// Builds a plugin from its source
    #[command(after_help = BUILD_HELP)]
    Build(BuildArguments),
    /// Makes a key to sign plugins with
    Keygen(KeygenArguments),
    /// Signs a plugin, so that operators know whose it is
    #[command(after_help = SIGN_HELP)]
    Sign(SignArguments),
    /// Lists every limit of a task, with its default and what it is for
    Limits(LimitsArguments),
    /// Checks whether this machine can run and build plugins
    Doctor(DoctorArguments),
    /// Writes the completions for a shell to stdout
    Completions(CompletionArguments),
    #[command(flatten)]
    Verb(Verb),
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The plugin: a .wasm file
    #[arg(value_name = "PLUGIN")]
    pub(super) plugin: PathBuf,
    /// Which of its tasks; may be left out when it has one only
    #[arg(value_name = "TASK")]
    pub(super) task: Option<String>,
    #[command(flatten)]
    pub(super) input: InputArguments,
    /// Takes a plain program for wasm32-wasip1 too, as a plugin with the one task `command`
    #[arg(long)]
    pub(super) command: bool,
    /// The plugin's configuration: JSON, or @FILE [default: {}]
    #[arg(long, value_name = "JSON|@FILE", allow_hyphen_values = true)]
    pub(super) config: Option<String>,
    #[command(flatten)]
    pub(super) limits: LimitArguments,
    #[command(flatten)]
    pub(super) grants: GrantArguments,
    /// The policy's file: what plugins may touch; what other flags grant is added for this run [default: the file that `TASKCELL_POLICY` names]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(super) policy: Option<PathBuf>,
    /// Sends a signal in advance; without JSON it has no payload
    #[arg(long, value_name = "KEY[=JSON]", value_parser = values::signal)]
    pub(super) signal: Vec<EarlySignal>,
    /// Approves of every question of this kind that the task asks; with JSON, of that instead of what it asks for; `grant` are the policy's questions
    #[arg(long, value_name = "KIND[=JSON]", value_parser = values::approval)]
    pub(super) approve: Vec<EarlyVerdict>,
    /// Says no to every question of this kind that the task asks
    #[arg(long, value_name = "KIND[=REASON]", value_parser = values::denial)]
    pub(super) deny: Vec<EarlyVerdict>,
    /// What becomes of its other questions, those for fuel (`fuel`) among them: you are asked, or all are denied or approved; the policy's (`grant`) are not approved by this
    #[arg(long, value_enum, value_name = "MODE", default_value = "ask")]
    pub(super) permission: PermissionMode,
    /// Keeps the task and all that happens in this directory, where `taskcell serve` has it later; what else is in there stays
    /// as it is [default: in memory, gone with the program]
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// A name for this run, which the task can see
    #[arg(long, value_name = "KEY", value_parser = |text: &str| TaskKey::new(text))]
    pub(super) key: Option<TaskKey>,
    #[command(flatten)]
    pub(super) details: DetailArguments,
    /// Where files that the task publishes are saved [default: taskcell-artifacts/ID]
    #[arg(long, value_name = "DIR")]
    pub(super) artifacts: Option<PathBuf>,
    /// Keeps the task's scratch directory, and says where it is
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub(super) keep_scratch: Option<KeepScratch>,
    /// Writes everything that happened to the task, and to those that it started, into this file when it has ended
    #[arg(long, value_name = "FILE")]
    pub(super) export: Option<PathBuf>,
    /// How that is written [default: by the file's ending, .jsonl or .md]
    #[arg(long, value_enum, value_name = "FORMAT", requires = "export")]
    pub(super) export_format: Option<ExportAs>,
    /// Shows the task and everything below it as a tree: live on a terminal, at the end everywhere
    #[arg(long)]
    pub(super) tree: bool,
    /// How long the task may take to end by itself after Ctrl-C [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(super) grace: Option<Duration>,
    /// Writes everything about the end as one line of JSON to stdout, and shows no progress
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// The server's directory, which is made when it is missing [default: a folder of your own, see below]
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Loads a plugin beside those that are kept in the directory, and keeps it there too, in the place of the one of its
    /// name; can be given several times
    #[arg(long, value_name = "FILE")]
    pub(super) plugin: Vec<PathBuf>,
    /// Takes plain programs for wasm32-wasip1 too, each as a plugin with the one task type `command`
    #[arg(long)]
    pub(super) command: bool,
    /// The policy's file: what plugins may touch [default: the file that `TASKCELL_POLICY` names, else taskcell.toml in the directory]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(super) policy: Option<PathBuf>,
    /// How many tasks run at once, at most 8000, or 100000 with --dense [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) running_max: Option<u32>,
    /// Makes room for tens of thousands of tasks that mostly wait: each takes less memory, and runs up to a fifth slower
    #[arg(long)]
    pub(super) dense: bool,
}

#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// The plugin: a .wasm file, or with --history its name
    #[arg(value_name = "PLUGIN")]
    pub(super) plugin: PathBuf,
    /// Takes a plain program for wasm32-wasip1 too
    #[arg(long)]
    pub(super) command: bool,
    /// Compares it with an older version instead: what it asks for and imports, its tasks, limits and hooks
    #[arg(long, value_name = "OLD", value_hint = clap::ValueHint::FilePath)]
    pub(super) diff: Option<PathBuf>,
    /// Says instead what it may touch, by the policy, and what it did, by the audit log: each of its versions apart
    #[arg(long, conflicts_with = "diff")]
    pub(super) history: bool,
    /// That policy [default: the file that `TASKCELL_POLICY` names, else taskcell.toml in that directory]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, requires = "history")]
    pub(super) policy: Option<PathBuf>,
    /// The directory whose audit log that is [default: `TASKCELL_DATA`, else taskcell in `XDG_STATE_HOME` or ~/.local/state]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, requires = "history")]
    pub(super) data: Option<PathBuf>,
    /// Writes JSON, with the schemas as they are
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct LimitsArguments {
    /// Writes JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct NewArguments {
    /// The plugin's name: lower-case letters, digits and `-`
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// The folder to make [default: NAME]
    #[arg(long, value_name = "DIR")]
    pub(super) path: Option<PathBuf>,
    /// Where the SDK lies: the folder guest-sdk of Taskcell's source
    #[arg(long, value_name = "DIR")]
    pub(super) sdk: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct BuildArguments {
    /// The plugin's folder, with its Cargo.toml
    #[arg(value_name = "DIR", default_value = ".")]
    pub(super) dir: PathBuf,
    /// What to compile for; either way the file is a component
    #[arg(long, value_enum, value_name = "TARGET", default_value = "wasm32-wasip2")]
    pub(super) target: BuildTarget,
    /// Where to put the plugin [default: NAME.wasm in DIR]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// What becomes of questions that no flag decides by their kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PermissionMode {
    /// The person at the terminal is asked
    Ask,
    /// They are denied
    Deny,
    /// They are approved
    Approve,
}

/// When a scratch directory is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum KeepScratch {
    /// After every end
    Always,
    /// Unless the task succeeds
    OnFailure,
}

/// How a task's activity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportAs {
    /// A line of JSON for each thing that happened
    Jsonl,
    /// A page for people, in Markdown
    Md,
}

/// What a plugin is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BuildTarget {
    /// WASI 0.2: the compiler writes a component
    #[value(name = "wasm32-wasip2")]
    Wasip2,
    /// WASI preview 1: the compiler writes a core module, of which a component is made
    #[value(name = "wasm32-wasip1")]
    Wasip1,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// How many tasks shall run at once: what a host may have as `running_max`
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) cells: u32,
    /// Tasks that mostly wait, as with `serve --dense`
    #[arg(long)]
    pub(super) dense: bool,
    /// Writes JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct CompletionArguments {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

impl RunArguments {
    /// The time to end by itself.
    pub(super) fn grace(&self) -> Duration {
        self.grace.unwrap_or(CancelRequest::DEFAULT_GRACE)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn run(arguments: &[&str]) -> RunArguments {
        let all = ["taskcell", "run", "x.wasm"].iter().chain(arguments);
        let Command::Run(run) = Arguments::try_parse_from(all).unwrap().command else {
            panic!("it is another command")
        };
        *run
    }

    #[test]
    fn the_definition_is_sound_and_every_flag_is_explained() {
        let mut all = Arguments::command();
        all.clone().debug_assert();
        all.build();
        explained(&all);
    }

    fn explained(of: &clap::Command) {
        for command in of.get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            explained(command);
        }
    }

    #[test]
    fn a_full_command_line_is_read() {
        let run = run(&[
            "task",
            "--fuel",
            "2G",
            "--timeout",
            "5m",
            "--memory",
            "64MiB",
            "--limit",
            "idle=5m",
            "--dir",
            "a::/a:rw",
            "--dir",
            "b",
            "--env",
            "A=1",
            "--allow",
            "signal",
            "--signal",
            "go",
            "--approve",
            "deploy",
            "--deny",
            "pay=too dear",
            "--key",
            "k",
            "--grace",
            "0s",
            "--json",
            "--set",
            "a.b=1",
        ]);
        assert_eq!(
            (run.task.as_deref(), run.limits.fuel, run.limits.memory),
            (Some("task"), Some(2_000_000_000), Some(64 << 20))
        );
        assert_eq!(
            (run.grants.dir.len(), run.grants.env.len(), run.grants.allow.len(), run.signal.len()),
            (2, 1, 1, 1)
        );
        assert_eq!((run.approve.len(), run.deny.len()), (1, 1));
        assert_eq!(run.limits.limit[0].request.idle, Some(Duration::from_mins(5)));
        assert_eq!((run.grace(), run.json), (Duration::ZERO, true));
    }

    #[test]
    fn little_is_needed() {
        let least = run(&[]);
        assert_eq!((least.task.as_deref(), least.input.input.as_deref(), least.grace().as_secs()), (None, None, 5));
        let stdin = run(&["--input", "-"]);
        assert_eq!(stdin.input.input.as_deref(), Some("-"));
    }
}
