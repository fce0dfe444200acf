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
#[derive(Debug, Default)]
struct Circle {
    /// Oldest first.
    batches: VecDeque<Batch>,
    /// Where the next batch goes, if there is room.
    at: u64,
    closed: bool,
}

#[derive(Debug, Clone)]
struct Batch {
    numbers: Range<u64>,
    bytes: Range<u64>,
}

impl Spill {
    /// Keeps at most `bytes_max` bytes in the file.
    pub(crate) fn new(file: Box<dyn SpillFile>, bytes_max: u64) -> Self {
        Self { file, bytes_max, circle: Mutex::default(), size: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Circle> {
        self.circle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes these pieces, which come after all others. Blocks. What cannot be written is lost, and the first error is
    /// returned.
    pub(super) fn write(&self, chunks: &[Chunk]) -> io::Result<()> {
        let enough = usize::try_from(self.bytes_max / BATCHES_MIN).unwrap_or(usize::MAX).min(BATCH_BYTES);
        let mut written = Ok(());
        let mut batch = Vec::new();
        let mut first = None;
        for chunk in chunks {
            let begin = *first.get_or_insert(chunk.number);
            record::write(chunk, &mut batch)?;
            if batch.len() >= enough {
                written = written.and(self.put(begin..chunk.number + 1, &batch));
                batch.clear();
                first = None;
            }
        }
        if let Some((begin, last)) = first.zip(chunks.last()) {
            written = written.and(self.put(begin..last.number + 1, &batch));
        }
        written
    }

    /// Writes a batch. One that is larger than the file is lost like one that has been dropped.
    fn put(&self, numbers: Range<u64>, batch: &[u8]) -> io::Result<()> {
        let mut circle = self.lock();
        let Some(bytes) = circle.room(batch.len() as u64, self.bytes_max) else {
            return Ok(());
        };
        // Held meanwhile, so that nobody reads what is half written. Only threads that may block wait for it.
        self.file.write_at(bytes.start, batch)?;
        circle.at = bytes.end;
        self.size.fetch_max(bytes.end, Ordering::Relaxed);
        circle.batches.push_back(Batch { numbers, bytes });
        Ok(())
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
            let chunks = record::read(&bytes).filter(|(number, _)| numbers.contains(number));
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
        let read = self.file.read_at(batch.bytes.start, &mut bytes);
        let numbers = batch.numbers.clone();
        drop(circle);
        if read.is_err() {
            return (Vec::new(), numbers.start);
        }
        (record::read(&bytes).filter(|(number, _)| *number < before).collect(), numbers.start)
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
    /// Makes room for a batch, and says where.
    fn room(&mut self, length: u64, bytes_max: u64) -> Option<Range<u64>> {
        if self.closed || length > bytes_max {
            return None;
        }
        if bytes_max - self.at < length {
            // Those at the end are older than those at the beginning.
            let end = self.at;
            while self.batches.pop_front_if(|batch| batch.bytes.start >= end).is_some() {}
            self.at = 0;
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
