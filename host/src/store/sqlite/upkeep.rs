//! What the writer does beside writing: the log goes into the file, and room that nothing is in goes back to the disk.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::faults::Trouble;
use super::pages::{Thoroughness, checkpoint};

/// Written to the log before it goes into the file. Larger is faster, because a page that was written often is moved once. But
/// it takes longer to read after a crash, and to move, which whoever writes at that moment waits for.
const LOG_BYTES: u64 = 15 << 20;
/// The log's file may stay so large when nobody writes.
const LOG_KEPT: u64 = 4 << 20;
/// What a job costs in the log beside its bytes: a page in the table, and one in an index.
const JOB_BYTES: u64 = 2 * PAGE_BYTES;
/// SQLite's pages.
const PAGE_BYTES: u64 = 4096;
/// Pages without anything in them that are not worth the trouble: 4 MiB.
const FREE_PAGES: i64 = 1024;
/// Pages that go back to the disk at once, so that whoever writes waits a few milliseconds at most.
const VACUUM_PAGES: i64 = 256;

/// What there is to do.
#[derive(Debug)]
pub(super) struct Upkeep {
    log: PathBuf,
    /// Bytes in the log that are not in the file yet, about.
    unmoved: u64,
    /// With how many it is time to move them.
    next: u64,
    /// Whether pages may have become free.
    may_have_room: bool,
}

impl Upkeep {
    /// Of the file that was just opened: nobody knows what is in its log.
    pub(super) fn of(file: &Path) -> Self {
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        Self { log: log.into(), unmoved: PAGE_BYTES, next: LOG_BYTES, may_have_room: true }
    }

    /// Something was written.
    pub(super) fn wrote(&mut self, jobs: usize, bytes: usize) {
        let (jobs, bytes) = (u64::try_from(jobs).unwrap_or(u64::MAX), u64::try_from(bytes).unwrap_or(u64::MAX));
        self.unmoved = self.unmoved.saturating_add(bytes).saturating_add(jobs.saturating_mul(JOB_BYTES));
        self.may_have_room = true;
    }

    /// Whether there is something to do when nobody writes.
    pub(super) fn is_wanted(&self) -> bool {
        self.may_have_room || self.unmoved > 0
    }

    /// Between two transactions: what cannot wait until nobody writes.
    pub(super) fn between(&mut self, db: &Connection) -> Result<(), Trouble> {
        if self.unmoved < self.next {
            return Ok(());
        }
        // What is written together shares pages, so it is less than was thought.
        self.unmoved = checkpoint(db, Thoroughness::Look)?.saturating_mul(PAGE_BYTES);
        if self.unmoved < self.next {
            return Ok(());
        }
        // Whatever comes of it, the next commit need not try again.
        self.next = self.unmoved.saturating_add(LOG_BYTES);
        // The log begins anew with the next commit, unless somebody reads in it.
        self.unmoved = checkpoint(db, Thoroughness::Passive)?.saturating_mul(PAGE_BYTES);
        self.next = self.unmoved.saturating_add(LOG_BYTES);
        Ok(())
    }

    /// One piece of work for when nobody writes. What fails is not tried again before somebody has written.
    pub(super) fn idle(&mut self, db: &Connection) -> Result<(), Trouble> {
        if std::mem::take(&mut self.may_have_room) {
            self.may_have_room = vacuum(db)?;
            return Ok(());
        }
        (self.unmoved, self.next) = (0, LOG_BYTES);
        let is_large = self.log_bytes() > LOG_KEPT;
        // Whatever readers are in the way of is moved after the next write.
        checkpoint(db, if is_large { Thoroughness::Truncate } else { Thoroughness::Passive })?;
        Ok(())
    }

    fn log_bytes(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |log| log.len())
    }
}

/// Gives a little room back if there is much. Says whether there may be more.
fn vacuum(db: &Connection) -> Result<bool, Trouble> {
    let count = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (free, all) = (count("freelist_count")?, count("page_count")?);
    if free < FREE_PAGES || free < all / 4 {
        return Ok(false);
    }
    let mut step = db.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut rows = step.query([])?;
    while rows.next()?.is_some() {}
    Ok(true)
}
