//! The older output, in a file of fixed size that is written round and round.
//!
//! It is written in batches. A batch goes behind the one before it, or to the beginning when there is no room at the end;
//! the batches that lie where it goes are dropped, and they are the oldest.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::frame::{self, FRAME_BYTES, HEAD_BYTES, Mark};
use super::page::OutputChunk;
use super::record;
use super::ring::Chunk;

/// The size of a batch, about: what is read at least for one piece.
const BATCH_BYTES: usize = 256 << 10;
/// A file holds at least so many batches, so that one more does not drop much.
const BATCHES_MIN: u64 = 16;

/// Bytes on a disk, for one task. Its calls block.
pub(crate) trait SpillFile: Send + Sync + fmt::Debug {
    /// Writes at a place, and makes the file first if this is the first time.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads at a place that has been written.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Bytes of the file that is there.
    fn length(&self) -> io::Result<u64>;

    /// Waits until what was written outlives the machine.
    fn sync(&self) -> io::Result<()>;

    /// Random bytes that nobody can guess.
    fn random(&self) -> Mark;
}

/// The older output.
#[derive(Debug)]
pub(crate) struct Spill {
    file: Box<dyn SpillFile>,
    /// Bytes of the file.
    pub(super) bytes_max: u64,
    circle: Mutex<Circle>,
    /// How large the file is. Not in the circle, which is locked while the disk works.
    size: AtomicU64,
}

/// What lies where.
#[derive(Debug)]
struct Circle {
    /// Oldest first.
    batches: VecDeque<Batch>,
    /// Where the next batch goes, if there is room.
    at: u64,
    /// What marks the file's frames, once it has a beginning.
    mark: Option<Mark>,
    closed: bool,
}

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// The number after all that were given.
    pub(super) next: u64,
    /// Numbers that were never given.
    pub(super) never: Vec<Range<u64>>,
    /// Whether the file could be read at all.
    pub(super) is_known: bool,
}

#[derive(Debug, Clone)]
struct Batch {
    numbers: Range<u64>,
    bytes: Range<u64>,
}

impl Spill {
    /// Keeps at most `bytes_max` bytes in the file.
    pub(crate) fn new(file: Box<dyn SpillFile>, bytes_max: u64) -> Self {
        let circle = Circle { batches: VecDeque::new(), at: HEAD_BYTES, mark: None, closed: false };
        Self { file, bytes_max, circle: Mutex::new(circle), size: AtomicU64::new(0) }
    }

    /// Goes on with a file that a host before this one has written. Blocks. What was not written to its end is cut off; of a
    /// file that cannot be read, or is none of ours, nothing is left.
    pub(super) fn reopen(&mut self) -> Remains {
        let length = self.file.length().unwrap_or_default();
        self.size.store(length, Ordering::Relaxed);
        let Some(scan) = frame::scan(&*self.file, self.bytes_max) else { return Remains::default() };
        let enough = self.batch_bytes() as u64;
        let circle = self.circle.get_mut().unwrap_or_else(PoisonError::into_inner);
        circle.mark = Some(scan.mark);
        let (mut never, mut known) = (Vec::new(), 0);
        for (frame, bytes) in scan.frames {
            if frame.never > known {
                never.push(frame.numbers.start - (frame.never - known)..frame.numbers.start);
                known = frame.never;
            }
            circle.at = bytes.end;
            circle.push(Batch { numbers: frame.numbers, bytes }, enough);
        }
        Remains { next: scan.next, never, is_known: true }
    }

    /// The size of a batch in this file, about.
    fn batch_bytes(&self) -> usize {
        usize::try_from(self.bytes_max / BATCHES_MIN).unwrap_or(usize::MAX).min(BATCH_BYTES)
    }

    fn lock(&self) -> MutexGuard<'_, Circle> {
        self.circle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes these pieces, which come after all others; `never` numbers below were never given. Blocks.
    ///
    /// Says below which number they are dealt with, and the first error: what cannot be written is lost if it `may_lose` some,
    /// and else it ends there.
    pub(super) fn write(&self, chunks: &[Chunk], never: u64, may_lose: bool) -> (u64, io::Result<()>) {
        let enough = self.batch_bytes();
        let (mut below, mut written) = (0, Ok(()));
        let (mut frame, mut first) = (vec![0; FRAME_BYTES], None);
        for (place, chunk) in chunks.iter().enumerate() {
            let begin = *first.get_or_insert(chunk.number);
            let mut put = record::write(chunk, &mut frame);
            let is_last = place + 1 == chunks.len();
            if frame.len() >= enough || is_last || put.is_err() {
                put = put.and_then(|()| self.put(begin..chunk.number + 1, never, &mut frame));
                frame.truncate(FRAME_BYTES);
                first = None;
                if put.is_err() && !may_lose {
                    return (below, put);
                }
                below = chunk.number + 1;
                written = written.and(put);
            }
        }
        (below, written)
    }

    /// Writes a batch. One that is larger than the file is lost like one that has been dropped.
    fn put(&self, numbers: Range<u64>, never: u64, frame: &mut [u8]) -> io::Result<()> {
        let mut circle = self.lock();
        let Some(bytes) = circle.room(frame.len() as u64, self.bytes_max) else {
            return Ok(());
        };
        // Held meanwhile, so that nobody reads what is half written. Only threads that may block wait for it.
        let mark = if let Some(mark) = circle.mark {
            mark
        } else {
            let mark = self.file.random();
            self.file.write_at(0, &frame::head(mark))?;
            *circle.mark.insert(mark)
        };
        frame::seal(frame, mark, &numbers, never);
        self.file.write_at(bytes.start, frame)?;
        circle.at = bytes.end;
        self.size.fetch_max(bytes.end, Ordering::Relaxed);
        circle.push(Batch { numbers, bytes }, self.batch_bytes() as u64);
        Ok(())
    }

    /// Waits until what was written outlives the machine. Blocks.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.lock().mark.is_some() { self.file.sync() } else { Ok(()) }
    }

    /// What is left of these numbers, in order, and up to which number that is: it ends with the batch that makes it
    /// more than `bytes_max`. Blocks. What cannot be read is lost.
    pub(super) fn read(&self, numbers: Range<u64>, bytes_max: usize) -> (Vec<(u64, OutputChunk)>, u64) {
        let circle = self.lock();
        let (mut found, mut size) = (Vec::new(), 0);
        let begin = circle.batches.partition_point(|batch| batch.numbers.end <= numbers.start);
        for batch in circle.batches.range(begin..).take_while(|batch| batch.numbers.start < numbers.end) {
            let mut bytes = vec![0; usize::try_from(batch.bytes.end - batch.bytes.start).unwrap_or_default()];
            if self.file.read_at(batch.bytes.start, &mut bytes).is_err() {
                continue;
            }
            let chunks = circle.pieces(&bytes).filter(|(number, _)| numbers.contains(number));
            found.extend(chunks.inspect(|(_, chunk)| size += chunk.text.len()));
            if size > bytes_max {
                return (found, batch.numbers.end.min(numbers.end));
            }
        }
        (found, numbers.end)
    }

    /// What is left of the newest batch that has pieces below this number, and where it begins; at 0 when there is none.
    /// Blocks. What cannot be read is lost.
    pub(super) fn read_back(&self, before: u64) -> (Vec<(u64, OutputChunk)>, u64) {
        let circle = self.lock();
        let batches = circle.batches.partition_point(|batch| batch.numbers.start < before);
        let Some(batch) = batches.checked_sub(1).and_then(|last| circle.batches.get(last)) else {
            return (Vec::new(), 0);
        };
        let mut bytes = vec![0; usize::try_from(batch.bytes.end - batch.bytes.start).unwrap_or_default()];
        let begin = batch.numbers.start;
        if self.file.read_at(batch.bytes.start, &mut bytes).is_err() {
            return (Vec::new(), begin);
        }
        (circle.pieces(&bytes).filter(|(number, _)| *number < before).collect(), begin)
    }

    /// Bytes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Lets nobody write any more, if nobody writes just now. Says whether that is so.
    pub(super) fn try_close(&self) -> bool {
        let Ok(mut circle) = self.circle.try_lock() else { return false };
        circle.closed = true;
        true
    }

    /// Waits for who writes, and lets nobody write any more. Blocks.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }
}

impl Circle {
    /// The pieces in the frames that these bytes are.
    fn pieces<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = (u64, OutputChunk)> + use<'a> {
        let bodies = self.mark.map(|mark| frame::bodies(mark, bytes));
        bodies.into_iter().flatten().flat_map(record::read)
    }

    /// Notes a batch. Small ones that follow each other are one, so that a task that prints for days needs no more of them
    /// than its file has room for.
    fn push(&mut self, batch: Batch, enough: u64) {
        let joins =
            |last: &&mut Batch| last.bytes.end == batch.bytes.start && batch.bytes.end - last.bytes.start <= enough;
        match self.batches.back_mut().filter(joins) {
            Some(last) => (last.numbers.end, last.bytes.end) = (batch.numbers.end, batch.bytes.end),
            None => self.batches.push_back(batch),
        }
    }

    /// Makes room for a batch, and says where.
    fn room(&mut self, length: u64, bytes_max: u64) -> Option<Range<u64>> {
        if self.closed || length > bytes_max.saturating_sub(HEAD_BYTES) {
            return None;
        }
        if bytes_max.saturating_sub(self.at) < length {
            // Those at the end are older than those at the beginning.
            let end = self.at;
            while self.batches.pop_front_if(|batch| batch.bytes.start >= end).is_some() {}
            self.at = HEAD_BYTES;
        }
        let bytes = self.at..self.at + length;
        while self
            .batches
            .pop_front_if(|batch| batch.bytes.start < bytes.end && batch.bytes.end > bytes.start)
            .is_some()
        {}
        Some(bytes)
    }
}
