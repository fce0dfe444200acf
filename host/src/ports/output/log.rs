//! A task's output: who writes, who reads, and who makes room.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::ports::secrets::Secrets;

use super::behind::Behind;
use super::page::{NumberedPage, OutputCursor, OutputPage};
use super::ring::{Ring, Sizes, Source};
use super::spill::{Remains, Spill};

/// Bytes of older output in one page, about. Protects whoever reads a lot from holding all of it.
const PAGE_BYTES: usize = 1 << 20;

/// Bytes and pieces of a page that is read backwards, about. Most who read backwards want little.
const BACK_BYTES: usize = 256 << 10;
const BACK_PIECES: u64 = 4096;

/// What a task's log says when its host was killed and started again, before anything else.
const RESUMES: &str = "the host was started again here; what was printed in the last moment before may be missing";
/// The same when its file cannot be read.
const RESUMES_UNKNOWN: &str =
    "the host was started again here; what was printed before cannot be read any more, because its file is damaged";

/// One task's output.
#[derive(Debug)]
pub(crate) struct OutputLog {
    sizes: Sizes,
    /// Made with the first piece: most tasks print nothing, and it is larger than all the rest.
    ring: OnceLock<Box<Mutex<Ring>>>,
    /// What is hidden in whatever is printed.
    secrets: OnceLock<Arc<Secrets>>,
    spill: Option<Spill>,
    /// Who may write to the spill: one at a time, however many calls wait for it.
    turn: OnceLock<Arc<Semaphore>>,
    /// Whether the task was told that output cannot be kept.
    told: AtomicBool,
    /// Made when somebody first follows it.
    changed: OnceLock<watch::Sender<()>>,
    /// Whom to tell that something is to be written, if all of it is.
    behind: Option<(Arc<Behind>, Weak<Self>)>,
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
        Self::made_of(bytes_max, Self::wanted(spill))
    }

    /// Like [`OutputLog::with_spill`], and all of it is written there, a moment behind.
    pub(crate) fn written_behind(bytes_max: u64, spill: Spill, behind: &Arc<Behind>) -> Arc<Self> {
        Self::with_spill(bytes_max, spill).joined(behind)
    }

    /// Like [`OutputLog::written_behind`], with what a host before this one wrote. Blocks. What can still be read of it is
    /// there, under its numbers; what is added gets larger ones than anybody has seen.
    pub(crate) fn reopened(bytes_max: u64, spill: Spill, behind: &Arc<Behind>) -> Arc<Self> {
        let Some(mut spill) = Self::wanted(spill) else { return Self::new(bytes_max).joined(behind) };
        let Remains { next, never, is_known } = spill.reopen();
        let log = Self::made_of(bytes_max, Some(spill));
        let says = if is_known { RESUMES } else { RESUMES_UNKNOWN };
        *log.lock() = Ring::reopened(log.sizes, next, never, says);
        log.joined(behind)
    }

    /// A file for nothing is none.
    fn wanted(spill: Spill) -> Option<Spill> {
        Some(spill).filter(|spill| spill.bytes_max > 0)
    }

    fn joined(self, behind: &Arc<Behind>) -> Arc<Self> {
        let is_kept = self.spill.is_some();
        Arc::new_cyclic(|me| Self { behind: is_kept.then(|| (Arc::clone(behind), Weak::clone(me))), ..self })
    }

    fn made_of(bytes_max: u64, spill: Option<Spill>) -> Self {
        let sizes = Sizes::new(bytes_max, spill.as_ref().map(|spill| spill.bytes_max));
        Self {
            behind: None,
            sizes,
            ring: OnceLock::new(),
            secrets: OnceLock::new(),
            spill,
            turn: OnceLock::new(),
            told: AtomicBool::new(false),
            changed: OnceLock::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        let made = || {
            let mut ring = Ring::new(self.sizes);
            if let Some(secrets) = self.secrets.get() {
                ring.hide(secrets);
            }
            Box::new(Mutex::new(ring))
        };
        self.ring.get_or_init(made).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, unless nothing was ever printed.
    fn lock_made(&self) -> Option<MutexGuard<'_, Ring>> {
        self.ring.get().map(|ring| ring.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn turns(&self) -> Arc<Semaphore> {
        Arc::clone(self.turn.get_or_init(|| Arc::new(Semaphore::new(1))))
    }

    /// Takes bytes of stdout. A character that is cut between two writes is put together again.
    ///
    /// Never waits. Says whether the writer should now: until [`OutputLog::make_room`] has been called. If it writes on
    /// instead, the oldest is lost.
    pub(crate) fn stdout(&self, bytes: impl Into<Vec<u8>>) -> bool {
        self.print(true, bytes.into())
    }

    /// Takes bytes of stderr, like [`OutputLog::stdout`].
    pub(crate) fn stderr(&self, bytes: impl Into<Vec<u8>>) -> bool {
        self.print(false, bytes.into())
    }

    fn print(&self, to_stdout: bool, bytes: Vec<u8>) -> bool {
        // Under one lock, so that what is held back stays in its order.
        self.append(|ring| {
            let bytes = ring.screened(to_stdout, bytes);
            ring.push_bytes(to_stdout, bytes);
        })
    }

    /// Hides these secrets in whatever is written from now on, also those that come to them. For once, before anything is.
    pub(crate) fn hide(&self, secrets: &Arc<Secrets>) {
        if self.secrets.set(Arc::clone(secrets)).is_ok()
            && let Some(mut ring) = self.lock_made()
        {
            ring.hide(secrets);
        }
    }

    /// Takes what was held back because it may have been the beginning of a secret: nothing follows it.
    pub(crate) fn let_go(&self) {
        if self.ring.get().is_none() {
            return;
        }
        for to_stdout in [true, false] {
            let _is_over = self.append(|ring| {
                let rest = ring.held_back(to_stdout);
                ring.push_bytes(to_stdout, rest);
            });
        }
    }

    /// Takes one log line, like [`OutputLog::stdout`].
    pub(crate) fn log(&self, level: &'static str, target: String, message: impl Into<String>) -> bool {
        let (mut message, mut target): (String, String) = (message.into(), target);
        if let Some(secrets) = self.secrets.get() {
            secrets.hide(&mut message);
            secrets.hide(&mut target);
        }
        self.append(|ring| ring.push(Source::Log { level, target }, message.into_bytes()))
    }

    fn append(&self, write: impl FnOnce(&mut Ring)) -> bool {
        let mut ring = self.lock();
        write(&mut ring);
        let is_over = ring.is_over();
        drop(ring);
        self.note_behind();
        // Whoever begins to follow now takes the same lock to read, and finds what was written before.
        if let Some(changed) = self.changed.get().filter(|changed| changed.receiver_count() > 0) {
            changed.send_replace(());
        }
        is_over
    }

    /// Whether more is in memory than may be, until it has been written to the spill.
    pub(crate) fn is_over(&self) -> bool {
        self.lock_made().is_some_and(|ring| ring.is_over())
    }

    /// Waits for the turn to call [`OutputLog::make_room`].
    ///
    /// Cancel safety: dropping the future gives its place up.
    pub(crate) async fn turn(&self) -> Option<SpillTurn> {
        self.turns().acquire_owned().await.ok().map(SpillTurn)
    }

    /// Writes what is only in memory to the spill, if there is too much of it. Blocks.
    pub(crate) fn make_room(&self, turn: SpillTurn) {
        if self.is_over() {
            // There is no room for what cannot be written.
            let _ = self.write(true);
        }
        drop(turn);
    }

    /// Whether something is to be written to the spill although there is room in memory.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.is_some() && self.lock_made().is_some_and(|ring| ring.is_behind())
    }

    /// Writes what is only in memory to the spill, if all of it is to be there. Blocks. What cannot be written is tried again
    /// as long as there is room for it in memory.
    ///
    /// # Errors
    /// The disk's; the task's log says so the first time.
    pub(crate) fn catch_up(&self, turn: SpillTurn) -> io::Result<()> {
        let written = if self.is_behind() { self.write(false) } else { Ok(()) };
        drop(turn);
        written
    }

    /// The same, and waits until it outlives the machine.
    pub(crate) fn flush(&self, turn: SpillTurn) -> io::Result<()> {
        self.catch_up(turn)?;
        self.spill.as_ref().filter(|_| self.behind.is_some()).map_or(Ok(()), Spill::sync)
    }

    /// Writes what is to be written, unless somebody does already; then later.
    pub(super) fn write_behind(&self) {
        self.lock().is_noted = false;
        if let Ok(turn) = self.turns().try_acquire_owned() {
            let _ = self.catch_up(SpillTurn(turn));
        }
        self.note_behind();
    }

    /// Has it written that something is only in memory, once.
    fn note_behind(&self) {
        let Some((behind, me)) = &self.behind else { return };
        let Some(mut ring) = self.lock_made() else { return };
        if ring.is_behind() && !std::mem::replace(&mut ring.is_noted, true) {
            drop(ring);
            behind.add(Weak::clone(me));
        }
    }

    fn write(&self, may_lose: bool) -> io::Result<()> {
        let Some(spill) = &self.spill else { return Ok(()) };
        let mut ring = self.lock();
        let (chunks, end) = (ring.unwritten(), ring.next);
        let never = ring.never_given(0..end);
        drop(ring);
        let (below, written) = spill.write(&chunks, never, may_lose);
        self.lock().wrote(if written.is_ok() || may_lose { end } else { below });
        if let Err(error) = &written
            && !self.told.swap(true, Ordering::Relaxed)
        {
            let lost = if may_lose {
                "older output cannot be kept on disk and is lost"
            } else {
                "output cannot be kept on disk"
            };
            self.log("warn", "taskcell".to_owned(), format!("{lost}: {error}"));
        }
        written
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
        let in_memory = self.lock_made().map_or(0, |ring| ring.bytes());
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
        let lost = self.between(after, OutputCursor(end)).saturating_sub(chunks.len() as u64);
        NumberedPage { chunks: chunks.into_iter().collect(), lost, next: OutputCursor(end) }
    }

    /// How many pieces were between this place and that one, kept or lost.
    pub(crate) fn between(&self, begin: OutputCursor, end: OutputCursor) -> u64 {
        between(&self.lock(), begin, end)
    }

    /// Where the next piece will be.
    pub(crate) fn end(&self) -> OutputCursor {
        OutputCursor(self.lock_made().map_or(0, |ring| ring.next))
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
        let lost = self.between(OutputCursor(begin), before).saturating_sub(chunks.len() as u64);
        NumberedPage { chunks: chunks.into_iter().collect(), lost, next: OutputCursor(begin) }
    }

    /// Follows the log: the receiver changes whenever there is something new.
    pub(crate) fn follow(&self) -> watch::Receiver<()> {
        self.changed.get_or_init(watch::Sender::default).subscribe()
    }
}

fn between(ring: &Ring, begin: OutputCursor, end: OutputCursor) -> u64 {
    begin.up_to(end).saturating_sub(ring.never_given(begin.0..end.0))
}

fn newest(ring: &mut Ring, after: OutputCursor) -> NumberedPage {
    let next = ring.next;
    let chunks: Vec<_> = ring.read(after.0..next).map(|chunk| (chunk.number, chunk.shown())).collect();
    let lost = between(ring, after, OutputCursor(next)).saturating_sub(chunks.len() as u64);
    NumberedPage { chunks, lost, next: OutputCursor(next) }
}

#[cfg(test)]
mod tests;
