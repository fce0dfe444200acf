//! What is written in one transaction: several commits, each of which is taken or refused by itself.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use crate::ports::failpoint::failpoint;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StreamId};

use super::pages::Key;
use super::recent::Recent;
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
    forget: u64,
    papers: Option<String>,
    is_durable: bool,
    pub(super) bytes: usize,
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
        let (rows, forget, papers, is_durable) = (Vec::with_capacity(records.len()), 0, None, false);
        let mut append = Self { stream, fence, rows, forget, papers, is_durable, bytes: 0 };
        for record in records {
            match record {
                Record::Event(event) => {
                    append.is_durable |= event.body.is_durable();
                    let row = EventRow::of(&event).map_err(|_| CommitError::Unavailable)?;
                    append.bytes = append.bytes.saturating_add(row.body.len());
                    append.rows.push(row);
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
                recent.wrote(append.stream, append.rows, append.forget);
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
}

/// Writes all jobs in one transaction, in their order. Those whose fence does not hold are left out.
///
/// `touch`: something is written in any case, so that the log is synced up to here. A commit of a transaction that changes no
/// page writes nothing and syncs nothing, and jobs that were taken may have changed none.
pub(super) fn write<'a>(
    db: &mut Connection,
    jobs: impl Iterator<Item = &'a Job>,
    touch: bool,
) -> rusqlite::Result<Written> {
    let books = Books { file: db.transaction_with_behavior(TransactionBehavior::Immediate)? };
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
    books.file.commit()?;
    failpoint!("store.committed");
    Ok(written)
}

/// The tables, in a transaction. Numbers go in and out bit by bit: SQLite's have a sign, ours have none.
struct Books<'a> {
    file: Transaction<'a>,
}

impl Books<'_> {
    fn run(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.file.prepare_cached(sql)
    }

    /// The number that a stream has in the file, and that of its last event.
    fn find(&self, stream: StreamId) -> rusqlite::Result<Option<(i64, u64)>> {
        let key = Key::of(stream);
        let sql = "SELECT stream, (SELECT max(seq) FROM events WHERE events.stream = streams.stream) FROM streams \
                   WHERE kind = ?1 AND id = ?2";
        let found = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.unwrap_or_default()));
        let found: Option<(i64, i64)> = self.run(sql)?.query_row((key.kind, key.id), found).optional()?;
        Ok(found.map(|(stream, head)| (stream, head.cast_unsigned())))
    }

    fn append(&self, append: &Append) -> rusqlite::Result<bool> {
        let found = self.find(append.stream)?;
        if !append.fits(found.map(|(_, head)| head)) {
            return Ok(false);
        }
        let stream = match found {
            Some((stream, _)) => stream,
            // A stream begins with an event.
            None if append.rows.is_empty() => return Ok(true),
            None => self.begin(append)?,
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
        Ok(true)
    }

    fn begin(&self, append: &Append) -> rusqlite::Result<i64> {
        let key = Key::of(append.stream);
        let stream = self.run("INSERT INTO streams (kind, id) VALUES (?1, ?2)")?.insert((key.kind, key.id))?;
        if let StreamId::Task(_) = append.stream {
            self.run("INSERT INTO tasks (stream, papers) VALUES (?1, ?2)")?.execute((stream, &append.papers))?;
        }
        Ok(stream)
    }

    fn remove(&self, stream: StreamId) -> rusqlite::Result<()> {
        if let StreamId::Task(id) = stream {
            self.remove(StreamId::After(id))?;
        }
        let Some((number, _)) = self.find(stream)? else { return Ok(()) };
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
