//! What a task prints and logs: bounded in memory, the newest kept, and followed by whoever wants to.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The largest piece that is kept as one chunk; longer writes are cut into several.
const CHUNK_BYTES_MAX: usize = 8 << 10;
/// What a chunk costs beside its text, so that a flood of empty lines is bounded too.
const CHUNK_OVERHEAD: usize = 64;

/// Where a piece of output comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OutputSource {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The log.
    Log {
        /// `trace`, `debug`, `info`, `warn` or `error`.
        level: String,
        /// Which part of the plugin speaks.
        target: String,
    },
}

/// A place in a task's output. The default is the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutputCursor(u64);

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutputChunk {
    /// Where it comes from.
    pub source: OutputSource,
    /// What was written, with bytes that are not UTF-8 replaced. Not escaped: see [`escape`](crate::escape).
    pub text: String,
}

/// What was read from a task's output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutputPage {
    /// The pieces, oldest first.
    pub chunks: Vec<OutputChunk>,
    /// Pieces between the cursor and the first of these that are no longer kept.
    pub lost: u64,
    /// Where to read on.
    pub next: OutputCursor,
}

/// One task's output. Writers never wait: what does not fit pushes the oldest of its own kind out.
#[derive(Debug)]
pub(crate) struct OutputLog {
    ring: Mutex<Ring>,
    bytes_max: usize,
    changed: watch::Sender<u64>,
}

/// Three rings, numbered as one, so that a flood on stdout does not push the log out.
#[derive(Debug, Default)]
struct Ring {
    kept: [Kept; 3],
    next: u64,
    /// Bytes at the end of stdout and of stderr that are the beginning of a character.
    partial: [Vec<u8>; 2],
}

#[derive(Debug, Default)]
struct Kept {
    chunks: VecDeque<(u64, OutputChunk)>,
    bytes: usize,
}

impl OutputLog {
    /// An empty log that keeps `bytes_max` bytes of each of its three kinds.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Self { ring: Mutex::default(), bytes_max, changed: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes bytes of stdout. A character that is cut between two writes is put together again.
    pub(crate) fn stdout(&self, bytes: &[u8]) {
        self.append(|ring, max| {
            let [stdout, _] = &mut ring.partial;
            let text = complete(stdout, bytes);
            ring.push(&OutputSource::Stdout, &text, max);
        });
    }

    /// Takes bytes of stderr, like [`OutputLog::stdout`].
    pub(crate) fn stderr(&self, bytes: &[u8]) {
        self.append(|ring, max| {
            let [_, stderr] = &mut ring.partial;
            let text = complete(stderr, bytes);
            ring.push(&OutputSource::Stderr, &text, max);
        });
    }

    /// Takes one log line.
    pub(crate) fn log(&self, level: &str, target: String, message: &str) {
        let source = OutputSource::Log { level: level.to_owned(), target };
        self.append(|ring, max| ring.push(&source, message, max));
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().kept.iter().map(|kept| kept.bytes as u64).sum()
    }

    fn append(&self, write: impl FnOnce(&mut Ring, usize)) {
        let mut ring = self.lock();
        write(&mut ring, self.bytes_max);
        let next = ring.next;
        drop(ring);
        self.changed.send_replace(next);
    }

    /// Reads on from a cursor.
    pub(crate) fn read(&self, after: OutputCursor) -> OutputPage {
        let ring = self.lock();
        let mut chunks: Vec<_> =
            ring.kept.iter().flat_map(|kept| &kept.chunks).filter(|(number, _)| *number >= after.0).cloned().collect();
        let written = ring.next.saturating_sub(after.0);
        let next = OutputCursor(ring.next);
        drop(ring);
        chunks.sort_unstable_by_key(|(number, _)| *number);
        let lost = written.saturating_sub(chunks.len() as u64);
        OutputPage { chunks: chunks.into_iter().map(|(_, chunk)| chunk).collect(), lost, next }
    }

    /// Follows the log: the receiver changes whenever there is something new.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

impl Ring {
    fn push(&mut self, source: &OutputSource, text: &str, bytes_max: usize) {
        let [stdout, stderr, log] = &mut self.kept;
        let kept = match source {
            OutputSource::Stdout => stdout,
            OutputSource::Stderr => stderr,
            OutputSource::Log { .. } => log,
        };
        for piece in pieces(text) {
            let chunk = OutputChunk { source: source.clone(), text: piece.to_owned() };
            kept.bytes += weight(&chunk);
            kept.chunks.push_back((self.next, chunk));
            self.next += 1;
        }
        while kept.bytes > bytes_max {
            let Some((_, oldest)) = kept.chunks.pop_front() else {
                break;
            };
            kept.bytes -= weight(&oldest);
        }
    }
}

fn weight(chunk: &OutputChunk) -> usize {
    let source = match &chunk.source {
        OutputSource::Log { target, .. } => target.len(),
        OutputSource::Stdout | OutputSource::Stderr => 0,
    };
    chunk.text.len() + source + CHUNK_OVERHEAD
}

/// Cuts a text into pieces of at most [`CHUNK_BYTES_MAX`], at character boundaries.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(rest.floor_char_boundary(CHUNK_BYTES_MAX));
        rest = after;
        Some(piece)
    })
}

/// What is complete of the bytes kept before and the new ones; the beginning of a character at the end is kept.
fn complete(partial: &mut Vec<u8>, bytes: &[u8]) -> String {
    partial.extend_from_slice(bytes);
    let cut = |error: std::str::Utf8Error, of: &[u8]| {
        if error.error_len().is_none() { of.len() - error.valid_up_to() } else { 0 }
    };
    let unfinished = match std::str::from_utf8(partial) {
        // Nearly always; a guest may print a lot.
        Ok(_) => 0,
        Err(error) if error.error_len().is_none() => cut(error, partial),
        Err(_) => {
            let last = partial.utf8_chunks().last().map_or(&[][..], |last| last.invalid());
            std::str::from_utf8(last).map_or_else(|error| cut(error, last), |_| 0)
        }
    };
    let tail = partial.split_off(partial.len() - unfinished);
    let text = String::from_utf8_lossy(partial).into_owned();
    *partial = tail;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &OutputPage) -> String {
        page.chunks.iter().map(|chunk| chunk.text.as_str()).collect()
    }

    #[test]
    fn a_character_cut_between_writes_is_whole_again() {
        let log = OutputLog::new(1 << 20);
        for byte in "aß€😀z".bytes() {
            log.stdout(&[byte]);
        }
        log.stderr(&[0xf0, 0x9f]);
        assert_eq!(text(&log.read(OutputCursor::default())), "aß€😀z");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let log = OutputLog::new(1 << 20);
        log.stdout(b"a\xff b");
        log.stdout(&[0xff, b'c']);
        assert_eq!(text(&log.read(OutputCursor::default())), "a\u{fffd} b\u{fffd}c");
    }

    #[test]
    fn the_newest_is_kept_and_the_loss_is_told() {
        let log = OutputLog::new(10 * (100 + CHUNK_OVERHEAD as u64));
        log.log("info", String::new(), "stays");
        for line in 0..50 {
            log.stdout(format!("{line:0100}").as_bytes());
        }
        let page = log.read(OutputCursor::default());
        assert_eq!((page.chunks.len(), page.lost), (11, 40));
        assert_eq!(page.chunks[0].text, "stays");
        assert!(page.chunks[10].text.ends_with("49"));
        assert_eq!(log.read(page.next), OutputPage { next: page.next, ..OutputPage::default() });
    }

    #[test]
    fn long_writes_are_cut_at_characters() {
        let log = OutputLog::new(1 << 20);
        let euros = "€".repeat(CHUNK_BYTES_MAX);
        log.stdout(euros.as_bytes());
        let page = log.read(OutputCursor::default());
        assert!(page.chunks.len() > 3);
        assert_eq!(text(&page), euros);
    }
}
