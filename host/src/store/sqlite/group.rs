//! What is written in one transaction: several commits, each of which is taken or refused by itself.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use crate::ports::clock::{Clock as _, SystemClock};
use crate::ports::failpoint::failpoint;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StreamId};

use super::pages::Key;
use super::recent::{Recent, Weighed};
use super::row::EventRow;

/// The largest commit that is taken. SQLite has no row over 1 GB, and no limit lets a task come near this.
const COMMIT_BYTES_MAX: usize = 256 << 20;

/// Who is told what became of a job. Nobody may be waiting any more.
pub(super) type Answer<E> = oneshot::Sender<Result<(), E>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Append(Append, Answer<CommitError>),
    Remove(StreamId, Answer<StoreError>),
    Put(Put, Answer<StoreError>),
    /// Everything before it shall outlive the machine.
    Flush(Answer<StoreError>),
    /// Everything before it shall have been written.
    Barrier(Answer<StoreError>),
}

/// Events for one stream.
#[derive(Debug)]
pub(super) struct Append {
    stream: StreamId,
    fence: Fence,
    rows: Vec<EventRow>,
    /// The same, for those who wait for them.
    events: Vec<Weighed>,
    forget: u64,
    papers: Option<String>,
    is_durable: bool,
    /// Of the texts.
    bytes: usize,
}

/// A value of a plugin's; `None` removes it.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) plugin: String,
    pub(super) key: String,
    pub(super) value: Option<Vec<u8>>,
}

impl Append {
    /// Makes text of the records, so that the writer need not.
    pub(super) fn of(stream: StreamId, fence: Fence, records: Vec<Record>) -> Result<Self, CommitError> {
        let (rows, events) = (Vec::with_capacity(records.len()), Vec::with_capacity(records.len()));
        let mut append = Self { stream, fence, rows, events, forget: 0, papers: None, is_durable: false, bytes: 0 };
        for record in records {
            match record {
                Record::Event(event) => {
                    append.is_durable |= event.body.is_durable();
                    let row = EventRow::of(&event).map_err(|_| CommitError::Unavailable)?;
                    append.bytes = append.bytes.saturating_add(row.body.len());
                    append.rows.push(row);
                    append.events.push(Weighed::new(event));
                }
                Record::Forget(up_to) => append.forget = append.forget.max(up_to.0),
                Record::Papers(papers) => {
                    let papers = serde_json::to_string(&papers).map_err(|_| CommitError::Unavailable)?;
                    append.is_durable = true;
                    append.bytes = append.bytes.saturating_add(papers.len());
                    append.papers = Some(papers);
                }
            }
        }
        if append.bytes > COMMIT_BYTES_MAX { Err(CommitError::Unavailable) } else { Ok(append) }
    }

    /// Whether it brings something new into the store: a task, or a schedule. What belongs to one that is there does not,
    /// even if it is the first of its own stream.
    pub(super) fn is_new(&self) -> bool {
        let is_new = match self.stream {
            StreamId::Task(_) | StreamId::Schedule(_) => true,
            StreamId::After(_) | StreamId::Schedules => false,
        };
        is_new && self.fence == Fence::Absent
    }

    /// Bytes of memory that it takes while it waits, about: the texts, and the events.
    pub(super) fn held_bytes(&self) -> usize {
        self.events.iter().fold(self.bytes, |sum, event| sum.saturating_add(event.bytes))
    }

    /// Whether the events are the next ones of a stream with this head.
    fn fits(&self, head: Option<u64>) -> bool {
        let is_seen = match (self.fence, head) {
            (Fence::Absent, None) => true,
            (Fence::After(expected), Some(last)) => expected.0 == last,
            (Fence::Absent, Some(_)) | (Fence::After(_), None) => false,
        };
        let first = head.unwrap_or_default().saturating_add(1);
        is_seen && self.rows.iter().zip(first..).all(|(row, next)| row.seq == next)
    }
}

impl Job {
    /// Whether it is answered only when it outlives the machine.
    pub(super) fn is_durable(&self) -> bool {
        match self {
            Self::Append(append, _) => append.is_durable,
            Self::Put(..) | Self::Flush(_) => true,
            Self::Remove(..) | Self::Barrier(_) => false,
        }
    }

    /// Whether it is refused, and does not wait, while the disk has no room.
    pub(super) fn is_new(&self) -> bool {
        match self {
            Self::Append(append, _) => append.is_new(),
            Self::Remove(..) | Self::Put(..) | Self::Flush(_) | Self::Barrier(_) => false,
        }
    }

    /// How much it writes, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append(append, _) => append.bytes,
            Self::Put(put, _) => put.key.len() + put.value.as_ref().map_or(0, Vec::len),
            Self::Remove(..) | Self::Flush(_) | Self::Barrier(_) => 0,
        }
    }

    /// It was written, or refused by its fence. What was written is known before anybody hears of it.
    pub(super) fn answer(self, is_taken: bool, recent: &Recent) {
        // Whoever asked may have gone.
        let _ = match self {
            Self::Append(_, answer) if !is_taken => answer.send(Err(CommitError::Fenced)).is_ok(),
            Self::Append(append, answer) => {
                recent.wrote(append.stream, append.events, append.forget);
                answer.send(Ok(())).is_ok()
            }
            Self::Remove(stream, answer) => {
                recent.forget(stream);
                if let StreamId::Task(id) = stream {
                    recent.forget(StreamId::After(id));
                }
                answer.send(Ok(())).is_ok()
            }
            Self::Put(_, answer) | Self::Flush(answer) | Self::Barrier(answer) => answer.send(Ok(())).is_ok(),
        };
    }

    /// It was not written.
    pub(super) fn refuse(self, why: CommitError) {
        let _ = match self {
            Self::Append(_, answer) => answer.send(Err(why)).is_ok(),
            Self::Remove(_, answer) | Self::Put(_, answer) | Self::Flush(answer) | Self::Barrier(answer) => {
                answer.send(Err(StoreError::Unavailable)).is_ok()
            }
        };
    }
}

/// What a transaction has done.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Which of the jobs were taken, in their order.
    pub(super) taken: Vec<bool>,
    /// Whether there was anything to write.
    pub(super) any: bool,
    /// How long it took to make them safe, which is the same for few and for many.
    pub(super) committed_in: Duration,
}

/// Where the newest streams are, so that nobody has to look in the file. Only the writer changes them there.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<StreamId, Place>);

/// The number that a stream has in the file, and that of its last event.
#[derive(Debug, Clone, Copy)]
struct Place {
    stream: i64,
    head: u64,
}

impl Places {
    /// Streams that are known. The newest are those that are written to; with one more, all of them are forgotten.
    const MOST: usize = 16 << 10;

    /// Nothing is known any more.
    pub(super) fn forget_all(&mut self) {
        self.0.clear();
    }

    fn know(&mut self, stream: StreamId, place: Place) {
        if self.0.len() >= Self::MOST {
            self.forget_all();
        }
        self.0.insert(stream, place);
    }
}

/// Writes all jobs in one transaction, in their order. Those whose fence does not hold are left out.
///
/// `touch`: something is written in any case, so that the log is synced up to here. A commit of a transaction that changes no
/// page writes nothing and syncs nothing, and jobs that were taken may have changed none.
pub(super) fn write<'a>(
    db: &mut Connection,
    jobs: impl Iterator<Item = &'a Job>,
    touch: bool,
    places: &mut Places,
    clock: &SystemClock,
) -> rusqlite::Result<Written> {
    let mut books = Books { file: db.transaction_with_behavior(TransactionBehavior::Immediate)?, places };
    failpoint!("store.group");
    let mut written = Written::default();
    for job in jobs {
        let is_taken = match job {
            Job::Append(append, _) => books.append(append)?,
            Job::Remove(stream, _) => {
                books.remove(*stream)?;
                true
            }
            Job::Put(put, _) => books.put(put)?,
            Job::Flush(_) | Job::Barrier(_) => {
                written.taken.push(true);
                continue;
            }
        };
        written.any |= is_taken;
        written.taken.push(is_taken);
    }
    if touch {
        books.run("UPDATE store SET flushes = flushes + 1")?.execute([])?;
        written.any = true;
    }
    failpoint!("store.written");
    let written_at = clock.steady();
    books.file.commit()?;
    written.committed_in = clock.steady().saturating_sub(written_at);
    failpoint!("store.committed");
    Ok(written)
}

/// The tables, in a transaction. Numbers go in and out bit by bit: SQLite's have a sign, ours have none.
struct Books<'a> {
    file: Transaction<'a>,
    places: &'a mut Places,
}

impl Books<'_> {
    fn run(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.file.prepare_cached(sql)
    }

    fn find(&self, stream: StreamId) -> rusqlite::Result<Option<Place>> {
        if let Some(known) = self.places.0.get(&stream) {
            return Ok(Some(*known));
        }
        let key = Key::of(stream);
        let sql = "SELECT stream, (SELECT max(seq) FROM events WHERE events.stream = streams.stream) FROM streams \
                   WHERE kind = ?1 AND id = ?2";
        let found = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.unwrap_or_default()));
        let found: Option<(i64, i64)> = self.run(sql)?.query_row((key.kind, key.id), found).optional()?;
        Ok(found.map(|(stream, head)| Place { stream, head: head.cast_unsigned() }))
    }

    fn append(&mut self, append: &Append) -> rusqlite::Result<bool> {
        // That a new stream is not there yet is seen by making it.
        let is_new = append.fence == Fence::Absent && !append.rows.is_empty();
        let found = if is_new { None } else { self.find(append.stream)? };
        if !append.fits(found.map(|found| found.head)) {
            return Ok(false);
        }
        let stream = match found {
            Some(found) => found.stream,
            // A stream begins with an event.
            None if append.rows.is_empty() => return Ok(true),
            None => match self.begin(append)? {
                Some(stream) => stream,
                None => return Ok(false),
            },
        };
        if let (Some(_), Some(papers)) = (found, &append.papers) {
            self.run("UPDATE tasks SET papers = ?2 WHERE stream = ?1")?.execute((stream, papers))?;
        }
        let mut insert = self.run("INSERT INTO events (stream, seq, at, action, body) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for row in &append.rows {
            let (seq, at, action) = (row.seq.cast_signed(), row.at.cast_signed(), row.action.map(u64::cast_signed));
            insert.execute(params![stream, seq, at, action, row.body])?;
        }
        drop(insert);
        if append.forget > 0 {
            // The last one says where the stream goes on.
            let sql = "DELETE FROM events WHERE stream = ?1 AND seq <= ?2 \
                       AND seq < (SELECT max(seq) FROM events WHERE stream = ?1)";
            let up_to = i64::try_from(append.forget).unwrap_or(i64::MAX);
            self.run(sql)?.execute((stream, up_to))?;
        }
        let head = append.rows.last().map(|last| last.seq).or(found.map(|found| found.head)).unwrap_or_default();
        self.places.know(append.stream, Place { stream, head });
        Ok(true)
    }

    /// Makes a stream; `None` when it is there.
    fn begin(&self, append: &Append) -> rusqlite::Result<Option<i64>> {
        let key = Key::of(append.stream);
        let sql = "INSERT INTO streams (kind, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        if self.run(sql)?.execute((key.kind, key.id))? == 0 {
            return Ok(None);
        }
        let stream = self.file.last_insert_rowid();
        if let StreamId::Task(_) = append.stream {
            self.run("INSERT INTO tasks (stream, papers) VALUES (?1, ?2)")?.execute((stream, &append.papers))?;
        }
        Ok(Some(stream))
    }

    fn remove(&mut self, stream: StreamId) -> rusqlite::Result<()> {
        if let StreamId::Task(id) = stream {
            self.remove(StreamId::After(id))?;
        }
        let Some(Place { stream: number, .. }) = self.find(stream)? else { return Ok(()) };
        self.places.0.remove(&stream);
        for sql in [
            "DELETE FROM tasks WHERE stream = ?1",
            "DELETE FROM events WHERE stream = ?1",
            "DELETE FROM streams WHERE stream = ?1",
        ] {
            self.run(sql)?.execute([number])?;
        }
        Ok(())
    }

    fn put(&self, put: &Put) -> rusqlite::Result<bool> {
        let Put { plugin, key, value } = put;
        match value {
            Some(value) => {
                let sql = "INSERT INTO plugin_values (plugin, key, value) VALUES (?1, ?2, ?3) \
                           ON CONFLICT DO UPDATE SET value = excluded.value";
                self.run(sql)?.execute((plugin, key, value))?
            }
            None => self.run("DELETE FROM plugin_values WHERE plugin = ?1 AND key = ?2")?.execute((plugin, key))?,
        };
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::TaskId;

    #[test]
    fn t46_places_that_are_known_do_not_add_up() {
        let mut places = Places::default();
        for number in 0..=Places::MOST as u128 {
            let stream = StreamId::Task(TaskId::from_random(number));
            places.know(stream, Place { stream: 1, head: 1 });
            assert!(places.0.len() <= Places::MOST && places.0.contains_key(&stream));
        }
    }
}
