//! What is in the file. ARCHITECTURE.md draws it for people.

use rusqlite::{Connection, TransactionBehavior};

/// Says in the file's header that it is a Taskcell store: `TCEL`.
pub(super) const APPLICATION_ID: i32 = 0x5443_454c;

/// One step from a schema's version to the next. What is written down here was written into files, and stays.
pub(super) type Step = &'static str;

/// All of them: the version of a file is the number of steps it has behind it.
pub(super) const STEPS: &[Step] = &[FIRST];

/// An event's number, date and action are columns; all the rest of it is its body. A stream is there as long as it has an
/// event, and its head is the highest number, so that nothing is said twice. What an event is called is looked up in its
/// body by the views: a column of its own, even a virtual one, would have every body parsed when it is written.
const FIRST: Step = "
    CREATE TABLE store (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        flushes INTEGER NOT NULL
    ) STRICT;
    INSERT INTO store VALUES (1, 0);

    CREATE TABLE streams (
        stream INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        UNIQUE (kind, id)
    ) STRICT;

    CREATE TABLE events (
        stream INTEGER NOT NULL REFERENCES streams,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        action INTEGER,
        body TEXT NOT NULL,
        PRIMARY KEY (stream, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE tasks (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        stream INTEGER NOT NULL UNIQUE REFERENCES streams,
        papers TEXT
    ) STRICT;

    CREATE TABLE plugin_values (
        plugin TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (plugin, key)
    ) STRICT, WITHOUT ROWID;

    CREATE VIEW event_list AS
    SELECT
        kind, id, seq, strftime('%Y-%m-%d %H:%M:%f', at / 1000.0, 'unixepoch') AS at,
        iif(json_valid(body), body ->> '$.event', NULL) AS event, body
    FROM events JOIN streams USING (stream);

    CREATE VIEW task_list AS
    WITH logs AS (
        SELECT
            place, id, first.at AS created, last.at AS ended, last.seq AS events,
            iif(json_valid(first.body), first.body, '{}') AS first,
            iif(json_valid(last.body), last.body, '{}') AS last
        FROM tasks
        JOIN streams USING (stream)
        JOIN events AS first ON first.stream = tasks.stream AND first.seq = 1
        JOIN events AS last ON last.stream = tasks.stream
            AND last.seq = (SELECT max(seq) FROM events WHERE stream = tasks.stream)
    )
    SELECT
        id,
        first ->> '$.task.plugin' AS plugin,
        first ->> '$.task.task_type' AS type,
        first ->> '$.task.key' AS key,
        iif(last ->> '$.event' = 'finished', last ->> '$.outcome.outcome', 'open') AS state,
        last ->> '$.event' AS last_event,
        events,
        strftime('%Y-%m-%d %H:%M:%f', created / 1000.0, 'unixepoch') AS created,
        iif(last ->> '$.event' = 'finished', strftime('%Y-%m-%d %H:%M:%f', ended / 1000.0, 'unixepoch'), NULL) AS ended
    FROM logs ORDER BY place;
";

/// What a file says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing is in it yet.
    Empty,
    /// Another program's.
    Foreign,
    /// A store of this version.
    Store(usize),
}

/// Looks, and changes nothing.
pub(super) fn look(db: &Connection) -> rusqlite::Result<Found> {
    let application: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if application == APPLICATION_ID {
        // A version below 0 is none of ours, and certainly none of those that are known.
        return Ok(Found::Store(usize::try_from(version).unwrap_or(usize::MAX)));
    }
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if (application, version, tables) == (0, 0, 0) { Found::Empty } else { Found::Foreign })
}

/// Takes the file from a version to the newest, each step on its own: all of it, or nothing.
pub(super) fn migrate(db: &mut Connection, from: usize, steps: &[Step]) -> rusqlite::Result<()> {
    for (done, step) in steps.iter().enumerate().skip(from) {
        let step_of = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step_of.execute_batch(step)?;
        step_of.pragma_update(None, "application_id", APPLICATION_ID)?;
        step_of.pragma_update(None, "user_version", i32::try_from(done + 1).unwrap_or(i32::MAX))?;
        step_of.commit()?;
    }
    Ok(())
}
