//! Row 3: from a request to an outcome that somebody has read, with every step synced to the disk, against the same rows
//! straight into SQLite.
//!
//! What the raw side may put into one transaction follows from what is promised: nobody hears of a task that is not on the
//! disk, no guest runs before that is written down, and an outcome is told when it is there. So each task costs three
//! synced transactions, one after the other, and those of all tasks in flight are written together.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use rusqlite::{Connection, params};
use serde_json::json;
use taskcell::SqliteStore;
use taskcell_bench::{Figure, Owed, median};

use super::Bench;
use crate::{
    guests,
    measure::{blocks, cpu, scaled, wall},
    ours::Ours,
};

/// Tasks in flight.
const AT_ONCE: u32 = 64;
/// The longest that a sync may take on a disk of which a rate is owed.
const SYNC_MAX: Duration = Duration::from_micros(300);
/// The longest that a task may take then, in microseconds: 10 000 of them in a second.
const TASK_MAX: f64 = 100.0;
/// Our rate is at least 0.7 of raw's.
const RATIO_MAX: f64 = 1.0 / 0.7;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir_in(&bench.disk)?;
    let (at_first, dir) = (sync(dir.path())?, dir.path());
    let ours = Ours::durable(&dir.join("ours"))?;
    let kind = ours.load(guests::nothing()?, "go", json!({}))?;
    ours.run_many(&kind, 1, 1)?;
    let mut raw = Rows::new(&dir.join("ours"), &dir.join("raw"))?;

    let count = bench.pick(1000, 4000);
    let (mut ours_cpu, mut raw_cpu) = (Vec::new(), Vec::new());
    let figures = blocks(
        bench.pick(15, 41),
        || each(count, &mut ours_cpu, || ours.run_many(&kind, count, AT_ONCE)),
        || each(count, &mut raw_cpu, || raw.write_many(count)),
    )?;
    let sync = (at_first + sync(dir)?) / 2;
    eprintln!("bench: writing 4 KiB and a sync take {} us here", sync.as_micros());

    let wall = scaled(&figures, 1e-3);
    let cpu: Vec<_> = ours_cpu.into_iter().zip(raw_cpu).skip(1).collect();
    let rate = if sync <= SYNC_MAX { Owed::Ours(TASK_MAX) } else { Owed::Nothing };
    Ok(vec![
        Figure::of_blocks(3, "durable, 64 in flight (us wall for each)", &wall, Owed::Ratio(RATIO_MAX)),
        Figure::of_blocks(3, format!("the same, a sync takes {} us", sync.as_micros()), &wall, rate),
        Figure::of_blocks(3, "the same (us CPU for each)", &scaled(&cpu, 1e-3), Owed::Nothing),
    ])
}

/// The wall time of one of so many things, in nanoseconds; their CPU time is put to the others.
fn each(things: u32, all_cpu: &mut Vec<f64>, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = cpu();
    let wall = wall(work)? / f64::from(things);
    all_cpu.push(cpu().saturating_sub(before).as_secs_f64() * 1e9 / f64::from(things));
    Ok(wall)
}

/// How long it takes to write a page behind the others, and to have it on the disk.
fn sync(dir: &Path) -> Result<Duration> {
    let mut file = File::create(dir.join("sync"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let before = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        times.push(before.elapsed().as_secs_f64());
    }
    Ok(Duration::from_secs_f64(median(&times)))
}

/// The rows of a task of ours, for many tasks.
struct Rows {
    db: Connection,
    papers: Option<String>,
    events: Vec<Event>,
    next: u64,
}

struct Event {
    seq: i64,
    at: i64,
    action: Option<i64>,
    body: String,
}

impl Rows {
    /// The rows of the first task in one directory, for a file of the same form in another.
    fn new(ours: &Path, raw: &Path) -> Result<Self> {
        let from = Connection::open(ours.join("tasks.db"))?;
        let papers = from.query_row("SELECT papers FROM tasks ORDER BY place LIMIT 1", [], |row| row.get(0))?;
        let sql =
            "SELECT seq, at, action, body FROM events WHERE stream = (SELECT min(stream) FROM tasks) ORDER BY seq";
        let mut select = from.prepare(sql)?;
        let event = |row: &rusqlite::Row<'_>| {
            Ok(Event { seq: row.get(0)?, at: row.get(1)?, action: row.get(2)?, body: row.get(3)? })
        };
        let events: Vec<_> = select.query_map([], event)?.collect::<rusqlite::Result<_>>()?;
        ensure!(events.len() == 3, "a task has {} events, and not the three that are written here", events.len());

        // It makes the tables.
        drop(SqliteStore::open(raw)?);
        let db = Connection::open(raw.join("tasks.db"))?;
        let mode: String = db.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        ensure!(mode == "wal", "the store's file has the journal mode {mode}");
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "cache_size", -8192)?;
        Ok(Self { db, papers, events, next: 0 })
    }

    /// Writes so many tasks, as many at once as are in flight.
    fn write_many(&mut self, count: u32) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let group = left.min(AT_ONCE);
            self.write(group)?;
            left -= group;
        }
        Ok(())
    }

    /// So many tasks: the first rows of all of them, then the next, and then the last.
    fn write(&mut self, tasks: u32) -> Result<()> {
        let mut streams = Vec::new();
        for (number, event) in self.events.iter().enumerate() {
            let group = self.db.transaction()?;
            if number == 0 {
                for _ in 0..tasks {
                    let id = scattered(self.next);
                    self.next += 1;
                    let mut insert = group.prepare_cached("INSERT INTO streams (kind, id) VALUES ('task', ?1)")?;
                    let stream = insert.insert([id])?;
                    let mut insert = group.prepare_cached("INSERT INTO tasks (stream, papers) VALUES (?1, ?2)")?;
                    insert.execute(params![stream, self.papers])?;
                    streams.push(stream);
                }
            }
            streams.iter().try_for_each(|stream| event.write(&group, *stream))?;
            group.commit()?;
        }
        Ok(())
    }
}

impl Event {
    fn write(&self, db: &Connection, stream: i64) -> Result<()> {
        let sql = "INSERT INTO events (stream, seq, at, action, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        db.prepare_cached(sql)?.execute(params![stream, self.seq, self.at, self.action, self.body])?;
        Ok(())
    }
}

/// Something like a task's id: nobody knows where in an index it comes.
fn scattered(number: u64) -> String {
    let mix = |seed: u64| {
        let mut mixed = number.wrapping_add(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    format!("{:016x}-{:016x}---", mix(1), mix(2))
}
