//! What a reader of output gets.

use serde::{Deserialize, Serialize};

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
pub struct OutputCursor(pub(super) u64);

impl OutputCursor {
    /// The place before this piece.
    pub(crate) fn at(number: u64) -> Self {
        Self(number)
    }

    /// How many pieces lie between this place and that one.
    pub(crate) fn up_to(self, place: Self) -> u64 {
        place.0.saturating_sub(self.0)
    }
}

/// A page whose pieces have their numbers.
#[derive(Debug)]
pub(crate) struct NumberedPage {
    pub(crate) chunks: Vec<(u64, OutputChunk)>,
    pub(crate) lost: u64,
    pub(crate) next: OutputCursor,
}

impl From<NumberedPage> for OutputPage {
    fn from(NumberedPage { chunks, lost, next }: NumberedPage) -> Self {
        Self { chunks: chunks.into_iter().map(|(_, chunk)| chunk).collect(), lost, next }
    }
}

/// A piece of output. Small writes to one stream that follow each other may be one piece.
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
    /// Pieces between the cursor and `next` that are no longer kept.
    pub lost: u64,
    /// Where to read on.
    pub next: OutputCursor,
}

impl OutputPage {
    /// Whether there was nothing after the cursor: no pieces, and none that were lost.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.lost == 0
    }
}
