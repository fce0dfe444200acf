//! A task's output: who writes, who reads, and who makes room.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::page::{NumberedPage, OutputCursor, OutputPage};
use super::ring::{Ring, Sizes, Source};
use super::spill::Spill;

/// Bytes of older output in one page, about. Protects whoever reads a lot from holding all of it.
const PAGE_BYTES: usize = 1 << 20;

/// Bytes and pieces of a page that is read backwards, about. Most who read backwards want little.
const BACK_BYTES: usize = 256 << 10;
const BACK_PIECES: u64 = 4096;

/// One task's output.
#[derive(Debug)]
pub(crate) struct OutputLog {
    ring: Mutex<Ring>,
    spill: Option<Spill>,
    /// Who may write to the spill: one at a time, however many calls wait for it.
    turn: Arc<Semaphore>,
    /// Whether the task was told that output cannot be kept.
    told: AtomicBool,
    changed: watch::Sender<()>,
}

/// The right to write to the spill.
#[derive(Debug)]
pub(crate) struct SpillTurn(#[expect(dead_code, reason = "its drop is what it is for")] OwnedSemaphorePermit);

impl OutputLog {
    /// An empty log that keeps `bytes_max` bytes of each of its three kinds.
    ///
    /// It may take twice that: pieces of one long write share it, and the last of them keeps all of it.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self::made_of(bytes_max, None)
    }

    /// Like [`OutputLog::new`], and what is pushed out is kept in the spill.
    pub(crate) fn with_spill(bytes_max: u64, spill: Spill) -> Self {
        // A file for nothing is none.
        Self::made_of(bytes_max, Some(spill).filter(|spill| spill.bytes_max > 0))
    }

    fn made_of(bytes_max: u64, spill: Option<Spill>) -> Self {
        let sizes = Sizes::new(bytes_max, spill.as_ref().map(|spill| spill.bytes_max));
        Self {
            ring: Mutex::new(Ring::new(sizes)),
            spill,
            turn: Arc::new(Semaphore::new(1)),
            told: AtomicBool::new(false),
            changed: watch::Sender::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes bytes of stdout. A character that is cut between two writes is put together again.
    ///
    /// Never waits. Says whether the writer should now: until [`OutputLog::make_room`] has been called. If it writes on
    /// instead, the oldest is lost.
    pub(crate) fn stdout(&self, bytes: impl Into<Vec<u8>>) -> bool {
        self.append(|ring| ring.push_bytes(true, bytes.into()))
    }

    /// Takes bytes of stderr, like [`OutputLog::stdout`].
    pub(crate) fn stderr(&self, bytes: impl Into<Vec<u8>>) -> bool {
        self.append(|ring| ring.push_bytes(false, bytes.into()))
    }

    /// Takes one log line, like [`OutputLog::stdout`].
    pub(crate) fn log(&self, level: &'static str, target: String, message: impl Into<String>) -> bool {
        self.append(|ring| ring.push(Source::Log { level, target }, message.into().into_bytes()))
    }

    fn append(&self, write: impl FnOnce(&mut Ring)) -> bool {
        let mut ring = self.lock();
        write(&mut ring);
        let is_over = ring.is_over();
        drop(ring);
        // Whoever begins to follow reads afterwards, and finds what was written before.
        if self.changed.receiver_count() > 0 {
            self.changed.send_replace(());
        }
        is_over
    }

    /// Whether more is in memory than may be, until it has been written to the spill.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().is_over()
    }

    /// Waits for the turn to call [`OutputLog::make_room`].
    ///
    /// Cancel safety: dropping the future gives its place up.
    pub(crate) async fn turn(&self) -> Option<SpillTurn> {
        Arc::clone(&self.turn).acquire_owned().await.ok().map(SpillTurn)
    }

    /// Writes what is only in memory to the spill, if there is too much of it. Blocks.
    pub(crate) fn make_room(&self, turn: SpillTurn) {
        let Some(spill) = self.spill.as_ref().filter(|_| self.is_over()) else { return };
        let mut ring = self.lock();
        let (chunks, end) = (ring.unwritten(), ring.next);
        drop(ring);
        let written = spill.write(&chunks);
        self.lock().wrote(end);
        drop(turn);
        if let Err(error) = written
            && !self.told.swap(true, Ordering::Relaxed)
        {
            self.log(
                "warn",
                "taskcell".to_owned(),
                format!("older output cannot be kept on disk and is lost: {error}"),
            );
        }
    }

    /// Waits for a write to the spill that is under way, and lets nobody write there any more. Blocks.
    pub(crate) fn close(&self) {
        if let Some(spill) = &self.spill {
            spill.close();
        }
    }

    /// Lets nobody write to the spill any more, if nobody writes there just now. Says whether that is so.
    pub(crate) fn try_close(&self) -> bool {
        self.spill.as_ref().is_none_or(Spill::try_close)
    }

    /// Bytes that are kept, in memory and in the spill.
    pub(crate) fn bytes(&self) -> u64 {
        let in_memory = self.lock().bytes();
        in_memory.saturating_add(self.spill.as_ref().map_or(0, Spill::bytes))
    }

    /// Reads on from a cursor, as far as it is in memory: what is only in the spill counts as lost.
    pub(crate) fn newest(&self, after: OutputCursor) -> OutputPage {
        newest(&mut self.lock(), after).into()
    }

    /// Reads on from a cursor, if all that is kept of it is in memory.
    pub(crate) fn read_memory(&self, after: OutputCursor) -> Option<OutputPage> {
        let mut ring = self.lock();
        (self.spill.is_none() || ring.gone <= after.0).then(|| newest(&mut ring, after).into())
    }

    /// Reads on from a cursor. Blocks. A page of older output holds about 1 MiB.
    pub(crate) fn read(&self, after: OutputCursor) -> OutputPage {
        self.read_numbered(after).into()
    }

    /// Like [`OutputLog::read`], with the pieces' numbers.
    pub(crate) fn read_numbered(&self, after: OutputCursor) -> NumberedPage {
        let Some(spill) = &self.spill else { return newest(&mut self.lock(), after) };
        let mut ring = self.lock();
        let gone = ring.gone;
        if gone <= after.0 {
            return newest(&mut ring, after);
        }
        drop(ring);
        let (older, end) = spill.read(after.0..gone, PAGE_BYTES);
        let mut chunks: BTreeMap<_, _> = older.into_iter().collect();
        let mut ring = self.lock();
        // To the end of the rings only if they still begin where the spill was read to.
        let end = if end == gone && ring.gone == gone { ring.next } else { end };
        chunks.extend(ring.read(after.0..end).map(|chunk| (chunk.number, chunk.shown())));
        drop(ring);
        let lost = (end - after.0).saturating_sub(chunks.len() as u64);
        NumberedPage { chunks: chunks.into_iter().collect(), lost, next: OutputCursor(end) }
    }

    /// Where the next piece will be.
    pub(crate) fn end(&self) -> OutputCursor {
        OutputCursor(self.lock().next)
    }

    /// Where the next piece will be, for somebody who reads on there: what is written from now on is not joined with what
    /// was before.
    pub(crate) fn seal(&self) -> OutputCursor {
        OutputCursor(self.lock().seal())
    }

    /// Reads back from a cursor: some of what is in memory, or of what is older. [`NumberedPage::next`] is where to read back
    /// from then; at the beginning nothing comes before it. Blocks. A page holds about a quarter of a MiB.
    pub(crate) fn read_back(&self, before: OutputCursor) -> NumberedPage {
        let mut ring = self.lock();
        let gone = ring.gone;
        let (older, mut begin) = if gone < before.0 {
            (Vec::new(), gone.max(before.0.saturating_sub(BACK_PIECES)))
        } else {
            drop(ring);
            let older = self.spill.as_ref().map_or((Vec::new(), 0), |spill| spill.read_back(before.0));
            ring = self.lock();
            older
        };
        let mut chunks: BTreeMap<_, _> = older.into_iter().collect();
        let mut bytes = 0;
        for chunk in ring.read(begin..before.0).rev() {
            chunks.insert(chunk.number, chunk.shown());
            bytes += chunk.text().len();
            if bytes > BACK_BYTES {
                begin = chunk.number;
                break;
            }
        }
        drop(ring);
        let chunks = chunks.split_off(&begin);
        let lost = (before.0 - begin).saturating_sub(chunks.len() as u64);
        NumberedPage { chunks: chunks.into_iter().collect(), lost, next: OutputCursor(begin) }
    }

    /// Follows the log: the receiver changes whenever there is something new.
    pub(crate) fn follow(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

fn newest(ring: &mut Ring, after: OutputCursor) -> NumberedPage {
    let next = ring.next;
    let chunks: Vec<_> = ring.read(after.0..next).map(|chunk| (chunk.number, chunk.shown())).collect();
    let lost = next.saturating_sub(after.0).saturating_sub(chunks.len() as u64);
    NumberedPage { chunks, lost, next: OutputCursor(next) }
}

#[cfg(test)]
mod tests;
