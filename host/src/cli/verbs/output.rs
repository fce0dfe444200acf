//! `taskcell output`: what a task prints and logs.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::output as printer;
use crate::cli::progress::labelled;
use crate::{OutputCursor, OutputFrom, OutputLine, OutputQuery, OutputSource, OutputText, OutputWait, TaskId};

use super::at::At;
use super::which::One;

/// Lines that are shown when nobody says how many.
const TAIL: usize = 100;
/// How long the server is asked to wait for more.
const WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(in crate::cli) struct OutputArguments {
    #[command(flatten)]
    task: One,
    /// Goes on until the task has ended
    #[arg(long)]
    follow: bool,
    /// How many of the last lines [default: 100]
    #[arg(long, value_name = "LINES")]
    tail: Option<usize>,
    /// All lines that are kept
    #[arg(long, conflicts_with = "tail")]
    all: bool,
    /// Only its standard output, or what else is named
    #[arg(long)]
    stdout: bool,
    /// Only its standard error, or what else is named
    #[arg(long)]
    stderr: bool,
    /// Only its log, or what else is named
    #[arg(long)]
    log: bool,
    #[command(flatten)]
    at: At,
}

/// Shows the output of a task.
pub(super) async fn output(arguments: &OutputArguments) -> Result<Exit, Fault> {
    let client = arguments.at.connect().await?;
    let id = arguments.task.find(&client).await?;
    let mut writer = Writer { json: arguments.at.json, plain: only_one(arguments), lines: Lines::default() };
    let mut reader = Reader::new(id, query(arguments), false);
    let first = reader.read(&client, false).await?;
    if first.has_earlier && !arguments.at.json && arguments.tail.is_none() {
        printer::talk("there is more before this: --tail LINES, or --all, shows it");
    }
    let mut is_read = writer.write(&first)?;
    let mut is_over = first.ended && !first.has_more;
    let mut has_more = first.has_more;
    while is_read && !is_over && (arguments.follow || has_more) {
        let page = reader.read(&client, arguments.follow).await?;
        is_read = writer.write(&page)?;
        (is_over, has_more) = (page.ended && !page.has_more, page.has_more);
    }
    writer.finish()?;
    Ok(Exit::Succeeded)
}

fn only_one(arguments: &OutputArguments) -> bool {
    [arguments.stdout, arguments.stderr, arguments.log].into_iter().filter(|wanted| *wanted).count() == 1
}

fn query(arguments: &OutputArguments) -> OutputQuery {
    let any = arguments.stdout || arguments.stderr || arguments.log;
    let mut query = OutputQuery::tail(arguments.tail.unwrap_or(TAIL));
    if arguments.all {
        query.from = OutputFrom::After(OutputCursor::default());
    }
    (query.stdout, query.stderr, query.log) =
        (!any || arguments.stdout, !any || arguments.stderr, !any || arguments.log);
    query
}

/// Reads a task's output, page by page.
#[derive(Debug)]
pub(super) struct Reader {
    id: TaskId,
    query: OutputQuery,
    quiet: bool,
}

impl Reader {
    /// `quiet`: somebody else says when the server is gone for a while.
    pub(super) fn new(id: TaskId, query: OutputQuery, quiet: bool) -> Self {
        Self { id, query, quiet }
    }

    /// The next page. With `wait`, not before there is something on it, or a while has passed.
    pub(super) async fn read(&mut self, client: &Client, wait: bool) -> Result<OutputText, Fault> {
        let page = if wait {
            let query = self.query.clone().wait(OutputWait::UntilSome, WAIT);
            client.patient_output(self.id, &query, self.quiet).await?
        } else {
            client.output(self.id, &self.query).await?
        };
        self.query.from = OutputFrom::After(page.next);
        Ok(page)
    }
}

/// A line for a program.
#[derive(Debug, Serialize)]
struct Document<'a> {
    source: &'a OutputSource,
    text: &'a str,
}

/// Writes lines as they come.
#[derive(Debug)]
struct Writer {
    json: bool,
    /// Whether lines stand without their origin, because there is only one.
    plain: bool,
    lines: Lines,
}

impl Writer {
    /// Writes a page. Says whether somebody still reads.
    fn write(&mut self, page: &OutputText) -> Result<bool, Fault> {
        if page.lost > 0 && !self.json {
            printer::talk(&labelled("...", &format!("{} pieces of output are no longer kept", page.lost)));
        }
        let ready = self.lines.take(page);
        self.put(&ready)
    }

    fn finish(&mut self) -> Result<bool, Fault> {
        let rest = self.lines.finish();
        self.put(&rest)
    }

    fn put(&self, lines: &[(OutputSource, String)]) -> Result<bool, Fault> {
        for (source, text) in lines {
            let written = if self.json {
                printer::json_line(&Document { source, text })
            } else if self.plain {
                printer::line(text)
            } else {
                printer::line(&with_origin(source, text))
            };
            if !written.map_err(Fault::stdout)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Puts lines together that came in parts.
#[derive(Debug, Default)]
pub(super) struct Lines {
    stdout: Option<String>,
    stderr: Option<String>,
}

impl Lines {
    /// The lines that a page completes.
    pub(super) fn take(&mut self, page: &OutputText) -> Vec<(OutputSource, String)> {
        let mut ready = Vec::new();
        for OutputLine { source, text, ended, cut, .. } in &page.lines {
            let open = match source {
                OutputSource::Stdout => &mut self.stdout,
                OutputSource::Stderr => &mut self.stderr,
                OutputSource::Log { .. } => {
                    ready.push((source.clone(), text.clone()));
                    continue;
                }
            };
            let whole = match open.take() {
                Some(begun) if !cut => begun + text,
                Some(begun) => {
                    ready.push((source.clone(), begun));
                    text.clone()
                }
                None => text.clone(),
            };
            if *ended { ready.push((source.clone(), whole)) } else { *open = Some(whole) }
        }
        ready
    }

    /// What is left without an end.
    pub(super) fn finish(&mut self) -> Vec<(OutputSource, String)> {
        let rest = [(OutputSource::Stdout, self.stdout.take()), (OutputSource::Stderr, self.stderr.take())];
        rest.into_iter().filter_map(|(source, text)| Some((source, text?))).collect()
    }
}

/// A line with its origin in front, as `taskcell run` shows it. Not escaped.
pub(super) fn with_origin(source: &OutputSource, text: &str) -> String {
    match source {
        OutputSource::Stdout => labelled("out", text),
        OutputSource::Stderr => labelled("err", text),
        OutputSource::Log { level, target } if target.is_empty() => labelled(level, text),
        OutputSource::Log { level, target } => labelled(level, &format!("{target}: {text}")),
    }
}

/// The lines of a page with their origins. Not escaped.
pub(super) fn labelled_lines(page: &OutputText) -> Vec<String> {
    let mut lines = Lines::default();
    let mut all = lines.take(page);
    all.extend(lines.finish());
    all.iter().map(|(source, text)| with_origin(source, text)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn page(lines: &Value) -> OutputText {
        let document = json!({
            "lines": lines, "has_earlier": false, "lost": 0, "next": 0, "has_more": false, "ended": false,
        });
        serde_json::from_value(document).unwrap()
    }

    fn part(source: &str, text: &str, ended: bool) -> Value {
        json!({"source": source, "text": text, "ended": ended, "cut": false})
    }

    #[test]
    fn r44_a_line_that_comes_in_parts_is_one_line() {
        let mut lines = Lines::default();
        let first =
            page(&json!([part("stdout", "one", true), part("stdout", "tw", false), part("stderr", "oops", false)]));
        assert_eq!(lines.take(&first), [(OutputSource::Stdout, "one".to_owned())]);
        let cut = json!({"source": "stderr", "text": "later", "ended": true, "cut": true});
        let second = page(&json!([part("stdout", "o", true), cut]));
        assert_eq!(
            lines.take(&second),
            [
                (OutputSource::Stdout, "two".to_owned()),
                (OutputSource::Stderr, "oops".to_owned()),
                (OutputSource::Stderr, "later".to_owned()),
            ]
        );
        lines.take(&page(&json!([part("stdout", "end", false)])));
        assert_eq!(lines.finish(), [(OutputSource::Stdout, "end".to_owned())]);
        assert!(lines.finish().is_empty());
    }

    #[test]
    fn r44_lines_have_their_origin_in_front() {
        let log = json!({"source": {"log": {"level": "warn", "target": "walk"}}, "text": "skipped", "ended": true, "cut": false});
        let all = page(&json!([part("stdout", "a", true), log, part("stderr", "b", false)]));
        assert_eq!(labelled_lines(&all), ["   out | a", "  warn | walk: skipped", "   err | b"]);
    }
}
