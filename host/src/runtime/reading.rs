//! A task's output as lines: the last of them, or what came after a place, at once or when there is some.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::lines::{Backward, Forward, Line};
use crate::model::wire::millis;
use crate::ports::output::{OutputChunk, OutputCursor, OutputLog, OutputPage, OutputSource};

use super::handle::TaskHandle;

/// What somebody wants to read of a task's output. See [`TaskHandle::read_output`].
///
/// ```
/// use taskcell::{OutputFrom, OutputQuery, OutputWait};
///
/// let mut query = OutputQuery::default();
/// assert_eq!(query.from, OutputFrom::Tail(100));
/// query.log = true;
/// query.wait = OutputWait::UntilEnd;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputQuery {
    /// From where on. Default: the last 100 lines.
    pub from: OutputFrom,
    /// Whether standard output is wanted. Default yes.
    pub stdout: bool,
    /// Whether standard error is wanted. Default yes.
    pub stderr: bool,
    /// Whether the log is wanted, a line for each of its records. Default no.
    pub log: bool,
    /// What is waited for. Default nothing.
    pub wait: OutputWait,
    /// How long at most, by the host's clock. Default one minute.
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
    /// Bytes of text in the answer, with line breaks and the targets of log records. Default 256 KiB.
    pub bytes_max: usize,
}

impl Default for OutputQuery {
    fn default() -> Self {
        Self {
            from: OutputFrom::default(),
            stdout: true,
            stderr: true,
            log: false,
            wait: OutputWait::default(),
            timeout: Duration::from_mins(1),
            bytes_max: 256 << 10,
        }
    }
}

impl OutputQuery {
    /// The last lines of standard output and standard error.
    pub fn tail(lines: usize) -> Self {
        Self { from: OutputFrom::Tail(lines), ..Self::default() }
    }

    /// What came after a place on standard output and standard error.
    pub fn after(cursor: OutputCursor) -> Self {
        Self { from: OutputFrom::After(cursor), ..Self::default() }
    }

    /// With this to wait for, and so long at most.
    #[must_use]
    pub fn wait(mut self, wait: OutputWait, timeout: Duration) -> Self {
        (self.wait, self.timeout) = (wait, timeout);
        self
    }

    fn wants(&self, source: &OutputSource) -> bool {
        match source {
            OutputSource::Stdout => self.stdout,
            OutputSource::Stderr => self.stderr,
            OutputSource::Log { .. } => self.log,
        }
    }
}

/// From where on output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputFrom {
    /// The last lines, so many at most, all wanted streams together.
    Tail(usize),
    /// What came after this place.
    After(OutputCursor),
}

impl Default for OutputFrom {
    fn default() -> Self {
        Self::Tail(100)
    }
}

/// What a reader of output waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputWait {
    /// Nothing: what is there is read.
    #[default]
    No,
    /// Until there is some output of the wanted streams, or the task has ended.
    UntilSome,
    /// Until the task has ended.
    UntilEnd,
}

/// What was read of a task's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutputText {
    /// The lines, oldest first. A line has the place at which it ends, or was written to last.
    pub lines: Vec<OutputLine>,
    /// Whether there was output before these lines that is not among them.
    pub has_earlier: bool,
    /// Pieces that are no longer kept, of those that were looked through; of which stream they were is not known.
    pub lost: u64,
    /// Where to read on.
    pub next: OutputCursor,
    /// Whether there is more to read there already.
    pub has_more: bool,
    /// Whether the task has ended. If there is no more to read then, nothing more comes.
    pub ended: bool,
}

/// A line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutputLine {
    /// Where it comes from.
    pub source: OutputSource,
    /// What it says, without the line break. A record of the log may have line breaks in it. Not escaped: see
    /// [`escape`](crate::escape).
    pub text: String,
    /// Whether it has ended. If not, the next line of this stream, when it is read from [`OutputText::next`] on, goes on
    /// with it, unless pieces are lost in between.
    pub ended: bool,
    /// Whether its beginning is missing, because there was no room for it, or it is no longer kept.
    pub cut: bool,
}

impl From<Line<OutputSource>> for OutputLine {
    fn from(Line { source, text, ended, cut }: Line<OutputSource>) -> Self {
        Self { source, text, ended, cut }
    }
}

/// Which stream a line may go on in.
fn stream(source: &OutputSource) -> Option<usize> {
    match source {
        OutputSource::Stdout => Some(0),
        OutputSource::Stderr => Some(1),
        OutputSource::Log { .. } => None,
    }
}

/// Bytes of the target of a record of the log.
fn target(source: &OutputSource) -> usize {
    match source {
        OutputSource::Stdout | OutputSource::Stderr => 0,
        OutputSource::Log { target, .. } => target.len(),
    }
}

/// Bytes that a line takes beside its text. A line break counts, so that a flood of empty lines is bounded too.
fn beside(source: &OutputSource) -> usize {
    target(source) + 1
}

/// Bytes that a piece takes in the answer.
fn cost(chunk: &OutputChunk) -> usize {
    match chunk.source {
        // Their line breaks are in the text.
        OutputSource::Stdout | OutputSource::Stderr => chunk.text.len(),
        OutputSource::Log { .. } => chunk.text.len() + beside(&chunk.source),
    }
}

/// Lines and what is to be said about them, before it is known whether the task has ended.
struct Read {
    lines: Vec<Line<OutputSource>>,
    has_earlier: bool,
    lost: u64,
    next: OutputCursor,
    has_more: bool,
}

impl Read {
    fn into_text(self, ended: bool) -> OutputText {
        let Self { lines, has_earlier, lost, next, has_more } = self;
        OutputText { lines: lines.into_iter().map(Into::into).collect(), has_earlier, lost, next, has_more, ended }
    }
}

/// The last lines. Blocks. Holds as much of the text as is wanted, and beside it a page.
fn tail(output: &OutputLog, query: &OutputQuery, lines_max: usize) -> Read {
    // Sealed, even if nothing is read: the answer says to read on from here.
    let end = output.seal();
    let mut lines = Backward::new(lines_max, query.bytes_max, beside);
    let (mut before, mut lost) = (end, 0);
    let begin = OutputCursor::default();
    // Before the oldest piece that was looked at.
    let mut seen = end;
    'pages: while before > begin && !lines.has_enough() {
        let page = output.read_back(before);
        lost += page.lost;
        for (number, chunk) in page.chunks.iter().rev() {
            let wanted = query.wants(&chunk.source);
            if wanted && lines.has_enough() {
                break 'pages;
            }
            if OutputCursor::at(number + 1) < seen {
                lines.gap();
            }
            seen = OutputCursor::at(*number);
            if wanted {
                lines.push(&chunk.source, stream(&chunk.source), &chunk.text);
            }
        }
        before = page.next;
    }
    // What was not looked at may have been something.
    let (lines, has_earlier) = lines.finish(seen == begin);
    Read { lines, has_earlier: has_earlier || lost > 0, lost, next: end, has_more: false }
}

/// What came after a place, up to where the output ends now, as far as there is room; one piece at least. Blocks.
fn after(output: &OutputLog, query: &OutputQuery, cursor: OutputCursor) -> Read {
    let end = output.seal();
    // What is said to be beyond the end is not left out when it comes.
    let cursor = cursor.min(end);
    let mut lines = Forward::new();
    let (mut next, mut bytes) = (cursor, None);
    // Behind the newest piece that was looked at, and how many there were.
    let (mut seen, mut looked_at) = (cursor, 0_u64);
    'pages: while next < end {
        let page = output.read_numbered(next);
        for (number, chunk) in &page.chunks {
            let wanted = query.wants(&chunk.source);
            let more = bytes.unwrap_or(0_usize).saturating_add(if wanted { cost(chunk) } else { 0 });
            if wanted && bytes.is_some() && more > query.bytes_max {
                break 'pages;
            }
            if OutputCursor::at(*number) > seen {
                lines.gap();
            }
            (seen, looked_at) = (OutputCursor::at(number + 1), looked_at + 1);
            if wanted {
                bytes = Some(more);
                lines.push(&chunk.source, stream(&chunk.source), &chunk.text);
            }
        }
        next = page.next;
    }
    if looked_at > 0 {
        // Not behind pieces that are missing: whoever reads on must not join what is around them.
        next = seen;
    }
    let lost = output.between(cursor, next).saturating_sub(looked_at);
    let has_earlier = cursor > OutputCursor::default() || lost > 0;
    Read { lines: lines.finish(), has_earlier, lost, next, has_more: next < output.end() }
}

/// The last pieces after a place up to where the output ends now, with so many bytes of text, if there are, and whether older
/// ones were left out. Blocks. Looks only at what it hands out, about, however much there is.
fn last_pieces(output: &OutputLog, after: OutputCursor, bytes: usize) -> (OutputPage, bool) {
    let end = output.seal();
    let after = after.min(end);
    let (mut chunks, mut size) = (Vec::new(), 0);
    // Where the oldest page begins, or the piece that was enough.
    let mut before = end;
    while before > after && size < bytes {
        let page = output.read_back(before);
        before = page.next.max(after);
        for (number, chunk) in
            page.chunks.into_iter().rev().take_while(|(number, _)| OutputCursor::at(*number) >= after)
        {
            size += chunk.text.len();
            chunks.push(chunk);
            if size >= bytes {
                before = OutputCursor::at(number);
                break;
            }
        }
    }
    let lost = output.between(before, end).saturating_sub(chunks.len() as u64);
    chunks.reverse();
    (OutputPage { chunks, lost, next: end }, before > after)
}

fn read(output: &OutputLog, query: &OutputQuery) -> Read {
    match query.from {
        OutputFrom::Tail(lines) => tail(output, query, lines),
        OutputFrom::After(cursor) => after(output, query, cursor),
    }
}

impl TaskHandle {
    /// Reads the task's output as lines: of the streams that are wanted, the last ones or those after a place, at once or
    /// when there is something to read. When the time is over, it gives what there is, of all of these streams.
    ///
    /// ```no_run
    /// # async fn example(task: taskcell::TaskHandle) {
    /// use std::time::Duration;
    /// use taskcell::{OutputQuery, OutputSource, OutputWait};
    ///
    /// // The last 100 lines of both streams, once the task has ended, or after five minutes.
    /// let query = OutputQuery::default().wait(OutputWait::UntilEnd, Duration::from_mins(5));
    /// let text = task.read_output(query).await;
    /// for line in &text.lines {
    ///     let mark = if line.source == OutputSource::Stderr { "err" } else { "out" };
    ///     println!("{mark} | {}", taskcell::escape(&line.text));
    /// }
    /// if !text.ended {
    ///     println!("it goes on");
    /// }
    /// # }
    /// ```
    ///
    /// The answer is larger than [`OutputQuery::bytes_max`] only when it is read from a place on and the first piece there
    /// is larger by itself: 64 KiB of a stream, or one record of the log. A tail leaves out the beginning of its oldest line
    /// instead. A task that is stopped by force may print for a moment after it has ended.
    ///
    /// Cancel safety: nothing is lost; the cursor is the caller's.
    pub async fn read_output(&self, query: OutputQuery) -> OutputText {
        if query.wait == OutputWait::No || query.timeout.is_zero() {
            // Looked at before reading, so that what came just before the end is read.
            let ended = self.shared.head.get().ended;
            return self.read_lines(query).await.into_text(ended);
        }
        let clock = &self.shared.around.clock;
        let mut time = match clock.steady().checked_add(query.timeout) {
            Some(until) => clock.sleep_until(until),
            None => Box::pin(std::future::pending()),
        };
        let mut changes = self.shared.output.follow();
        // Where there was nothing so far.
        let mut nothing_to = match query.from {
            OutputFrom::Tail(_) => OutputCursor::default(),
            OutputFrom::After(cursor) => cursor,
        };
        let mut waits = true;
        loop {
            changes.mark_unchanged();
            // Before reading, as above.
            let ended = self.shared.head.get().ended;
            let until_some = query.wait == OutputWait::UntilSome;
            if waits && !ended && until_some {
                let first = OutputQuery { from: OutputFrom::After(nothing_to), bytes_max: 0, ..query.clone() };
                let found = self.read_lines(first).await;
                // What is lost may have been of streams that are not wanted.
                waits = found.lines.is_empty();
                nothing_to = found.next;
            }
            if ended || !waits {
                return self.read_lines(query).await.into_text(ended);
            }
            tokio::select! {
                biased;
                () = self.shared.head.until(|head| head.ended) => {}
                // Before the changes, of which there may be always one.
                () = &mut time => waits = false,
                // The sender lives in `shared`.
                _ = changes.changed(), if until_some => {}
            }
        }
    }

    /// The last pieces after a place, with so many bytes of text, if there are, and whether older ones were left out.
    ///
    /// Cancel safety: nothing is lost; the cursor is the caller's.
    pub(crate) async fn last_output(&self, after: OutputCursor, bytes: usize) -> (OutputPage, bool) {
        let output = Arc::clone(&self.shared.output);
        let read = tokio::task::spawn_blocking(move || last_pieces(&output, after, bytes)).await;
        // When the runtime is being shut down, nobody is left who could use it.
        read.unwrap_or_else(|_| (OutputPage { next: after, ..OutputPage::default() }, true))
    }

    async fn read_lines(&self, query: OutputQuery) -> Read {
        let output = Arc::clone(&self.shared.output);
        let place = match query.from {
            OutputFrom::Tail(_) => OutputCursor::default(),
            OutputFrom::After(cursor) => cursor,
        };
        let read = tokio::task::spawn_blocking(move || read(&output, &query)).await;
        // When the runtime is being shut down, nobody is left who could use it.
        let nothing = Read { lines: Vec::new(), has_earlier: false, lost: 0, next: place, has_more: true };
        read.unwrap_or(nothing)
    }
}
