//! The newest output, in memory: three rings that are numbered as one.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use crate::ports::secrets::{Screen, Secrets};

use super::decode::{Decoder, unfinished};
use super::page::{OutputChunk, OutputSource};

/// Small writes to one stream are joined up to this size.
const JOINED_BYTES_MAX: usize = 8 << 10;
/// A write of so many bytes begins a chunk: it is kept as it came, where joining it to another would copy it twice, once to join it
/// and once when the chunk that it is in grows. Shorter ones may still be joined to it.
const ALONE_BYTES: usize = 512;
/// The smallest and the largest size of the pieces that long writes are cut into.
const PIECE_BYTES: (usize, usize) = (1 << 10, 64 << 10);
/// A ring holds at least so many pieces, so that one more does not push much out.
const PIECES_MIN: usize = 16;
/// Numbers that are not given after the host was killed: more than it can have given since it last wrote to the file.
pub(super) const NEVER_GIVEN: u64 = 1 << 20;
/// What a chunk costs beside its text, so that a flood of empty lines is bounded too.
pub(super) const CHUNK_OVERHEAD: usize = 96;

/// Where a chunk comes from, without what can be shared.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Source {
    Stdout,
    Stderr,
    Log { level: &'static str, target: String },
}

impl From<&Source> for OutputSource {
    fn from(source: &Source) -> Self {
        match source {
            Source::Stdout => Self::Stdout,
            Source::Stderr => Self::Stderr,
            Source::Log { level, target } => Self::Log { level: (*level).to_owned(), target: target.clone() },
        }
    }
}

/// A piece of text, as bytes: what is not UTF-8 is replaced for whoever reads it, because most of it is never read.
#[derive(Debug, Clone)]
enum Text {
    Own(Vec<u8>),
    /// Pieces of one long write share it, so that nothing is copied.
    Part(Arc<Vec<u8>>, Range<usize>),
}

impl Text {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Own(text) => text,
            Self::Part(whole, range) => whole.get(range.clone()).unwrap_or_default(),
        }
    }
}

/// A numbered piece.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) number: u64,
    pub(super) source: Source,
    text: Text,
}

impl Chunk {
    pub(super) fn text(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn weight(&self) -> usize {
        let source = match &self.source {
            Source::Log { target, .. } => target.len(),
            Source::Stdout | Source::Stderr => 0,
        };
        self.text().len() + source + CHUNK_OVERHEAD
    }

    pub(super) fn shown(&self) -> OutputChunk {
        OutputChunk { source: (&self.source).into(), text: String::from_utf8_lossy(self.text()).into_owned() }
    }
}

/// What is kept of one kind.
#[derive(Debug, Default)]
struct Lane {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

impl Lane {
    fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.weight();
        self.chunks.push_back(chunk);
    }

    /// Lets go of the oldest while there is more than `bytes_max` and they are below `before`. Returns the number after
    /// the last that went, or zero.
    fn shrink(&mut self, bytes_max: usize, before: u64) -> u64 {
        let mut gone = 0;
        while self.bytes > bytes_max
            && let Some(oldest) = self.chunks.pop_front_if(|oldest| oldest.number < before)
        {
            self.bytes -= oldest.weight();
            gone = oldest.number + 1;
        }
        gone
    }

    fn within(&self, numbers: Range<u64>) -> impl Iterator<Item = &Chunk> {
        let begin = self.chunks.partition_point(|chunk| chunk.number < numbers.start);
        let end = self.chunks.partition_point(|chunk| chunk.number < numbers.end);
        self.chunks.range(begin..end.max(begin))
    }
}

/// How much a ring keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Bytes of each kind.
    bytes_max: usize,
    /// Bytes of a piece.
    piece_max: usize,
    /// Whether pieces must be written before they go.
    spills: bool,
}

impl Sizes {
    pub(super) fn new(bytes_max: u64, spill_max: Option<u64>) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let smallest = spill_max.map_or(bytes_max, |spill| usize::try_from(spill).unwrap_or(usize::MAX).min(bytes_max));
        let (least, most) = PIECE_BYTES;
        Self { bytes_max, piece_max: (smallest / PIECES_MIN).clamp(least, most), spills: spill_max.is_some() }
    }
}

/// The rings.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) sizes: Sizes,
    /// Stdout, stderr, the log.
    lanes: [Lane; 3],
    decoders: [Decoder; 2],
    /// What hides the host's secrets in stdout and in stderr.
    screens: Option<[Screen; 2]>,
    /// The next chunk's number.
    pub(super) next: u64,
    /// Chunks below this number have been handed to the spill.
    written: u64,
    /// Chunks below this number may be gone from here.
    pub(super) gone: u64,
    /// Chunks below this number have been read or handed on, and are not added to.
    sealed: u64,
    /// Numbers that were never given, in order.
    never: Vec<Range<u64>>,
    /// What is to be said before anything else is taken, when a host before this one took what there is.
    resumes: Option<&'static str>,
    /// Whether it is known that something is to be written.
    pub(super) is_noted: bool,
}

impl Ring {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self {
            sizes,
            lanes: Default::default(),
            decoders: Default::default(),
            screens: None,
            next: 0,
            written: 0,
            gone: 0,
            sealed: 0,
            never: Vec::new(),
            resumes: None,
            is_noted: false,
        }
    }

    /// One whose pieces up to `next` are in the spill, without the numbers in `never`. Before the first piece that follows it
    /// says something.
    pub(super) fn reopened(sizes: Sizes, next: u64, never: Vec<Range<u64>>, says: &'static str) -> Self {
        let resumes = Some(says);
        Self { next, written: next, gone: next, sealed: next, never, resumes, ..Self::new(sizes) }
    }

    /// How many of these numbers were never given.
    pub(super) fn never_given(&self, numbers: Range<u64>) -> u64 {
        let common = |hole: &Range<u64>| hole.end.min(numbers.end).saturating_sub(hole.start.max(numbers.start));
        self.never.iter().map(common).sum()
    }

    /// Leaves out the numbers that a reader may know from the host before.
    fn resume(&mut self, says: &'static str) {
        let from = self.next;
        self.next = from.saturating_add(NEVER_GIVEN);
        (self.written, self.gone, self.sealed) = (self.next, self.next, self.next);
        self.never.push(from..self.next);
        let source = Source::Log { level: "warn", target: "taskcell".to_owned() };
        self.push(source, says.as_bytes().to_vec());
    }

    /// Whether something has not been written.
    pub(super) fn is_behind(&self) -> bool {
        self.written < self.next
    }

    /// Hides these secrets in what is printed from now on.
    pub(super) fn hide(&mut self, secrets: &Arc<Secrets>) {
        self.screens = Some([Screen::new(Arc::clone(secrets)), Screen::new(Arc::clone(secrets))]);
    }

    fn screen(&mut self, to_stdout: bool) -> Option<&mut Screen> {
        let [stdout, stderr] = self.screens.as_mut()?;
        Some(if to_stdout { stdout } else { stderr })
    }

    /// Bytes of stdout, or of stderr, with no secret in them. What may be the beginning of one is held back.
    pub(super) fn screened(&mut self, to_stdout: bool, bytes: Vec<u8>) -> Vec<u8> {
        match self.screen(to_stdout) {
            Some(screen) => screen.pass(bytes),
            None => bytes,
        }
    }

    /// What was held back, when nothing follows it.
    pub(super) fn held_back(&mut self, to_stdout: bool) -> Vec<u8> {
        self.screen(to_stdout).map(Screen::rest).unwrap_or_default()
    }

    /// Takes bytes of stdout, or of stderr.
    pub(super) fn push_bytes(&mut self, to_stdout: bool, bytes: Vec<u8>) {
        let [stdout, stderr] = &mut self.decoders;
        let text = if to_stdout { stdout } else { stderr }.whole(bytes);
        self.push(if to_stdout { Source::Stdout } else { Source::Stderr }, text);
    }

    /// Takes a text. An empty one leaves no trace.
    pub(super) fn push(&mut self, source: Source, mut text: Vec<u8>) {
        if text.is_empty() {
            return;
        }
        if let Some(says) = self.resumes.take() {
            self.resume(says);
        }
        if text.capacity() - text.len() > CHUNK_OVERHEAD {
            // What is kept is what is counted.
            text.shrink_to_fit();
        }
        let Sizes { bytes_max, piece_max, .. } = self.sizes;
        let [stdout, stderr, log] = &mut self.lanes;
        let (lane, is_line) = match source {
            Source::Stdout => (stdout, false),
            Source::Stderr => (stderr, false),
            Source::Log { .. } => (log, true),
        };
        // Whoever writes on without waiting for the spill pushes the oldest out for good.
        self.gone = self.gone.max(lane.shrink(bytes_max, u64::MAX));
        if is_line {
            lane.push(Chunk { number: self.next, source, text: Text::Own(text) });
            self.next += 1;
        } else if let Some(last) = lane.chunks.back_mut().filter(|last| last.number + 1 == self.next)
            && last.number >= self.sealed
            && let Text::Own(before) = &mut last.text
            && text.len() < ALONE_BYTES
            && before.len() + text.len() <= JOINED_BYTES_MAX.min(piece_max)
        {
            before.extend_from_slice(&text);
            lane.bytes += text.len();
        } else {
            for text in pieces(text, piece_max, bytes_max) {
                lane.push(Chunk { number: self.next, source: source.clone(), text });
                self.next += 1;
            }
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        let before = if self.sizes.spills { self.written } else { u64::MAX };
        for lane in &mut self.lanes {
            self.gone = self.gone.max(lane.shrink(self.sizes.bytes_max, before));
        }
    }

    /// Whether there is more than may be kept, because it has not been written.
    pub(super) fn is_over(&self) -> bool {
        self.lanes.iter().any(|lane| lane.bytes > self.sizes.bytes_max)
    }

    /// The next chunk's number; no chunk before it is added to any more.
    pub(super) fn seal(&mut self) -> u64 {
        self.sealed = self.next;
        self.next
    }

    /// What has not been written, in order.
    pub(super) fn unwritten(&mut self) -> Vec<Chunk> {
        self.seal();
        self.in_order(self.written..self.next).cloned().collect()
    }

    /// Everything below this number has been handed to the spill.
    pub(super) fn wrote(&mut self, below: u64) {
        self.written = self.written.max(below);
        self.shrink();
    }

    /// What is here of these numbers, for a reader.
    pub(super) fn read(&mut self, numbers: Range<u64>) -> impl DoubleEndedIterator<Item = &Chunk> {
        self.sealed = self.sealed.max(numbers.end.min(self.next));
        self.in_order(numbers)
    }

    fn in_order(&self, numbers: Range<u64>) -> impl DoubleEndedIterator<Item = &Chunk> {
        let mut chunks: Vec<_> = self.lanes.iter().flat_map(|lane| lane.within(numbers.clone())).collect();
        chunks.sort_unstable_by_key(|chunk| chunk.number);
        chunks.into_iter()
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.bytes as u64).sum()
    }
}

/// Cuts a text into pieces of at most `piece_max` bytes, between characters. They share it, unless it is larger than a
/// whole ring: its last piece would hold all of it.
fn pieces(text: Vec<u8>, piece_max: usize, bytes_max: usize) -> impl Iterator<Item = Text> {
    let share = text.len() <= bytes_max;
    let is_short = text.len() <= JOINED_BYTES_MAX.min(piece_max);
    let (mut own, long) = if is_short { (Some(text), None) } else { (None, Some(Arc::new(text))) };
    let mut from = 0;
    std::iter::from_fn(move || {
        if let Some(short) = own.take() {
            return Some(Text::Own(short));
        }
        let long = long.as_ref()?;
        let rest = long.get(from..).filter(|rest| !rest.is_empty())?;
        let range = from..from + cut(rest, piece_max);
        from = range.end;
        Some(if share {
            Text::Part(Arc::clone(long), range)
        } else {
            Text::Own(long.get(range).unwrap_or_default().to_owned())
        })
    })
}

/// Where to cut a text so that its beginning has at most `max` bytes and ends between characters.
fn cut(text: &[u8], max: usize) -> usize {
    match text.get(..max) {
        Some(piece) if text.len() > max => max - unfinished(piece),
        Some(_) | None => text.len(),
    }
}
