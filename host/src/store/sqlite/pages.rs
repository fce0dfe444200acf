//! What is read from the tables. A page is bounded in bytes too, because an event can be large.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::model::event::{Event, EventSeq};
use crate::model::ids::TaskId;
use crate::ports::kv::Values;
use crate::ports::store::{StoreError, StoredTask, StreamId};

use super::faults::read_error;
use super::open::BUSY;
use super::row::EventRow;

/// A page is no longer than this, unless it is one event. Protects the host's memory from logs of large events.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// What a stream is called in the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) kind: &'static str,
    pub(super) id: String,
}

impl Key {
    pub(super) fn of(stream: StreamId) -> Self {
        let (kind, id) = match stream {
            StreamId::Task(id) => ("task", id.to_string()),
            StreamId::After(id) => ("after", id.to_string()),
            StreamId::Schedule(id) => ("schedule", id.to_string()),
            StreamId::Schedules => ("schedules", String::new()),
        };
        Self { kind, id }
    }
}

/// The number of a stream's last event.
pub(super) fn head(db: &Connection, stream: StreamId) -> Result<Option<EventSeq>, StoreError> {
    let sql = "SELECT max(seq) FROM events WHERE stream = (SELECT stream FROM streams WHERE kind = ?1 AND id = ?2)";
    let key = Key::of(stream);
    let head = db.prepare_cached(sql).and_then(|mut head| head.query_row((key.kind, key.id), |row| row.get(0)));
    let head: Option<i64> = head.map_err(|error| read_error(&error))?;
    Ok(head.map(|head| EventSeq(head.cast_unsigned())))
}

/// Events after a number, in order.
pub(super) fn events(
    db: &Connection,
    stream: StreamId,
    after: EventSeq,
    limit: usize,
) -> Result<Vec<Event>, StoreError> {
    let sql = "SELECT seq, at, action, body FROM events \
               WHERE stream = (SELECT stream FROM streams WHERE kind = ?1 AND id = ?2) AND seq > ?3 ORDER BY seq LIMIT ?4";
    let key = Key::of(stream);
    let (after, limit) = (bounded(after.0), bounded(u64::try_from(limit).unwrap_or(u64::MAX)));
    let mut page: Vec<Event> = Vec::new();
    let mut bytes = 0;
    let mut select = db.prepare_cached(sql).map_err(|error| read_error(&error))?;
    let mut rows = select.query((key.kind, key.id, after, limit)).map_err(|error| read_error(&error))?;
    while let Some(row) = rows.next().map_err(|error| read_error(&error))? {
        let (event, length) = event(row)?;
        bytes += length;
        if bytes > PAGE_BYTES_MAX && !page.is_empty() {
            break;
        }
        // One that is missing was lost.
        if page.last().is_some_and(|last| last.seq.next() != event.seq) {
            return Err(StoreError::Damaged);
        }
        page.push(event);
    }
    Ok(page)
}

fn event(row: &Row<'_>) -> Result<(Event, usize), StoreError> {
    let columns = || -> rusqlite::Result<(i64, i64, Option<i64>)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
    let (seq, at, action) = columns().map_err(|error| read_error(&error))?;
    let body =
        row.get_ref(3).map_err(|error| read_error(&error))?.as_str().map_err(|_| StoreError::Damaged)?.to_owned();
    let length = body.len();
    let (seq, at, action) = (seq.cast_unsigned(), at.cast_unsigned(), action.map(i64::cast_unsigned));
    Ok((EventRow { seq, at, action, body }.into_event()?, length))
}

/// Tasks after a place, in order.
pub(super) fn tasks(db: &Connection, after: u64, limit: usize) -> Result<Vec<StoredTask>, StoreError> {
    let sql =
        "SELECT place, id, papers FROM tasks LEFT JOIN streams USING (stream) WHERE place > ?1 ORDER BY place LIMIT ?2";
    let limit = bounded(u64::try_from(limit).unwrap_or(u64::MAX));
    let mut select = db.prepare_cached(sql).map_err(|error| read_error(&error))?;
    let mut rows = select.query((bounded(after), limit)).map_err(|error| read_error(&error))?;
    let mut page = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next().map_err(|error| read_error(&error))? {
        let place: i64 = row.get(0).map_err(|error| read_error(&error))?;
        // One that nobody can read is no reason to withhold the others.
        let id = row.get_ref(1).map_err(|error| read_error(&error))?.as_str().ok().and_then(TaskId::parse);
        let papers = row.get_ref(2).map_err(|error| read_error(&error))?.as_str_or_null().ok().flatten();
        bytes += papers.map_or(0, str::len);
        if bytes > PAGE_BYTES_MAX && !page.is_empty() {
            break;
        }
        let papers = papers.and_then(|papers| serde_json::from_str(papers).ok());
        page.push(StoredTask::new(place.cast_unsigned(), id, papers));
    }
    Ok(page)
}

/// Everything that a plugin has stored.
pub(super) fn values(db: &Connection, plugin: &str) -> Result<Values, StoreError> {
    let values = || {
        let mut select = db.prepare_cached("SELECT key, value FROM plugin_values WHERE plugin = ?1")?;
        select.query_map([plugin], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()
    };
    values().map_err(|error| read_error(&error))
}

/// SQLite's numbers end earlier than ours, and nothing is as far as that.
fn bounded(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How a checkpoint is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thoroughness {
    /// Nothing is moved: it only counts.
    Look,
    /// As far as it goes.
    Passive,
    /// All of it, and the log is empty then, unless somebody reads there.
    Truncate,
}

/// Moves what is in the log into the file. Says how many pages are left in the log, because somebody reads there: nobody is
/// waited for, or whoever looks at the file with another tool would hold up all commits.
pub(super) fn checkpoint(db: &Connection, how: Thoroughness) -> rusqlite::Result<u64> {
    let sql = match how {
        Thoroughness::Look => "PRAGMA wal_checkpoint(NOOP)",
        Thoroughness::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Thoroughness::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    let left = |row: &Row<'_>| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?);
    db.busy_timeout(Duration::ZERO)?;
    let left = db.prepare_cached(sql).and_then(|mut moved| moved.query_row([], left).optional());
    db.busy_timeout(BUSY)?;
    let left = left?.unwrap_or_default();
    Ok(u64::try_from(left).unwrap_or_default())
}
