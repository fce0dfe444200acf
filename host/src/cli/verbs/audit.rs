//! `taskcell audit`: what tasks were allowed and denied, who was asked, and what was taken away.
//!
//! It reads the files of the audit log, and so needs no server.

mod history;
mod telling;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Error;
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_complete::{ArgValueCandidates, ArgValueCompleter};

use crate::cli::client::data_dir;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::files::LogLines;
use crate::cli::{environment, output};
use crate::{AuditLine, AuditWhat, Capability, Timestamp};

use super::at::At;
use super::times::{self, Now};
use super::{completing, which};

pub(in crate::cli) use history::of_plugin;

/// What it is called in a host's directory.
const FILE: &str = "audit.jsonl";
/// Lines of a table, unless somebody says how many.
const TAIL: usize = 100;
/// How long there is between two looks at what is written.
const TICK: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(in crate::cli) struct AuditArguments {
    /// Only of this task: its id, or the beginning of it
    #[arg(long, value_name = "ID", value_parser = digits, add = ArgValueCompleter::new(completing::tasks))]
    task: Option<String>,
    /// Only of this plugin's tasks
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(completing::plugins))]
    plugin: Option<String>,
    /// Only about this capability
    #[arg(long, value_name = "CAPABILITY", value_parser = PossibleValuesParser::new(Capability::ALL.map(Capability::name)))]
    capability: Option<String>,
    /// Only what was denied, and questions that were answered with no
    #[arg(long)]
    denied: bool,
    /// Only what happened since then: 2h, 30m, 18:30, '2030-12-24 18:30' or 2030-12-24T18:30:00Z
    #[arg(long, value_name = "TIME", value_parser = |text: &str| times::since(text, &environment::now()))]
    since: Option<Timestamp>,
    /// Shows so many of the last lines [default: 100, and all with --json]
    #[arg(long, value_name = "LINES")]
    tail: Option<usize>,
    /// Shows all lines
    #[arg(long, conflicts_with = "tail")]
    all: bool,
    /// Goes on with what happens from now on, until Ctrl-C
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    at: At,
}

/// The beginning of an id.
fn digits(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let is = (which::DIGITS_MIN..=32).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit());
    let say = || format!("a task's id has 32 hexadecimal digits, of which {} are enough", which::DIGITS_MIN);
    if is { Ok(text) } else { Err(say()) }
}

impl AuditArguments {
    fn wants(&self, line: &AuditLine) -> bool {
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        let task = line.task.map(|id| id.to_string());
        self.task.as_deref().is_none_or(|begin| task.is_some_and(|id| id.starts_with(begin)))
            && is(&self.plugin, line.plugin.as_deref())
            && is(&self.capability, line.capability.map(Capability::name))
            && (!self.denied || is_no(line))
            && self.since.is_none_or(|since| line.at >= since)
    }

    fn lines_max(&self) -> usize {
        match self.tail {
            Some(lines) => lines,
            None if self.all || self.at.json => usize::MAX,
            None => TAIL,
        }
    }
}

fn is_no(line: &AuditLine) -> bool {
    line.what == AuditWhat::Deny || (line.what == AuditWhat::Answer && line.answer.as_deref() == Some("no"))
}

/// Where the audit log of a directory is.
pub(in crate::cli) fn place(data: Option<&Path>) -> Result<PathBuf, Fault> {
    Ok(data_dir(data)?.join(FILE))
}

/// Opens an audit log.
pub(in crate::cli) fn open(path: &Path) -> Result<LogLines, Fault> {
    LogLines::open(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            let said = format!("there is no audit log: {} is not there", path.display());
            return Fault::new(Exit::Refused, Error::msg(said)).hint(
                "`taskcell serve --data DIR` and `taskcell run --data DIR` write one; name the directory with --data",
            );
        }
        unread(path, error)
    })
}

fn unread(path: &Path, error: std::io::Error) -> Fault {
    Fault::new(Exit::Host, Error::new(error).context(format!("failed to read {}", path.display())))
}

/// A line as it stands there, and what it says.
type Read = (String, AuditLine);

/// Reads lines, and counts what is none.
#[derive(Debug, Default)]
pub(in crate::cli) struct Reader {
    pub(in crate::cli) unreadable: u64,
}

impl Reader {
    /// The next line; `None` when there is none now.
    pub(in crate::cli) fn next(&mut self, lines: &mut LogLines) -> std::io::Result<Option<Read>> {
        while let Some(line) = lines.next()? {
            match String::from_utf8(line).ok().and_then(|text| AuditLine::read(&text).map(|line| (text, line))) {
                Some(read) => return Ok(Some(read)),
                None => self.unreadable += 1,
            }
        }
        Ok(None)
    }

    /// Tells that there was something that nobody can read.
    pub(in crate::cli) fn tell(&self) {
        if self.unreadable > 0 {
            let lines = if self.unreadable == 1 { "1 line".to_owned() } else { format!("{} lines", self.unreadable) };
            output::talk(&format!(
                "warning: {lines} of the audit log cannot be read and are left out; they are cut off, changed, or of a newer version"
            ));
        }
    }
}

/// Shows the audit log.
pub(super) async fn audit(arguments: &AuditArguments) -> Result<Exit, Fault> {
    let path = place(arguments.at.data.as_deref())?;
    let mut lines = open(&path)?;
    let mut reader = Reader::default();
    let (mut shown, mut found) = (VecDeque::new(), 0_u64);
    while let Some(read) = reader.next(&mut lines).map_err(|error| unread(&path, error))? {
        if !arguments.wants(&read.1) {
            continue;
        }
        found += 1;
        if shown.len() >= arguments.lines_max() {
            shown.pop_front();
        }
        if arguments.lines_max() > 0 {
            shown.push_back(read);
        }
    }
    if !arguments.follow && !lines.rest().is_empty() {
        reader.unreadable += 1;
    }
    reader.tell();
    let left = found - shown.len() as u64;
    if left > 0 {
        output::talk(&format!("the last {} of {found} lines; --all shows all of them", shown.len()));
    }
    if !write(arguments, shown.make_contiguous())? {
        return Ok(Exit::Succeeded);
    }
    if !arguments.follow {
        return Ok(Exit::Succeeded);
    }
    loop {
        backon::Sleeper::sleep(&backon::TokioSleeper, TICK).await;
        lines.look_again().map_err(|error| unread(&path, error))?;
        while let Some(read) = reader.next(&mut lines).map_err(|error| unread(&path, error))? {
            if arguments.wants(&read.1) && !write(arguments, &[read])? {
                return Ok(Exit::Succeeded);
            }
        }
    }
}

/// Writes lines. Says whether somebody still reads.
fn write(arguments: &AuditArguments, lines: &[Read]) -> Result<bool, Fault> {
    let now = Now::new();
    if !(arguments.follow || arguments.at.json) {
        let table = telling::table(lines.iter().map(|(_, line)| line), &now);
        output::lines(&table).map_err(Fault::stdout)?;
        return Ok(true);
    }
    for (text, line) in lines {
        let read =
            if arguments.at.json { output::json_as_it_is(text) } else { output::line(&telling::line(line, &now)) };
        if !read.map_err(Fault::stdout)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        of: AuditArguments,
    }

    fn wants(arguments: &[&str], line: &str) -> bool {
        let all = ["audit"].iter().chain(arguments);
        Line::try_parse_from(all).unwrap().of.wants(&AuditLine::read(line).unwrap())
    }

    #[test]
    fn t09_lines_are_found_by_task_plugin_capability_answer_and_time() {
        let line = format!(
            r#"{{"at":1000,"what":"answer","task":"{}","plugin":"fetch","capability":"http","answer":"no"}}"#,
            "0f".repeat(16)
        );
        for (arguments, is) in [
            (&[][..], true),
            (&["--task", "0F0f"], true),
            (&["--task", "f0f0"], false),
            (&["--plugin", "fetch", "--capability", "http", "--denied"], true),
            (&["--plugin", "fetc"], false),
            (&["--capability", "fs"], false),
            (&["--since", "1970-01-01T00:00:01Z"], true),
            (&["--since", "1970-01-01T00:00:01.001Z"], false),
        ] {
            assert_eq!(wants(arguments, &line), is, "{arguments:?}");
        }
        assert!(!wants(&["--denied"], &line.replace("\"no\"", "\"once\"")));
        assert!(!wants(&["--task", "0f0f"], r#"{"at":1000,"what":"load","plugin":"fetch"}"#));
        assert!(digits("xyz1").is_err() && digits("0f").is_err());
    }
}
